#include "support/Catch.h"
#include "support/WebSocketClient.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/io/Pipe.h"

#include <complex>
#include <ostream>
#include <sys/socket.h>

#include <atomic>
#include <cstdio>
#include <map>
#include <thread>

using namespace postern;
using namespace std::chrono_literals;

namespace {

constexpr int smallWindow = 4096;

std::string bigText(size_t size, char fill = 'x') { return std::string(size, fill); }

// A client whose window is small: what the kernel holds for it is far less than what the tests send.
WebSocketClient slowClient(const TestServer& server) { return WebSocketClient(server, {}, {}, smallWindow); }

// More than the kernel's buffers can grow to.
constexpr size_t tooMuch = 8 * 1024 * 1024;

}

TEST_CASE("messages arrive whole, in order, each as one frame", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer&) {
        for (const size_t size : {0u, 1u, 125u, 126u, 127u, 4096u, 16383u, 16384u, 16385u, 65535u, 65536u, 65537u, 300000u})
            socket.send(bigText(size));
        const std::string bytes("\0\xff\x80", 3);
        socket.send(asBytes(bytes));
        socket.send(std::string("string"));
        socket.send("literal");
    });
    WebSocketClient client(server);
    for (const size_t size : {0u, 1u, 125u, 126u, 127u, 4096u, 16383u, 16384u, 16385u, 65535u, 65536u, 65537u, 300000u}) {
        const auto frame = client.read();
        REQUIRE(frame);
        CHECK(frame->fin);
        CHECK(frame->opcode == 1);
        CHECK((frame->payload == bigText(size)));
    }
    CHECK(client.next() == "binary " + std::string("\0\xff\x80", 3));
    CHECK(client.next() == "text string");
    CHECK(client.next() == "text literal");
    CHECK(client.next() == "close 1000");
}

TEST_CASE("a frame's header and payload leave in one write", "[websocket]") {
    WebSocketServer server(echo);
    WebSocketClient client(server);
    for (const size_t size : {1u, 125u, 126u, 1000u, 15000u}) {
        client.binary(bigText(size));
        char bytes[32 * 1024];
        // What one write sent over loopback is there at once.
        const auto got = ::recv(client.fd(), bytes, sizeof bytes, 0);
        CHECK(got == static_cast<ssize_t>(size + (size > 125 ? 4 : 2)));
    }
}

TEST_CASE("numbers are sent as text", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer&) {
        socket.send(42);
        socket.send(-7L);
        socket.send(uint64_t{18446744073709551615u});
        socket.send(2.5);
        socket.send(0.1f);
        socket.send(static_cast<unsigned char>(200));
    });
    WebSocketClient client(server);
    client.close(1000);
    CHECK(client.rest() == "text 42; text -7; text 18446744073709551615; text 2.5; text 0.1; text 200; close 1000; FIN");
}

namespace {

struct Price {
    int euros, cents;
};
std::ostream& operator<<(std::ostream& out, const Price& price) { return out << price.euros << '.' << price.cents; }

}

TEST_CASE("what can be printed is sent as it prints", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer&) {
        socket.send(Price{12, 95});
        socket.send(std::complex<int>(1, -2));
    });
    static_assert(!Printable<std::string> && !Printable<std::vector<char>> && !Printable<const char*> && !Printable<bool>);
    WebSocketClient client(server);
    client.close(1000);
    CHECK(client.rest() == "text 12.95; text (1,-2); close 1000; FIN");
}

TEST_CASE("fibers that send at once to a slow client never mix their frames, and keep their order", "[websocket]") {
    constexpr int fibers = 8, each = 12;
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        FiberGroup group;
        for (int fiber = 0; fiber < fibers; ++fiber)
            group.spawn([&socket, fiber] {
                for (int i = 0; i < each; ++i) {
                    // Small ones are copied to the queue, large ones wait in place.
                    const size_t size = i % 3 == 0 ? 10u : i % 3 == 1 ? 40'000u : 150'000u;
                    socket.send(std::to_string(fiber) + " " + std::to_string(i) + " " + bigText(size, static_cast<char>('a' + fiber)));
                    if (i % 4 == 0) socket.ping("between");
                }
            });
        group.wait();
        here.note("sent");
    });
    auto client = slowClient(server);
    std::map<int, int> next;
    for (int messages = 0; messages < fibers * each;) {
        const auto frame = client.read();
        REQUIRE(frame);
        if (frame->opcode == 9) {
            CHECK(frame->payload == "between");
            continue;
        }
        ++messages;
        REQUIRE(frame->fin);
        int fiber = 0, number = 0, at = 0;
        REQUIRE(std::sscanf(frame->payload.c_str(), "%d %d %n", &fiber, &number, &at) == 2);
        CHECK(number == next[fiber]++);
        CHECK(frame->payload.find_first_not_of(static_cast<char>('a' + fiber), static_cast<size_t>(at)) == std::string::npos);
    }
    CHECK(client.next() == "close 1000");
    CHECK(server.noted("sent"));
}

TEST_CASE("a handler that only sends to a client that does not read waits, and memory stays bounded", "[websocket]") {
    std::atomic<int> sent = 0;
    WebSocketServer server([&](WebSocket& socket, WebSocketServer& here) {
        for (int i = 0; i < 2000; ++i) {
            socket.send(bigText(8000));
            ++sent;
        }
        here.note("all sent");
    });
    auto client = slowClient(server);
    // The handler has stopped when a turn of the loop sends nothing more.
    for (int before = -1; before != sent || sent == 0;) {
        before = sent;
        for (int i = 0; i < 20; ++i) server.http().onLoop([] { std::this_thread::yield(); });
    }
    CHECK(sent < 1900);
    for (int i = 0; i < 2000; ++i) REQUIRE(client.read()->payload.size() == 8000);
    CHECK(server.noted("all sent"));
}

TEST_CASE("trySend refuses above the high-water mark and sends nothing then", "[websocket]") {
    WebSocketOptions options;
    options.highWater = 10'000;
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            int accepted = 0;
            while (socket.trySend(bigText(1000))) {
                ++accepted;
                if (accepted % 8 == 0) yield();  // lets the kernel have what is queued
            }
            HANDLER_CHECK(here, !socket.trySend(asBytes("bytes")));
            here.note("accepted " + std::to_string(accepted));
            HANDLER_CHECK(here, socket.recv().textData() == "go on");
            while (!socket.trySend("after")) yield();
        },
        options);
    auto client = slowClient(server);
    REQUIRE(server.noted("accepted"));
    const auto accepted = std::stoi(server.notes()[0].substr(9));
    CHECK(accepted > 10);
    client.text("go on");
    for (int i = 0; i < accepted; ++i) REQUIRE(client.read()->payload.size() == 1000);
    CHECK(client.next() == "text after");
}

TEST_CASE("a send after the end throws WebSocketClosed, whoever closed", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        const auto how = socket.recv();
        if (how && how.textData() == "close") socket.close();
        else if (how) HANDLER_CHECK(here, !socket.recv());
        HANDLER_CHECK(here, throws<WebSocketClosed>([&] { socket.send("late"); }));
        HANDLER_CHECK(here, throws<WebSocketClosed>([&] { socket.send(asBytes("late")); }));
        HANDLER_CHECK(here, throws<WebSocketClosed>([&] { socket.send(1); }));
        HANDLER_CHECK(here, !socket.trySend("late"));
        socket.ping("late");
        socket.pong("late");
        HANDLER_CHECK(here, throws<WebSocketClosed>([&] { socket.roundTrip(); }));
        here.note("done");
    });
    WebSocketClient told(server);
    told.text("close");
    CHECK(told.next() == "close 1000");
    told.close(1000);
    CHECK(told.rest() == "FIN");
    WebSocketClient closes(server);
    closes.close(1000);
    CHECK(closes.rest() == "close 1000; FIN");
    WebSocketClient breaks(server);
    breaks.text("wait");
    breaks.send(ClientBytes{4, {}});
    CHECK(breaks.rest() == "close 1002 reserved opcode; FIN");
    CHECK(server.noted("done", 3));
}

TEST_CASE("while closing, pings are not answered any more", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer&) { socket.close(); });
    WebSocketClient client(server);
    CHECK(client.next() == "close 1000");
    client.ping("too late");
    client.close(1000);
    CHECK(client.rest() == "FIN");
}

TEST_CASE("fibers blocked in send are released by close(), with large and small messages", "[websocket]") {
    WebSocketOptions options;
    options.closeTimeout = 100ms;
    for (const size_t size : {8'000u, 200'000u}) {
        WebSocketServer server(
            [size](WebSocket& socket, WebSocketServer& here) {
                FiberGroup group;
                for (int i = 0; i < 3; ++i)
                    group.spawn([&] {
                        try {
                            for (size_t sent = 0; sent < tooMuch; sent += size) socket.send(bigText(size));
                            here.note("all sent");
                        } catch (const WebSocketClosed&) {
                            here.note("released");
                        }
                    });
                // The kernel's buffers are full when nothing moves for a while; then everybody waits.
                HANDLER_CHECK(here, socket.recv().textData() == "close now");
                socket.close();
                group.wait();
                here.note("end");
                socket.abort();
            },
            options);
        auto client = slowClient(server);
        client.text("close now");
        CHECK(server.noted("end"));
        CHECK(server.notes() == std::vector<std::string>{"released", "released", "released", "end"});
    }
}

TEST_CASE("fibers blocked in send are released by abort()", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        FiberGroup group;
        for (const size_t size : {1000u, 200'000u})
            group.spawn([&, size] {
                try {
                    for (;;) socket.send(bigText(size));
                } catch (const Disconnected&) {
                    here.note("released");
                }
            });
        HANDLER_CHECK(here, socket.recv().textData() == "abort now");
        socket.abort();
        group.wait();
    });
    auto client = slowClient(server);
    client.text("abort now");
    CHECK(server.noted("released", 2));
}

TEST_CASE("fibers blocked in send are released when the client closes or its line breaks", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        try {
            for (;;) socket.send(bigText(10'000));
        } catch (const Disconnected&) {
            here.note("released");
        }
    });
    {
        auto closes = slowClient(server);
        closes.close(1000);
        CHECK(server.noted("released"));
    }
    auto resets = slowClient(server);
    CHECK(resets.read());
    resets.reset();
    CHECK(server.noted("released", 2));
}

TEST_CASE("a shutdown releases blocked senders", "[websocket]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        try {
            socket.send("ready");
            for (;;) socket.send(bigText(10'000));
        } catch (const WebSocketClosed&) {
            here.note("released");
        }
    });
    auto client = slowClient(server);
    CHECK(client.next() == "text ready");
    server.http().drain(20s);
    CHECK(server.noted("released"));
    std::string next;
    do next = client.next();
    while (next.starts_with("text "));
    CHECK(next == "close 1001 going away");
    client.close(1001);
    client.finishSending();
    CHECK(server.http().waitForEnd());
}

TEST_CASE("a client that takes nothing for the send time-out is cut", "[websocket]") {
    WebSocketOptions options;
    options.sendTimeout = 150ms;
    for (const size_t size : {10'000u, 1'000'000u}) {
        WebSocketServer server(
            [size](WebSocket& socket, WebSocketServer& here) {
                try {
                    for (size_t sent = 0; sent < 4 * tooMuch; sent += size) socket.send(bigText(size));
                } catch (const Disconnected&) {
                    here.note("cut");
                }
                HANDLER_CHECK(here, describe(socket.recv()) == "close 1006");
                HANDLER_CHECK(here, socket.readyState() == ReadyState::closed);
            },
            options);
        auto client = slowClient(server);
        CHECK(server.noted("cut"));
        CHECK(client.rest().ends_with("reset"));
    }
}

TEST_CASE("a message may be echoed to a slow client while other fibers use the socket", "[websocket]") {
    // The echo of a lent message is sent from where it lies, also when the connection goes on meanwhile.
    WebSocketServer server([](WebSocket& socket, WebSocketServer&) {
        FiberGroup group;
        group.spawn([&] {
            for (int i = 0; i < 300; ++i) {
                socket.ping("busy");
                yield();
            }
        });
        int count = 0;
        while (auto message = socket.recv()) {
            socket.send(message.data());
            if (++count == 40) break;
        }
    });
    auto client = slowClient(server);
    std::string all;
    for (int i = 0; i < 40; ++i) all += ClientBytes{2, bigText(50'000, static_cast<char>('A' + i))}.bytes();
    std::thread sending([&] { client.trySend(all); });
    for (int i = 0; i < 40;) {
        const auto frame = client.read();
        REQUIRE(frame);
        if (frame->opcode == 9) continue;
        CHECK((frame->payload == bigText(50'000, static_cast<char>('A' + i))));
        ++i;
    }
    sending.join();
}

TEST_CASE("a pong that had to wait for a slow reader is sent when it reads again", "[websocket]") {
    run([] {
        auto [near, far] = Pipe::make(Loop::current(), 1000);
        WebSocketOptions options;
        options.highWater = 2000;
        options.pingInterval = {};
        auto socket = WebSocket::overStream(std::move(near), options);
        while (socket.trySend(bigText(5000))) yield();
        far->write(ClientBytes{9, "first"}.bytes());
        far->write(ClientBytes{9, "last"}.bytes());
        for (int i = 0; i < 5; ++i) yield();
        std::string got;
        const auto pong = std::string("\x8a\x04last");
        while (!got.ends_with(pong)) {
            REQUIRE(far->receive(Loop::current().in(10s)));
            got += far->unreadText();
            far->consume(far->unread().size());
        }
        CHECK(got.find("first") == std::string::npos);
    });
}

TEST_CASE("Sender: messages keep their order, and it says whether the socket is there", "[websocket]") {
    run([] {
        auto [near, far] = Pipe::make(Loop::current());
        auto socket = WebSocket::overStream(std::move(near), {});
        const auto sender = socket.sender();
        const auto copy = sender;
        CHECK(sender.send("a"));
        CHECK(copy.send(asBytes("b")));
        CHECK(sender.send("c"));
        CHECK(sender.close(4000, "off"));
        CHECK(sender.send("late"));
        std::string got;
        while (got.size() < 16) {
            REQUIRE(far->receive(Loop::current().in(10s)));
            got += far->unreadText();
            far->consume(far->unread().size());
        }
        CHECK(got == std::string("\x81\x01" "a\x82\x01" "b\x81\x01" "c\x88\x05\x0f\xa0off"));
        far.reset();
        CHECK(!socket.recv());
        socket = {};
        for (int i = 0; i < 5; ++i) yield();
        CHECK(!sender.send("gone"));
        CHECK(!copy.close());
        CHECK(!Sender().send("never was"));
    });
}

TEST_CASE("Sender with a slow client closes with the chosen code, and nothing follows", "[websocket]") {
    WebSocketOptions options;
    options.overflow = Overflow::close;
    options.maxQueued = 100'000;
    for (const auto code : {CloseCode::tryAgainLater, CloseCode::policyViolation}) {
        options.overflowCode = code;
        WebSocketServer server(
            [](WebSocket& socket, WebSocketServer& here) {
                const auto sender = socket.sender();
                for (int i = 0; socket.isOpen(); ++i) {
                    sender.send(std::to_string(i) + " " + bigText(1000));
                    if (i % 50 == 0) yield();
                }
                here.note("closed");
                HANDLER_CHECK(here, sender.send("late"));
                socket.recv();
            },
            options);
        auto client = slowClient(server);
        CHECK(server.noted("closed"));
        std::string next;
        for (int i = 0; (next = client.next()).starts_with("text "); ++i)
            REQUIRE(next.starts_with("text " + std::to_string(i) + " "));
        CHECK(next == "close " + std::to_string(static_cast<int>(code)) + " too slow");
        client.close(1000);
        CHECK(client.rest() == "FIN");
    }
}

TEST_CASE("Sender with a slow client can drop the oldest messages instead", "[websocket]") {
    WebSocketOptions options;
    options.overflow = Overflow::dropOldest;
    options.maxQueued = 50'000;
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            const auto sender = socket.sender();
            for (int i = 0; i < 9000; ++i) {
                sender.send(std::to_string(i) + " " + bigText(1000));
                if (i % 50 == 0) yield();
            }
            here.note("sent");
            HANDLER_CHECK(here, socket.isOpen());
            socket.recv();
        },
        options);
    auto client = slowClient(server);
    CHECK(server.noted("sent"));
    int last = -1, count = 0;
    while (last < 8999) {
        const auto next = client.next();
        REQUIRE(next.starts_with("text "));
        const auto number = std::stoi(next.substr(5));
        CHECK(number > last);
        last = number;
        ++count;
    }
    CHECK(count < 9000);
}
