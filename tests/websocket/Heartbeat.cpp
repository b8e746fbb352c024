#include "support/Catch.h"
#include "support/OwnTime.h"
#include "support/SocketPair.h"
#include "support/WebSocketClient.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/io/Pipe.h"

using namespace postern;
using namespace std::chrono_literals;

namespace {

WebSocketOptions beating(Duration interval, Duration grace, std::string message = {}) {
    WebSocketOptions options;
    options.pingInterval = interval;
    options.pingGrace = grace;
    options.pingMessage = std::move(message);
    return options;
}

}

TEST_CASE("a pong carries its ping's bytes", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    const std::string payloads[] = {"", "x", std::string("\0\xff\x80", 3), std::string(125, 'p')};
    for (const auto& payload : payloads) {
        client.ping(payload);
        const auto frame = client.read();
        REQUIRE(frame);
        CHECK(frame->opcode == 10);
        CHECK(frame->payload == payload);
    }
}

TEST_CASE("of several pings that wait, the last is answered", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    client.send(ClientBytes{9, "1"}.bytes() + ClientBytes{9, "2"}.bytes() + ClientBytes{9, "3"}.bytes() + ClientBytes{1, "end"}.bytes());
    CHECK(client.next() == "pong 3");
    CHECK(client.next() == "text end");
}

TEST_CASE("control payloads have at most 125 bytes", "[websocket]") {
    CHECK(truncateControlPayload(std::string(126, 'x')) == std::string(125, 'x'));
    CHECK(truncateControlPayload("short") == "short");
    CHECK(truncateControlPayload(std::string(124, 'x') + "\xc3\xa4") == std::string(124, 'x'));
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        HANDLER_CHECK(here, throws<std::length_error>([&] { socket.ping(std::string(126, 'x')); }));
        HANDLER_CHECK(here, throws<std::length_error>([&] { socket.pong(std::string(126, 'x')); }));
        HANDLER_CHECK(here, throws<std::length_error>([&] { socket.setHeartbeat(1s, std::string(126, 'x')); }));
        HANDLER_CHECK(here, throws<std::invalid_argument>([&] { socket.setHeartbeat(-1s); }));
        socket.ping(std::string(125, 'i'));
        socket.pong(std::string(125, 'o'));
    });
    WebSocketClient client(server);
    CHECK(client.next() == "ping " + std::string(125, 'i'));
    CHECK(client.next() == "pong " + std::string(125, 'o'));
    CHECK(client.next() == "close 1000");
}

TEST_CASE("onpong is called for the pongs to our own pings only", "[websocket]") {
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            socket.onpong([&](std::string_view payload) { here.note("pong " + std::string(payload)); });
            socket.ping("mine");
            socket.ping("answered together with");
            socket.ping("this");
            while (socket.recv()) continue;
        },
        beating(100ms, 20s, "heartbeat"));
    WebSocketClient client(server);
    CHECK(client.next() == "ping mine");
    CHECK(client.next() == "ping answered together with");
    CHECK(client.next() == "ping this");
    CHECK(client.next() == "ping heartbeat");
    client.pong("never asked");
    client.pong("heartbeat");  // answers all before it, too, but is none of theirs
    client.pong("mine");
    client.close(1000);
    while (client.next() != "FIN") continue;
    CHECK(server.notes().empty());

    WebSocketClient polite(server);
    for (int i = 0; i < 3; ++i) polite.read();
    polite.pong("mine");
    polite.pong("mine");
    polite.pong("this");
    CHECK(server.noted("pong this"));
    CHECK(server.notes() == std::vector<std::string>{"pong mine", "pong this"});
}

TEST_CASE("onpong is not called for a heartbeat's pong, though a ping of ours says the same", "[websocket]") {
    runInOwnTime([] {
        auto [near, far] = Pipe::make(Loop::current());
        auto socket = WebSocket::overStream(std::move(near), beating(10s, 20s));
        int told = 0;
        socket.onpong([&](std::string_view) { ++told; });
        sleepFor(11s);
        socket.ping();
        settle();
        const auto pong = ClientBytes{10, ""}.bytes();
        far->write(pong);
        settle();
        CHECK(told == 0);
        far->write(pong);
        settle();
        CHECK(told == 1);
        far->write(pong);
        settle();
        CHECK(told == 1);
        socket.abort();
    });
}

TEST_CASE("onpong may end the socket that calls it", "[websocket]") {
    run([] {
        auto [near, far] = Pipe::make(Loop::current());
        auto socket = std::make_unique<WebSocket>(WebSocket::overStream(std::move(near), {}));
        bool called = false;
        socket->onpong([&](std::string_view) {
            called = true;
            socket.reset();
        });
        socket->ping("x");
        far->write(ClientBytes{10, "x"}.bytes() + ClientBytes{1, "more"}.bytes());
        for (int i = 0; i < 10; ++i) yield();
        CHECK(called);
        CHECK(!socket);
    });
}

TEST_CASE("roundTrip() waits for its own pong", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        const auto time = socket.roundTrip();
        HANDLER_CHECK(here, time > Duration::zero());
        here.note("measured");
        HANDLER_CHECK(here, throws<TimedOut>([&] { socket.roundTrip(Loop::current().in(50ms)); }));
        HANDLER_CHECK(here, socket.isOpen());
        HANDLER_CHECK(here, throws<WebSocketClosed>([&] { socket.roundTrip(); }));
        here.note("closed");
    });
    WebSocketClient client(server);
    const auto first = client.read();
    REQUIRE(first);
    client.pong("something else");
    client.pong(first->payload);
    CHECK(server.noted("measured"));
    CHECK(client.read()->opcode == 9);
    const auto third = client.read();
    REQUIRE(third);
    CHECK(third->payload != first->payload);
    client.close(1000);
    CHECK(server.noted("closed"));
}

TEST_CASE("roundTrip() is not answered by pings that are sent after it and forgotten", "[websocket]") {
    run([] {
        auto [near, far] = Pipe::make(Loop::current());
        auto socket = WebSocket::overStream(std::move(near), {});
        FiberGroup fibers;
        fibers.spawn([&] {
            for (int i = 0; i < 40; ++i) socket.ping(std::to_string(i));
        });
        CHECK_THROWS_AS(socket.roundTrip(Loop::current().in(20ms)), TimedOut);
    });
}

TEST_CASE("roundTrip() hears its pong behind a message that another fiber receives", "[websocket]") {
    run([] {
        auto [near, far] = Pipe::make(Loop::current());
        auto socket = WebSocket::overStream(std::move(near), {});
        FiberGroup fibers;
        bool measured = false;
        fibers.spawn([&] {
            socket.roundTrip(Loop::current().in(10s));
            measured = true;
        });
        while (far->unread().size() < 10) REQUIRE(far->receive(Loop::current().in(10s)));
        const std::string payload(far->unreadText().substr(2, 8));
        far->write(ClientBytes{1, "message"}.bytes());
        for (int i = 0; i < 5; ++i) yield();
        far->write(ClientBytes{10, payload}.bytes());
        const auto message = socket.recv();
        CHECK(message.textData() == "message");
        fibers.wait(Loop::current().in(10s));
        CHECK(measured);
    });
}

TEST_CASE("the heartbeat pings with its message, and can be changed and ended at run time", "[websocket]") {
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            HANDLER_CHECK(here, socket.recv().textData() == "faster");
            socket.setHeartbeat(20ms, "quick");
            HANDLER_CHECK(here, socket.recv().textData() == "stop");
            socket.setHeartbeat(0s);
            socket.send("stopped");
            HANDLER_CHECK(here, !socket.waitForNextMessage(100ms));
            socket.send("still quiet");
            HANDLER_CHECK(here, !socket.recv());
        },
        beating(50ms, 20s, "tick"));
    WebSocketClient client(server);
    CHECK(client.next() == "ping tick");
    CHECK(client.next() == "ping tick");
    client.text("faster");
    std::string next;
    do next = client.next();
    while (next == "ping tick");
    CHECK(next == "ping quick");
    CHECK(client.next() == "ping quick");
    client.text("stop");
    do next = client.next();
    while (next == "ping quick");
    CHECK(next == "text stopped");
    CHECK(client.next() == "text still quiet");
    client.close(1000);
    CHECK(client.rest() == "close 1000; FIN");
}

TEST_CASE("a handler that only looks learns that its client is dead, and still gets what it said", "[websocket]") {
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            const auto until = Loop::current().in(20s);
            while (socket.isOpen() && Loop::current().now() < until.at()) sleepFor(5ms);
            HANDLER_CHECK(here, !socket.isOpen());
            HANDLER_CHECK(here, socket.recv().toString() == "last");
            HANDLER_CHECK(here, socket.recv().toString() == "words");
            HANDLER_CHECK(here, !socket.recv());
            HANDLER_CHECK(here, socket.closeCode() == 1006 && socket.closeReason() == "no sign of life");
            here.note("ended");
        },
        beating(20ms, 20ms));
    WebSocketClient client(server);
    client.send(ClientBytes{1, "last"}.bytes() + ClientBytes{1, "words"}.bytes());
    CHECK(server.noted("ended"));
}

TEST_CASE("without a heartbeat a silent client stays", "[websocket]") {
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            HANDLER_CHECK(here, !socket.waitForNextMessage(200ms));
            HANDLER_CHECK(here, socket.isOpen());
            socket.send("still here");
        },
        beating(0s, 1ms));
    WebSocketClient client(server);
    CHECK(client.next() == "text still here");
    CHECK(client.next() == "close 1000");
}

TEST_CASE("a client without a sign of life for interval and grace is cut", "[websocket]") {
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            const auto start = Clock::now();
            here.note(describe(socket.recv()));
            HANDLER_CHECK(here, Clock::now() - start >= 190ms);
            HANDLER_CHECK(here, !socket.wasClean());
        },
        beating(100ms, 100ms));
    WebSocketClient client(server);
    CHECK(client.rest().ends_with("ping; reset"));
    CHECK(server.noted("close 1006"));
}

TEST_CASE("a client that answers the heartbeat stays", "[websocket]") {
    WebSocketServer server(echo, beating(50ms, 10s));
    WebSocketClient client(server);
    for (int i = 0; i < 6; ++i) {
        CHECK(client.next() == "ping");
        client.pong("");
    }
    client.close(1000);
    std::string rest = client.rest();
    CHECK(rest.ends_with("close 1000; FIN"));
}

TEST_CASE("a client that streams one huge frame and answers nothing is alive", "[websocket]") {
    WebSocketServer server(echo, beating(60ms, 200ms));
    WebSocketClient client(server);
    const auto frame = ClientBytes{2, std::string(3000, 's')}.bytes();
    // Each piece goes when a ping has come: about as many heartbeats as pieces, and far more than one grace.
    size_t sent = 0;
    for (; sent < 10 * 300; sent += 300) {
        client.send(std::string_view(frame).substr(sent, 300));
        REQUIRE(client.next() == "ping");
    }
    client.send(std::string_view(frame).substr(sent));
    std::string next;
    do next = client.next();
    while (next == "ping");
    CHECK(next == "binary " + std::string(3000, 's'));
}

TEST_CASE("a busy handler does not make its client look dead", "[websocket]") {
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            HANDLER_CHECK(here, socket.recv().textData() == "work");
            here.note("busy");
            sleepFor(500ms);
            HANDLER_CHECK(here, socket.isOpen());
            HANDLER_CHECK(here, socket.recv().textData() == "one");
            HANDLER_CHECK(here, socket.recv().textData() == "two");
            socket.send("done");
        },
        beating(60ms, 60ms));
    WebSocketClient client(server);
    client.text("work");
    CHECK(server.noted("busy"));
    client.text("one");  // nobody takes it, so nothing behind it is read for a while
    client.text("two");
    std::string next;
    do {
        next = client.next();
        if (next == "ping") client.pong("");
    } while (next == "ping");
    CHECK(next == "text done");
}

TEST_CASE("a handler that only sends still answers pings and notices the close", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        try {
            for (;;) {
                socket.send("tick");
                sleepFor(5ms);
            }
        } catch (const WebSocketClosed&) {
            here.note("closed " + std::to_string(socket.closeCode()));
        }
    });
    WebSocketClient client(server);
    CHECK(client.next() == "text tick");
    client.ping("there?");
    std::string next;
    do next = client.next();
    while (next == "text tick");
    CHECK(next == "pong there?");
    client.close(1001);
    CHECK(server.noted("closed 1001"));
    do next = client.next();
    while (next == "text tick");
    CHECK(next == "close 1001");
    CHECK(client.next() == "FIN");
}

TEST_CASE("a socket whose handler does nothing at all answers pings and hears the close", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        while (socket.isOpen()) sleepFor(1ms);
        here.note("closed " + std::to_string(socket.closeCode()));
    });
    WebSocketClient client(server);
    client.ping("there?");
    CHECK(client.next() == "pong there?");
    client.close(3000);
    CHECK(server.noted("closed 3000"));
}

TEST_CASE("a flood of pings to a client that does not read is answered with bounded memory", "[websocket]") {
    run([] {
        auto [near, far] = Pipe::make(Loop::current(), 1000);
        WebSocketOptions options;
        options.highWater = 4000;
        options.pingInterval = {};
        auto socket = WebSocket::overStream(std::move(near), options);
        const std::string payload(125, 'f');
        for (int i = 0; i < 2000; ++i) {
            far->write(ClientBytes{9, payload}.bytes());
            far->flush();
        }
        far->write(ClientBytes{9, "last"}.bytes());
        far->flush();
        for (int i = 0; i < 5; ++i) yield();
        std::string got;
        while (!got.ends_with("\x8a\x04last")) {
            REQUIRE(far->receive(Loop::current().in(10s)));
            got += far->unreadText();
            far->consume(far->unread().size());
        }
        CHECK(got.size() < 10'000);
    });
}
