#include "postern/protocol/Handshake.h"

#include "support/Catch.h"

using namespace postern;
using namespace std::literals;

namespace {

constexpr auto sampleKey = "dGhlIHNhbXBsZSBub25jZQ=="sv;

// 101: accepted, 0: no WebSocket was asked for, else the status of the refusal.
int verdict(const RequestHead& head) {
    const auto read = readWebSocketRequest(head);
    if (const auto* violation = std::get_if<Violation>(&read)) return violation->status;
    return std::holds_alternative<WebSocketRequest>(read) ? 101 : 0;
}

// The request of RFC 6455 §1.3 without the fields named like one of `others`, then those.
void fill(RequestHead& head, const FieldViews& others) {
    head.method = "GET";
    head.minorVersion = 1;
    const FieldViews usual{
        {"Host", "server.example.com"},
        {"Upgrade", "websocket"},
        {"Connection", "Upgrade"},
        {"Sec-WebSocket-Key", sampleKey},
        {"Origin", "http://example.com"},
        {"Sec-WebSocket-Version", "13"},
    };
    for (const auto& field : usual)
        if (!findField(others, field.name)) head.fields.push_back(field);
    head.fields.insert(head.fields.end(), others.begin(), others.end());
}

int verdict(const FieldViews& others) {
    RequestHead head;
    fill(head, others);
    return verdict(head);
}

int verdictWithout(std::string_view name) {
    RequestHead head;
    fill(head, {});
    std::erase_if(head.fields, [&](const FieldView& field) { return field.name == name; });
    return verdict(head);
}

std::vector<std::string_view> protocolsOf(const FieldViews& others) {
    RequestHead head;
    fill(head, others);
    const auto read = readWebSocketRequest(head);
    const auto* request = std::get_if<WebSocketRequest>(&read);
    return request ? request->protocols : std::vector<std::string_view>{"refused"};
}

}

TEST_CASE("the request of RFC 6455 asks for a WebSocket", "[protocol]") {
    RequestHead head;
    fill(head, {{"Sec-WebSocket-Protocol", "chat, superchat"}});
    const auto read = readWebSocketRequest(head);
    const auto* request = std::get_if<WebSocketRequest>(&read);
    REQUIRE(request);
    CHECK(request->key == sampleKey);
    CHECK(request->protocols == std::vector<std::string_view>{"chat", "superchat"});
}

TEST_CASE("a WebSocket is asked for by whole tokens of Upgrade and Connection, in any case and field", "[protocol]") {
    const struct {
        FieldViews fields;
        bool asked;
    } rows[] = {
        {{{"upgrade", "WebSocket"}}, true},
        {{{"UPGRADE", "WEBSOCKET"}}, true},
        {{{"Upgrade", "h2c, websocket"}}, true},
        {{{"Upgrade", "h2c,websocket,"}}, true},
        {{{"Upgrade", ",, \twebsocket\t ,"}}, true},
        {{{"Upgrade", "h2c"}, {"Upgrade", "websocket"}}, true},
        {{{"Upgrade", "websocket"}, {"Upgrade", "h2c"}}, true},
        {{{"Connection", "upgrade"}}, true},
        {{{"connection", "UPGRADE"}}, true},
        {{{"Connection", "keep-alive, Upgrade"}}, true},
        {{{"Connection", "keep-alive,upgrade,x"}}, true},
        {{{"Connection", "keep-alive"}, {"Connection", "Upgrade"}}, true},
        {{{"Connection", "Upgrade"}, {"Connection", "keep-alive"}}, true},

        {{{"Upgrade", ""}}, false},
        {{{"Upgrade", "notwebsocket"}}, false},
        {{{"Upgrade", "websockets"}}, false},
        {{{"Upgrade", "web socket"}}, false},
        {{{"Upgrade", "h2c websocket"}}, false},
        {{{"Upgrade", "h2c; websocket"}}, false},
        {{{"Upgrade", "\"websocket\""}}, false},
        {{{"Upgrade", "h2c"}}, false},
        {{{"Upgrade", "x-websocket, websocket-x"}}, false},
        {{{"Upgrade", "web"}, {"Upgrade", "socket"}}, false},
        {{{"Connection", ""}}, false},
        {{{"Connection", "close"}}, false},
        {{{"Connection", "keep-alive"}}, false},
        {{{"Connection", "upgrade-insecure"}}, false},
        {{{"Connection", "no-upgrade"}}, false},
        {{{"Connection", "keep-alive upgrade"}}, false},
        {{{"Connection", "upgrades, upgraded"}}, false},
        {{{"Connection", "websocket"}, {"Upgrade", "upgrade"}}, false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.fields[0].name, row.fields[0].value);
        CHECK(verdict(row.fields) == (row.asked ? 101 : 0));
    }
    CHECK(verdictWithout("Upgrade") == 0);
    CHECK(verdictWithout("Connection") == 0);
}

TEST_CASE("fields of other names do not count", "[protocol]") {
    RequestHead head;
    head.method = "GET";
    head.fields = {
        {"Upgrade-Insecure-Requests", "websocket"}, {"Proxy-Connection", "upgrade"}, {"X-Upgrade", "websocket"},
        {"Sec-WebSocket-Key", sampleKey},           {"Sec-WebSocket-Version", "13"}, {"Connection", "Upgrade"}};
    CHECK(verdict(head) == 0);
}

TEST_CASE("HTTP/1.0 cannot ask for a WebSocket", "[protocol]") {
    RequestHead head;
    fill(head, {});
    head.minorVersion = 0;
    CHECK(verdict(head) == 0);
    head.minorVersion = 2;
    CHECK(verdict(head) == 101);
}

TEST_CASE("a WebSocket is asked for with GET only", "[protocol]") {
    for (const auto* method : {"POST", "HEAD", "PUT", "CONNECT", "OPTIONS", "get", "GETS", "GE", ""}) {
        RequestHead head;
        fill(head, {});
        head.method = method;
        CAPTURE(method);
        CHECK(verdict(head) == 400);
    }
}

TEST_CASE("an ordinary request is none for a WebSocket, whatever else it says", "[protocol]") {
    RequestHead head;
    head.method = "POST";
    head.framing = BodyFraming::chunked;
    CHECK(verdict(head) == 0);
    head.fields = {{"Sec-WebSocket-Key", "short"}, {"Sec-WebSocket-Version", "99"}};
    CHECK(verdict(head) == 0);
}

TEST_CASE("exactly one key is wanted, and it is base64 of 16 bytes", "[protocol]") {
    for (const auto key :
         {sampleKey, "AAAAAAAAAAAAAAAAAAAAAA=="sv, "/////////////////////w=="sv, "++++++++++++++++++++/A=="sv,
          "MDAwMDAwMDAwMDAwMDAwMA=="sv}) // the last is lighttpd's for every client over HTTP/2
        CHECK(verdict({{"Sec-WebSocket-Key", key}}) == 101);

    const std::string_view wrong[] = {
        "",
        "=",
        "====",
        "x",
        "dGhlIHNhbXBsZSBub25jZQ",      // no padding
        "dGhlIHNhbXBsZSBub25jZQ=",     // half of it
        "dGhlIHNhbXBsZSBub25jZQ===",   // too much
        "dGhlIHNhbXBsZSBub25jZ===",    // 15 bytes and a bit
        "dGhlIHNhbXBsZSBub25j",        // 15 bytes
        "dGhlIHNhbXBsZSBub25jZTE=",    // 17 bytes
        "dGhlIHNhbXBsZSBub25jZTEy",    // 18 bytes
        "dGhlIHNhbXBsZSBub25jZQ==dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBsZSBub25jZQ==, dGhlIHNhbXBsZSBub25jZQ==",
        "dGhlIHNhbXBs ZSBub25jZQ==",   // a space within
        "dGhlIHNhbXBs\nZSBub25jZQ=",   // a line end in place of a character
        "dGhlIHNhbXBsZSBub25jZ_==",    // the alphabet of URLs
        "dGhlIHNhbXBsZSBub25j-Q==",
        "dGhlIHNhbXBsZSBub25jZQ\0="sv,
        "dGhlIHNhb=BsZSBub25jZQ==",    // padding within
        "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff==",
        "the sample nonce",            // 16 bytes, not encoded
        "\"dGhlIHNhbXBsZSBub25jZQ==\"",
    };
    for (const auto key : wrong) {
        CAPTURE(key);
        CHECK(verdict({{"Sec-WebSocket-Key", key}}) == 400);
    }
    CHECK(verdictWithout("Sec-WebSocket-Key") == 400);
    CHECK(verdict({{"Sec-WebSocket-Key", sampleKey}, {"Sec-WebSocket-Key", sampleKey}}) == 400);
    CHECK(verdict({{"Sec-WebSocket-Key", sampleKey}, {"sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="}}) == 400);
    CHECK(verdict({{"Sec-WebSocket-Key", ""}, {"Sec-WebSocket-Key", sampleKey}}) == 400);
    CHECK(verdict({{"SEC-WEBSOCKET-KEY", sampleKey}}) == 101);
}

TEST_CASE("another version than 13 is told which one is spoken here", "[protocol]") {
    for (const auto* version : {"", "0", "7", "8", "12", "14", "113", "133", "-13", "+13", "013", "13.0", "0x0d",
                                "13, 8", "8, 13", "13;", "1 3", "thirteen"}) {
        CAPTURE(version);
        CHECK(verdict({{"Sec-WebSocket-Version", version}}) == 426);
    }
    CHECK(verdictWithout("Sec-WebSocket-Version") == 426);
    CHECK(verdict({{"sec-websocket-version", "13"}}) == 101);
    for (const auto* second : {"13", "8", ""}) {
        CHECK(verdict({{"Sec-WebSocket-Version", "13"}, {"Sec-WebSocket-Version", second}}) == 400);
        CHECK(verdict({{"Sec-WebSocket-Version", second}, {"Sec-WebSocket-Version", "13"}}) == 400);
    }
}

TEST_CASE("a request for a WebSocket has no body", "[protocol]") {
    const struct {
        BodyFraming framing;
        uint64_t length;
        int status;
    } rows[] = {
        {BodyFraming::none, 0, 101},
        {BodyFraming::length, 0, 101},  // what SCGI gateways always send
        {BodyFraming::length, 1, 400},
        {BodyFraming::length, UINT64_MAX, 400},
        {BodyFraming::chunked, 0, 400},
    };
    for (const auto& row : rows) {
        RequestHead head;
        fill(head, {});
        head.framing = row.framing;
        head.contentLength = row.length;
        CHECK(verdict(head) == row.status);
    }
}

TEST_CASE("the client's protocols are listed in its order, over all fields", "[protocol]") {
    using List = std::vector<std::string_view>;
    const auto* name = "Sec-WebSocket-Protocol";
    CHECK(protocolsOf({}) == List{});
    CHECK(protocolsOf({{name, "chat"}}) == List{"chat"});
    CHECK(protocolsOf({{name, "b,a , c"}}) == List{"b", "a", "c"});
    CHECK(protocolsOf({{name, "c"}, {"X", "y"}, {"sec-websocket-protocol", "b, a"}}) == List{"c", "b", "a"});
    CHECK(protocolsOf({{name, ",\t,chat,,"}}) == List{"chat"});
    CHECK(protocolsOf({{name, "chat, Chat"}}) == List{"chat", "Chat"});
    CHECK(protocolsOf({{name, "v10.stomp, soap, wamp.2.json, !#$%&'*+-.^_`|~"}}) ==
          List{"v10.stomp", "soap", "wamp.2.json", "!#$%&'*+-.^_`|~"});
}

TEST_CASE("thousands of protocols are listed, and a repeated one is found among them", "[protocol]") {
    std::string list;
    for (unsigned i = 0; i < 4000; ++i) list += std::to_string(i * 7919 % 4000) + ",";
    const auto protocols = protocolsOf({{"Sec-WebSocket-Protocol", list}});
    REQUIRE(protocols.size() == 4000);
    CHECK(protocols[1] == "3919");
    for (const auto* repeated : {"0", "1234", "3999"})
        CHECK(verdict({{"Sec-WebSocket-Protocol", list}, {"Sec-WebSocket-Protocol", repeated}}) == 400);
}

TEST_CASE("protocols that are no tokens or come twice are refused", "[protocol]") {
    for (const auto list : {"a b"sv, "chat/2"sv, "\"chat\""sv, "chat;q=1"sv, "chat, (x)"sv, "ch\0at"sv, "caf\xc3\xa9"sv,
                            "a:b"sv, "[a]"sv, "chat, chat"sv, "a,b,a"sv}) {
        CAPTURE(list);
        CHECK(verdict({{"Sec-WebSocket-Protocol", list}}) == 400);
    }
    CHECK(verdict({{"Sec-WebSocket-Protocol", "a, b"}, {"Sec-WebSocket-Protocol", "b"}}) == 400);
}

TEST_CASE("the accept key is that of RFC 6455", "[protocol]") {
    CHECK(acceptKey(sampleKey) == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(acceptKey("x3JJHMbDL1EzLkh9GBhXDw==") == "HSmrc0sMlYUkAGmm5OPpG2HaGWk=");
}

TEST_CASE("the server's preference decides among the client's protocols, with case", "[protocol]") {
    const std::vector<std::string> supported{"v2", "v1", "Chat"};
    const struct {
        std::vector<std::string_view> offered;
        std::string_view selected;
    } rows[] = {
        {{"v1", "v2"}, "v2"}, {{"v1"}, "v1"},         {{"v3", "v1"}, "v1"}, {{"chat"}, ""},
        {{"V1", "V2"}, ""},   {{"chat", "Chat"}, "Chat"}, {{"v"}, ""},          {{}, ""},
        {{"v22", "v11"}, ""},
    };
    for (const auto& row : rows) CHECK(selectProtocol(supported, row.offered) == row.selected);
    CHECK(selectProtocol({}, {"v1"}).empty());
}
