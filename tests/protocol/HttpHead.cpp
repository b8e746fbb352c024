#include "postern/protocol/HttpHead.h"

#include "support/Catch.h"
#include "support/Verdicts.h"

#include <random>
#include <set>

using namespace postern;
using namespace std::literals;

namespace {

const std::string get = "GET / HTTP/1.1\r\nHost: h\r\n";

// The verdict when it is the same in every fragmentation, else "differs".
std::string verdict(std::string_view bytes, const HeadLimits& limits = {}) {
    const auto whole = verdictOnHead({bytes}, limits);
    const auto differs =
        deviation(bytes, whole, [&](const Fragments& pieces) { return verdictOnHead(pieces, limits); });
    return differs.empty() ? whole : "differs: " + whole + " whole, but " + differs;
}

// A head with these field lines after a valid Host, and what becomes of it.
std::string withField(std::string_view lines) { return verdict(get + std::string(lines) + "\r\n\r\n"); }
std::string withLine(std::string_view line) { return verdict(std::string(line) + "\r\nHost: h\r\n\r\n"); }
std::string withHost(std::string_view host) {
    return verdict("GET / HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n");
}

bool isAccepted(const std::string& verdict) { return verdict.find(" HTTP/1.") < verdict.find("differs: "); }

std::string headOfSize(size_t size) {
    const auto start = get + "X: ";
    return start + std::string(size - start.size() - 4, 'x') + "\r\n\r\n";
}

std::string headOfFields(size_t count) {
    auto head = get;
    for (size_t i = 1; i < count; ++i) head += "X: y\r\n";
    return head + "\r\n";
}

std::string responseVerdict(std::string_view bytes, std::string_view method = "GET") {
    ResponseHead head;
    const GuardedBytes guarded(bytes);
    if (const auto violation = parseResponseHead(guarded, method, head)) return std::to_string(violation->status);
    std::string text = "HTTP/1." + std::to_string(head.minorVersion) + " " + std::to_string(head.status);
    text.append(" ").append(head.reason).append("; body ").append(describe(head.framing, head.contentLength));
    return text.append(head.keepAlive ? "; keep-alive" : "; close").append(describe(head.fields));
}

}

TEST_CASE("a valid head means the same however it arrives", "[protocol]") {
    struct Row {
        std::string_view bytes, meaning;
    };
    const Row rows[] = {
        {"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "GET / HTTP/1.1; path /; info /; host h; body none; keep-alive; Host: h"},
        {"\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET / HTTP/1.1; path /; info /; host h; body none; keep-alive; Host: h"},
        {"GET / HTTP/1.0\r\n\r\n", "GET / HTTP/1.0; path /; info /; host ; body none; close"},
        {"GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
         "GET / HTTP/1.0; path /; info /; host ; body none; keep-alive; Connection: Keep-Alive"},
        {"GET / HTTP/1.0\r\nConnection: keep-alive, close\r\n\r\n",
         "GET / HTTP/1.0; path /; info /; host ; body none; close; Connection: keep-alive, close"},
        {"GET / HTTP/1.1\r\nhOST:h\r\nCONNECTION: x,\tClose\r\n\r\n",
         "GET / HTTP/1.1; path /; info /; host h; body none; close; hOST: h; CONNECTION: x,\tClose"},
        {"GET / HTTP/1.1\r\nHost: h\r\nConnection: enclose\r\nX-Connection: close\r\n\r\n",
         "GET / HTTP/1.1; path /; info /; host h; body none; keep-alive; Host: h; Connection: enclose; "
         "X-Connection: close"},
        {"GET /a%20b/./c/../d?x=%20&y=/..?z HTTP/1.1\r\nHost: h:8080\r\n\r\n",
         "GET /a%20b/./c/../d?x=%20&y=/..?z HTTP/1.1; path /a%20b/./c/../d; query x=%20&y=/..?z; info /a b/d; "
         "host h:8080; body none; keep-alive; Host: h:8080"},
        {"GET //a?? HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET //a?? HTTP/1.1; path //a; query ?; info //a; host h; body none; keep-alive; Host: h"},
        {"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello",
         "POST /p HTTP/1.1; path /p; info /p; host h; body 5; keep-alive; Host: h; Content-Length: 5"},
        {"POST /p HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n5\r\nhello\r\n",
         "POST /p HTTP/1.1; path /p; info /p; host h; body chunked; keep-alive; Host: h; Transfer-Encoding: chunked; "
         "Trailer: x"},
        {"PUT /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-Continue\r\n\r\n",
         "PUT /p HTTP/1.1; path /p; info /p; host h; body 5; keep-alive; continue; Host: h; Content-Length: 5; "
         "Expect: 100-Continue"},
        {"PUT /p HTTP/1.0\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n",
         "PUT /p HTTP/1.0; path /p; info /p; host ; body 5; close; Content-Length: 5; Expect: 100-continue"},
        {"GET / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\n\r\n",
         "GET / HTTP/1.1; path /; info /; host h; body none; keep-alive; Host: h; Expect: 100-continue"},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc",
         "GET / HTTP/1.1; path /; info /; host h; body 3; keep-alive; Host: h; Content-Length: 3"},
        {"GET http://Other:81/x?y HTTP/1.1\r\nHost: Other:81\r\n\r\n",
         "GET http://Other:81/x?y HTTP/1.1; path /x; query y; info /x; host Other:81; body none; keep-alive; "
         "Host: Other:81"},
        {"GET HTTPS://h HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET HTTPS://h HTTP/1.1; path /; info /; host h; body none; keep-alive; Host: h"},
        {"GET http://h?q HTTP/1.1\r\nHost: h\r\n\r\n",
         "GET http://h?q HTTP/1.1; path /; query q; info /; host h; body none; keep-alive; Host: h"},
        {"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n",
         "OPTIONS * HTTP/1.1; path *; info *; host h; body none; keep-alive; Host: h"},
        {"BREW /pot HTTP/1.1\r\nHost: h\r\n\r\n",
         "BREW /pot HTTP/1.1; path /pot; info /pot; host h; body none; keep-alive; Host: h"},
        {"m-search!#$%&'*+.^_`|~9 / HTTP/1.1\r\nHost: h\r\n\r\n",
         "m-search!#$%&'*+.^_`|~9 / HTTP/1.1; path /; info /; host h; body none; keep-alive; Host: h"},
        {"GET / HTTP/1.1\r\nHost: h\r\nX: \t a \t b\t \r\nX:\r\nY: \xc3\xa4\xff\r\n\r\n",
         "GET / HTTP/1.1; path /; info /; host h; body none; keep-alive; Host: h; X: a \t b; X: ; Y: \xc3\xa4\xff"},
        {"GET / HTTP/1.1\r\nHost: h\r\nTransfer_Encoding: chunked\r\nContent_Length: 3\r\n\r\n",
         "GET / HTTP/1.1; path /; info /; host h; body none; keep-alive; Host: h; Transfer_Encoding: chunked; "
         "Content_Length: 3"},
    };
    for (const auto& [bytes, meaning] : rows) {
        INFO(bytes);
        CHECK(verdict(bytes) == meaning);
        const auto end = bytes.find("\r\n\r\n") + 4;
        CHECK(verdict(std::string(bytes.substr(0, end)) + "GET /next\n") == meaning);
        for (size_t size = 0; size < end; ++size) CHECK(verdictOnHead({bytes.substr(0, size)}) == "more");
    }
}

TEST_CASE("a head says where it ends, its empty lines included", "[protocol]") {
    for (const auto bytes : {"GET / HTTP/1.1\r\nHost: h\r\n\r\n"sv, "\r\nGET / HTTP/1.0\r\n\r\n"sv}) {
        HeadScanner scanner;
        CHECK(std::get<size_t>(scanner.scan(std::string(bytes) + "body\r\n\r\n", {})) == bytes.size());
        scanner.reset();
        CHECK(scanner.untouched());
        CHECK(std::get<size_t>(scanner.scan(bytes, {})) == bytes.size());
    }
}

TEST_CASE("a connection is untouched until the first byte of a request line", "[protocol]") {
    const auto touchedBy = [](std::string_view bytes) {
        HeadScanner scanner;
        for (size_t size = 0; size <= bytes.size(); ++size)
            CHECK(std::holds_alternative<NeedMore>(scanner.scan(bytes.substr(0, size), {})));
        return !scanner.untouched();
    };
    CHECK_FALSE(touchedBy(""));
    CHECK_FALSE(touchedBy("\r"));
    CHECK_FALSE(touchedBy("\r\n"));
    CHECK(touchedBy("G"));
    CHECK(touchedBy("\r\nG"));
    CHECK(touchedBy("\r\nGET / HTTP/1.1\r\n"));
}

TEST_CASE("a bare LF is refused at once", "[protocol]") {
    for (const auto bytes : {"\n"sv, "\r\n\n"sv, "GET / HTTP/1.1\n"sv, "GET / HTTP/1.1\r\n\n"sv,
                             "GET / HTTP/1.1\r\nHost: h\n"sv, "GET / HTTP/1.1\r\nHost: h\r\n\n"sv}) {
        INFO(bytes);
        CHECK(verdictOnHead({bytes.substr(0, bytes.size() - 1)}) == "more");
        CHECK(verdict(bytes) == "400");
    }
}

TEST_CASE("a bare CR is refused", "[protocol]") {
    for (const auto bytes :
         {"\rG"sv, "\rGET / HTTP/1.1\r\nHost: h\r\n\r\n"sv, "GET / HTTP/1.1\rHost: h\r\n\r\n"sv,
          "GET / HTTP/1.1\r\r\nHost: h\r\n\r\n"sv, "GET / HTTP/1.1\r\nHost: h\r\r\n\r\n"sv,
          "GET / HTTP/1.1\r\nHost: h\r\n\r\r\n\r\n"sv, "GET / HTTP/1.1\r\nHost: h\r\n\rX\r\n\r\n"sv,
          "GET / HTTP/1.1\r\nHost: h\r\nX: a\rb\r\n\r\n"sv, "GET / HTTP/1.1\r\nHost: h\r\nX: a\rY: b\r\n\r\n"sv,
          "GET / HTTP/1.1\r\nHost: h\r\nX: \ra\r\n\r\n"sv, "GET /\r HTTP/1.1\r\nHost: h\r\n\r\n"sv}) {
        INFO(bytes);
        CHECK(verdict(bytes) == "400");
    }
}

TEST_CASE("one empty line before a request is forgiven, two are not", "[protocol]") {
    CHECK(isAccepted(verdict("\r\n" + get + "\r\n")));
    CHECK(verdict("\r\n\r\n" + get + "\r\n") == "400");
    CHECK(verdict("\r\n\r\n") == "400");
}

TEST_CASE("a malformed request line is refused", "[protocol]") {
    struct Row {
        std::string_view line;
        std::string_view status;
    };
    const Row rows[] = {
        {"GET  / HTTP/1.1", "400"},
        {"GET /  HTTP/1.1", "400"},
        {"GET / HTTP/1.1 ", "400"},
        {" GET / HTTP/1.1", "400"},
        {"GET / x HTTP/1.1", "400"},
        {"GET\t/ HTTP/1.1", "400"},
        {"GET /\tHTTP/1.1", "400"},
        {"GET /\t HTTP/1.1", "400"},
        {"GET /", "400"},
        {"GET", "400"},
        {"GET ", "400"},
        {" ", "400"},
        {"/ HTTP/1.1", "400"},
        {" / HTTP/1.1", "400"},
        {"GET HTTP/1.1", "400"},
        {"GET  HTTP/1.1", "400"},
        {"GET / HTTP/1.10", "400"},
        {"GET / HTTP/01.1", "400"},
        {"GET / HTTP/11.1", "400"},
        {"GET / HTTP/1", "400"},
        {"GET / HTTP/1.", "400"},
        {"GET / HTTP/.1", "400"},
        {"GET / HTTP/+1.1", "400"},
        {"GET / HTTP/1,1", "400"},
        {"GET / HTTP/1.x", "400"},
        {"GET / HTTP/x.1", "400"},
        {"GET / http/1.1", "400"},
        {"GET / HTTPS/1.1", "400"},
        {"GET / ICY/1.1", "400"},
        {"GET / HTTP 1.1", "400"},
        {"GET / HTTP/1.2", "505"},
        {"GET / HTTP/1.9", "505"},
        {"GET / HTTP/2.0", "505"},
        {"GET / HTTP/3.0", "505"},
        {"PRI * HTTP/2.0", "505"},
        {"GE(T / HTTP/1.1", "400"},
        {"GET: / HTTP/1.1", "400"},
        {"G\0T / HTTP/1.1"sv, "400"},
        {"G\x01T / HTTP/1.1", "400"},
        {"G\x7fT / HTTP/1.1", "400"},
        {"G\xc3\x84T / HTTP/1.1", "400"},
        {"GET /\0 HTTP/1.1"sv, "400"},
        {"GET /\x01 HTTP/1.1", "400"},
        {"GET /\v HTTP/1.1", "400"},
        {"GET /\x7f HTTP/1.1", "400"},
        {"GET /\xc3\xa4 HTTP/1.1", "400"},
        {"GET /\xff HTTP/1.1", "400"},
        {"GET /?\xff HTTP/1.1", "400"},
        {"GET /a#b HTTP/1.1", "400"},
        {"GET # HTTP/1.1", "400"},
        {"GET /a?b#c HTTP/1.1", "400"},
        {"GET a HTTP/1.1", "400"},
        {"GET ?a HTTP/1.1", "400"},
        {"GET h:80 HTTP/1.1", "400"},
        {"GET * HTTP/1.1", "400"},
        {"OPTIONS ** HTTP/1.1", "400"},
        {"OPTIONS *?a HTTP/1.1", "400"},
        {"GET \\ HTTP/1.1", "400"},
        {"GET http: HTTP/1.1", "400"},
        {"GET http:/h/ HTTP/1.1", "400"},
        {"GET http:// HTTP/1.1", "400"},
        {"GET http:///h HTTP/1.1", "400"},
        {"GET ://h/ HTTP/1.1", "400"},
        {"GET ftp://h/ HTTP/1.1", "400"},
        {"GET file:///etc/passwd HTTP/1.1", "400"},
        {"GET http://user@h/ HTTP/1.1", "400"},
        {"GET http://user:pass@h/ HTTP/1.1", "400"},
        {"GET http://h:99999/ HTTP/1.1", "400"},
        {"GET http://h,h/ HTTP/1.1", "400"},
        {"GET http://[::1/ HTTP/1.1", "400"},
        {"GET http://h\\a/ HTTP/1.1", "400"},
        {"CONNECT / HTTP/1.1", "400"},
        {"CONNECT http://h/ HTTP/1.1", "400"},
        {"CONNECT h:x HTTP/1.1", "400"},
        {"CONNECT h HTTP/1.1", "400"},
        {"CONNECT h: HTTP/1.1", "400"},
    };
    for (const auto& [line, status] : rows) {
        INFO(line);
        CHECK(withLine(line) == status);
    }
    const auto oldest = withLine("GET / HTTP/0.9");
    CHECK((oldest == "400" || oldest == "505"));
}

TEST_CASE("a path is decoded once, and one that is no text is refused", "[protocol]") {
    struct Row {
        std::string_view target, info;
    };
    const Row rows[] = {
        {"/a%2fb", "/a/b"},       {"/%252e%252e/a", "/%2e%2e/a"},
        {"/a/%2e%2E/b", "/b"},    {"/..%2f..%2fetc", "/etc"},
        {"/%C3%A4", "/\xc3\xa4"}, {"/%0d%0aX:y", "/\r\nX:y"},
        {"/..;/a", "/..;/a"},     {"/a/..\\..\\b", "/a/..\\..\\b"},
        {"/a+b", "/a+b"},         {"/.../a", "/.../a"},
        {"/a/...", "/a/..."},
    };
    for (const auto& [target, info] : rows) {
        INFO(target);
        const auto head = "GET " + std::string(target) + " HTTP/1.1\r\nHost: h\r\n\r\n";
        CHECK(verdict(head).find("; info " + std::string(info) + "; host h") != std::string::npos);
    }
    for (const auto target :
         {"/%"sv, "/%2"sv, "/%zz"sv, "/%0g"sv, "/%u002e"sv, "/%00"sv, "/a%00.html"sv, "/%c0%af"sv, "/%c0%80"sv,
          "/%e0%80%af"sv, "/%ed%a0%80"sv, "/%f4%90%80%80"sv, "/%ff"sv, "/%c3"sv, "/%c3/%a4"sv, "/%+1"sv, "/% 1"sv}) {
        INFO(target);
        CHECK(withLine("GET " + std::string(target) + " HTTP/1.1") == "400");
    }
}

TEST_CASE("a malformed field line is refused", "[protocol]") {
    for (const auto line : {"X"sv,
                            ":"sv,
                            ": x"sv,
                            " : x"sv,
                            "X : y"sv,
                            "X\t: y"sv,
                            "X Y: z"sv,
                            " X: y"sv,
                            "\tX: y"sv,
                            "X: y\r\n z"sv,
                            "X: y\r\n\tz"sv,
                            "X: y\r\n Z: z"sv,
                            "X: y\r\n \r\nZ: z"sv,
                            "X(: y"sv,
                            "X\0: y"sv,
                            "X\x01: y"sv,
                            "X\x7f: y"sv,
                            "\xc3\x84: y"sv,
                            "\"X\": y"sv,
                            "X,Y: z"sv,
                            "X=y"sv,
                            "X: \0"sv,
                            "X: a\0b"sv,
                            "X: \x01"sv,
                            "X: a\x08"sv,
                            "X: a\vb"sv,
                            "X: \fa"sv,
                            "X: a\x1b[31m"sv,
                            "X: \x7f"sv,
                            "X: a\r"sv,
                            "Host : h"sv,
                            "[X]: y"sv,
                            "X/Y: z"sv,
                            "@: x"sv,
                            "{}: x"sv}) {
        INFO(line);
        CHECK(withField(line) == "400");
    }
    CHECK(verdict("GET / HTTP/1.1\r\n Host: h\r\n\r\n") == "400");
    CHECK(verdict("GET / HTTP/1.1\r\n\tHost: h\r\n\r\n") == "400");
    CHECK(verdict("GET / HTTP/1.1\r\n \r\nHost: h\r\n\r\n") == "400");
}

TEST_CASE("a Content-Length is one number in digits", "[protocol]") {
    for (const auto value : {""sv,
                             "5, 5"sv,
                             "5,5"sv,
                             "5, 6"sv,
                             ",5"sv,
                             "5,"sv,
                             "+5"sv,
                             "-5"sv,
                             "-0"sv,
                             "0x5"sv,
                             "5h"sv,
                             "5_0"sv,
                             "5 0"sv,
                             "5;"sv,
                             "5.0"sv,
                             "5e1"sv,
                             "\"5\""sv,
                             "5\v"sv,
                             "\v5"sv,
                             "5\0"sv,
                             "5\xa0"sv,
                             "\xef\xbc\x95"sv,
                             "five"sv,
                             "18446744073709551615"sv,
                             "18446744073709551616"sv,
                             "18446744073709551621"sv,
                             "36893488147419103237"sv,
                             "00000000000000000005"sv,
                             "99999999999999999999999999999"sv}) {
        INFO(value);
        CHECK(withField("Content-Length: " + std::string(value)) == "400");
    }
    CHECK(withField("Content-Length: 5\r\nContent-Length: 5") == "400");
    CHECK(withField("Content-Length: 5\r\nContent-Length: 6") == "400");
    CHECK(withField("Content-Length: 5\r\ncontent-LENGTH: 5\r\nContent-Length: 5") == "400");
    CHECK(withField("Content-Length: 0").find("body 0;") != std::string::npos);
    CHECK(withField("Content-Length: \t5 ").find("body 5;") != std::string::npos);
    CHECK(withField("Content-Length: 999999999999999999").find("body 999999999999999999;") != std::string::npos);
}

TEST_CASE("the only transfer coding is one chunked", "[protocol]") {
    for (const auto value : {"identity"sv, "gzip"sv, "xchunked"sv, "chunkedx"sv, "gzip, chunked"sv, "x-chunked"sv}) {
        INFO(value);
        CHECK(withField("Transfer-Encoding: " + std::string(value)) == "501");
    }
    for (const auto value : {""sv, ","sv, "chunked,"sv, ",chunked"sv, "chunked, chunked"sv, "chunked, identity"sv,
                             "chunked, gzip"sv, "chunked;q=1"sv, "chunked ; x"sv, "\"chunked\""sv, "'chunked'"sv,
                             "chunked chunked"sv, "chunked\xa0"sv, "chunked\tx"sv, "chunke\xc4\x91"sv}) {
        INFO(value);
        const auto got = withField("Transfer-Encoding: " + std::string(value));
        CHECK((got == "400" || got == "501"));
    }
    for (const auto lines : {"Transfer-Encoding: \vchunked"sv,
                             "Transfer-Encoding: chunked\f"sv,
                             "Transfer-Encoding: chun\0ked"sv,
                             "Transfer-Encoding: chunked\r"sv,
                             "Transfer-Encoding : chunked"sv,
                             "Transfer-Encoding\t: chunked"sv,
                             " Transfer-Encoding: chunked"sv,
                             "Transfer-Encoding:\r\n chunked"sv,
                             "Transfer-Encoding: chunked\r\n\t"sv,
                             "X: y\nTransfer-Encoding: chunked"sv,
                             "X: y\rTransfer-Encoding: chunked"sv,
                             "Transfer Encoding: chunked"sv,
                             "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"sv,
                             "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity"sv,
                             "Transfer-Encoding: gzip\r\ntransfer-encoding: chunked"sv,
                             "Transfer-Encoding: chunked\r\nContent-Length: 5"sv,
                             "Content-Length: 5\r\nTransfer-Encoding: chunked"sv,
                             "Content-Length: 0\r\nTransfer-Encoding: chunked"sv,
                             "Content-Length: 5\r\nTransfer-Encoding: identity"sv,
                             "Content-Length: x\r\nTransfer-Encoding: chunked"sv}) {
        INFO(lines);
        CHECK(withField(lines) == "400");
    }
    CHECK(verdict("POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n") == "400");
    CHECK(verdict("POST / HTTP/1.0\r\nTransfer-Encoding: identity\r\n\r\n") == "400");
    CHECK(withField("Transfer-Encoding:\t chunked \t").find("body chunked") != std::string::npos);
    CHECK(withField("transfer-ENCODING: ChunkeD").find("body chunked") != std::string::npos);
}

TEST_CASE("HTTP/1.1 has exactly one valid Host", "[protocol]") {
    CHECK(verdict("GET / HTTP/1.1\r\n\r\n") == "400");
    CHECK(verdict("GET http://h/ HTTP/1.1\r\n\r\n") == "400");
    CHECK(verdict("GET / HTTP/1.1\r\nHost: h\r\nHost: h\r\n\r\n") == "400");
    CHECK(verdict("GET / HTTP/1.1\r\nHost: h\r\nX: y\r\nhost: i\r\n\r\n") == "400");
    CHECK(verdict("GET / HTTP/1.0\r\nHost: h\r\nHost: h\r\n\r\n") == "400");
    CHECK(verdict("GET / HTTP/1.0\r\nHost: a b\r\n\r\n") == "400");
    CHECK(withHost("a, b") == "400");
    CHECK(withHost("a@b") == "400");
    CHECK(withHost("") == "400");
}

TEST_CASE("a Host is a name or an address and perhaps a port", "[protocol]") {
    for (const auto host : {"h"sv, "example.com"sv, "example.com."sv, "example.com:80"sv, "h:0"sv, "h:65535"sv, "h:"sv,
                            "127.0.0.1"sv, "127.0.0.1:8080"sv, "[::1]"sv, "[::]:1"sv, "[2001:db8::1]:443"sv,
                            "[::ffff:127.0.0.1]"sv, "xn--bcher-kva.example"sv, "a_b"sv, "a-b.c~d"sv, "EXAMPLE"sv}) {
        INFO(host);
        CHECK(isValidHost(GuardedBytes(host)));
        CHECK(isAccepted(withHost(host)));
    }
    for (const auto host : {""sv,
                            ":"sv,
                            ":80"sv,
                            "h:x"sv,
                            "h:80x"sv,
                            "h:+80"sv,
                            "h:-1"sv,
                            "h: 80"sv,
                            "h:65536"sv,
                            "h:999999999999"sv,
                            "h:80:80"sv,
                            "a b"sv,
                            "a\tb"sv,
                            "a,b"sv,
                            "a, b"sv,
                            "u@h"sv,
                            "u:p@h"sv,
                            "h/"sv,
                            "h/p"sv,
                            "http://h"sv,
                            "h?q"sv,
                            "h#f"sv,
                            "h\\p"sv,
                            "\"h\""sv,
                            "<h>"sv,
                            "a^b"sv,
                            "a|b"sv,
                            "a{b}"sv,
                            "h\x01"sv,
                            "h\0"sv,
                            "h\x7f"sv,
                            "\xc3\xa4"sv,
                            "::1"sv,
                            "[]"sv,
                            "[]:80"sv,
                            "["sv,
                            "[::1"sv,
                            "::1]"sv,
                            "[::1]x"sv,
                            "[::1]80"sv,
                            "[::1]:x"sv,
                            "[::1]:65536"sv,
                            "[::g]"sv,
                            "[[::1]]"sv,
                            "[::1]]"sv,
                            "h[::1]"sv,
                            "[::1%25eth0]"sv,
                            "[::1\0]"sv}) {
        INFO(host);
        CHECK_FALSE(isValidHost(GuardedBytes(host)));
        CHECK(withHost(host) == "400");
    }
}

TEST_CASE("brackets hold an IPv6 address and nothing like it", "[protocol]") {
    for (const auto host : {"[12]"sv, "[...]"sv, "[:::]"sv, "[1::2::3]"sv, "[1:2:3:4:5:6:7:8:9]"sv, "[127.0.0.1]"sv,
                            "[12345::]"sv, "[1:2:3:4:5:6:7:8.9]"sv}) {
        INFO(host);
        CHECK_FALSE(isValidHost(GuardedBytes(host)));
        CHECK(withHost(host) == "400");
    }
}

TEST_CASE("an absolute target must agree with Host", "[protocol]") {
    const auto asked = [](std::string_view target, std::string_view host) {
        return verdict("GET " + std::string(target) + " HTTP/1.1\r\nHost: " + std::string(host) + "\r\n\r\n");
    };
    CHECK(asked("http://h/", "H").find("; host h;") != std::string::npos);
    CHECK(asked("http://h/", "i") == "400");
    CHECK(asked("http://h/", "h.evil") == "400");
    CHECK(asked("http://h:81/", "h:82") == "400");
}

TEST_CASE("the only expectation is 100-continue", "[protocol]") {
    for (const auto lines :
         {"Expect: x"sv, "Expect: "sv, "Expect: y 100-continue"sv, "Expect: 100-continue, y"sv,
          "Expect: 100-continue;q"sv, "Expect: 100 continue"sv, "Expect: 200-ok"sv,
          "Expect: 100-continue\r\nExpect: 100-continue"sv, "Expect: 100-continue\r\nX: y\r\nExpect: z"sv}) {
        INFO(lines);
        CHECK(withField("Content-Length: 1\r\n" + std::string(lines)) == "417");
    }
}

TEST_CASE("a head may have 16 KiB and no byte more", "[protocol]") {
    CHECK(isAccepted(verdict(headOfSize(16 * 1024 - 1))));
    CHECK(isAccepted(verdict(headOfSize(16 * 1024))));
    CHECK(verdict(headOfSize(16 * 1024 + 1)) == "431");
    CHECK(verdict(headOfSize(16 * 1024 + 2)) == "431");
    CHECK(verdict(headOfSize(20 * 1024)) == "431");
    CHECK(verdict(get + "X: " + std::string(20'000, 'x')) == "431");
    CHECK(verdict(get + std::string(20'000, 'x')) == "431");
    CHECK(verdict(get + std::string(20'000, 'x') + "\n") == "431");
    CHECK(isAccepted(verdictOnHead({get + "\r\n" + std::string(20'000, 'b')}))); // a body behind it does not count
    HeadLimits small;
    small.headBytes = 200;
    small.targetBytes = 100;
    CHECK(isAccepted(verdict(headOfSize(199), small)));
    CHECK(isAccepted(verdict(headOfSize(200), small)));
    CHECK(verdict(headOfSize(201), small) == "431");
}

TEST_CASE("a head that can only become too large is refused before its end", "[protocol]") {
    CHECK(verdictOnHead({headOfSize(20'000).substr(0, 16 * 1024 - 1)}) == "more");
    CHECK(verdictOnHead({headOfSize(20'000).substr(0, 16 * 1024)}) == "431");
    CHECK(verdict("GET /" + std::string(8400, 'x')) == "414");
    CHECK(verdict(std::string(8400, 'x')) != "more");
}

TEST_CASE("a head may have 100 fields and not one more", "[protocol]") {
    CHECK(isAccepted(verdict(headOfFields(99))));
    CHECK(isAccepted(verdict(headOfFields(100))));
    CHECK(verdict(headOfFields(101)) == "431");
    CHECK(verdict(headOfFields(2000)) == "431");
    HeadLimits small;
    small.fieldCount = 2;
    CHECK(isAccepted(verdict(headOfFields(2), small)));
    CHECK(verdict(headOfFields(3), small) == "431");
    small.fieldCount = 0;
    CHECK(verdict("GET / HTTP/1.0\r\nX: y\r\n\r\n", small) == "431");
}

TEST_CASE("a target may have 8 KiB and no byte more", "[protocol]") {
    const auto ofSize = [](size_t size, std::string_view method = "GET") {
        return std::string(method) + " /" + std::string(size - 1, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n";
    };
    CHECK(isAccepted(verdict(ofSize(8 * 1024 - 1))));
    CHECK(isAccepted(verdict(ofSize(8 * 1024))));
    CHECK(verdict(ofSize(8 * 1024 + 1)) == "414");
    CHECK(verdict(ofSize(8 * 1024 + 40)) == "414");
    CHECK(verdict(ofSize(8 * 1024 + 100)) == "414");
    CHECK(verdict(ofSize(16 * 1024)) == "414");
    CHECK(verdict(ofSize(20 * 1024)) == "414");
    CHECK(verdict("GET /?" + std::string(8 * 1024, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n") == "414");
    CHECK(verdict("GET /" + std::string(8 * 1024, ' ') + " HTTP/1.1\r\nHost: h\r\n\r\n").starts_with("4"));
}

TEST_CASE("a long method gives one verdict too", "[protocol]") {
    for (const size_t size : {54, 55, 56, 9000}) {
        const auto method = std::string(size, 'M');
        for (const size_t target : {1, 8191, 8192}) {
            INFO(size << " " << target);
            const auto got = verdict(method + " /" + std::string(target - 1, 'x') + " HTTP/1.1\r\nHost: h\r\n\r\n");
            CHECK((isAccepted(got) || got == "414" || got == "431"));
        }
    }
}

TEST_CASE("an accepted head written again reads the same", "[protocol]") {
    std::mt19937 random(2);
    const auto pick = [&](std::string_view from) { return from[random() % from.size()]; };
    const auto word = [&](std::string_view from, size_t longest) {
        std::string text(1 + random() % longest, ' ');
        for (auto& c : text) c = pick(from);
        return text;
    };
    int accepted = 0;
    for (int round = 0; round < 3000; ++round) {
        std::string bytes = word("GETPOST!-x", 5) + " /" + word("ab/.%2e%2f?&=+~", 12) + " HTTP/1." + pick("01") +
                            "\r\nHost: " + word("ab.:[]1", 3) + "\r\n";
        for (auto fields = random() % 4; fields-- > 0;) {
            const char* const names[] = {"X", "Content-Length", "Transfer-Encoding", "Connection", "Expect", "Host"};
            const char* const values[] = {"5", "chunked", "close", "100-continue", "keep-alive, x", "\t\xff "};
            bytes.append(names[random() % 6]).append(":").append(values[random() % 6]).append("\r\n");
        }
        bytes += "\r\n";
        if (random() % 4 == 0) bytes[random() % bytes.size()] = static_cast<char>(random());

        const auto whole = verdictOnHead({bytes});
        CHECK(whole == verdictOnHead(cutInPieces(bytes, 1 + random() % 9)));
        RequestHead head;
        if (!isAccepted(whole) || parseRequestHead(bytes, {}, head)) continue;
        ++accepted;
        std::string again;
        again.append(head.method).append(" ").append(head.target).append(" HTTP/1.");
        again.append(std::to_string(head.minorVersion)).append("\r\n");
        for (const auto& [name, value] : head.fields) again.append(name).append(": ").append(value).append("\r\n");
        CHECK(verdictOnHead({again + "\r\n"}) == whole);
        CHECK(countFields(head.fields, "Host") <= 1);
        for (const auto& [name, value] : head.fields) CHECK((isFieldName(name) && isFieldValue(value)));
    }
    CHECK(accepted > 200);
}

TEST_CASE("a cleared head is as good as a new one", "[protocol]") {
    RequestHead used, fresh;
    const auto first =
        "PUT http://h:1/a%20b?q HTTP/1.0\r\nHost: h:1\r\nConnection: keep-alive\r\nContent-Length: 9\r\n\r\n";
    REQUIRE_FALSE(parseRequestHead(first, {}, used));
    used.clear();
    REQUIRE_FALSE(parseRequestHead(get + "\r\n", {}, used));
    REQUIRE_FALSE(parseRequestHead(get + "\r\n", {}, fresh));
    CHECK(describe(used) == describe(fresh));
    CHECK(used.contentLength == 0);
    CHECK(used.query.empty());
}

TEST_CASE("names and values that would split a head are no field", "[protocol]") {
    CHECK(isFieldName("X-Foo!#$%&'*+.^_`|~9"));
    for (const auto name : {""sv, "a b"sv, "a:"sv, "a\r\n"sv, "a\n"sv, "a\0"sv, "a\x7f"sv, "\xc3\xa4"sv, "(a)"sv})
        CHECK_FALSE(isFieldName(name));
    CHECK(isFieldValue(""));
    CHECK(isFieldValue("a\tb \xc3\xa4\xff"));
    for (const auto value : {"\r"sv, "\n"sv, "a\r\nX: y"sv, "\0"sv, "a\0b"sv, "\x1b"sv, "\x7f"sv, "\v"sv, "\f"sv})
        CHECK_FALSE(isFieldValue(value));
    for (int c = 0; c < 256; ++c) {
        const std::string one(1, static_cast<char>(c));
        CHECK(isFieldValue(one) == (c == '\t' || (c >= ' ' && c != 0x7f)));
        CHECK(isFieldName(one) == isToken(one));
        // Wherever it stands: values are looked at in groups of bytes.
        for (size_t at = 0; at < 20; ++at) {
            auto value = std::string("a \xff~\t!a \xff~a \xff~\t!a \xff~");
            value[at] = static_cast<char>(c);
            CHECK(isFieldValue(value) == isFieldValue(one));
        }
    }
}

TEST_CASE("an answer says how its body ends", "[protocol]") {
    struct Row {
        std::string_view bytes, method, meaning;
    };
    const Row rows[] = {
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "GET",
         "HTTP/1.1 200 OK; body 5; keep-alive; Content-Length: 5"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "HEAD",
         "HTTP/1.1 200 OK; body none; keep-alive; Content-Length: 5"},
        {"HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n", "GET", "HTTP/1.1 200 ; body 0; keep-alive; Content-Length: 0"},
        {"HTTP/1.1 200 \r\nTransfer-Encoding: Chunked\r\n\r\n", "GET",
         "HTTP/1.1 200 ; body chunked; keep-alive; Transfer-Encoding: Chunked"},
        {"HTTP/1.0 404 Not \xff here\r\nContent-Length: 1\r\n\r\n", "GET",
         "HTTP/1.0 404 Not \xff here; body 1; close; Content-Length: 1"},
        {"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", "GET",
         "HTTP/1.1 200 OK; body untilEnd; close; Connection: close"},
        {"HTTP/1.0 200 OK\r\n\r\n", "GET", "HTTP/1.0 200 OK; body untilEnd; close"},
        {"HTTP/1.1 204 No Content\r\n\r\n", "GET", "HTTP/1.1 204 No Content; body none; keep-alive"},
        {"HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n", "GET",
         "HTTP/1.1 304 Not Modified; body none; keep-alive; Content-Length: 5"},
        {"HTTP/1.1 100 Continue\r\n\r\n", "POST", "HTTP/1.1 100 Continue; body none; keep-alive"},
        {"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n", "GET",
         "HTTP/1.1 101 Switching Protocols; body none; keep-alive; Connection: Upgrade; Upgrade: websocket"},
        {"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n", "CONNECT",
         "HTTP/1.1 200 OK; body none; keep-alive; Content-Length: 5"},
        {"HTTP/1.1 407 No\r\nContent-Length: 5\r\n\r\n", "CONNECT",
         "HTTP/1.1 407 No; body 5; keep-alive; Content-Length: 5"},
    };
    for (const auto& [bytes, method, meaning] : rows) {
        INFO(bytes);
        CHECK(responseVerdict(bytes, method) == meaning);
    }
}

TEST_CASE("a malformed answer is refused", "[protocol]") {
    for (const auto line :
         {"HTTP/1.1"sv,        "HTTP/1.1 "sv,         "HTTP/1.1 20"sv,       "HTTP/1.1 2000 OK"sv,  "HTTP/1.1 099 X"sv,
          "HTTP/1.1 -20 X"sv,  "HTTP/1.1 +20 X"sv,    "HTTP/1.1 2x0 X"sv,    "HTTP/1.1  200 X"sv,   "HTTP/1.1\t200 X"sv,
          "HTTP/1.1 200\tX"sv, "HTTP/1.1 200X"sv,     " HTTP/1.1 200 X"sv,   "http/1.1 200 X"sv,    "ICY 200 OK"sv,
          "HTTP/1.10 200 X"sv, "HTTP/1.1 200 a\rb"sv, "HTTP/1.1 200 a\0b"sv, "HTTP/1.1 200 \x7f"sv, ""sv})
        CHECK(responseVerdict(std::string(line) + "\r\nContent-Length: 0\r\n\r\n") == "400");
    CHECK(responseVerdict("HTTP/2.0 200 X\r\n\r\n") == "505");
    for (const auto lines : {"Content-Length: 5\r\nContent-Length: 5"sv, "Content-Length: 5, 5"sv,
                             "Content-Length: +5"sv, "Content-Length: 5\r\nTransfer-Encoding: chunked"sv,
                             "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"sv, "X : y"sv, " X: y"sv,
                             "X: a\0b"sv, "X"sv, ": y"sv})
        CHECK(responseVerdict("HTTP/1.1 200 OK\r\n" + std::string(lines) + "\r\n\r\n") == "400");
    CHECK(responseVerdict("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n") == "400");
    CHECK(responseVerdict("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n") == "501");
}

TEST_CASE("every phrase can stand in a status line", "[protocol]") {
    CHECK(reasonPhrase(200) == "OK");
    CHECK(reasonPhrase(404) == "Not Found");
    CHECK(reasonPhrase(101) == "Switching Protocols");
    for (const int used : {400, 403, 408, 413, 414, 417, 426, 431, 500, 501, 503, 505})
        CHECK_FALSE(reasonPhrase(used).empty());
    std::set<std::string_view> seen;
    for (int status = -1; status < 1100; ++status) {
        const auto phrase = reasonPhrase(status);
        CHECK(isFieldValue(phrase));
        CHECK(trim(phrase) == phrase);
        if (!phrase.empty() && status != 428 && status != 412) CHECK(seen.insert(phrase).second);
    }
    CHECK(reasonPhrase(999).empty());
    CHECK(reasonPhrase(0).empty());
}
