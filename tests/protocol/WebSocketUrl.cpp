#include "postern/protocol/WebSocketUrl.h"

#include "support/Catch.h"

using namespace postern;

namespace {

// "secure host port target", with the socket's path in front of all if there is one; or the error.
std::string read(std::string_view text) {
    const auto parsed = parseWebSocketUrl(text);
    if (const auto* why = std::get_if<std::string>(&parsed)) return "error: " + *why;
    const auto& url = std::get<WebSocketUrl>(parsed);
    return (url.socketPath.empty() ? "" : url.socketPath + " ") + (url.secure ? "wss " : "ws ") + url.host + " " + std::to_string(url.port) +
           " " + url.target;
}

std::string authority(std::string_view text) { return std::get<WebSocketUrl>(parseWebSocketUrl(text)).authority(); }

bool isRefused(std::string_view text, std::string_view why) {
    const auto result = read(text);
    return result.starts_with("error: '") && result.find(why) != std::string::npos;
}

}

TEST_CASE("a WebSocket URL says where it leads", "[protocol]") {
    CHECK(read("ws://example.com") == "ws example.com 80 /");
    CHECK(read("wss://example.com") == "wss example.com 443 /");
    CHECK(read("WS://Example.COM/Path") == "ws Example.COM 80 /Path");
    CHECK(read("wSs://example.com/") == "wss example.com 443 /");
    CHECK(read("ws://example.com:8080/a/b?c=d&e") == "ws example.com 8080 /a/b?c=d&e");
    CHECK(read("ws://example.com?query") == "ws example.com 80 /?query");
    CHECK(read("ws://example.com?a/b") == "ws example.com 80 /?a/b");
    CHECK(read("ws://example.com:/x") == "ws example.com 80 /x");
    CHECK(read("wss://example.com:80/") == "wss example.com 80 /");
    CHECK(read("ws://127.0.0.1:1") == "ws 127.0.0.1 1 /");
    CHECK(read("ws://[::1]") == "ws ::1 80 /");
    CHECK(read("ws://[2001:db8::1]:65535/x") == "ws 2001:db8::1 65535 /x");
    CHECK(read("ws://a/%20%23?%0a") == "ws a 80 /%20%23?%0a");
    CHECK(read("ws://a//b:c@d") == "ws a 80 //b:c@d");
}

TEST_CASE("a ws+unix URL names a socket and a path behind it", "[protocol]") {
    CHECK(read("ws+unix:/run/app.sock") == "/run/app.sock ws localhost 80 /");
    CHECK(read("ws+unix:/run/app.sock:/chat?a=b:c") == "/run/app.sock ws localhost 80 /chat?a=b:c");
    CHECK(read("WS+Unix:/a:/") == "/a ws localhost 80 /");
    CHECK(isRefused("ws+unix:run/app.sock", "begins with a slash"));
    CHECK(isRefused("ws+unix:", "begins with a slash"));
    CHECK(isRefused("ws+unix:/a:", "begins with a slash"));
    CHECK(isRefused("ws+unix:/a:b", "begins with a slash"));
}

TEST_CASE("what is no WebSocket URL is refused with a reason", "[protocol]") {
    for (const char* text : {"", "example.com", "http://example.com", "https://example.com", "ws:/example.com", "ws:example.com", "//example.com",
                             "wsss://example.com", "ws", "unix:/a"}) {
        CAPTURE(text);
        CHECK(isRefused(text, "it begins with ws://, wss:// or ws+unix:"));
    }
    for (const char* text : {"ws://", "ws:///path", "ws://?q", "ws://a:b:c/", "ws://[::1/", "ws://::1/", "ws://[]/", "ws://a:80x/", "ws://a:-1/",
                             "ws://a,b/", "ws://a\\b/", "ws://:80/", "ws://a<b/"}) {
        CAPTURE(text, read(text));
        CHECK(read(text).starts_with("error: "));
    }
    CHECK(isRefused("ws://a:0/", "malformed port"));
    CHECK(isRefused("ws://a:65536/", "malformed"));
    CHECK(isRefused("ws://user@example.com/", "it names a user"));
    CHECK(isRefused("ws://user:secret@example.com/", "it names a user"));
    CHECK(isRefused("ws://example.com/#top", "it has a fragment"));
    CHECK(isRefused("ws://a/#", "it has a fragment"));
    for (const char* text : {"ws://a/ b", " ws://a/", "ws://a/\r\nX: y", "ws://a/\t", "ws://a/\x7f", "ws://gr\xc3\xbc\xc3\x9f.example/"}) {
        CAPTURE(text);
        CHECK(isRefused(text, "a space or a control character, or is not ASCII"));
    }
    CHECK(read("ws://a/\x1b[31m").find('\x1b') == std::string::npos);
}

TEST_CASE("the Host field has the port only if it is not the scheme's own", "[protocol]") {
    CHECK(authority("ws://example.com/") == "example.com");
    CHECK(authority("ws://example.com:80/") == "example.com");
    CHECK(authority("ws://example.com:443/") == "example.com:443");
    CHECK(authority("wss://example.com:443/") == "example.com");
    CHECK(authority("wss://example.com:80/") == "example.com:80");
    CHECK(authority("ws://[::1]/") == "[::1]");
    CHECK(authority("ws://[::1]:81/") == "[::1]:81");
    CHECK(authority("ws+unix:/a") == "localhost");
}
