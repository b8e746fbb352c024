// RFC 6455 §4.2: which requests become a WebSocket. Statuses that the RFC leaves open: 400 for a request that asks for
// one wrongly, 426 for one that does not ask for one.

#include "conformance/Handshake.h"

namespace postern::conformance {

namespace {

void firstLines(Handshakes& rows) {
    for (const std::string method : {"POST", "PUT", "DELETE", "HEAD", "OPTIONS", "PATCH", "get", "GETT"})
        rows.push_back({"§4.2.1", "the method is GET, not " + method, {"=" + method + " / HTTP/1.1", "Content-Length: 0"}, "400"});
    const Handshakes more = {
        {"§4.2.1", "a good request", {}, "101"},
        {"§4.2.1", "any target", {"=GET /chat/room%20a?b=c&d HTTP/1.1"}, "101"},
        {"§4.2.1", "an absolute target", {"=GET http://server.example.com/ HTTP/1.1"}, "101"},
        {"§4.2.1", "HTTP/1.0 has no Upgrade", {"=GET / HTTP/1.0"}, "426"},
        {"§4.2.1", "HTTP/1.2 is not spoken", {"=GET / HTTP/1.2"}, "505"},
        {"§4.2.1", "HTTP/2.0 is not spoken", {"=GET / HTTP/2.0"}, "505"},
        {"§4.2.1", "a version is needed", {"=GET /"}, "400"},
        {"§4.2.1", "a lower-case version", {"=GET / http/1.1"}, "400"},
        {"§4.2.1", "a target without its slash", {"=GET chat HTTP/1.1"}, "400"},
        {"§4.2.1", "a fragment in the target", {"=GET /#a HTTP/1.1"}, "400"},
        {"§4.2.1", "no Host", {"-Host"}, "400"},
        {"§4.2.1", "two Hosts", {"+Host: server.example.com"}, "400"},
        {"§4.2.1", "a Host that is none", {"Host: a b"}, "400"},
        {"§4.2.1", "a folded field", {"+X: a", "+ b"}, "400"},
        {"§4.2.1", "a space before a colon", {"+X : a"}, "400"},
        {"§4.2.1", "a body", {"Content-Length: 5", "!hello"}, "400"},
        {"§4.2.1", "a body in chunks", {"Transfer-Encoding: chunked", "!0\r\n\r\n"}, "400"},
        {"§4.2.1", "a body of no bytes", {"Content-Length: 0"}, "101"},
        {"§4.2.1", "other fields do not matter", {"User-Agent: x", "Accept: */*", "Cookie: a=b", "Cache-Control: no-cache"}, "101"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

void tokens(Handshakes& rows) {
    const Handshakes more = {
        {"§4.2.1", "no Upgrade", {"-Upgrade"}, "426"},
        {"§4.2.1", "an empty Upgrade", {"Upgrade: "}, "426"},
        {"§4.2.1", "Upgrade without case", {"Upgrade: WebSocket"}, "101"},
        {"§4.2.1", "Upgrade in capitals, its name in small letters", {"-Upgrade", "+upgrade: WEBSOCKET"}, "101"},
        {"§4.2.1", "Upgrade to something longer", {"Upgrade: websockets"}, "426"},
        {"§4.2.1", "Upgrade to something shorter", {"Upgrade: websocke"}, "426"},
        {"§4.2.1", "Upgrade with a version", {"Upgrade: websocket/13"}, "426"},
        {"§4.2.1", "Upgrade to two words", {"Upgrade: web socket"}, "426"},
        {"§4.2.1", "Upgrade to something else", {"Upgrade: h2c"}, "426"},
        {"§4.2.1", "Upgrade in quotes", {"Upgrade: \"websocket\""}, "426"},
        {"§4.2.1", "Upgrade to one of several, the first", {"Upgrade: websocket, h2c"}, "101"},
        {"§4.2.1", "Upgrade to one of several, the last", {"Upgrade: h2c, websocket"}, "101"},
        {"§4.2.1", "Upgrade with empty elements", {"Upgrade: , websocket ,"}, "101"},
        {"§4.2.1", "Upgrade over two fields", {"Upgrade: h2c", "+Upgrade: websocket"}, "101"},
        {"§4.2.1", "Upgrade with tabs", {"Upgrade: \twebsocket\t"}, "101"},
        {"§4.2.1", "no Connection", {"-Connection"}, "426"},
        {"§4.2.1", "an empty Connection", {"Connection: "}, "426"},
        {"§4.2.1", "Connection without case", {"Connection: uPGRADE"}, "101"},
        {"§4.2.1", "Connection says keep-alive only", {"Connection: keep-alive"}, "426"},
        {"§4.2.1", "Connection says more", {"Connection: keep-alive, Upgrade"}, "101"},
        {"§4.2.1", "Connection says more behind it", {"Connection: upgrade,keep-alive"}, "101"},
        {"§4.2.1", "Connection over two fields", {"Connection: keep-alive", "+Connection: Upgrade"}, "101"},
        {"§4.2.1", "Connection with empty elements and tabs", {"Connection: ,\tUpgrade ,,"}, "101"},
        {"§4.2.1", "a longer word in Connection", {"Connection: upgraded"}, "426"},
        {"§4.2.1", "a word that contains it", {"Connection: not-upgrade"}, "426"},
        {"§4.2.1", "two words without a comma", {"Connection: keep-alive Upgrade"}, "426"},
        {"§4.2.1", "the two fields the wrong way round", {"Connection: websocket", "Upgrade: Upgrade"}, "426"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

void keys(Handshakes& rows) {
    const auto key = [](const char* value) { return std::vector<std::string>{std::string("Sec-WebSocket-Key: ") + value}; };
    const Handshakes more = {
        {"§4.2.2", "the example's key", key("dGhlIHNhbXBsZSBub25jZQ=="), "101; Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
        {"§4.1", "the other example's key, whose last bits are not 0", key("AQIDBAUGBwgJCgsMDQ4PEC=="),
         "101; Sec-WebSocket-Accept: OfS0wDaT5NoxF2gqm7Zj2YtetzM="},
        {"§4.2.2", "a key of zeros", key("AAAAAAAAAAAAAAAAAAAAAA=="), "101; Sec-WebSocket-Accept: ICX+Yqv66kxgM0FcWaLWlFLwTAI="},
        {"§4.2.2", "a key of ones", key("/////////////////////w=="), "101; Sec-WebSocket-Accept: XXpj4jYzLM2yUE0C7TIgMwTQh2g="},
        {"§4.2.2", "space around the key", key("  dGhlIHNhbXBsZSBub25jZQ==\t"), "101; Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
        {"§4.2.1", "no key", {"-Sec-WebSocket-Key"}, "400"},
        {"§4.2.1", "an empty key", key(""), "400"},
        {"§4.2.1", "15 bytes", key("dGhlIHNhbXBsZSBub25j"), "400"},
        {"§4.2.1", "17 bytes", key("dGhlIHNhbXBsZSBub25jZSE="), "400"},
        {"§4.2.1", "18 bytes", key("dGhlIHNhbXBsZSBub25jZSEh"), "400"},
        {"§4.2.1", "no padding", key("dGhlIHNhbXBsZSBub25jZQ"), "400"},
        {"§4.2.1", "half the padding", key("dGhlIHNhbXBsZSBub25jZQ="), "400"},
        {"§4.2.1", "too much padding", key("dGhlIHNhbXBsZSBub25jZQ==="), "400"},
        {"§4.2.1", "padding within", key("dGhlIHNhbXBsZSBub25=ZQ=="), "400"},
        {"§4.2.1", "a letter that base64 does not have", key("dGhlIHNhbXBsZSBub25j!Q=="), "400"},
        {"§4.2.1", "the letters of URLs", key("dGhlIHNhbXBsZSBub25-_Q=="), "400"},
        {"§4.2.1", "a space within", key("dGhlIHNhbXBsZSBub25 ZQ=="), "400"},
        {"§4.2.1", "the key in quotes", key("\"dGhlIHNhbXBsZSBub25jZQ==\""), "400"},
        {"§4.2.1", "two keys in one field", key("dGhlIHNhbXBsZSBub25jZQ==, AAAAAAAAAAAAAAAAAAAAAA=="), "400"},
        {"§11.3.1", "the same key twice", {"+Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, "400"},
        {"§11.3.1", "two keys", {"+Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA=="}, "400"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

void versions(Handshakes& rows) {
    const auto version = [](const char* value) { return std::vector<std::string>{std::string("Sec-WebSocket-Version: ") + value}; };
    for (const char* value : {"0", "6", "7", "8", "12", "14", "130", "255", "256", "1", "", "013", "13.0", "+13", "0x0d", "thirteen",
                              "13 13", "13, 8", "\"13\""})
        rows.push_back({"§4.2.2", std::string("the version is 13, not ") + value, version(value), "426"});
    const Handshakes more = {
        {"§4.2.2", "no version", {"-Sec-WebSocket-Version"}, "426"},
        {"§11.3.5", "the version twice", {"+Sec-WebSocket-Version: 13"}, "400"},
        {"§11.3.5", "two versions", {"+Sec-WebSocket-Version: 8"}, "400"},
        {"§4.2.2", "space around the version", version("  13 "), "101"},
        {"§4.2.2", "its name without case", {"-Sec-WebSocket-Version", "+sec-websocket-VERSION: 13"}, "101"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

void origins(Handshakes& rows) {
    const struct {
        const char* origin;
        const char* outcome;
    } all[] = {
        {"http://server.example.com", "101"},
        {"HTTP://Server.Example.COM", "101"},
        {"http://server.example.com:80", "101"},
        {"http://example.com", "403"},
        {"http://other.example.com", "403"},
        {"https://server.example.com", "403"},
        {"http://server.example.com:8080", "403"},
        {"http://server.example.com.evil.example", "403"},
        {"http://evil.example/server.example.com", "403"},
        {"http://server.example.com/", "403"},
        {"http://user@server.example.com", "403"},
        {"http://server.example.com evil", "403"},
        {"http://server.example.com, http://evil.example", "403"},
        {"server.example.com", "403"},
        {"//server.example.com", "403"},
        {"file://", "403"},
        {"null", "403"},
        {"", "403"},
    };
    for (const auto& [origin, outcome] : all)
        rows.push_back({"§10.2", std::string("a page of ") + origin, {std::string("Origin: ") + origin}, outcome});
    rows.push_back({"§10.2", "two pages, one of them here", {"Origin: http://evil.example", "+Origin: http://server.example.com"}, "403"});
    rows.push_back({"§10.2", "two pages, the other first", {"Origin: http://server.example.com", "+Origin: http://evil.example"}, "403"});
}

void subprotocols(Handshakes& rows) {
    const auto offer = [](const char* value) { return std::vector<std::string>{std::string("Sec-WebSocket-Protocol: ") + value}; };
    const Setup required{.settings = "require=1", .compression = Compression::without};
    const std::string first = "101; Sec-WebSocket-Protocol: chat.v1", second = "101; Sec-WebSocket-Protocol: chat.v2";
    const Handshakes more = {
        {"§4.2.2", "one subprotocol that is spoken", offer("chat.v1"), first},
        {"§4.2.2", "two that are: the server's taste decides", offer("chat.v1, chat.v2"), second},
        {"§4.2.2", "one of several that is", offer("soap, chat.v1, wamp"), first},
        {"§4.2.2", "none that is", offer("soap, wamp"), "101"},
        {"§11.3.4", "over two fields", {"Sec-WebSocket-Protocol: chat.v1", "+Sec-WebSocket-Protocol: chat.v2"}, second},
        {"§4.2.2", "upper case is another subprotocol", offer("CHAT.V1"), "101"},
        {"§4.2.2", "a longer name is another one", offer("chat.v11"), "101"},
        {"§4.2.2", "empty elements", offer(", ,chat.v1,"), first},
        {"§4.2.2", "no space", offer("chat.v1,chat.v2"), second},
        {"§4.2.2", "tabs", offer("\tchat.v1\t,\tsoap"), first},
        {"§4.1", "the same one twice", offer("chat.v1, chat.v1"), "400"},
        {"§4.1", "the same one twice, over two fields", {"Sec-WebSocket-Protocol: soap", "+Sec-WebSocket-Protocol: soap"}, "400"},
        {"§4.1", "a space within", offer("chat v1"), "400"},
        {"§4.1", "a separator within: a semicolon", offer("chat;v1"), "400"},
        {"§4.1", "a separator within: a slash", offer("chat/v1"), "400"},
        {"§4.1", "a separator within: quotes", offer("\"chat.v1\""), "400"},
        {"§4.1", "a byte over 126", offer("chat\xc3\xa9"), "400"},
        {"§4.2.2", "one is required, and none offered", {}, "400", required},
        {"§4.2.2", "one is required, and others offered", offer("soap"), "400", required},
        {"§4.2.2", "one is required, and offered", offer("chat.v2"), second, required},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

}

Handshakes requests() {
    Handshakes rows;
    for (auto* part : {firstLines, tokens, keys, versions, origins, subprotocols}) part(rows);
    return rows;
}

}
