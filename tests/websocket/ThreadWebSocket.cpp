#include "support/Catch.h"
#include "support/WebSocketClient.h"

#include "postern/fiber/Run.h"
#include "postern/io/Pipe.h"
#include "postern/websocket/ThreadWebSocket.h"

#include <atomic>
#include <future>
#include <thread>

using namespace postern;
using namespace std::chrono_literals;

namespace {

// Threads that are joined when the test ends, before what stands above them goes.
class Threads {
public:
    Threads() = default;
    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;
    ~Threads() { join(); }

    template <typename Function>
    void start(Function function) {
        const std::lock_guard lock(mutex_);
        threads_.emplace_back(std::move(function));
    }
    void join() {
        const std::lock_guard lock(mutex_);
        for (auto& thread : threads_) thread.join();
        threads_.clear();
    }

private:
    std::mutex mutex_;
    std::vector<std::thread> threads_;
};

WebSocketOptions clientsEnd() {
    WebSocketOptions options;
    options.pingInterval = 0s;
    return options;
}

// Both ends of a WebSocket in memory.
std::pair<WebSocket, WebSocket> socketPair(const WebSocketOptions& options = clientsEnd()) {
    auto [near, far] = Pipe::make(Loop::current());
    Established client;
    client.isClient = true;
    return {WebSocket::overStream(std::move(near), options), WebSocket::overStream(std::move(far), options, client)};
}

}

TEST_CASE("a thread talks on the socket that it was handed, when the handler has long returned", "[websocket][threads]") {
    Threads threads;
    WebSocketServer server([&](WebSocket& socket, WebSocketServer& here) {
        threads.start([remote = ThreadWebSocket(std::move(socket)), &here]() mutable {
            while (const auto message = remote.recv()) {
                if (message.isText()) remote.send(message.textData());
                else remote.send(message.data());
            }
            here.note(describe(remote.recv()) + ", again " + describe(remote.recv()));
            here.note(std::to_string(remote.closeCode()) + " " + remote.closeReason() + (remote.isOpen() ? " open" : " closed"));
            HANDLER_CHECK(here, throws<WebSocketClosed>([&] { remote.send("late"); }));
            remote.ping("late");
            remote.close();
        });
    });
    WebSocketClient client(server);
    client.text("one");
    CHECK(client.next() == "text one");
    client.binary(std::string(100'000, 'b'));
    CHECK(client.next() == "binary " + std::string(100'000, 'b'));
    client.ping("x");
    CHECK(client.next() == "pong x");
    client.close(4001, "enough");
    CHECK(client.rest() == "close 4001; FIN");
    CHECK(server.noted("close 4001 enough, again close 4001 enough"));
    CHECK(server.noted("4001 enough closed"));
}

TEST_CASE("what a handler received before is not lost to the thread, nor what came with it", "[websocket][threads]") {
    Threads threads;
    WebSocketOptions options;
    options.protocols = {"chat"};
    WebSocketServer server(
        [&](WebSocket& socket, WebSocketServer& here) {
            here.note("handler " + describe(socket.recv()));
            threads.start([remote = ThreadWebSocket(std::move(socket)), &here]() mutable {
                here.note("thread " + describe(remote.recv()));
                here.note("thread " + describe(remote.recv()));
                remote.send(remote.protocol());
            });
        },
        options);
    WebSocketClient client(server, "Sec-WebSocket-Protocol: chat\r\n",
                           ClientBytes{1, "name"}.bytes() + ClientBytes{1, "one"}.bytes() + ClientBytes{1, "two"}.bytes());
    CHECK(client.next() == "text chat");
    CHECK(client.next() == "close 1000");
    CHECK(server.notes() == std::vector<std::string>{"handler text name", "thread text one", "thread text two"});
}

TEST_CASE("a handed-over socket that is destroyed sends what waits, then closes with 1000", "[websocket][threads]") {
    Threads threads;
    WebSocketServer server([&](WebSocket& socket, WebSocketServer&) {
        threads.start([remote = ThreadWebSocket(std::move(socket))]() mutable {
            for (int i = 0; i < 20; ++i) remote.send(std::to_string(i) + std::string(20'000, '.'));
        });
    });
    WebSocketClient client(server);
    for (int i = 0; i < 20; ++i) CHECK(client.next() == "text " + std::to_string(i) + std::string(20'000, '.'));
    CHECK(client.next() == "close 1000");
    client.close(1000);
    CHECK(client.rest() == "FIN");
}

TEST_CASE("a thread's close follows what it sent and waits for the answer", "[websocket][threads]") {
    Threads threads;
    std::atomic<bool> answered = false;
    WebSocketServer server([&](WebSocket& socket, WebSocketServer& here) {
        threads.start([remote = ThreadWebSocket(std::move(socket)), &here, &answered]() mutable {
            HANDLER_CHECK(here, throws<std::invalid_argument>([&] { remote.close(1006); }));
            HANDLER_CHECK(here, throws<std::length_error>([&] { remote.ping(std::string(126, 'p')); }));
            remote.ping("beat");
            remote.send("last");
            remote.close(4000, "done");
            HANDLER_CHECK(here, answered);
            HANDLER_CHECK(here, !remote.isOpen());
            HANDLER_CHECK(here, throws<WebSocketClosed>([&] { remote.send("late"); }));
            here.note(describe(remote.recv()));
        });
    });
    WebSocketClient client(server);
    CHECK(client.next() == "ping beat");
    CHECK(client.next() == "text last");
    CHECK(client.next() == "close 4000 done");
    answered = true;
    client.close(4000, "ok");
    CHECK(client.rest() == "FIN");
    CHECK(server.noted("close 4000 ok"));
}

TEST_CASE("a thread's receive that times out loses nothing", "[websocket][threads]") {
    Threads threads;
    WebSocketServer server([&](WebSocket& socket, WebSocketServer& here) {
        threads.start([remote = ThreadWebSocket(std::move(socket)), &here]() mutable {
            HANDLER_CHECK(here, throws<TimedOut>([&] { remote.recv(1ms); }));
            HANDLER_CHECK(here, throws<TimedOut>([&] { remote.recv(0s); }));
            remote.send("go");
            here.note(describe(remote.recv(testPatience)));
            here.note(describe(remote.recv(Duration::max())));
        });
    });
    WebSocketClient client(server);
    CHECK(client.next() == "text go");
    client.text("one");
    client.text("two");
    CHECK(client.next() == "close 1000");
    CHECK(server.notes() == std::vector<std::string>{"text one", "text two"});
}

TEST_CASE("a slow peer holds the thread up: no more is on the way than the limits allow", "[websocket][threads]") {
    // Thread and stream on the way there, the pipe, and what is received and not yet its handler's turn.
    constexpr size_t messages = 3000, size = 1000, bound = 4000 + 8000 + 2 * 64 * 1024 + 3 * size;
    std::atomic<size_t> arrived = 0, sent = 0, most = 0;
    Threads threads;
    run([&] {
        auto options = clientsEnd();
        options.highWater = 8000;
        auto [here, there] = socketPair(options);
        threads.start([remote = ThreadWebSocket(std::move(here), {4000, 4000}), &arrived, &sent, &most]() mutable {
            for (size_t i = 0; i < messages; ++i) {
                remote.send(std::string(size, 'x'));
                ++sent;
                most = std::max<size_t>(most, sent * size - arrived);
            }
        });
        while (sent < 4) yield();  // four have room before anybody reads
        size_t count = 0;
        while (const auto message = there.recv()) {
            arrived += message.data().size();
            ++count;
        }
        CHECK(count == messages);
        CHECK(there.closeCode() == 1000);
    });
    CHECK(most <= bound);
}

TEST_CASE("a slow thread holds the peer up: no more is on the way than the limits allow", "[websocket][threads]") {
    constexpr size_t messages = 3000, size = 1000;
    // Pipe and stream on the way there, what is received, and the message that waits for room.
    constexpr size_t bound = 4000 + 8000 + 64 * 1024 + 2 * 64 * 1024 + 3 * size;
    std::atomic<size_t> taken = 0;
    std::promise<void> begin;
    size_t most = 0;
    Threads threads;
    run([&] {
        auto options = clientsEnd();
        options.highWater = 8000;
        auto [here, there] = socketPair(options);
        threads.start([remote = ThreadWebSocket(std::move(here), {4000, 4000}), &taken, go = begin.get_future()]() mutable {
            go.wait();
            while (const auto message = remote.recv()) taken += message.data().size();
        });
        for (size_t i = 0; i < messages; ++i) {
            if (i == 8) begin.set_value();
            there.send(std::string(size, 'x'));
            most = std::max(most, (i + 1) * size - taken);
        }
        there.close();
        CHECK(there.wasClean());
    });
    threads.join();
    CHECK(most <= bound);
    CHECK(taken == messages * size);
}

TEST_CASE("a message that waits for its thread when the loop ends is not lost", "[websocket][threads]") {
    std::promise<void> begin;
    size_t taken = 0;
    Threads threads;
    run([&] {
        auto [here, there] = socketPair(clientsEnd());
        threads.start([remote = ThreadWebSocket(std::move(here), {1000, 1000}), &taken, go = begin.get_future()]() mutable {
            go.wait();
            while (const auto message = remote.recv()) ++taken;
        });
        for (int i = 0; i < 2; ++i) there.send(std::string(1000, 'x'));
        there.close();
        CHECK(there.wasClean());
    });
    begin.set_value();
    threads.join();
    CHECK(taken == 2);
}

TEST_CASE("one thread receives while others send: nothing is lost, mixed or out of each one's order", "[websocket][threads]") {
    constexpr int senders = 3, each = 300;
    Threads threads;
    WebSocketServer server([&](WebSocket& socket, WebSocketServer& here) {
        threads.start([&here, remote = ThreadWebSocket(std::move(socket))]() mutable {
            Threads sending;
            for (int sender = 0; sender < senders; ++sender)
                sending.start([&remote, sender] {
                    for (int i = 0; i < each; ++i)
                        remote.send(std::to_string(sender) + " " + std::to_string(i) + std::string(static_cast<size_t>(i % 9) * 400, ' '));
                });
            int received = 0;
            while (received < each && remote.recv()) ++received;
            sending.join();
            here.note("received " + std::to_string(received));
        });
    });
    WebSocketClient client(server);
    for (int i = 0; i < each; ++i) client.text("hello");
    int next[senders] = {};
    for (int i = 0; i < senders * each; ++i) {
        const auto frame = client.read();
        REQUIRE(frame);
        int sender = -1, number = -1;
        REQUIRE(std::sscanf(frame->payload.c_str(), "%d %d", &sender, &number) == 2);
        REQUIRE(number == next[sender]++);
    }
    CHECK(client.next() == "close 1000");
    CHECK(server.noted("received " + std::to_string(each)));
}

TEST_CASE("a loop that ends lets go of a thread that waits for a message", "[websocket][threads]") {
    std::promise<std::string> heard;
    Threads threads;
    {
        TestServer server([&](Cgi& cgi) {
            threads.start([remote = ThreadWebSocket(cgi.acceptWebsocket()), &heard]() mutable {
                remote.send("here");
                auto said = describe(remote.recv());
                if (!throws<WebSocketClosed>([&] { remote.send("nobody"); })) said += ", sent all the same";
                remote.close(4000);
                heard.set_value(said);
            });
        });
        WebSocketClient client(server);
        CHECK(client.next() == "text here");
    }
    CHECK(heard.get_future().get() == "close 1006");
}

TEST_CASE("a loop that ends lets go of a thread whose message has no room", "[websocket][threads]") {
    std::promise<void> full, ended;
    Threads threads;
    {
        TestServer server([&](Cgi& cgi) {
            threads.start([remote = ThreadWebSocket(cgi.acceptWebsocket()), &full, &ended]() mutable {
                try {
                    remote.send("here");
                    full.set_value();
                    for (;;) remote.send(std::string(1024 * 1024, 'x'));
                } catch (const WebSocketClosed&) {
                    ended.set_value();
                }
            });
        });
        WebSocketClient client(server);
        CHECK(client.next() == "text here");
        full.get_future().wait();
    }
    ended.get_future().wait();
}

TEST_CASE("a server that stops in good order tells the peer 1001, and the thread its answer", "[websocket][threads]") {
    Threads threads;
    std::promise<std::string> heard;
    TestServer server([&](Cgi& cgi) {
        threads.start([remote = ThreadWebSocket(cgi.acceptWebsocket()), &heard]() mutable {
            remote.send("here");
            heard.set_value(describe(remote.recv()));
        });
    });
    WebSocketClient client(server);
    CHECK(client.next() == "text here");
    server.drain();
    CHECK(client.next() == "close 1001 going away");
    client.close(1001, "bye");
    CHECK(client.rest() == "FIN");
    client.finishSending();
    CHECK(heard.get_future().get() == "close 1001 bye");
    CHECK(server.waitForEnd());
}

TEST_CASE("threads, peers and loops may end in any order", "[websocket][threads]") {
    for (int round = 0; round < 24; ++round) {
        Threads threads;
        std::atomic<int> begun = 0;
        TestServer server([&](Cgi& cgi) {
            threads.start([remote = ThreadWebSocket(cgi.acceptWebsocket()), &begun, round]() mutable {
                ++begun;
                try {
                    for (int i = 0; i < 1 + round * 3; ++i) {
                        remote.send(std::string(static_cast<size_t>(i) * 100, 'x'));
                        if (round % 3 == 0 && !remote.recv()) return;
                    }
                } catch (const WebSocketClosed&) {
                    // The peer or the loop was quicker.
                }
            });
        });
        std::vector<WebSocketClient> clients;
        for (int i = 0; i < 3; ++i) {
            clients.emplace_back(server);
            for (int k = 0; k < round; ++k) clients.back().text("hello");
        }
        if (round % 4 == 1) clients.clear();
        if (round % 4 == 2) clients[1].reset();
        if (round % 4 == 3)
            for (auto& client : clients) client.next();
        if (round % 2) server.drain(0s);
    }
}

TEST_CASE("a ThreadWebSocket is not for a thread with a loop: what would block it throws", "[websocket][threads]") {
    run([] {
        auto [here, there] = socketPair();
        ThreadWebSocket remote(std::move(here));
        CHECK(!here.isOpen());
        CHECK(remote.isOpen());
        CHECK_THROWS_AS(remote.recv(), std::logic_error);
        CHECK_THROWS_AS(remote.recv(1s), std::logic_error);
        CHECK_THROWS_AS(remote.send("x"), std::logic_error);
        CHECK(remote.isOpen());
        remote = ThreadWebSocket();
        CHECK(!there.recv());
        CHECK(there.closeCode() == 1000);
    });
}

TEST_CASE("a ThreadWebSocket that was moved away is closed, and harmless", "[websocket][threads]") {
    ThreadWebSocket none;
    ThreadWebSocket kept;
    run([&] {
        auto [here, there] = socketPair();
        none = ThreadWebSocket(std::move(here));
        kept = std::move(none);
        CHECK(kept.isOpen());
        there.close(4002, "bye");
    });
    CHECK(!none.isOpen());
    CHECK(none.closeCode() == 1006);
    CHECK(none.closeReason().empty());
    CHECK(none.protocol().empty());
    CHECK_THROWS_AS(none.recv(), WebSocketClosed);
    CHECK_THROWS_AS(none.send("x"), WebSocketClosed);
    none.ping();
    none.close();
    CHECK(describe(kept.recv()) == "close 4002 bye");
    CHECK(kept.closeReason() == "bye");
}
