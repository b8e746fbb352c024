#include "support/Catch.h"
#include "support/SocketPair.h"
#include "support/WebSocketClient.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/io/Pipe.h"

using namespace postern;
using namespace std::chrono_literals;

namespace {

std::string bigText(size_t size) { return std::string(size, 'x'); }

WebSocketOptions hasty() {
    WebSocketOptions options;
    options.closeTimeout = 150ms;
    return options;
}

}

TEST_CASE("every code that is valid on the wire is echoed, and the handler hears code and reason", "[websocket]") {
    WebSocketServer server(echo);
    for (const int code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999}) {
        WebSocketClient client(server);
        client.close(code, "because");
        CHECK(client.rest() == "close " + std::to_string(code) + "; FIN");
        CHECK(server.noted("close " + std::to_string(code) + " because clean"));
    }
}

TEST_CASE("every other code in a close frame is answered with 1002", "[websocket]") {
    WebSocketServer server(echo);
    for (const int code : {0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535}) {
        WebSocketClient client(server);
        client.close(code);
        INFO(code);
        CHECK(client.rest() == "close 1002 malformed close frame; FIN");
    }
    CHECK(server.noted("close 1002 malformed close frame", 13));
    for (const auto& note : server.notes()) CHECK(note == "close 1002 malformed close frame");
}

TEST_CASE("an empty close frame is answered by an empty one and reported as 1005", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    client.send(ClientBytes{8, {}});
    CHECK(client.rest() == "close; FIN");
    CHECK(server.noted("close 1005 clean"));
}

TEST_CASE("half a close code is a breach of the protocol", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    client.send(ClientBytes{8, "\x03"});
    CHECK(client.rest() == "close 1002 malformed close frame; FIN");
}

TEST_CASE("a close reason is at most 123 bytes of UTF-8", "[websocket]") {
    WebSocketServer server(echo);
    const std::string longest = "\xc3\xa4" + std::string(121, 'r');
    WebSocketClient fits(server);
    fits.close(4000, longest);
    CHECK(fits.rest() == "close 4000; FIN");
    CHECK(server.noted("close 4000 " + longest + " clean"));

    WebSocketClient broken(server);
    broken.close(1000, "a\xff");
    CHECK(broken.rest() == "close 1007 malformed close frame; FIN");
    WebSocketClient cut(server);
    cut.close(1000, "a\xe2\x82");
    CHECK(cut.rest() == "close 1007 malformed close frame; FIN");
}

TEST_CASE("what follows a close frame is not looked at", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    client.send(ClientBytes{1, "a"}.bytes() + ClientBytes{8, closePayload(1000)}.bytes() + ClientBytes{1, "b"}.bytes() +
                "\xff\xff\xff");
    CHECK(client.rest() == "text a; close 1000; FIN");
    CHECK(server.noted("close 1000 clean"));
}

TEST_CASE("a client that closes and ends its side in one go still gets its close frame and no reset", "[websocket]") {
    WebSocketServer server(echo);
    for (int round = 0; round < 20; ++round) {
        WebSocketClient client(server);
        client.close(1001, "bye");
        client.finishSending();
        CHECK(client.rest() == "close 1001; FIN");
    }
    CHECK(server.noted("close 1001 bye clean", 20));
}

TEST_CASE("a client that breaks a rule and ends its side in one go is still told", "[websocket]") {
    WebSocketServer server(echo);
    for (int round = 0; round < 20; ++round) {
        WebSocketClient client(server);
        client.send(ClientBytes{3, "?"});
        client.finishSending();
        CHECK(client.rest() == "close 1002 reserved opcode; FIN");
    }
}

TEST_CASE("close() sends code and reason, waits for the answer, and is idempotent", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        HANDLER_CHECK(here, socket.isOpen());
        socket.close(4321, "enough");
        here.note("state " + std::to_string(static_cast<int>(socket.readyState())) + (socket.wasClean() ? " clean" : " unclean"));
        socket.close(1000);
        socket.close(4322, "again");
        here.note(describe(socket.recv()));
        here.note(describe(socket.recv()) + ", again");
        HANDLER_CHECK(here, !socket.isOpen());
    });
    WebSocketClient client(server);
    CHECK(client.next() == "close 4321 enough");
    client.close(4321, "fine");
    CHECK(client.rest() == "FIN");
    CHECK(server.noted("state 3 clean"));
    CHECK(server.noted("close 4321 fine, again"));
}

TEST_CASE("close() with a code that cannot be sent throws and does nothing", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        for (const int code : {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535})
            HANDLER_CHECK(here, throws<std::invalid_argument>([&] { socket.close(static_cast<uint16_t>(code)); }));
        HANDLER_CHECK(here, throws<std::invalid_argument>([&] { socket.sender().close(1005); }));
        HANDLER_CHECK(here, socket.isOpen());
        socket.close(CloseCode::goingAway);
        HANDLER_CHECK(here, throws<std::invalid_argument>([&] { socket.close(1006); }));
        here.note("done");
    });
    WebSocketClient client(server);
    CHECK(client.next() == "close 1001");
    client.close(1001);
    CHECK(server.noted("done"));
}

TEST_CASE("a close reason is cut to 123 bytes between two characters", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer&) {
        socket.close(1000, std::string(122, 'r') + "\xe2\x82\xac" + "more");
    });
    WebSocketClient client(server);
    CHECK(client.next() == "close 1000 " + std::string(122, 'r'));
}

TEST_CASE("close() returns in bounded time though the client says nothing", "[websocket]") {
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            HANDLER_CHECK(here, socket.readyState() == ReadyState::open);
            socket.close();
            here.note((socket.wasClean() ? "clean " : "unclean ") + describe(socket.recv()));
        },
        hasty());
    WebSocketClient client(server);
    CHECK(client.next() == "close 1000");
    CHECK(server.noted("unclean close 1006"));
    CHECK(client.rest() == "FIN");
}

TEST_CASE("close() returns in bounded time though the client never stops talking, and drops what it says", "[websocket]") {
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            socket.close();
            here.note("returned");
            HANDLER_CHECK(here, describe(socket.recv()) == "close 1006");
        },
        hasty());
    WebSocketClient client(server);
    CHECK(client.next() == "close 1000");
    const auto chatter = ClientBytes{1, bigText(5000)}.bytes() + ClientBytes{9, "?"}.bytes() + ClientBytes{1, "a", false}.bytes() +
                         ClientBytes{0, "b"}.bytes();
    while (client.trySend(chatter)) continue;
    CHECK(server.noted("returned"));
}

TEST_CASE("an answer that comes behind data that was on its way still makes a clean close", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        socket.close(1000, "stop");
        const auto end = describe(socket.recv());
        here.note(end + (socket.wasClean() ? " clean" : ""));
    });
    WebSocketClient client(server);
    CHECK(client.next() == "close 1000 stop");
    for (int i = 0; i < 100; ++i) client.text(bigText(3000));
    client.ping("late");
    client.close(1000, "ok");
    CHECK(client.rest() == "FIN");
    CHECK(server.noted("close 1000 ok clean"));
}

TEST_CASE("closing while a message waits to be received drops the message", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        HANDLER_CHECK(here, socket.waitForNextMessage());
        HANDLER_CHECK(here, socket.isMessageBuffered());
        socket.close();
        here.note(describe(socket.recv()));
    });
    for (const bool fragmented : {false, true}) {
        WebSocketClient client(server);
        if (fragmented) client.send(ClientBytes{1, "un", false}.bytes() + ClientBytes{0, "wanted"}.bytes());
        else client.text("unwanted");
        CHECK(client.next() == "close 1000");
        client.close(1000);
        CHECK(client.rest() == "FIN");
    }
    CHECK(server.noted("close 1000", 2));
}

TEST_CASE("both ends closing at once is clean and each close frame is sent once", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        while (!socket.waitForNextMessageWouldBlock()) HANDLER_CHECK(here, socket.recv());
        socket.sender().close(4001, "mine");
        here.note("closing");
        const auto end = describe(socket.recv());
        here.note(end + (socket.wasClean() ? " clean" : ""));
    });
    WebSocketClient client(server);
    REQUIRE(server.noted("closing"));
    client.close(4002, "yours");
    CHECK(client.rest() == "close 4001 mine; FIN");
    CHECK(server.noted("close 4002 yours clean"));
}

TEST_CASE("the server ends its side first and waits for the client's end", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    client.close(1000);
    CHECK(client.rest() == "close 1000; FIN");
    // Bytes that are still on their way do not turn the goodbye into a reset.
    for (int i = 0; i < 10; ++i) CHECK(client.trySend(bigText(1000)));
    server.http().onLoop([] {});
    CHECK(client.next() == "FIN");
}

TEST_CASE("the handler returns: 1000", "[websocket]") {
    WebSocketServer server([](WebSocket&, WebSocketServer&) {});
    WebSocketClient client(server);
    CHECK(client.next() == "close 1000");
    client.close(1000);
    CHECK(client.next() == "FIN");
}

TEST_CASE("what the handler sent before it returned arrives before the close", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer&) {
        for (int i = 0; i < 40; ++i) socket.send(bigText(60'000) + std::to_string(i));
    });
    WebSocketClient client(server);
    for (int i = 0; i < 40; ++i) REQUIRE(client.next() == "text " + bigText(60'000) + std::to_string(i));
    CHECK(client.next() == "close 1000");
}

TEST_CASE("the handler throws: 1011 with a generic text, and a line in the log", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer&) {
        socket.send("before");
        throw std::runtime_error("the secret is 42");
    });
    WebSocketClient client(server);
    CHECK(client.next() == "text before");
    const auto close = client.next();
    CHECK(close.starts_with("close 1011 "));
    CHECK(close.find("secret") == std::string::npos);
    CHECK(server.http().log().wait("the secret is 42"));
    client.close(1011);
    CHECK(client.next() == "FIN");
}

TEST_CASE("a handler may let WebSocketClosed pass without an error in the log", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        HANDLER_CHECK(here, !socket.recv());
        here.note("end");
        socket.send("too late");
        here.note("never");
    });
    WebSocketClient client(server);
    client.close(1000);
    CHECK(client.rest() == "close 1000; FIN");
    CHECK(server.noted("end"));
    server.http().onLoop([] {});
    CHECK(server.http().log().count("failed") == 0);
    CHECK(server.notes().size() == 1);
}

TEST_CASE("a line that ends without a close frame is reported as 1006", "[websocket]") {
    WebSocketServer server(echo);
    SECTION("by a FIN") {
        WebSocketClient client(server);
        client.finishSending();
        CHECK(server.noted("close 1006"));
        client.rest();
    }
    SECTION("by a FIN within a frame") {
        WebSocketClient client(server);
        client.send(ClientBytes{1, "hello"}.bytes().substr(0, 7));
        client.finishSending();
        CHECK(server.noted("close 1006"));
    }
    SECTION("by a reset") {
        WebSocketClient client(server);
        client.text("a");
        CHECK(client.next() == "text a");
        client.reset();
        CHECK(server.noted("close 1006"));
    }
    CHECK(server.notes() == std::vector<std::string>{"close 1006"});
}

TEST_CASE("abort() cuts the line at once", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        HANDLER_CHECK(here, socket.recv().textData() == "go");
        socket.abort();
        HANDLER_CHECK(here, socket.readyState() == ReadyState::closed);
        HANDLER_CHECK(here, !socket.wasClean());
        HANDLER_CHECK(here, describe(socket.recv()) == "close 1006");
        HANDLER_CHECK(here, throws<WebSocketClosed>([&] { socket.send("x"); }));
        HANDLER_CHECK(here, !socket.trySend("x"));
        socket.ping("x");
        socket.pong("x");
        HANDLER_CHECK(here, throws<WebSocketClosed>([&] { socket.roundTrip(); }));
        socket.abort();
        socket.close();
        here.note("done");
    });
    WebSocketClient client(server);
    client.text("go");
    CHECK(client.rest() == "reset");
    CHECK(server.noted("done"));
}

TEST_CASE("abort() by another fiber ends a recv() that waits", "[websocket]") {
    run([] {
        auto [near, far] = Pipe::make(Loop::current());
        auto socket = WebSocket::overStream(std::move(near), {});
        FiberGroup fibers;
        fibers.spawn([&] { socket.abort(); });
        CHECK(describe(socket.recv()) == "close 1006");
        CHECK(socket.readyState() == ReadyState::closed);
    });
}

TEST_CASE("close() by another fiber ends a recv() that waits", "[websocket]") {
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            FiberGroup fibers;
            fibers.spawn([&] { socket.close(4000); });
            here.note(describe(socket.recv()));
            fibers.wait();
        },
        hasty());
    WebSocketClient answers(server);
    CHECK(answers.next() == "close 4000");
    answers.close(4000, "you too");
    CHECK(server.noted("close 4000 you too"));
    WebSocketClient silent(server);
    CHECK(silent.rest() == "close 4000; FIN");
    CHECK(server.noted("close 1006"));
}

TEST_CASE("readyState goes from open over closing to closed, with the browsers' numbers", "[websocket]") {
    CHECK(static_cast<int>(ReadyState::connecting) == 0);
    CHECK(static_cast<int>(ReadyState::open) == 1);
    CHECK(static_cast<int>(ReadyState::closing) == 2);
    CHECK(static_cast<int>(ReadyState::closed) == 3);
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        const auto state = [&] { return std::to_string(static_cast<int>(socket.readyState())); };
        std::string states = state();
        FiberGroup fibers;
        fibers.spawn([&] { socket.close(); });
        yield();
        states += state();
        here.note("closing");
        fibers.wait();
        here.note(states + state());
    });
    WebSocketClient client(server);
    CHECK(server.noted("closing"));
    client.close(1000);
    CHECK(server.noted("123"));
}

TEST_CASE("a handle that was moved away is closed, and so is one that never was open", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        WebSocket other = std::move(socket);
        for (WebSocket* closed : {&socket, std::make_unique<WebSocket>().release()}) {
            HANDLER_CHECK(here, closed->readyState() == ReadyState::closed);
            HANDLER_CHECK(here, closed->closeCode() == 1006);
            HANDLER_CHECK(here, !closed->trySend("x"));
            HANDLER_CHECK(here, throws<WebSocketClosed>([&] { closed->recv(); }));
            closed->close();
            closed->abort();
            if (closed != &socket) delete closed;
        }
        socket = std::move(other);
        socket.send("back");
        here.note("done");
    });
    WebSocketClient client(server);
    CHECK(client.next() == "text back");
    CHECK(server.noted("done"));
}

TEST_CASE("a handler may move the handle to another fiber and return", "[websocket]") {
    LogLines notes;
    TestServer server([&](Cgi& cgi) {
        auto socket = std::make_shared<WebSocket>(cgi.acceptWebsocket());
        Loop::current().spawn([socket, &notes] {
            while (auto message = socket->recv()) socket->send(message.textData());
            notes.function()(LogLevel::info, describe(socket->recv()));
        });
    });
    WebSocketClient client(server);
    client.text("one");
    CHECK(client.next() == "text one");
    client.text("two");
    CHECK(client.next() == "text two");
    client.close(1001, "off");
    CHECK(client.rest() == "close 1001; FIN");
    CHECK(notes.wait("close 1001 off"));
}

TEST_CASE("a handle may outlive its handler in the hands of another owner", "[websocket]") {
    std::vector<WebSocket> room;
    TestServer server([&](Cgi& cgi) {
        auto socket = cgi.acceptWebsocket();
        for (auto& other : room) other.send("another one");
        room.push_back(std::move(socket));
    });
    WebSocketClient first(server);
    WebSocketClient second(server);
    CHECK(first.next() == "text another one");
    WebSocketClient third(server);
    CHECK(first.next() == "text another one");
    CHECK(second.next() == "text another one");
    second.ping("still there?");
    CHECK(second.next() == "pong still there?");
    first.close(1000);
    CHECK(first.rest() == "close 1000; FIN");
    server.onLoop([&] { room.clear(); });
    CHECK(second.next() == "close 1000");
    CHECK(third.next() == "close 1000");
}

TEST_CASE("a handle that is overwritten closes its socket", "[websocket]") {
    WebSocket last;
    TestServer server([&](Cgi& cgi) { last = cgi.acceptWebsocket(); });
    WebSocketClient first(server);
    WebSocketClient second(server);
    CHECK(first.next() == "close 1000");
    second.ping("x");
    CHECK(second.next() == "pong x");
    server.onLoop([&] { last = {}; });
    CHECK(second.next() == "close 1000");
}

TEST_CASE("a shutdown says 1001 to all, whatever their handlers do", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        const auto work = socket.recv().toString();
        here.note("ready");
        if (work == "push")
            for (;;) {
                socket.send("tick");
                sleepFor(10ms);
            }
        if (work == "sleep") sleepFor(150ms);
        if (work == "wait") HANDLER_CHECK(here, !socket.recv());
    });
    std::vector<WebSocketClient> clients;
    for (const char* work : {"push", "sleep", "wait", "wait"}) {
        clients.emplace_back(server);
        clients.back().text(work);
    }
    REQUIRE(server.noted("ready", 4));
    server.http().drain();
    for (auto& client : clients) {
        std::string next;
        do next = client.next();
        while (next == "text tick");
        CHECK(next == "close 1001 going away");
        client.close(1001);
        CHECK(client.rest() == "FIN");
    }
    clients.clear();
    CHECK(server.http().waitForEnd());
    CHECK(server.http().log().count("failed") == 0);
}

TEST_CASE("a shutdown does not wait for clients that say nothing", "[websocket]") {
    WebSocketServer server(echo, hasty());
    WebSocketClient idle(server), talking(server);
    talking.send(ClientBytes{1, "half", false});
    server.http().onLoop([] {});
    server.http().drain();
    CHECK(idle.rest() == "close 1001 going away; FIN");
    CHECK(talking.rest() == "close 1001 going away; FIN");
    CHECK(server.http().waitForEnd());
    CHECK(server.notes() == std::vector<std::string>{"close 1006", "close 1006"});
}

TEST_CASE("the end of a shutdown's patience cuts those that are left", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    server.http().drain(100ms);
    CHECK(server.http().waitForEnd());
    CHECK(client.rest() == "close 1001 going away; reset");
}

TEST_CASE("a socket accepted during a shutdown is told at once", "[websocket]") {
    LogLines notes;
    TestServer server([&](Cgi& cgi) {
        notes.function()(LogLevel::info, "asked");
        while (!Loop::current().isDraining()) sleepFor(1ms);
        auto socket = cgi.acceptWebsocket();
        if (socket.isOpen()) notes.function()(LogLevel::info, "open");
        socket.recv();
    });
    WebSocketClient client(server.port());
    client.send(WebSocketClient::request());
    REQUIRE(notes.wait("asked"));
    server.drain();
    CHECK(client.readHead().starts_with("HTTP/1.1 101 "));
    CHECK(client.next().starts_with("close 1001"));
    client.close(1001);
    client.finishSending();
    CHECK(server.waitForEnd());
    CHECK(notes.count("open") == 0);
}

TEST_CASE("ten times a hundred abandoned closes leave nothing behind", "[websocket]") {
    std::shared_ptr<int> alive = std::make_shared<int>();
    WebSocketServer server(
        [alive](WebSocket& socket, WebSocketServer&) {
            const auto counted = alive;
            socket.close();
        },
        hasty());
    for (int round = 0; round < 10; ++round) {
        std::vector<WebSocketClient> clients;
        for (int i = 0; i < 30; ++i) clients.emplace_back(server);
        for (auto& client : clients) {
            CHECK(client.next() == "close 1000");
            client.reset();
        }
    }
    server.http().drain();
    CHECK(server.http().waitForEnd());
    CHECK(alive.use_count() == 2);
}

TEST_CASE("a message that waited when its line was cut is gone with it", "[websocket]") {
    for (const size_t fragmentSize : {0, 2}) {
        CAPTURE(fragmentSize);
        run([&] {
            WebSocketOptions options;
            options.fragmentSize = fragmentSize;
            SocketPair pair({}, options);
            pair.client.send("hello");
            REQUIRE(pair.server.waitForData());
            pair.server.abort();
            settle();
            CHECK(pair.server.recv().closeCode() == 1006);
        });
    }
}

TEST_CASE("a close hears its answer behind pings that nobody was told of", "[websocket]") {
    run([] {
        SocketPair pair;
        int told = 0;
        pair.server.onping([&](std::string_view) { ++told; });
        pair.client.send("begin");
        REQUIRE(pair.server.recv());
        for (int i = 0; i < 40; ++i) pair.client.ping(std::to_string(i));
        settle();
        FiberGroup group;
        group.spawn([&] { CHECK(!pair.client.recv()); });
        pair.server.close();
        CHECK(pair.server.wasClean());
        CHECK(told == 0);
    });
}

TEST_CASE("a socket may be closed after its loop has gone", "[websocket]") {
    WebSocket kept;
    run([&] {
        SocketPair pair;
        kept = std::move(pair.server);
    });
    kept.close();
    CHECK(!kept.isOpen());
    CHECK(!kept.recv());
}
