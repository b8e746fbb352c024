#include "postern/protocol/ClientHandshake.h"

#include "support/Catch.h"

#include <functional>
#include <stdexcept>

using namespace postern;
using namespace std::literals;

namespace {

ClientRequest sample() {
    ClientRequest request;
    request.target = "/chat";
    request.host = "server.example.com";
    request.key = "dGhlIHNhbXBsZSBub25jZQ==";
    return request;
}

// Good fields without those named like one of `others`, then `others`; one without a value is left out.
FieldViews fieldsWith(const FieldViews& others) {
    const FieldViews usual{
        {"Upgrade", "websocket"},
        {"Connection", "Upgrade"},
        {"Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
    };
    FieldViews fields;
    for (const auto& field : usual)
        if (!findField(others, field.name)) fields.push_back(field);
    for (const auto& field : others)
        if (field.value != "-") fields.push_back(field);
    return fields;
}

// "", "chat" (the subprotocol), "deflate", or "error: …".
std::string verdict(const FieldViews& others, ClientRequest request = sample(), int minorVersion = 1, int status = 101) {
    ResponseHead answer;
    answer.status = status;
    answer.minorVersion = minorVersion;
    answer.fields = fieldsWith(others);
    const auto checked = checkAnswer(answer, request);
    if (const auto* why = std::get_if<std::string>(&checked)) return "error: " + *why;
    const auto& agreement = std::get<ClientAgreement>(checked);
    return agreement.protocol + (agreement.deflate ? "deflate" : "");
}

ClientRequest askingFor(std::vector<std::string> protocols) {
    auto request = sample();
    request.protocols = std::move(protocols);
    return request;
}

ClientRequest deflating() {
    auto request = sample();
    request.deflate.emplace();
    return request;
}

bool isRefused(const std::function<void(ClientRequest&)>& change) {
    auto request = sample();
    change(request);
    try {
        writeClientRequest(request);
    } catch (const std::invalid_argument&) {
        return true;
    }
    return false;
}

}

TEST_CASE("a client's request has what RFC 6455 asks for, and nothing it was not told", "[protocol]") {
    CHECK(writeClientRequest(sample()) == "GET /chat HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                                          "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    auto request = askingFor({"soap", "chat"});
    request.origin = "https://example.com";
    request.deflate.emplace();
    request.headers = {{"X-One", "1"}, {"Cookie", "a=b"}, {"X-One", ""}};
    const auto text = writeClientRequest(request);
    for (const auto line : {"\r\nOrigin: https://example.com\r\n"sv, "\r\nSec-WebSocket-Protocol: soap, chat\r\n"sv,
                            "\r\nSec-WebSocket-Extensions: permessage-deflate"sv, "\r\nX-One: 1\r\nCookie: a=b\r\nX-One: \r\n\r\n"sv}) {
        CAPTURE(line);
        CHECK(text.find(line) != std::string::npos);
    }
    request.deflate->enabled = false;
    CHECK(writeClientRequest(request).find("Extensions") == std::string::npos);
}

TEST_CASE("nothing can be slipped into a client's request", "[protocol]") {
    CHECK(isRefused([](auto& request) { request.origin = "a\nb"; }));
    CHECK(isRefused([](auto& request) { request.protocols = {"a, b"}; }));
    CHECK(isRefused([](auto& request) { request.protocols = {""}; }));
    CHECK(isRefused([](auto& request) { request.protocols = {"a", "b", "a"}; }));
    CHECK(isRefused([](auto& request) { request.headers = {{"X", "a\r\nY: z"}}; }));
    CHECK(isRefused([](auto& request) { request.headers = {{"X", "a\0b"s}}; }));
    CHECK(isRefused([](auto& request) { request.headers = {{"X: a\r\nY", "z"}}; }));
    CHECK(isRefused([](auto& request) { request.headers = {{"", "z"}}; }));
    for (const char* own : {"host", "Upgrade", "CONNECTION", "Origin", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "Sec-WebSocket-Protocol",
                            "Sec-WebSocket-Extensions", "Sec-WebSocket-Accept", "Content-Length", "Transfer-Encoding", "TE", "Expect"}) {
        CAPTURE(own);
        CHECK(isRefused([&](auto& request) { request.headers = {{own, "x"}}; }));
    }
}

TEST_CASE("the target, host and key of a client's request are what a server reads as such", "[protocol]") {
    struct Row {
        std::string ClientRequest::*part;
        std::string_view name;
        std::vector<std::string> good, bad;
    };
    const Row rows[] = {
        {&ClientRequest::target,
         "the target",
         {"/", "/chat?a=b&c", "/%20/~x", "//", "/a:b@c;d", "http://proxied.example/chat", "https://proxied.example/"},
         {"", "chat", "*", "?a", "/a b", " /", "/ ", "/a\tb", "/\r\nX: y", "/a\nb", "/a\rb", "/\0"s, "/\x7f", "/\xc3\xa4", "/a#b", "/ HTTP/1.1\r\nX: y"}},
        {&ClientRequest::host,
         "the host",
         {"a.example", "a.example:8080", "127.0.0.1", "[::1]", "[2001:db8::1]:443", "localhost"},
         {"", ":80", "a b", "a.example ", "a\r\nX: y", "a\nb", "a\0"s, "a/b", "user@a.example", "a:99999", "a:b", "::1", "[::1", "a,b"}},
        {&ClientRequest::key,
         "the key",
         {"AAAAAAAAAAAAAAAAAAAAAA==", "AQIDBAUGBwgJCgsMDQ4PEC==", "+/+/+/+/+/+/+/+/+/+/+w=="},
         {"", "x\r\nInjected: yes", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQ== ", "dGhlIHNhbXBsZSBub25jZQ==\r\nX: y",
          "dGhlIHNhbXBsZSBub25j\r\n==", "dGhlIHNhbXBsZSBub25jZWQ=", "dGhlIHNhbXBsZSBub25jZQA="}},
    };
    for (const auto& [part, name, good, bad] : rows) {
        for (const auto& text : good) {
            CAPTURE(name, text);
            auto request = sample();
            request.*part = text;
            CHECK(writeClientRequest(request).find(text) != std::string::npos);
        }
        for (const auto& text : bad) {
            CAPTURE(name, text);
            auto request = sample();
            request.*part = text;
            CHECK_THROWS_AS(writeClientRequest(request), std::invalid_argument);
            CHECK_THROWS_WITH(writeClientRequest(request), Catch::Matchers::StartsWith(std::string(name) + " of a request"));
        }
    }
}

TEST_CASE("cookies become one field, and nothing that would become more of them", "[protocol]") {
    CHECK(writeCookieField({}) == "");
    CHECK(writeCookieField({{"a", "1"}}) == "a=1");
    CHECK(writeCookieField({{"a", "1"}, {"b", ""}, {"__Host-c", "x=y"}, {"d", "\"q, \xc3\xa4 r\""}}) == "a=1; b=; __Host-c=x=y; d=\"q, \xc3\xa4 r\"");
    const Header bad[] = {
        {"", "1"}, {"a b", "1"}, {"a;b", "1"}, {"a=b", "1"}, {"a\r\nX", "1"}, {"a,b", "1"}, {"a\0"s, "1"}, {"\xc3\xa4", "1"},
        {"a", "1;2"}, {"a", "1; b=2"}, {"a", ";"}, {"a", "1\r\nX: y"}, {"a", "1\n"}, {"a", "\r"}, {"a", "\0"s}, {"a", "\x7f"}, {"a", " 1"}, {"a", "1 "},
    };
    for (const auto& cookie : bad) {
        CAPTURE(cookie.name, cookie.value);
        CHECK_THROWS_AS(writeCookieField({{"good", "1"}, cookie}), std::invalid_argument);
    }
}

TEST_CASE("a good answer is a good answer however it is written", "[protocol]") {
    CHECK(verdict({}) == "");
    CHECK(verdict({{"upgrade", "WebSocket"}, {"CONNECTION", "keep-alive, uPGRADE"}}) == "");
    CHECK(verdict({{"Connection", "keep-alive"}, {"Connection", "Upgrade"}}) == "");
    CHECK(verdict({{"Server", "x"}, {"Date", "now"}, {"Set-Cookie", "a=b"}, {"Content-Length", "0"}}) == "");
    CHECK(verdict({{"Sec-WebSocket-Protocol", "chat"}}, askingFor({"soap", "chat"})) == "chat");
    CHECK(verdict({}, askingFor({"chat"})) == "");
    CHECK(verdict({}, deflating()) == "");
}

TEST_CASE("each rule of an answer is checked", "[protocol]") {
    struct Row {
        FieldViews fields;
        std::string_view why;
    };
    const Row rows[] = {
        {{{"Upgrade", "-"}}, "no 'Upgrade: websocket'"},
        {{{"Upgrade", ""}}, "no 'Upgrade: websocket'"},
        {{{"Upgrade", "websockets"}}, "no 'Upgrade: websocket'"},
        {{{"Upgrade", "h2c, websocket"}}, "no 'Upgrade: websocket'"},
        {{{"Upgrade", "websocket"}, {"Upgrade", "websocket"}}, "no 'Upgrade: websocket'"},
        {{{"Connection", "-"}}, "no 'Connection: Upgrade'"},
        {{{"Connection", "keep-alive"}}, "no 'Connection: Upgrade'"},
        {{{"Connection", "upgraded"}}, "no 'Connection: Upgrade'"},
        {{{"Sec-WebSocket-Accept", "-"}}, "Sec-WebSocket-Accept"},
        {{{"Sec-WebSocket-Accept", ""}}, "Sec-WebSocket-Accept"},
        {{{"Sec-WebSocket-Accept", "S3pPLMBiTxaQ9kYGzzhZRbK+xOo="}}, "Sec-WebSocket-Accept"},
        {{{"Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo"}}, "Sec-WebSocket-Accept"},
        {{{"Sec-WebSocket-Accept", "dGhlIHNhbXBsZSBub25jZQ=="}}, "Sec-WebSocket-Accept"},
        {{{"Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, {"Sec-WebSocket-Accept", "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}},
         "Sec-WebSocket-Accept"},
        {{{"Transfer-Encoding", "chunked"}}, "Transfer-Encoding"},
        {{{"Content-Length", "5"}}, "Content-Length"},
        {{{"Content-Length", "0"}, {"Content-Length", "1"}}, "Content-Length"},
        {{{"Sec-WebSocket-Protocol", "chat"}}, "a subprotocol that was not asked for"},
        {{{"Sec-WebSocket-Protocol", ""}}, "a subprotocol that was not asked for"},
        {{{"Sec-WebSocket-Extensions", "permessage-deflate"}}, ""},
        {{{"Sec-WebSocket-Extensions", "x-other"}}, ""},
    };
    for (const auto& row : rows) {
        CAPTURE(row.fields[0].name, row.fields[0].value);
        const auto found = verdict(row.fields);
        CHECK(found.starts_with("error: "));
        CHECK(found.find(row.why) != std::string::npos);
    }
    CHECK(verdict({}, sample(), 0) == "error: the answer is HTTP/1.0");
    CHECK(verdict({}, sample(), 1, 200) == "error: the status is not 101");
}

TEST_CASE("a subprotocol is one of those asked for, letter for letter and once", "[protocol]") {
    const auto asked = askingFor({"chat", "soap"});
    CHECK(verdict({{"Sec-WebSocket-Protocol", "soap"}}, asked) == "soap");
    for (const char* value : {"Chat", "chat, soap", "chat,", "other", ""}) {
        CAPTURE(value);
        CHECK(verdict({{"Sec-WebSocket-Protocol", value}}, asked) == "error: a subprotocol that was not asked for");
    }
    CHECK(verdict({{"Sec-WebSocket-Protocol", "chat"}, {"Sec-WebSocket-Protocol", "chat"}}, asked) ==
          "error: more than one Sec-WebSocket-Protocol");
}

TEST_CASE("compression is in use only if it was asked for and is agreed on", "[protocol]") {
    const auto good = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";
    CHECK(verdict({{"Sec-WebSocket-Extensions", good}}, deflating()) == "deflate");
    CHECK(verdict({{"Sec-WebSocket-Extensions", good}}).starts_with("error: "));
    auto disabled = deflating();
    disabled.deflate->enabled = false;
    CHECK(verdict({{"Sec-WebSocket-Extensions", good}}, disabled).starts_with("error: "));
    CHECK(verdict({{"Sec-WebSocket-Extensions", good}, {"Sec-WebSocket-Extensions", good}}, deflating()).starts_with("error: "));
    CHECK(verdict({{"Sec-WebSocket-Extensions", "permessage-deflate; unknown"}}, deflating()).starts_with("error: "));
    CHECK(verdict({{"Sec-WebSocket-Extensions", "x-other"}}, deflating()).starts_with("error: "));
}
