#include "support/Catch.h"
#include "support/WebSocketClient.h"

using namespace postern;

namespace {

WebSocketOptions speaking(std::vector<std::string> protocols, bool require = false) {
    WebSocketOptions options;
    options.protocols = std::move(protocols);
    options.requireProtocol = require;
    return options;
}

WebSocketOptions trusting(OriginPolicy policy) {
    WebSocketOptions options;
    options.origin = std::move(policy);
    return options;
}

// A request line by line, so that each can be wrong.
struct Asking {
    std::string start = "GET / HTTP/1.1";
    std::string host = "Host: test";
    std::string upgrade = "Upgrade: websocket";
    std::string connection = "Connection: Upgrade";
    std::string version = "Sec-WebSocket-Version: 13";
    std::string key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==";
    std::string more = {};

    std::string text() const {
        std::string lines;
        for (const auto* line : {&start, &host, &upgrade, &connection, &version, &key, &more})
            if (!line->empty()) lines.append(*line).append("\r\n");
        return lines + "\r\n";
    }
};

int statusFor(const TestServer& server, const Asking& asking) {
    RawClient client(server);
    return client.request(asking.text()).status;
}

}

TEST_CASE("a good handshake is answered with 101 and nothing that frames a body", "[websocket]") {
    WebSocketServer server(echo);
    RawClient client(server.http());
    const auto reply = client.request(WebSocketClient::request());
    CHECK(reply.head.starts_with("HTTP/1.1 101 Switching Protocols\r\n"));
    CHECK(reply.all("Upgrade") == std::vector<std::string>{"websocket"});
    CHECK(reply.all("Connection") == std::vector<std::string>{"Upgrade"});
    CHECK(reply.all("Sec-WebSocket-Accept") == std::vector<std::string>{std::string(WebSocketClient::accept)});
    for (const char* field : {"Content-Length", "Transfer-Encoding", "Content-Type", "Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"})
        CHECK(!reply.has(field));
}

TEST_CASE("handshake fields are lists of tokens without case, over repeated fields", "[websocket]") {
    WebSocketServer server(echo);
    const std::vector<Asking> good = {
        {.upgrade = "UPGRADE: WebSocket"},
        {.upgrade = "Upgrade: h2c, websocket"},
        {.upgrade = "Upgrade: h2c\r\nUpgrade: websocket"},
        {.connection = "connection: keep-alive, Upgrade"},
        {.connection = "Connection: keep-alive\r\nConnection: ,\tUPGRADE ,"},
        {.key = "sec-websocket-key:   dGhlIHNhbXBsZSBub25jZQ==  "},
        {.more = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits"},
        {.more = "Content-Length: 0"},
    };
    for (const auto& asking : good) {
        INFO(asking.text());
        CHECK(statusFor(server, asking) == 101);
    }
}

TEST_CASE("whoever does not ask for a WebSocket, or asks wrongly, gets no 101", "[websocket]") {
    struct Row {
        Asking asking;
        int status;
    };
    const std::vector<Row> rows = {
        {{.upgrade = ""}, 426},
        {{.connection = ""}, 426},
        {{.upgrade = "Upgrade: websockets"}, 426},
        {{.upgrade = "Upgrade: h2c"}, 426},
        {{.connection = "Connection: not-upgrade"}, 426},
        {{.connection = "Connection: keep-alive"}, 426},
        {{.start = "GET / HTTP/1.0"}, 426},
        {{.start = "POST / HTTP/1.1", .more = "Content-Length: 0"}, 400},
        {{.start = "HEAD / HTTP/1.1"}, 400},
        {{.version = ""}, 426},
        {{.version = "Sec-WebSocket-Version: 8"}, 426},
        {{.version = "Sec-WebSocket-Version: 130"}, 426},
        {{.version = "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Version: 13"}, 400},
        {{.key = ""}, 400},
        {{.key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="}, 400},
        {{.key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j"}, 400},
        {{.key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZSE="}, 400},
        {{.key = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25j!Q=="}, 400},
        {{.more = "Content-Length: 1\r\n\r\nx"}, 400},
        {{.more = "Sec-WebSocket-Protocol: a, a"}, 400},
        {{.more = "Sec-WebSocket-Protocol: a b"}, 400},
    };
    WebSocketServer server(echo);
    for (const auto& row : rows) {
        INFO(row.asking.text());
        RawClient client(server.http());
        const auto reply = client.request(row.asking.text(), row.asking.start.starts_with("HEAD") ? "HEAD" : "GET");
        CHECK(reply.status == row.status);
        if (row.status == 426) CHECK(reply.field("Sec-WebSocket-Version") == "13");
    }
    CHECK(server.notes().empty());
}

TEST_CASE("bytes that come with the request's head belong to the WebSocket", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server, {}, ClientBytes{1, "early"}.bytes() + ClientBytes{1, "half"}.bytes().substr(0, 3));
    CHECK(client.next() == "text early");
    client.send(ClientBytes{1, "half"}.bytes().substr(3));
    CHECK(client.next() == "text half");
}

TEST_CASE("bytes behind a request that is refused are the next request", "[websocket]") {
    TestServer server([](Cgi& cgi) {
        if (cgi.websocketRequested()) throw HttpError(403, "not today");
        cgi.write("plain", true);
    });
    RawClient client(server);
    client.send(WebSocketClient::request() + rawRequest("GET", "/"));
    const auto refused = client.receiveReply();
    CHECK(refused.status == 403);
    CHECK(!refused.saysClose());
    CHECK(client.receiveReply().body == "plain");
}

TEST_CASE("a handler may answer a request for a WebSocket with any reply, and the connection lives on", "[websocket]") {
    TestServer server([](Cgi& cgi) {
        if (cgi.pathInfo() == "/ws") {
            auto socket = cgi.acceptWebsocket();
            socket.send("hello");
            return;
        }
        if (!cgi.websocketRequested()) throw std::logic_error("it was requested");
        cgi.setResponseStatus(401);
        cgi.header("WWW-Authenticate", "Basic realm=\"x\"");
        cgi.write("who are you?", true);
    });
    RawClient client(server);
    const auto reply = client.request(WebSocketClient::request({}, "/no"));
    CHECK(reply.status == 401);
    CHECK(reply.body == "who are you?");
    CHECK(!reply.has("Upgrade"));
    CHECK(client.request(WebSocketClient::request({}, "/ws")).status == 101);
    CHECK(client.receive(7) == "\x81\x05hello");
}

TEST_CASE("an exception before the 101 becomes an HTTP reply", "[websocket]") {
    TestServer server([](Cgi& cgi) {
        if (cgi.pathInfo() == "/fails") throw std::runtime_error("the secret is 42");
        if (cgi.pathInfo() == "/teapot") throw HttpError(418, "short and stout");
        WebSocketOptions contradicting;
        contradicting.requireProtocol = true;
        cgi.acceptWebsocket(contradicting);
    });
    RawClient client(server);
    const auto failed = client.request(WebSocketClient::request({}, "/fails"));
    CHECK(failed.status == 500);
    CHECK(failed.body.find("secret") == std::string::npos);
    CHECK(server.log().wait("the secret is 42"));
    const auto teapot = client.request(WebSocketClient::request({}, "/teapot"));
    CHECK(teapot.status == 418);
    CHECK(teapot.body.find("short and stout") != std::string::npos);
    CHECK(client.request(WebSocketClient::request({}, "/contradiction")).status == 500);
    CHECK(server.log().wait("requireProtocol needs protocols"));
}

TEST_CASE("websocketRequested() and websocketSupported() tell a request for a WebSocket from others", "[websocket]") {
    TestServer server([](Cgi& cgi) {
        const bool requested = cgi.websocketRequested();
        cgi.write(std::string(requested ? "requested" : "plain") + (cgi.websocketSupported() ? " supported" : ""), true);
    });
    RawClient client(server);
    CHECK(client.request(WebSocketClient::request()).body == "requested supported");
    CHECK(client.request(rawRequest("GET", "/")).body == "plain supported");
    CHECK(client.request(Asking{.version = "Sec-WebSocket-Version: 7"}.text()).status == 426);
    CHECK(client.request(Asking{.key = ""}.text()).status == 400);
}

TEST_CASE("cookies and fields of the handler's go out with the 101, those of the handshake are its own", "[websocket]") {
    LogLines notes;
    TestServer server([&](Cgi& cgi) {
        cgi.setCookie("session", "abc");
        cgi.setCookie("other", "def");
        cgi.header("X-Custom", "yes");
        for (const char* name : {"Upgrade", "connection", "Sec-WebSocket-Accept", "SEC-WEBSOCKET-PROTOCOL", "Sec-WebSocket-Extensions",
                                 "Content-Length", "Transfer-Encoding"})
            if (!throws<std::invalid_argument>([&] { cgi.header(name, "x"); })) notes.function()(LogLevel::info, name);
        auto socket = cgi.acceptWebsocket();
        if (!throws<std::logic_error>([&] { cgi.setCookie("too", "late"); })) notes.function()(LogLevel::info, "late cookie");
        if (!throws<std::logic_error>([&] { cgi.acceptWebsocket(); })) notes.function()(LogLevel::info, "second accept");
        socket.send("end");
    });
    RawClient client(server);
    const auto reply = client.request(WebSocketClient::request());
    CHECK(reply.status == 101);
    const auto cookies = reply.all("Set-Cookie");
    REQUIRE(cookies.size() == 2);
    CHECK(cookies[0].starts_with("session=abc"));
    CHECK(cookies[1].starts_with("other=def"));
    CHECK(reply.field("X-Custom") == "yes");
    CHECK(client.receive(5) == "\x81\x03" "end");
    CHECK(notes.all().empty());
}

TEST_CASE("the first subprotocol of the server's that the client offers is chosen, with case", "[websocket]") {
    struct Row {
        std::vector<std::string> server;
        std::string client;
        std::string chosen;
    };
    const std::vector<Row> rows = {
        {{}, "", ""},
        {{}, "Sec-WebSocket-Protocol: chat\r\n", ""},
        {{"chat"}, "", ""},
        {{"chat"}, "Sec-WebSocket-Protocol: chat\r\n", "chat"},
        {{"chat"}, "Sec-WebSocket-Protocol: Chat\r\n", ""},
        {{"b", "a"}, "Sec-WebSocket-Protocol: a, b\r\n", "b"},
        {{"c", "a"}, "Sec-WebSocket-Protocol: a, b\r\n", "a"},
        {{"b"}, "Sec-WebSocket-Protocol: a\r\nSec-WebSocket-Protocol: b\r\n", "b"},
    };
    for (const auto& row : rows) {
        WebSocketServer server([](WebSocket& socket, WebSocketServer& here) { here.note("protocol: " + std::string(socket.protocol())); },
                               speaking(row.server));
        RawClient client(server.http());
        const auto reply = client.request(WebSocketClient::request(row.client));
        CHECK(reply.status == 101);
        CHECK(reply.all("Sec-WebSocket-Protocol") == (row.chosen.empty() ? std::vector<std::string>() : std::vector{row.chosen}));
        CHECK(server.noted("protocol: " + row.chosen));
    }
}

TEST_CASE("a subprotocol that is required and not offered is a 400", "[websocket]") {
    WebSocketServer server(echo, speaking({"chat"}, true));
    CHECK(statusFor(server, {}) == 400);
    CHECK(statusFor(server, {.more = "Sec-WebSocket-Protocol: CHAT, talk"}) == 400);
    CHECK(statusFor(server, {.more = "Sec-WebSocket-Protocol: talk, chat"}) == 101);
}

TEST_CASE("requestedProtocols() lists the client's in order", "[websocket]") {
    TestServer server([](Cgi& cgi) {
        std::string all;
        for (const auto protocol : cgi.requestedProtocols()) all.append(protocol).append(" ");
        cgi.write(all, true);
    });
    RawClient client(server);
    CHECK(client.request(WebSocketClient::request("Sec-WebSocket-Protocol: z, a\r\nSec-WebSocket-Protocol: m\r\n")).body == "z a m ");
    CHECK(client.request(WebSocketClient::request()).body.empty());
}

TEST_CASE("only pages of the same host may open a WebSocket unless the policy says otherwise", "[websocket]") {
    struct Row {
        OriginPolicy policy;
        std::string origin;  // empty: none
        int status;
    };
    const OriginPolicy any{.any = true}, noneAbsent{.absent = false};
    const OriginPolicy list{.allowed = {"https://example.com", "https://*.example.org", "http://other.test:8080"}};
    const OriginPolicy onlyList{.sameHost = false, .allowed = {"https://example.com"}};
    const std::vector<Row> rows = {
        {{}, "", 101},
        {{}, "http://test", 101},
        {{}, "http://TEST:80", 101},
        {{}, "https://test", 403},
        {{}, "http://test:8080", 403},
        {{}, "http://test.evil.example", 403},
        {{}, "http://sub.test", 403},
        {{}, "null", 403},
        {{}, "test", 403},
        {{}, "http://test/path", 403},
        {any, "http://evil.example", 101},
        {any, "null", 101},
        {noneAbsent, "", 403},
        {noneAbsent, "http://test", 101},
        {list, "https://example.com", 101},
        {list, "https://sub.example.com", 403},
        {list, "https://a.b.example.org", 101},
        {list, "https://example.org", 403},
        {list, "https://badexample.org", 403},
        {list, "http://other.test:8080", 101},
        {list, "http://other.test", 403},
        {list, "http://test", 101},
        {onlyList, "http://test", 403},
        {onlyList, "https://example.com", 101},
        {OriginPolicy{.allowed = {"null"}}, "null", 101},
    };
    for (const auto& row : rows) {
        INFO(row.origin);
        WebSocketServer server(echo, trusting(row.policy));
        RawClient client(server.http());
        const auto lines = row.origin.empty() ? "" : "Origin: " + row.origin + "\r\n";
        const auto reply = client.request(WebSocketClient::request(lines));
        CHECK(reply.status == row.status);
        if (row.status == 403) {
            CHECK(!reply.saysClose());
            CHECK(server.http().log().wait("refused a WebSocket"));
        }
    }
}

TEST_CASE("two Origin fields are refused", "[websocket]") {
    WebSocketServer server(echo);
    CHECK(statusFor(server, {.more = "Origin: http://test\r\nOrigin: http://test"}) == 403);
}

TEST_CASE("the program's origin policy holds for sockets that have none", "[websocket]") {
    HandlerSettings handling;
    handling.origin.any = true;
    TestServer server([](Cgi& cgi) { cgi.acceptWebsocket(); }, {}, handling);
    CHECK(statusFor(server, {.more = "Origin: http://elsewhere.example"}) == 101);
}
