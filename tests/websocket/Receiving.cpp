#include "support/Catch.h"
#include "support/SocketPair.h"
#include "support/WebSocketClient.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/io/Pipe.h"

using namespace postern;
using namespace std::chrono_literals;

namespace {

std::string bigText(size_t size, char fill = 'x') { return std::string(size, fill); }

std::string bytesOf(std::initializer_list<ClientBytes> frames) {
    std::string bytes;
    for (const auto& frame : frames) bytes += frame.bytes();
    return bytes;
}

WebSocketOptions limited(uint64_t maxMessage, size_t maxFragments = 16 * 1024) {
    WebSocketOptions options;
    options.maxMessage = maxMessage;
    options.maxFragments = maxFragments;
    return options;
}

// A socket in memory and the client's end of its line.
struct Line {
    explicit Line(const WebSocketOptions& options = {}) {
        auto [near, other] = Pipe::make(Loop::current());
        socket = WebSocket::overStream(std::move(near), options);
        far = std::move(other);
    }
    void say(std::initializer_list<ClientBytes> frames) { say(bytesOf(frames)); }
    void say(std::string_view bytes) {
        far->write(bytes);
        far->flush();
    }
    // Lets the socket have what was said.
    static void settle() {
        for (int i = 0; i < 4; ++i) yield();
    }

    WebSocket socket;
    std::unique_ptr<Pipe> far;
};

}

TEST_CASE("recv() gives complete messages, then one close message for ever", "[websocket]") {
    run([] {
        Line line;
        line.say({{1, "text"}, {2, "bytes"}, {1, ""}, {1, "a", false}, {0, "b", false}, {0, "", false}, {0, "c"}, {8, closePayload(4000, "end")}});
        CHECK(describe(line.socket.recv()) == "text text");
        CHECK(describe(line.socket.recv()) == "binary bytes");
        CHECK(describe(line.socket.recv()) == "text");
        CHECK(describe(line.socket.recv()) == "text abc");
        for (int i = 0; i < 3; ++i) CHECK(describe(line.socket.recv()) == "close 4000 end");
        CHECK(describe(line.socket.recv(0ms)) == "close 4000 end");
        CHECK(line.socket.closeCode() == 4000);
        CHECK(line.socket.closeReason() == "end");
        CHECK(line.socket.wasClean());
    });
}

TEST_CASE("the loop with message.opcode works", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        for (bool open = true; open;) {
            auto message = socket.recv();
            switch (message.opcode) {
            case WebSocketOpcode::text: socket.send(message.textData()); break;
            case WebSocketOpcode::binary: socket.send(message.data()); break;
            case WebSocketOpcode::close: open = false; break;
            case WebSocketOpcode::continuation:
            case WebSocketOpcode::ping:
            case WebSocketOpcode::pong: here.expect(false, "control frames and fragments never reach recv()"); break;
            }
        }
    });
    WebSocketClient client(server);
    client.send(bytesOf({{9, "p"}, {1, "a", false}, {10, "q"}, {0, "b"}, {2, "c"}, {8, {}}}));
    CHECK(client.rest().find("text ab; binary c; close; FIN") != std::string::npos);
}

TEST_CASE("control frames between fragments are answered at once and do not touch the message", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    client.send(ClientBytes{1, "one ", false});
    client.ping("now");
    CHECK(client.next() == "pong now");
    client.send(bytesOf({{0, "two ", false}, {10, "unasked"}}));
    client.ping("again");
    CHECK(client.next() == "pong again");
    client.send(ClientBytes{0, "three"});
    CHECK(client.next() == "text one two three");
    client.send(ClientBytes{1, "left open", false});
    client.close(1000);
    CHECK(client.rest() == "close 1000; FIN");
}

TEST_CASE("each breach of the protocol closes with its code", "[websocket]") {
    struct Row {
        const char* what;
        std::string bytes;
        int code;
    };
    const std::vector<Row> rows = {
        {"no mask", ClientBytes{1, "a", true, false}.bytes(), 1002},
        {"no mask on a ping", ClientBytes{9, "a", true, false}.bytes(), 1002},
        {"RSV1", ClientBytes{1, "a", true, true, 4}.bytes(), 1002},
        {"RSV2", ClientBytes{1, "a", true, true, 2}.bytes(), 1002},
        {"RSV3", ClientBytes{2, "a", true, true, 1}.bytes(), 1002},
        {"RSV1 on a ping", ClientBytes{9, "a", true, true, 4}.bytes(), 1002},
        {"opcode 3", ClientBytes{3, "a"}.bytes(), 1002},
        {"opcode 7", ClientBytes{7, "a"}.bytes(), 1002},
        {"opcode 11", ClientBytes{11, "a"}.bytes(), 1002},
        {"opcode 15", ClientBytes{15, ""}.bytes(), 1002},
        {"a fragmented ping", ClientBytes{9, "a", false}.bytes(), 1002},
        {"a fragmented close", ClientBytes{8, closePayload(1000), false}.bytes(), 1002},
        {"a ping of 126 bytes", ClientBytes{9, bigText(126)}.bytes(), 1002},
        {"a pong of 126 bytes", ClientBytes{10, bigText(126)}.bytes(), 1002},
        {"a close of 126 bytes", ClientBytes{8, closePayload(1000, bigText(124))}.bytes(), 1002},
        {"a continuation of nothing", ClientBytes{0, "a"}.bytes(), 1002},
        {"a continuation behind a whole message", bytesOf({{1, "a"}, {0, "b"}}), 1002},
        {"a text inside a message", bytesOf({{1, "a", false}, {1, "b"}}), 1002},
        {"a binary inside a message", bytesOf({{1, "a", false}, {2, "b", false}}), 1002},
        {"a length in 2 bytes that fits in one", std::string("\x81\xfe\x00\x7d", 4), 1002},
        {"a length in 8 bytes that fits in two", std::string("\x82\xff\0\0\0\0\0\0\xff\xff", 10), 1002},
        {"a length of 2^63", std::string("\x82\xff\x80\0\0\0\0\0\0\0", 10), 1002},
        {"not UTF-8", ClientBytes{1, "a\xff"}.bytes(), 1007},
        {"a surrogate", ClientBytes{1, "\xed\xa0\x80"}.bytes(), 1007},
        {"overlong UTF-8", ClientBytes{1, "\xc0\xaf"}.bytes(), 1007},
        {"a character cut by the end of the message", ClientBytes{1, "\xe2\x82"}.bytes(), 1007},
        {"a character cut by the last fragment", bytesOf({{1, "\xe2", false}, {0, "\x82"}}), 1007},
        {"a wrong byte behind a fragment's end", bytesOf({{1, "\xe2", false}, {0, "a", false}}), 1007},
    };
    WebSocketServer server(echo);
    for (const auto& row : rows) {
        INFO(row.what);
        WebSocketClient client(server);
        client.send(row.bytes);
        std::string next = client.next();
        if (next == "text a") next = client.next();
        CHECK(next.starts_with("close " + std::to_string(row.code)));
        CHECK(client.next() == "FIN");
        CHECK(server.noted("close " + std::to_string(row.code)));
    }
    for (const auto& note : server.notes()) CHECK(note.find("clean") == std::string::npos);
}

TEST_CASE("bytes that are no UTF-8 end the connection before the frame is complete", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    client.send(ClientBytes{1, "good \xff" + bigText(1000)}.bytes().substr(0, 8 + 6));
    CHECK(client.rest() == "close 1007 text is not UTF-8; FIN");
}

TEST_CASE("characters may be cut anywhere by fragments and segments", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    const std::string text = "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80z";
    for (size_t cut = 0; cut <= text.size(); ++cut) {
        client.send(bytesOf({{1, std::string_view(text).substr(0, cut), false}, {0, std::string_view(text).substr(cut)}}));
        CHECK(client.next() == "text " + text);
    }
    for (const char byte : ClientBytes{1, text}.bytes()) {
        client.send(std::string_view(&byte, 1));
        server.http().onLoop([] {});
    }
    CHECK(client.next() == "text " + text);
}

TEST_CASE("a message of the limit passes and one byte more is refused from the header alone", "[websocket]") {
    constexpr size_t limit = 1000;
    WebSocketServer server(echo, limited(limit));
    WebSocketClient client(server);
    client.text(bigText(limit));
    CHECK(client.next() == "text " + bigText(limit));
    client.send(bytesOf({{2, bigText(600), false}, {0, bigText(400)}}));
    CHECK(client.next() == "binary " + bigText(limit));
    client.send(ClientBytes{1, bigText(limit + 1)}.bytes().substr(0, 8));
    CHECK(client.rest() == "close 1009 message too big; FIN");

    WebSocketClient fragments(server);
    fragments.send(ClientBytes{2, bigText(600), false});
    fragments.send(ClientBytes{0, bigText(401)}.bytes().substr(0, 8));
    CHECK(fragments.rest() == "close 1009 message too big; FIN");

    WebSocketClient huge(server);
    huge.send(std::string("\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff" "mask", 14));
    CHECK(huge.rest() == "close 1009 message too big; FIN");
    CHECK(server.noted("close 1009", 3));
}

TEST_CASE("the program's limit holds where a socket has none of its own", "[websocket]") {
    HandlerSettings handling;
    handling.maxMessage = 10;
    TestServer server(
        [](Cgi& cgi) {
            auto socket = cgi.acceptWebsocket();
            while (auto message = socket.recv()) socket.send(message.textData());
        },
        {}, handling);
    WebSocketClient client(server);
    client.text(bigText(10));
    CHECK(client.next() == "text " + bigText(10));
    client.text(bigText(11));
    CHECK(client.rest() == "close 1009 message too big; FIN");
}

TEST_CASE("a message has at most maxFragments frames", "[websocket]") {
    WebSocketServer server(echo, limited(1000, 100));
    const auto message = [](int frames) {
        std::string bytes = ClientBytes{1, "", false}.bytes();
        for (int i = 2; i < frames; ++i) bytes += ClientBytes{0, "", false}.bytes();
        return bytes + ClientBytes{0, "end"}.bytes();
    };
    WebSocketClient client(server);
    client.send(message(100));
    client.send(message(100));
    CHECK(client.next() == "text end");
    CHECK(client.next() == "text end");
    client.send(message(101));
    CHECK(client.rest() == "close 1008 too many fragments; FIN");
}

TEST_CASE("the longest control frames pass", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    client.ping(bigText(125));
    CHECK(client.next() == "pong " + bigText(125));
    client.pong(bigText(125));
    client.close(1000, bigText(123));
    CHECK(client.rest() == "close 1000; FIN");
}

TEST_CASE("isMessageBuffered() and waitForNextMessageWouldBlock() tell the truth", "[websocket]") {
    run([] {
        Line line;
        auto& socket = line.socket;
        CHECK(!socket.isMessageBuffered());
        CHECK(socket.waitForNextMessageWouldBlock());

        SECTION("a whole message") {
            line.say({{1, "a"}, {1, "b"}});
            line.settle();
            CHECK(!socket.waitForNextMessageWouldBlock());
            CHECK(socket.isMessageBuffered());
            CHECK(socket.recv().textData() == "a");
            CHECK(socket.isMessageBuffered());
            CHECK(socket.recv().textData() == "b");
            CHECK(!socket.isMessageBuffered());
            CHECK(socket.waitForNextMessageWouldBlock());
        }
        SECTION("a part of a frame, then the rest") {
            const auto frame = ClientBytes{1, "hello"}.bytes();
            line.say(frame.substr(0, 8));
            line.settle();
            CHECK(!socket.isMessageBuffered());
            CHECK(socket.waitForNextMessageWouldBlock());
            line.say(frame.substr(8));
            line.settle();
            CHECK(!socket.waitForNextMessageWouldBlock());
            CHECK(socket.isMessageBuffered());
            CHECK(socket.recv().textData() == "hello");
        }
        SECTION("a fragment, then the last") {
            line.say({{1, "a", false}});
            line.settle();
            CHECK(!socket.isMessageBuffered());
            CHECK(socket.waitForNextMessageWouldBlock());
            line.say({{0, "b"}});
            line.settle();
            CHECK(socket.isMessageBuffered());
            CHECK(!socket.waitForNextMessageWouldBlock());
            CHECK(socket.recv().textData() == "ab");
        }
        SECTION("a lone ping") {
            line.say({{9, "ping"}});
            line.settle();
            CHECK(!socket.isMessageBuffered());
            CHECK(socket.waitForNextMessageWouldBlock());
            CHECK(line.far->receive());
            CHECK(line.far->unreadText() == "\x8a\x04ping");
        }
        SECTION("a ping, then a message") {
            line.say({{9, "ping"}, {1, "a"}});
            line.settle();
            CHECK(!socket.waitForNextMessageWouldBlock());
            CHECK(socket.recv().textData() == "a");
        }
        SECTION("a close") {
            line.say({{8, closePayload(1000)}});
            line.settle();
            CHECK(!socket.waitForNextMessageWouldBlock());
            CHECK(socket.isMessageBuffered());
            CHECK(!socket.recv());
            CHECK(!socket.waitForNextMessageWouldBlock());
        }
        SECTION("the end of the stream") {
            line.far->finishSending();
            line.settle();
            CHECK(!socket.waitForNextMessageWouldBlock());
            CHECK(socket.isMessageBuffered());
            CHECK(socket.recv().closeCode() == 1006);
        }
        SECTION("a breach") {
            line.say({{3, "?"}});
            line.settle();
            CHECK(!socket.waitForNextMessageWouldBlock());
            CHECK(socket.recv().closeCode() == 1002);
        }
    });
}

TEST_CASE("waitForNextMessage() waits until recv() would not", "[websocket]") {
    run([] {
        Line line;
        CHECK(!line.socket.waitForNextMessage(1ms));
        CHECK(!line.socket.waitForNextMessage(Deadline(Loop::current().now())));
        FiberGroup fibers;
        fibers.spawn([&] {
            line.say({{9, "ping"}});
            line.settle();
            line.say({{1, "a"}});
        });
        CHECK(line.socket.waitForNextMessage());
        CHECK(line.socket.isMessageBuffered());
        CHECK(line.socket.waitForNextMessage(0ms));
        CHECK(line.socket.recv().textData() == "a");
        fibers.wait();
        line.say({{8, {}}});
        CHECK(line.socket.waitForNextMessage());
        CHECK(line.socket.recv().closeCode() == 1005);
        CHECK(line.socket.waitForNextMessage(0ms));
    });
}

TEST_CASE("a recv() that times out says so, loses nothing and keeps the connection", "[websocket]") {
    run([] {
        Line line;
        CHECK_THROWS_AS(line.socket.recv(1ms), TimedOut);
        const auto bytes = bytesOf({{1, "frag", false}, {9, "p"}, {0, "ments"}, {1, "whole"}});
        for (const char byte : bytes.substr(0, bytes.size() - 11)) {
            CHECK_THROWS_AS(line.socket.recv(Deadline(Loop::current().now())), TimedOut);
            line.say(std::string_view(&byte, 1));
        }
        CHECK(line.socket.recv().textData() == "fragments");
        for (const char byte : bytes.substr(bytes.size() - 11)) {
            CHECK_THROWS_AS(line.socket.recv(Deadline(Loop::current().now())), TimedOut);
            line.say(std::string_view(&byte, 1));
        }
        CHECK(line.socket.recv().textData() == "whole");
        CHECK(line.socket.isOpen());
    });
}

TEST_CASE("a recv() whose fiber is cancelled throws Cancelled, and another may go on", "[websocket]") {
    run([] {
        Line line;
        line.say({{1, "a", false}});
        {
            FiberGroup fibers;
            bool cancelled = false;
            fibers.spawn([&] {
                try {
                    line.socket.recv();
                } catch (const Cancelled&) {
                    cancelled = true;
                    throw;
                }
            });
            line.settle();
            fibers.cancel();
            fibers.wait();
            CHECK(cancelled);
        }
        line.say({{0, "b"}});
        CHECK(line.socket.recv().textData() == "ab");
    });
}

TEST_CASE("a message keeps its bytes, and views of them, however the connection goes on", "[websocket]") {
    run([] {
        Line line;
        auto& socket = line.socket;
        line.say({{1, "first message, longer than any small string"}, {1, "second message, longer than any small string"}});
        const auto first = socket.recv();
        const auto view = first.textData();
        const auto second = socket.recv();
        CHECK(first.textData() == "first message, longer than any small string");
        CHECK(second.textData() == "second message, longer than any small string");
        for (int i = 0; i < 5; ++i) {
            socket.send("something");
            line.say({{9, "ping that comes between"}, {1, bigText(40'000)}});
            CHECK(socket.recv().textData().size() == 40'000);
        }
        CHECK(view == "first message, longer than any small string");
        CHECK(view.data() == first.textData().data());
        CHECK(first.data().size() == view.size());
    });
}

TEST_CASE("messages may be moved, stored, overwritten and used after the socket is gone", "[websocket]") {
    run([] {
        std::vector<Message> stored;
        Message last(WebSocketOpcode::text, "nothing yet");
        auto line = std::make_unique<Line>();
        for (int i = 0; i < 20; ++i) {
            const auto text = "message number " + std::to_string(i) + bigText(100);
            line->say({{i % 2 ? 1 : 2, text}});
            if (i % 3 == 0) last = line->socket.recv();
            else stored.push_back(line->socket.recv());
        }
        line->say({{1, "the last one, which is lent from the connection"}});
        Message lent = line->socket.recv();
        line.reset();
        for (int i = 0; i < 5; ++i) yield();
        CHECK(lent.textData() == "the last one, which is lent from the connection");
        CHECK(last.toString() == "message number 18" + bigText(100));
        CHECK(stored.size() == 13);
        CHECK(stored[0].textData() == "message number 1" + bigText(100));
        CHECK(stored[12].textData() == "message number 19" + bigText(100));
        last = std::move(lent);
        CHECK(last.textData() == "the last one, which is lent from the connection");
        last = Message(1000, "why");
        CHECK(last.closeReason() == "why");
        CHECK(!last);
    });
}

TEST_CASE("a lent message survives an abort by another fiber while it is being sent", "[websocket]") {
    run([] {
        auto [near, far] = Pipe::make(Loop::current(), 64 * 1024);
        auto socket = WebSocket::overStream(std::move(near), {});
        FiberGroup fibers;
        fibers.spawn([&, end = far.get()] { end->write(ClientBytes{2, bigText(60'000, 'm')}.bytes()); });
        const auto message = socket.recv();
        fibers.spawn([&] {
            yield();
            [[maybe_unused]] const bool sent = socket.trySend("other");
            yield();
            socket.abort();
        });
        try {
            for (;;) socket.send(message.data());
        } catch (const Disconnected&) {
        }
        CHECK((message.textData() == bigText(60'000, 'm')));
        fibers.wait();
        CHECK(!socket.recv());
        CHECK((message.textData() == bigText(60'000, 'm')));
    });
}

TEST_CASE("a message that nobody receives stops the client, not the memory", "[websocket]") {
    run([] {
        Line line;
        FiberGroup fibers;
        size_t written = 0;
        fibers.spawn([&] {
            for (; written < 1000; ++written) line.far->write(ClientBytes{1, bigText(10'000)}.bytes());
        });
        for (int i = 0; i < 3000; ++i) yield();
        CHECK(written < 100);
        for (int i = 0; i < 1000; ++i) REQUIRE(line.socket.recv().textData().size() == 10'000);
        fibers.wait();
        CHECK(written == 1000);
    });
}

TEST_CASE("who only asks whether there is a message gets to see a large one", "[websocket]") {
    const auto seen = [](auto ask) {
        bool found = false;
        run([&] {
            SocketPair pair;
            FiberGroup fibers;
            fibers.spawn([&] { pair.client.send(bigText(1'000'000)); });
            for (int i = 0; i < 3000 && !found; ++i) {
                found = ask(pair.server);
                yield();
            }
            if (found) CHECK(pair.server.recv().textData().size() == 1'000'000);
            pair.client.abort();
        });
        return found;
    };
    CHECK(seen([](WebSocket& socket) { return socket.dataAvailableForRead(); }));
    CHECK(seen([](WebSocket& socket) { return socket.isMessageBuffered(); }));
    CHECK(seen([](WebSocket& socket) { return !socket.waitForNextMessageWouldBlock(); }));
}

TEST_CASE("who only asks whether there is a message is told of pings, and hears what comes behind them", "[websocket]") {
    run([] {
        SocketPair pair;
        int told = 0;
        pair.server.onping([&](std::string_view) { ++told; });
        pair.client.send("begin");
        REQUIRE(pair.server.recv());
        for (int i = 0; i < 40; ++i) pair.client.ping(std::to_string(i));
        pair.client.send("behind");
        bool found = false;
        for (int i = 0; i < 300 && !found; ++i) {
            found = pair.server.dataAvailableForRead();
            yield();
        }
        CHECK(found);
        CHECK(pair.server.recv().textData() == "behind");
        CHECK(told == 40);
    });
}

TEST_CASE("a peer that has sent thousands of messages does not keep others waiting until they are done", "[websocket]") {
    const std::string flood = [] {
        std::string bytes;
        for (int i = 0; i < 2000; ++i) bytes += ClientBytes{1, "x"}.bytes();
        return bytes;
    }();
    for (const bool byEvents : {false, true}) {
        CAPTURE(byEvents);
        run([&] {
            auto [busy, flooder] = Pipe::make(Loop::current(), 1 << 20);
            auto [calm, other] = Pipe::make(Loop::current());
            auto first = WebSocket::overStream(std::move(busy), {}), second = WebSocket::overStream(std::move(calm), {});
            int taken = 0, before = -1;
            FiberGroup group;
            if (byEvents) {
                first.onmessage([&](std::string_view) { ++taken; });
                second.onmessage([&](std::string_view) { before = taken; });
            } else {
                group.spawn([&] {
                    while (first.recv()) ++taken;
                });
                group.spawn([&] {
                    second.recv();
                    before = taken;
                });
            }
            yield();
            flooder->write(flood);
            other->write(ClientBytes{1, "one"}.bytes());
            for (int i = 0; i < 100; ++i) yield();
            CHECK(taken == 2000);
            CHECK(before >= 0);
            CHECK(before <= 3 * 64);
            first.abort();
            second.abort();
        });
    }
}
