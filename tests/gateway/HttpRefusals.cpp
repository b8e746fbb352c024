// Requests that the built-in server refuses, and those just on the other side of the line.

#include "support/Catch.h"
#include "support/TestServer.h"

using namespace postern;

namespace {

void tell(Cgi& cgi) {
    if (cgi.pathInfo() == "/deaf") return cgi.write("deaf", true);
    cgi.write(std::string(cgi.requestMethod()) + ' ' + std::string(cgi.pathInfo()) + ' ' + cgi.postBody(), true);
}

struct Case {
    const char* what;
    std::string bytes;
    int status;
};

std::string get(const std::string& lines) { return "GET / HTTP/1.1\r\n" + lines + "\r\n"; }
std::string field(const std::string& line) { return get("Host: h\r\n" + line + "\r\n"); }
std::string line(const std::string& requestLine) { return requestLine + "\r\nHost: h\r\n\r\n"; }
std::string post(const std::string& lines, const std::string& body) {
    return "POST / HTTP/1.1\r\nHost: h\r\n" + lines + "\r\n" + body;
}
std::string chunked(const std::string& body) { return post("Transfer-Encoding: chunked\r\n", body); }
std::string host(const std::string& value) { return get("Host: " + value + "\r\n"); }

const std::string nul(1, '\0');

std::vector<Case> refusedHeads() {
    return {
        {"bare LF after the request line", "GET / HTTP/1.1\nHost: h\r\n\r\n", 400},
        {"bare LF after a field", "GET / HTTP/1.1\r\nHost: h\n\r\n", 400},
        {"bare LF at the end of the head", "GET / HTTP/1.1\r\nHost: h\r\n\n", 400},
        {"bare CR in the request line", line("GET /\r HTTP/1.1"), 400},
        {"bare CR in a value", field("X: a\rb"), 400},
        {"CR CR LF", field("X: a\r"), 400},
        {"folded line with a space", field("X: a\r\n b"), 400},
        {"folded line with a tab", field("X: a\r\n\tb"), 400},
        {"folded first field", get(" X: a\r\nHost: h\r\n"), 400},
        {"space before the colon", field("X : a"), 400},
        {"tab before the colon", field("X\t: a"), 400},
        {"no colon", field("X"), 400},
        {"empty name", field(": a"), 400},
        {"name of no token", field("X(y): a"), 400},
        {"byte above 127 in a name", field("X\xc3\xa4: a"), 400},
        {"NUL in a name", field("X" + nul + ": a"), 400},
        {"NUL in a value", field("X: a" + nul + "b"), 400},
        {"escape in a value", field("X: \x1b[31m"), 400},
        {"DEL in a value", field("X: \x7f"), 400},
        {"NUL in the method", line("G" + nul + "T / HTTP/1.1"), 400},
        {"NUL in the target", line("GET /" + nul + " HTTP/1.1"), 400},
        {"byte above 127 in the target", line("GET /\xc3\xa4 HTTP/1.1"), 400},
        {"DEL in the target", line("GET /\x7f HTTP/1.1"), 400},
        {"method of no token", line("G@T / HTTP/1.1"), 400},
        {"no method", line(" / HTTP/1.1"), 400},
        {"no target", line("GET  HTTP/1.1"), 400},
        {"two spaces", line("GET  / HTTP/1.1"), 400},
        {"two spaces before the version", line("GET /  HTTP/1.1"), 400},
        {"space at the end", line("GET / HTTP/1.1 "), 400},
        {"tab between", line("GET\t/\tHTTP/1.1"), 400},
        {"HTTP/0.9", "GET /\r\n\r\n", 400},
        {"fragment", line("GET /#x HTTP/1.1"), 400},
        {"target of no form", line("GET x HTTP/1.1"), 400},
        {"star for GET", line("GET * HTTP/1.1"), 400},
        {"bad escape in the path", line("GET /%2 HTTP/1.1"), 400},
        {"escaped NUL", line("GET /%00 HTTP/1.1"), 400},
        {"overlong slash", line("GET /%c0%af HTTP/1.1"), 400},
        {"scheme ftp", line("GET ftp://h/ HTTP/1.1"), 400},
        {"user in the authority", line("GET http://me@h/ HTTP/1.1"), 400},
        {"authority against Host", line("GET http://other/ HTTP/1.1"), 400},
        {"CONNECT without a port", line("CONNECT h HTTP/1.1"), 400},
        {"lower-case version", line("GET / http/1.1"), 400},
        {"long version", line("GET / HTTP/1.10"), 400},
        {"no version number", line("GET / HTTP/"), 400},
        {"HTTP/1.2", line("GET / HTTP/1.2"), 505},
        {"HTTP/2.0", line("GET / HTTP/2.0"), 505},
        {"the HTTP/2 preface", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
        {"two empty lines first", "\r\n\r\n" + line("GET / HTTP/1.1"), 400},
        {"empty line with LF only first", "\n" + line("GET / HTTP/1.1"), 400},
        {"a TLS handshake", std::string("\x16\x03\x01\x00\xa5\x01\x00\x00\xa1\x03\x03\n", 12), 400},
        {"no Host", get(""), 400},
        {"two Hosts", get("Host: h\r\nHost: h\r\n"), 400},
        {"two Hosts, spelled differently", get("Host: h\r\nhOST: other\r\n"), 400},
        {"empty Host", host(""), 400},
        {"list of Hosts", host("a, b"), 400},
        {"Host with a space", host("a b"), 400},
        {"Host with a user", host("me@h"), 400},
        {"Host with a path", host("h/x"), 400},
        {"Host with a bad port", host("h:8x"), 400},
        {"Host with port 65536", host("h:65536"), 400},
        {"Host with a broken IPv6 address", host("[::1"), 400},
        {"Host with an IPv6 address of nothing", host("[::g]"), 400},
        {"length and coding", post("Content-Length: 5\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
        {"coding and length", post("Transfer-Encoding: chunked\r\nContent-Length: 5\r\n", "0\r\n\r\n"), 400},
        {"two lengths", post("Content-Length: 5\r\nContent-Length: 6\r\n", "hello!"), 400},
        {"two equal lengths", post("Content-Length: 5\r\nContent-Length: 5\r\n", "hello"), 400},
        {"list of lengths", post("Content-Length: 5, 5\r\n", "hello"), 400},
        {"length with +", post("Content-Length: +5\r\n", "hello"), 400},
        {"length with -", post("Content-Length: -5\r\n", "hello"), 400},
        {"length in hex", post("Content-Length: 0x5\r\n", "hello"), 400},
        {"length with _", post("Content-Length: 1_0\r\n", "hellohello"), 400},
        {"length with a space inside", post("Content-Length: 1 0\r\n", "hellohello"), 400},
        {"length as a fraction", post("Content-Length: 5.0\r\n", "hello"), 400},
        {"empty length", post("Content-Length: \r\n", ""), 400},
        {"length of 2^64 + 5", post("Content-Length: 18446744073709551621\r\n", "hello"), 400},
        {"length of 30 digits", post("Content-Length: 000000000000000000000000000005\r\n", "hello"), 400},
        {"coding in HTTP/1.0", "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
        {"two codings", post("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
        {"two codings, one of them identity",
         post("Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n"), 400},
        {"coding gzip", post("Transfer-Encoding: gzip\r\n", ""), 501},
        {"coding identity", post("Transfer-Encoding: identity\r\n", ""), 501},
        {"gzip, chunked", post("Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n"), 501},
        {"chunked, identity", post("Transfer-Encoding: chunked, identity\r\n", "0\r\n\r\n"), 501},
        {"chunked, chunked", post("Transfer-Encoding: chunked, chunked\r\n", "0\r\n\r\n"), 501},
        {"xchunked", post("Transfer-Encoding: xchunked\r\n", "0\r\n\r\n"), 501},
        {"chunked with a parameter", post("Transfer-Encoding: chunked;q=1\r\n", "0\r\n\r\n"), 501},
        {"quoted chunked", post("Transfer-Encoding: \"chunked\"\r\n", "0\r\n\r\n"), 501},
        {"coding with a vertical tab",
         post("Transfer-Encoding: \x0b"
              "chunked\r\n",
              "0\r\n\r\n"),
         400},
        {"unknown expectation", post("Expect: 200-ok\r\nContent-Length: 1\r\n", "x"), 417},
        {"disguised expectation", post("Expect: y 100-continue\r\nContent-Length: 1\r\n", "x"), 417},
        {"list of expectations", post("Expect: 100-continue, x\r\nContent-Length: 1\r\n", "x"), 417},
        {"two expectations", post("Expect: 100-continue\r\nExpect: 100-continue\r\nContent-Length: 1\r\n", "x"), 417},
        {"endless target", "GET /" + std::string(9000, 'x'), 414},
        {"endless field", "GET / HTTP/1.1\r\nHost: h\r\nX: " + std::string(17000, 'x'), 431},
        {"endless name", "GET / HTTP/1.1\r\nHost: h\r\n" + std::string(17000, 'x'), 431},
    };
}

// These look well until the body comes, so that it is the handler's readBody() that finds out.
std::vector<Case> refusedBodies() {
    return {
        {"chunk size in 0x", chunked("0x5\r\nhello\r\n0\r\n\r\n"), 400},
        {"chunk size with a sign", chunked("+5\r\nhello\r\n0\r\n\r\n"), 400},
        {"negative chunk size", chunked("-1\r\nhello\r\n0\r\n\r\n"), 400},
        {"chunk size after a space", chunked(" 5\r\nhello\r\n0\r\n\r\n"), 400},
        {"chunk size before a space", chunked("5 \r\nhello\r\n0\r\n\r\n"), 400},
        {"chunk size with _", chunked("0_5\r\nhello\r\n0\r\n\r\n"), 400},
        {"no chunk size", chunked("\r\nhello\r\n0\r\n\r\n"), 400},
        {"chunk size of 17 digits", chunked("10000000000000005\r\nhello\r\n0\r\n\r\n"), 400},
        {"chunk size that wraps", chunked("ffffffffffffffff\r\nhello\r\n0\r\n\r\n"), 400},
        {"chunk size line with LF only", chunked("5\nhello\r\n0\r\n\r\n"), 400},
        {"chunk longer than its size", chunked("4\r\nhello\r\n0\r\n\r\n"), 400},
        {"chunk data with LF only", chunked("5\r\nhello\n0\r\n\r\n"), 400},
        {"no line end after a chunk", chunked("5\r\nhello0\r\n\r\n"), 400},
        {"bare LF in an extension", chunked("5;a\nb\r\nhello\r\n0\r\n\r\n"), 400},
        {"bare CR in an extension", chunked("5;a\rb\r\nhello\r\n0\r\n\r\n"), 400},
        {"NUL in an extension", chunked("5;a=\"" + nul + "\"\r\nhello\r\n0\r\n\r\n"), 400},
        {"extension without a name", chunked("5;\r\nhello\r\n0\r\n\r\n"), 400},
        {"extension with an open quote", chunked("5;a=\"b\r\nhello\r\n0\r\n\r\n"), 400},
        {"endless extension", chunked("5;a=" + std::string(17000, 'x')), 400},
        {"trailer of no form", chunked("0\r\nno field\r\n\r\n"), 400},
        {"folded trailer", chunked("0\r\nX: a\r\n b\r\n\r\n"), 400},
        {"trailer with LF only", chunked("0\r\nX: a\n\r\n"), 400},
        {"endless trailer", chunked("0\r\nX: " + std::string(17000, 'x')), 400},
        {"length that never comes", post("Content-Length: 5\r\n", "hell"), 400},
        {"chunks that never end", chunked("5\r\nhel"), 400},
        {"length over the limit", post("Content-Length: 101\r\n", std::string(101, 'x')), 413},
        {"chunk over the limit", chunked("65\r\n" + std::string(101, 'x') + "\r\n0\r\n\r\n"), 413},
        {"chunks over the limit",
         chunked("32\r\n" + std::string(50, 'x') + "\r\n33\r\n" + std::string(51, 'x') + "\r\n0\r\n\r\n"), 413},
    };
}

std::vector<Case> accepted() {
    return {
        {"plain", line("GET / HTTP/1.1"), 200},
        {"one empty line first", "\r\n" + line("GET / HTTP/1.1"), 200},
        {"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 200},
        {"byte above 127 in a value", field("X: \xc3\xa4"), 200},
        {"tab in a value", field("X: a\tb"), 200},
        {"empty value", field("X:"), 200},
        {"no space after the colon", field("X:a"), 200},
        {"space after the value", field("X: a \t "), 200},
        {"lower-case names", get("host: h\r\nconnection: close\r\n"), 200},
        {"unknown method", line("BREW / HTTP/1.1"), 200},
        {"method of all token characters", line("!#$%&'*+-.^_`|~09aZ / HTTP/1.1"), 200},
        {"OPTIONS *", line("OPTIONS * HTTP/1.1"), 200},
        {"absolute form", line("GET http://h/x HTTP/1.1"), 200},
        {"absolute form without a path", line("GET HTTP://H HTTP/1.1"), 200},
        {"CONNECT", "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n", 200},
        {"Host with a port", host("h:65535"), 200},
        {"Host with an empty port", host("h:"), 200},
        {"Host as IPv6 address", host("[2001:db8::1]:80"), 200},
        {"Host as IPv4 address", host("127.0.0.1"), 200},
        {"length with spaces around", post("Content-Length:  5 \r\n", "hello"), 200},
        {"length with zeros in front", post("Content-Length: 0005\r\n", "hello"), 200},
        {"length 0", post("Content-Length: 0\r\n", ""), 200},
        {"coding in capitals", post("Transfer-Encoding: CHUNKED\r\n", "0\r\n\r\n"), 200},
        {"body on GET", "GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 200},
        {"chunks", chunked("5\r\nhello\r\n0\r\n\r\n"), 200},
        {"chunk sizes in capitals, with zeros", chunked("00A\r\nhellohello\r\n000\r\n\r\n"), 200},
        {"extensions", chunked("5;a;b=c;d=\"e\\\"f\"\r\nhello\r\n0;z\r\n\r\n"), 200},
        {"trailers", chunked("5\r\nhello\r\n0\r\nX: y\r\nContent-Length: 9\r\n\r\n"), 200},
        {"length at the limit", post("Content-Length: 100\r\n", std::string(100, 'x')), 200},
        {"chunks at the limit",
         chunked("32\r\n" + std::string(50, 'x') + "\r\n32\r\n" + std::string(50, 'x') + "\r\n0\r\n\r\n"), 200},
        {"upgrade to something unknown",
         field("Connection: Upgrade\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__"), 200},
        {"expectation in capitals", post("Expect: 100-CONTINUE\r\nContent-Length: 1\r\n", "x"), 200},
    };
}

HttpSettings smallBodies() {
    HttpSettings settings;
    settings.limits.bodyBytes = 100;
    return settings;
}

void dropContinue(std::vector<RawReply>& replies) {
    std::erase_if(replies, [](const RawReply& reply) { return reply.status == 100; });
}

} // namespace

TEST_CASE("what could be read in two ways is refused, with a close, a reason and a log line", "[gateway][threads]") {
    TestServer server(tell, smallBodies());
    size_t logged = 0;
    for (const auto& [what, bytes, status] : refusedHeads()) {
        INFO(what);
        RawClient client(server);
        client.trySend(rawRequest("GET", "/before") + bytes);
        client.finishSending();
        const auto replies = RawReply::takeAll(client.receiveAll());
        REQUIRE(replies.size() == 2);
        CHECK(replies[0].body == "GET /before ");
        CHECK(replies[1].status == status);
        CHECK(replies[1].saysClose());
        CHECK(replies[1].field("Content-Type") == "text/plain; charset=utf-8");
        CHECK(replies[1].has("Date"));
        CHECK(replies[1].body.starts_with(std::to_string(status) + " "));
        CHECK(server.log().count("refused a request from 127.0.0.1: ") == ++logged);
        CHECK(server.log().count("(" + std::to_string(status) + ")") > 0);
    }
    for (const auto& logLine : server.log().all())
        for (const char c : logLine) CHECK((c >= ' ' && c < 0x7f));
    CHECK(RawClient(server).request(rawRequest("GET", "/after")).body == "GET /after ");
}

TEST_CASE("a malformed or too large body gets its status and the connection ends", "[gateway][threads]") {
    TestServer server(tell, smallBodies());
    for (const auto& [what, bytes, status] : refusedBodies()) {
        INFO(what);
        RawClient client(server);
        client.trySend(rawRequest("GET", "/before") + bytes);
        client.finishSending();
        const auto replies = RawReply::takeAll(client.receiveAll());
        REQUIRE(replies.size() == 2);
        CHECK(replies[0].body == "GET /before ");
        CHECK(replies[1].status == status);
        CHECK(replies[1].saysClose());
    }
    CHECK(RawClient(server).request(rawRequest("GET", "/after")).body == "GET /after ");
}

TEST_CASE("what is well-formed, if unusual, reaches the handler", "[gateway]") {
    MemoryServer server(tell, smallBodies());
    for (const auto& [what, bytes, status] : accepted()) {
        INFO(what);
        auto replies = RawReply::takeAll(server.answer({bytes}));
        dropContinue(replies);
        REQUIRE(replies.size() == 1);
        CHECK(replies[0].status == status);
    }
}

TEST_CASE("the verdict is the same however the bytes arrive", "[gateway]") {
    MemoryServer server(tell, smallBodies());
    auto cases = accepted();
    for (const auto& list : {refusedHeads(), refusedBodies()})
        for (const auto& one : list) cases.push_back(one);
    for (const auto& [what, bytes, status] : cases) {
        INFO(what);
        if (bytes.size() > 1000) continue;
        std::string whole;
        forEachFragmentation(bytes, [&](const Fragments& pieces) {
            auto replies = RawReply::takeAll(server.answer(pieces));
            dropContinue(replies);
            REQUIRE(replies.size() == 1);
            if (whole.empty()) whole = replies[0].body;
            CAPTURE(pieces.size(), pieces[0].size());
            CHECK(replies[0].status == status);
            CHECK(replies[0].body == whole);
        });
    }
}

TEST_CASE("a malformed body that the handler ignored ends the connection after its reply", "[gateway]") {
    MemoryServer server(tell);
    const auto replies = RawReply::takeAll(server.answer({rawRequest(
        "POST", "/deaf", "Transfer-Encoding: chunked\r\n", "5\r\nhello?\r\n0\r\n\r\n" + rawRequest("GET", "/never"))}));
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].body == "deaf");
}

TEST_CASE("each limit of a head holds to the byte", "[gateway]") {
    HttpSettings settings;
    settings.limits.head = {1000, 10, 200};
    MemoryServer server(tell, settings);
    const auto statusOf = [&](const std::string& bytes) {
        const auto whole = RawReply::takeAll(server.answer({bytes}));
        const auto pieces = RawReply::takeAll(server.answer(cutInPieces(bytes, 7)));
        REQUIRE(whole.size() == 1);
        REQUIRE(pieces.size() == 1);
        CHECK(whole[0].status == pieces[0].status);
        return whole[0].status;
    };
    SECTION("bytes") {
        const auto sized = [](size_t size) {
            const std::string begin = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
            return begin + std::string(size - begin.size() - 4, 'x') + "\r\n\r\n";
        };
        CHECK(statusOf(sized(999)) == 200);
        CHECK(statusOf(sized(1000)) == 200);
        CHECK(statusOf(sized(1001)) == 431);
        CHECK(statusOf(sized(5000)) == 431);
    }
    SECTION("fields") {
        const auto counted = [](size_t count) {
            std::string bytes = "GET / HTTP/1.1\r\nHost: h\r\n";
            for (size_t i = 1; i < count; ++i) bytes += "X: y\r\n";
            return bytes + "\r\n";
        };
        CHECK(statusOf(counted(9)) == 200);
        CHECK(statusOf(counted(10)) == 200);
        CHECK(statusOf(counted(11)) == 431);
    }
    SECTION("target") {
        const auto sized = [](size_t size) { return line("GET /" + std::string(size - 1, 'x') + " HTTP/1.1"); };
        CHECK(statusOf(sized(199)) == 200);
        CHECK(statusOf(sized(200)) == 200);
        CHECK(statusOf(sized(201)) == 414);
        CHECK(statusOf(sized(900)) == 414);
    }
}

TEST_CASE("the limits are those of the documentation unless set otherwise", "[gateway]") {
    MemoryServer server(tell);
    const auto statusOf = [&](const std::string& bytes) {
        const auto replies = RawReply::takeAll(server.answer({bytes}));
        REQUIRE(replies.size() == 1);
        return replies[0].status;
    };
    const auto head = [](size_t size) {
        const std::string begin = "GET / HTTP/1.1\r\nHost: h\r\nX: ";
        return begin + std::string(size - begin.size() - 4, 'x') + "\r\n\r\n";
    };
    CHECK(statusOf(head(16 * 1024)) == 200);
    CHECK(statusOf(head(16 * 1024 + 1)) == 431);
    const auto target = [](size_t size) { return line("GET /" + std::string(size - 1, 'x') + " HTTP/1.1"); };
    CHECK(statusOf(target(8 * 1024)) == 200);
    CHECK(statusOf(target(8 * 1024 + 1)) == 414);
    std::string fields = "Host: h\r\n";
    for (int i = 0; i < 99; ++i) fields += "X: y\r\n";
    CHECK(statusOf(get(fields)) == 200);
    CHECK(statusOf(get(fields + "X: y\r\n")) == 431);
    const auto body = [](size_t size) {
        return "POST /deaf/read HTTP/1.1\r\nHost: h\r\nContent-Length: " + std::to_string(size) + "\r\n\r\n";
    };
    const size_t most = 10 * 1024 * 1024;
    CHECK(statusOf(body(most + 1)) == 413);
    const auto replies = RawReply::takeAll(server.answer({body(most), std::string(most, 'x')}));
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].status == 200);
    CHECK(replies[0].body.size() > most);
}

TEST_CASE("a client that sends on after a refusal still reads why", "[gateway][threads]") {
    TestServer server(tell, smallBodies());
    const std::string body(300'000, 'x');
    for (int i = 0; i < 5; ++i) {
        RawClient client(server);
        client.trySend(post("Content-Length: " + std::to_string(body.size()) + "\r\n", body));
        const auto reply = client.receiveReply();
        CHECK(reply.status == 413);
        CHECK(client.waitForEnd() == RawClient::End::closed);
    }
}

TEST_CASE("an HTTP/1.1 smuggler's second request is never served", "[gateway]") {
    MemoryServer server(tell);
    const std::string hidden = "GET /smuggled HTTP/1.1\r\nHost: h\r\n\r\n";
    const auto length = std::to_string(hidden.size());
    const std::string attempts[] = {
        post("Content-Length: 0\r\nContent-Length: " + length + "\r\n", hidden),
        post("Content-Length: " + length + "\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + hidden),
        post("Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n", "0\r\n\r\n" + hidden),
        post("Transfer-Encoding : chunked\r\n", "0\r\n\r\n" + hidden),
        post("Transfer-Encoding:\r\n chunked\r\n", "0\r\n\r\n" + hidden),
        post("X: y\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + hidden),
        post("Content-Length: 5\r\nX: y\rContent-Length: 0\r\n", "hello" + hidden),
        post("Expect: 100-continue\r\nTransfer-Encoding: chunked\r\n", "zz\r\n\r\n" + hidden),
        chunked("0;\n\r\n" + hidden),
        chunked("1\r\nx" + hidden),
        "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 9\r\n"
        "Content-Length: " +
            length + "\r\n\r\n" + hidden,
    };
    for (const auto& attempt : attempts) {
        CAPTURE(attempt);
        auto replies = RawReply::takeAll(server.answer({attempt}));
        dropContinue(replies);
        CHECK(replies.size() == 1);
    }
}
