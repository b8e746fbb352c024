#include "support/Catch.h"
#include "support/WebSocketClient.h"

#include "postern/fiber/Run.h"
#include "postern/io/Pipe.h"

#include <atomic>
#include <map>
#include <memory>
#include <thread>

using namespace postern;
using namespace std::chrono_literals;

TEST_CASE("threads send under load: nothing is lost, mixed or out of each one's order", "[websocket][threads]") {
    constexpr int threads = 4, each = 400;
    WebSocketOptions options;
    options.maxQueued = size_t{1} << 30;
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer&) {
            std::vector<std::thread> all;
            for (int thread = 0; thread < threads; ++thread)
                all.emplace_back([sender = socket.sender(), thread] {
                    for (int i = 0; i < each; ++i)
                        sender.send(std::to_string(thread) + " " + std::to_string(i) + " " + std::string(static_cast<size_t>(i % 7) * 700, 'x'));
                });
            while (socket.recv()) socket.send("echo");
            for (auto& thread : all) thread.join();
        },
        options);
    WebSocketClient client(server);
    for (int i = 0; i < 50; ++i) client.text("ping-pong");
    std::map<int, int> next;
    int echoes = 0;
    for (int i = 0; i < threads * each + 50; ++i) {
        const auto frame = client.read();
        REQUIRE(frame);
        if (frame->payload == "echo") {
            ++echoes;
            continue;
        }
        int thread = 0, number = 0;
        REQUIRE(std::sscanf(frame->payload.c_str(), "%d %d ", &thread, &number) == 2);
        REQUIRE(number == next[thread]++);
        REQUIRE(frame->payload.size() >= static_cast<size_t>(number % 7) * 700);
    }
    CHECK(echoes == 50);
    client.close(1000);
    CHECK(client.rest() == "close 1000; FIN");
}

TEST_CASE("a Sender may be used while its socket comes and goes", "[websocket][threads]") {
    std::mutex mutex;
    std::vector<Sender> senders;
    std::atomic<bool> stop = false;
    {
        TestServer server([&](Cgi& cgi) {
            auto socket = cgi.acceptWebsocket();
            {
                const std::lock_guard lock(mutex);
                senders.push_back(socket.sender());
            }
            socket.recv();
        });
        std::thread talker([&] {
            while (!stop) {
                std::vector<Sender> all;
                {
                    const std::lock_guard lock(mutex);
                    all = senders;
                }
                for (const auto& sender : all) sender.send("hello");
                std::this_thread::yield();
            }
        });
        for (int i = 0; i < 40; ++i) {
            WebSocketClient client(server);
            CHECK(client.next() == "text hello");
            if (i % 2) client.close(1000);
            else client.reset();
        }
        WebSocketClient last(server);
        CHECK(last.next() == "text hello");
        stop = true;
        talker.join();
    }
    CHECK(senders.size() == 41);
    for (const auto& sender : senders) CHECK(!sender.send("the server is gone"));
}

TEST_CASE("a Sender closes from another thread", "[websocket][threads]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        std::thread closing([sender = socket.sender()] {
            sender.send("last words");
            sender.close(4000, "from a thread");
            sender.send("never");
        });
        const auto end = describe(socket.recv());
        here.note(end);
        closing.join();
    });
    WebSocketClient client(server);
    CHECK(client.next() == "text last words");
    CHECK(client.next() == "close 4000 from a thread");
    client.close(4000, "ok");
    CHECK(client.rest() == "FIN");
    CHECK(server.noted("close 4000 ok"));
}

TEST_CASE("a handle may be destroyed on another thread", "[websocket][threads]") {
    std::vector<std::thread> threads;
    TestServer server([&](Cgi& cgi) {
        auto socket = cgi.acceptWebsocket();
        const auto message = socket.recv();
        threads.emplace_back([socket = std::move(socket)]() mutable { const WebSocket here = std::move(socket); });
    });
    for (int i = 0; i < 10; ++i) {
        WebSocketClient client(server);
        client.text("go");
        CHECK(client.next() == "close 1000");
        client.close(1000);
        CHECK(client.rest() == "FIN");
    }
    server.onLoop([] {});
    for (auto& thread : threads) thread.join();
}

TEST_CASE("a handle may outlive its server", "[websocket][threads]") {
    std::vector<WebSocket> room;
    {
        TestServer server([&](Cgi& cgi) { room.push_back(cgi.acceptWebsocket()); });
        WebSocketClient client(server);
        client.ping("x");
        CHECK(client.next() == "pong x");
    }
    REQUIRE(room.size() == 1);
    CHECK(!room[0].isOpen());
    CHECK(room[0].closeCode() == 1006);
    room.clear();
}

TEST_CASE("a Sender and a handle may both outlive their loop", "[websocket][threads]") {
    WebSocket socket;
    Sender sender;
    run([&] {
        auto [near, far] = Pipe::make(Loop::current());
        socket = WebSocket::overStream(std::move(near), {});
        sender = socket.sender();
    });
    CHECK(!sender.send("nobody is there"));
    CHECK(!socket.isOpen());
    socket = {};
    CHECK(!sender.close());
}
