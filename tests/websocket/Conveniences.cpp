#include "support/Catch.h"
#include "support/SocketPair.h"
#include "support/WebSocketClient.h"

#include "postern/cgi/Cgi.h"
#include "postern/fiber/Run.h"

using namespace postern;
using namespace std::chrono_literals;

TEST_CASE("receiveText() and receiveBinary() take their kind only", "[websocket]") {
    run([] {
        SocketPair pair;
        pair.client.send("text");
        pair.client.send(asBytes("bytes"));
        CHECK(pair.server.receiveText() == "text");
        CHECK(pair.server.receiveBinary() == "bytes");
        CHECK_THROWS_AS(pair.server.receiveText(Loop::current().in(1ms)), TimedOut);
        pair.client.send(asBytes("wrong"));
        CHECK_THROWS_AS(pair.server.receiveText(), WrongMessageKind);
        CHECK(pair.client.closeCode() == 1003);
        CHECK_THROWS_AS(pair.server.receiveText(), WebSocketClosed);
    });
    run([] {
        SocketPair pair;
        pair.client.send("wrong");
        CHECK_THROWS_AS(pair.server.receiveBinary(), WrongMessageKind);
        CHECK(describe(pair.client.recv()) == "close 1003 binary only");
    });
}

TEST_CASE("waitForData() and dataAvailableForRead() speak of messages, not of the end", "[websocket]") {
    run([] {
        SocketPair pair;
        CHECK(pair.server.connected());
        CHECK_FALSE(pair.server.dataAvailableForRead());
        CHECK_FALSE(pair.server.waitForData(1ms));
        pair.client.send("x");
        CHECK(pair.server.waitForData(1s));
        CHECK(pair.server.dataAvailableForRead());
        CHECK(pair.server.waitForData());
        pair.server.recv();
        CHECK_FALSE(pair.server.dataAvailableForRead());
        pair.client.close(1000);
        CHECK_FALSE(pair.server.waitForData());
        CHECK_FALSE(pair.server.waitForData(1s));
        CHECK_FALSE(pair.server.dataAvailableForRead());
        CHECK_FALSE(pair.server.connected());
    });
}

TEST_CASE("closeReasonString() has words for every end", "[websocket]") {
    run([] {
        SocketPair pair;
        pair.client.close(4000, "tired");
        pair.server.recv();
        CHECK(pair.server.closeReasonString() == "tired");
        SocketPair silent;
        silent.client.close(1001);
        silent.server.recv();
        CHECK(silent.server.closeReasonString() == "going away");
        SocketPair cut;
        cut.client.abort();
        cut.server.recv();
        CHECK(cut.server.closeReasonString() == "abnormal closure");
    });
    CHECK(describeCloseCode(1005) == "no status code");
    CHECK(describeCloseCode(3000) == "registered use");
    CHECK(describeCloseCode(4999) == "private use");
    CHECK(describeCloseCode(999) == "unknown");
}

TEST_CASE("the request stays readable on the socket, after the handler has returned", "[websocket]") {
    TestServer server([](Cgi& cgi) {
        auto socket = cgi.acceptWebsocket();
        socket.onmessage([](WebSocket& self, std::string_view name) {
            const auto& request = self.request();
            std::string text(request.header(name));
            if (name == "uri") text = std::string(request.requestUri()) + " " + std::string(request.pathInfo());
            if (name == "query") text = request.get("b") + "," + request.get("none", "fallback");
            if (name == "cookie") text = request.cookie("session") + "," + request.cookie("none", "fallback");
            if (name == "host") text = request.host();
            if (name == "address") text = std::string(request.remoteAddress()) + (request.https() ? " https" : " http");
            if (name == "all") text = std::to_string(request.headers().size());
            self.send(text);
        });
    });
    WebSocketClient client(server.port());
    client.send(WebSocketClient::request("X-One: first\r\nX-One: last\r\nCookie: session=abc; other=d\r\n", "/a%20b?a=1&b=two%21"));
    CHECK(client.readHead().starts_with("HTTP/1.1 101"));
    const std::pair<const char*, std::string> asked[] = {
        {"uri", "text /a%20b?a=1&b=two%21 /a b"}, {"query", "text two!,fallback"}, {"cookie", "text abc,fallback"},
        {"x-one", "text last"},                   {"nothing", "text"},             {"address", "text 127.0.0.1 http"},
        {"sec-websocket-key", "text"},            {"upgrade", "text"}};
    for (const auto& [name, answer] : asked) {
        client.text(name);
        CHECK(client.next() == answer);
    }
    client.text("host");
    CHECK(client.next().size() > 6);
}

TEST_CASE("a socket that keeps no request says so", "[websocket]") {
    WebSocketOptions options;
    options.keepRequest = false;
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            HANDLER_CHECK(here, throws<std::logic_error>([&] { socket.request(); }));
            socket.send("done");
        },
        options);
    WebSocketClient client(server);
    CHECK(client.next() == "text done");
    run([] {
        SocketPair pair;
        CHECK_THROWS_AS(pair.client.request(), std::logic_error);
    });
}

TEST_CASE("handleWebSocket() makes a handler of a conversation", "[websocket]") {
    TestServer server(handleWebSocket([](WebSocket& socket) {
        while (const auto message = socket.recv()) socket.send(message.textData());
    }));
    WebSocketClient client(server);
    client.text("hello");
    CHECK(client.next() == "text hello");
    WebSocketClient plain(server.port());
    plain.send("GET / HTTP/1.1\r\nHost: a\r\n\r\n");
    const auto head = plain.readHead();
    CHECK(head.starts_with("HTTP/1.1 426"));
    CHECK(head.find("Sec-WebSocket-Version: 13") != std::string::npos);
    WebSocketOptions wrong;
    wrong.requireProtocol = true;
    CHECK_THROWS_AS(handleWebSocket([](WebSocket&) {}, wrong), std::invalid_argument);
}

TEST_CASE("why a WebSocket was refused has a type", "[websocket]") {
    TestServer server([](Cgi& cgi) {
        WebSocketOptions options;
        options.protocols = {"chat"};
        options.requireProtocol = true;
        try {
            cgi.acceptWebsocket(options);
        } catch (const WebsocketError& error) {
            using Kind = WebsocketError::Kind;
            cgi.setResponseStatus(error.status());
            cgi.header("X-Kind", error.kind() == Kind::InvalidWebsocketRequest ? "invalid"
                                 : error.kind() == Kind::WrongSubprotocol      ? "protocol"
                                 : error.kind() == Kind::WrongOrigin           ? "origin"
                                                                               : "unsupported");
            cgi.write("no", true);
        }
    });
    const auto kindFor = [&](std::string_view request) {
        WebSocketClient client(server.port());
        client.send(request);
        const auto head = client.readHead();
        const auto at = head.find("X-Kind: ");
        return at == std::string::npos ? head : head.substr(at + 8, head.find('\r', at) - at - 8);
    };
    CHECK(kindFor("GET / HTTP/1.1\r\nHost: a\r\n\r\n") == "invalid");
    CHECK(kindFor(WebSocketClient::request()) == "protocol");
    CHECK(kindFor(WebSocketClient::request("Sec-WebSocket-Protocol: Chat, talk\r\n")) == "protocol");
    CHECK(kindFor(WebSocketClient::request("Sec-WebSocket-Protocol: chat\r\nOrigin: http://evil.example\r\n")) == "origin");
}
