#include "support/Catch.h"
#include "support/SocketPair.h"
#include "support/WebSocketClient.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"

using namespace postern;
using namespace std::chrono_literals;

namespace {

using Lines = std::vector<std::string>;

std::string text(const CloseEvent& event) {
    return "close " + std::to_string(event.code) + (event.reason.empty() ? "" : " " + event.reason) + (event.wasClean ? "" : " unclean");
}

// All that a socket tells.
void record(WebSocket& socket, Lines& lines) {
    socket.onopen([&] { lines.push_back("open"); });
    socket.onmessage([&](std::string_view message) { lines.push_back("text " + std::string(message)); });
    socket.onmessage([&](ByteView message) { lines.push_back("binary " + std::string(asText(message))); });
    socket.onping([&](std::string_view payload) { lines.push_back("ping " + std::string(payload)); });
    socket.onpong([&](std::string_view payload) { lines.push_back("pong " + std::string(payload)); });
    socket.onerror([&](const std::exception& error) { lines.push_back(std::string("error ") + error.what()); });
    socket.onclose([&](const CloseEvent& event) { lines.push_back(text(event)); });
}

void drop(WebSocket& socket) { const auto gone = std::move(socket); }

}

TEST_CASE("a handler sets callbacks and returns: the socket lives on and echoes", "[websocket][events]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        socket.onopen([](WebSocket& self) { self.send("welcome"); });
        socket.onmessage([](WebSocket& self, std::string_view message) { self.send(message); });
        socket.onmessage([](WebSocket& self, ByteView message) { self.send(message); });
        socket.onclose([&here](const CloseEvent& event) { here.note(text(event)); });
        drop(socket);
    });
    WebSocketClient client(server);
    CHECK(client.next() == "text welcome");
    for (int i = 0; i < 50; ++i) {
        client.text("message " + std::to_string(i));
        CHECK(client.next() == "text message " + std::to_string(i));
    }
    client.binary("bytes");
    CHECK(client.next() == "binary bytes");
    client.ping("still here");
    CHECK(client.next() == "pong still here");
    client.close(4001, "done");
    CHECK(client.rest() == "close 4001; FIN");
    CHECK(server.noted("close 4001 done"));
}

TEST_CASE("events come in order, and the close is the last and comes once", "[websocket][events]") {
    Lines lines;
    run([&] {
        SocketPair pair;
        record(pair.server, lines);
        drop(pair.server);
        pair.client.send("one");
        pair.client.ping("p");
        pair.client.send(asBytes("two"));
        pair.client.send("three");
        settle();
        pair.client.close(4000, "bye");
        CHECK(pair.client.wasClean());
    });
    CHECK(lines == Lines{"open", "text one", "ping p", "binary two", "text three", "close 4000 bye"});
}

TEST_CASE("exactly one close event, however the socket ends", "[websocket][events]") {
    const auto ending = [](const WebSocketOptions& options, auto end) {
        Lines lines;
        run([&] {
            SocketPair pair(options, {});
            auto events = pair.server.sender();
            record(pair.server, lines);
            end(pair);
            settle();
        });
        REQUIRE(!lines.empty());
        CHECK(std::count_if(lines.begin(), lines.end(), [](const auto& line) { return line.starts_with("close"); }) == 1);
        CHECK(lines.front() == "open");
        lines.erase(lines.begin());
        return lines;
    };
    CHECK(ending({}, [](auto& pair) { pair.client.close(1001); }) == Lines{"close 1001"});
    CHECK(ending({}, [](auto& pair) { pair.client.close(); }) == Lines{"close 1000"});
    CHECK(ending({}, [](auto& pair) { pair.server.close(3000, "ours"); }) == Lines{"close 3000"});
    CHECK(ending({}, [](auto& pair) { pair.client.abort(); }).back() == "close 1006 unclean");
    CHECK(ending({}, [](auto& pair) { pair.server.abort(); }).back() == "close 1006 unclean");
    CHECK(ending({}, [](auto& pair) { pair.server.sender().close(4002); }) == Lines{"close 4002"});
    WebSocketOptions beating;
    beating.pingInterval = beating.pingGrace = 5ms;
    Lines dead;
    run([&] {
        auto [near, far] = Pipe::make(Loop::current());
        auto socket = WebSocket::overStream(std::move(near), beating);
        record(socket, dead);
        drop(socket);
        sleepFor(60ms);
    });
    CHECK(dead == Lines{"open", "error no sign of life", "close 1006 no sign of life unclean"});
    Lines breach;
    run([&] {
        auto [near, far] = Pipe::make(Loop::current());
        auto socket = WebSocket::overStream(std::move(near), {});
        record(socket, breach);
        far->write(ClientBytes{1, "fine"}.bytes() + ClientBytes{3, "?"}.bytes());
        far->flush();
        settle();
    });
    CHECK(breach == Lines{"open", "text fine", "error reserved opcode", "close 1002 reserved opcode unclean"});
    Lines drained;
    run([&] {
        SocketPair pair;
        record(pair.server, drained);
        record(pair.client, drained);
        drop(pair.server);
        drop(pair.client);
        settle();
    });
    CHECK(std::count(drained.begin(), drained.end(), "close 1001 going away") + std::count(drained.begin(), drained.end(), "close 1001") == 2);
}

TEST_CASE("an exception in a callback goes to onerror, and the socket lives on", "[websocket][events]") {
    Lines lines;
    run([&] {
        SocketPair pair;
        record(pair.server, lines);
        pair.server.onmessage([&](WebSocket& self, std::string_view message) {
            if (message == "fail") throw std::runtime_error("as asked");
            if (message == "odd") throw 42;
            self.send(message);
        });
        drop(pair.server);
        for (const char* message : {"fail", "odd", "fine"}) pair.client.send(message);
        CHECK(pair.client.recv().textData() == "fine");
        pair.client.close();
    });
    CHECK(lines == Lines{"open", "error as asked", "error unknown exception", "close 1000"});
}

TEST_CASE("without onerror an exception is logged and closes with 1011, and never leaves the process", "[websocket][events]") {
    Lines log, closed;
    LoopOptions options;
    options.log = [&](LogLevel, std::string_view line) { log.emplace_back(line); };
    run(
        [&] {
            for (const bool inError : {false, true}) {
                SocketPair pair;
                pair.server.onmessage([](std::string_view) { throw std::runtime_error("secret"); });
                if (inError) pair.server.onerror([](const std::exception&) { throw std::runtime_error("again"); });
                pair.server.onclose([&](const CloseEvent& event) {
                    closed.push_back(text(event));
                    throw std::runtime_error("at the end");
                });
                drop(pair.server);
                pair.client.send("x");
                const auto end = pair.client.recv();
                CHECK(end.closeCode() == 1011);
                CHECK(end.closeReason() == "internal error");
            }
        },
        options);
    CHECK(closed == Lines{"close 1011", "close 1011"});
    REQUIRE(log.size() == 4);
    CHECK(log[0] == "a WebSocket's callback failed: secret");
    CHECK(log[1] == "a WebSocket's callback failed: at the end");
    CHECK(log[2] == "a WebSocket's callback failed: again");
}

TEST_CASE("callbacks of one socket never overlap, though they wait", "[websocket][events]") {
    Lines lines;
    run([&] {
        SocketPair pair;
        pair.server.onmessage([&](WebSocket& self, std::string_view message) {
            lines.push_back("begin " + std::string(message));
            sleepFor(2ms);
            self.send(message);
            lines.push_back("end " + std::string(message));
        });
        drop(pair.server);
        for (const char* message : {"1", "2", "3"}) pair.client.send(message);
        for (const char* message : {"1", "2", "3"}) CHECK(pair.client.recv().textData() == message);
    });
    CHECK(lines == Lines{"begin 1", "end 1", "begin 2", "end 2", "begin 3", "end 3"});
}

TEST_CASE("a callback may close, abort, replace and remove callbacks", "[websocket][events]") {
    Lines lines;
    run([&] {
        SocketPair pair;
        pair.server.onmessage([&](WebSocket& self, std::string_view message) {
            lines.push_back("first " + std::string(message));
            self.onmessage([&](WebSocket& again, std::string_view second) {
                lines.push_back("second " + std::string(second));
                again.onmessage(nullptr);
                again.onbinarymessage([&](WebSocket& last, ByteView) { last.close(4005, "enough"); });
            });
        });
        pair.server.onclose([&](const CloseEvent& event) { lines.push_back(text(event)); });
        drop(pair.server);
        pair.client.send("a");
        pair.client.send("b");
        pair.client.send("nobody takes it");
        pair.client.send(asBytes("end"));
        CHECK(pair.client.recv().closeCode() == 4005);
    });
    CHECK(lines == Lines{"first a", "second b", "close 4005"});
}

TEST_CASE("with recv() the callbacks fire inside it, before it returns", "[websocket][events]") {
    Lines lines;
    run([&] {
        SocketPair pair;
        record(pair.server, lines);
        pair.client.send("one");
        pair.client.ping("p");
        pair.client.send(asBytes("two"));
        lines.push_back("recv");
        CHECK(pair.server.recv().textData() == "one");
        lines.push_back("recv");
        CHECK(pair.server.recv().isBinary());
        pair.server.ping("mine");
        settle();
        pair.client.send("three");
        CHECK(pair.server.recv().textData() == "three");
        pair.client.close(4000);
        CHECK(pair.server.recv().isClose());
        CHECK(pair.server.recv().isClose());
        drop(pair.server);
    });
    CHECK(lines == Lines{"recv", "open", "text one", "recv", "ping p", "binary two", "pong mine", "text three", "close 4000"});
}

TEST_CASE("a socket of which was received closes with its handle, and says so to its callbacks", "[websocket][events]") {
    Lines lines;
    run([&] {
        SocketPair pair;
        record(pair.server, lines);
        pair.client.send("one");
        pair.server.recv();
        drop(pair.server);
        CHECK(pair.client.recv().closeCode() == 1000);
        settle();
    });
    CHECK(lines == Lines{"open", "text one", "close 1000"});
}

TEST_CASE("onmessage takes text, bytes, both at once, with and without the socket", "[websocket][events]") {
    Lines lines;
    run([&] {
        SocketPair pair;
        pair.server.onmessage([&](const Message& message) { lines.push_back(describe(message)); });
        pair.client.send("a");
        pair.client.send(asBytes("b"));
        settle();
        pair.server.onmessage([&](WebSocket& self, const Message& message) { lines.push_back(std::to_string(self.isOpen()) + describe(message)); });
        pair.client.send("c");
        settle();
        pair.server.ontextmessage([&](std::string_view message) { lines.emplace_back(message); });
        pair.server.onbinarymessage([&](WebSocket&, ByteView message) { lines.emplace_back(asText(message)); });
        pair.client.send("d");
        pair.client.send(asBytes("e"));
        settle();
    });
    CHECK(lines == Lines{"text a", "binary b", "1text c", "d", "e"});
}

TEST_CASE("a client has the same events", "[websocket][events]") {
    Lines lines;
    run([&] {
        SocketPair pair;
        record(pair.client, lines);
        pair.server.send("hello");
        pair.server.ping("p");
        settle();
        pair.server.close(1000, "bye");
    });
    CHECK(lines == Lines{"open", "text hello", "ping p", "close 1000 bye"});
}

TEST_CASE("pings wait at the peer when a callback is slow, and are not gathered without end", "[websocket][events]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        socket.onping([&here](std::string_view) {
            here.note("ping");
            sleepFor(1ms);
        });
        socket.onmessage([&here](std::string_view message) { here.note("text " + std::string(message)); });
        drop(socket);
    });
    WebSocketClient client(server);
    std::string many;
    for (int i = 0; i < 100; ++i) many += ClientBytes{9, "x"}.bytes();
    client.send(many + ClientBytes{1, "behind"}.bytes());
    CHECK(server.noted("ping", 100));
    CHECK(server.noted("text behind"));
}

TEST_CASE("a socket with callbacks that only sends is closed by its Sender", "[websocket][events]") {
    Sender sender;
    Lines lines;
    run([&] {
        SocketPair pair;
        pair.server.onclose([&](const CloseEvent& event) { lines.push_back(text(event)); });
        sender = pair.server.sender();
        drop(pair.server);
        settle();
        CHECK(sender.send("tick"));
        CHECK(pair.client.recv().textData() == "tick");
        CHECK(sender.close(4009));
        CHECK(pair.client.recv().closeCode() == 4009);
        settle();
    });
    CHECK(lines == Lines{"close 4009"});
    CHECK_FALSE(sender.send("gone"));
}

TEST_CASE("a handler that fails after it set callbacks closes with 1011, and the close is told", "[websocket][events]") {
    Lines lines;
    run([&] {
        SocketPair pair;
        try {
            auto socket = std::move(pair.server);
            record(socket, lines);
            throw std::runtime_error("handler");
        } catch (const std::runtime_error&) {
        }
        CHECK(pair.client.recv().closeCode() == 1011);
        settle();
    });
    CHECK(lines.back() == "close 1011");
}

TEST_CASE("recv() gets its message though it began while a callback ran", "[websocket][events]") {
    Lines lines;
    run([&] {
        SocketPair pair;
        Event opened, goOn;
        pair.server.onopen([&] {
            opened.set();
            goOn.wait();
        });
        pair.server.onmessage([&](std::string_view message) { lines.push_back("told " + std::string(message)); });
        opened.wait();
        FiberGroup group;
        group.spawn([&] { lines.push_back("received " + pair.server.recv(5s).toString()); });
        settle();
        goOn.set();
        settle();
        pair.client.send("one");
        group.wait();
    });
    CHECK(lines == Lines{"told one", "received one"});
}

TEST_CASE("a close within a callback hears its answer behind many pings", "[websocket][events]") {
    bool clean = false;
    run([&] {
        SocketPair pair;
        Event goOn;
        pair.server.onping([](std::string_view) {});
        pair.server.onmessage([&](WebSocket& self, std::string_view) {
            goOn.wait();
            self.close();
            clean = self.wasClean();
        });
        pair.client.send("begin");
        settle();
        for (int i = 0; i < 40; ++i) pair.client.ping(std::to_string(i));
        settle();
        goOn.set();
        CHECK(!pair.client.recv());
        settle();
    });
    CHECK(clean);
}

TEST_CASE("a callback that waits for ever is cancelled when the loop has to end", "[websocket][events]") {
    Lines lines;
    run(
        [&] {
            auto [near, far] = Pipe::make(Loop::current());
            auto socket = WebSocket::overStream(std::move(near), {});
            socket.onopen([&] {
                try {
                    Event().wait();
                } catch (const Cancelled&) {
                    lines.push_back("cancelled");
                    throw;
                }
            });
            socket.onclose([&](const CloseEvent& event) { lines.push_back(text(event)); });
            drop(socket);
            settle();
        },
        {}, 20ms);
    CHECK(lines == Lines{"cancelled", "close 1006 unclean"});
}

TEST_CASE("a callback that computes too long is named in the log, even the last one of its socket", "[websocket]") {
    std::vector<std::string> lines;
    LoopOptions settings;
    settings.busyWarning = 10ms;
    settings.log = [&](LogLevel, std::string_view line) { lines.emplace_back(line); };
    run(
        [] {
            SocketPair pair;
            pair.server.onclose([](const CloseEvent&) {
                const auto until = Clock::now() + 60ms;
                while (Clock::now() < until) continue;
            });
            { const auto handle = std::move(pair.server); }
            settle();
            pair.client.abort();
            sleepFor(1ms);
        },
        settings);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].starts_with("a callback of a WebSocket ran for "));
}
