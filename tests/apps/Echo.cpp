// The echo application with its options, asked by our own client.

#include "support/Catch.h"
#include "support/Process.h"

#include "postern/client/ConnectWebSocket.h"
#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"

using namespace postern;

namespace {

WebSocket open(const Served& served, const std::string& path, const WebSocketOptions& options = {}) {
    ClientOptions client;
    client.socket = options;
    return connectWebSocket("ws://127.0.0.1:" + std::to_string(served.port()) + path, client);
}

WebSocketOptions generous(size_t fragmentSize = 0) {
    WebSocketOptions options;
    options.maxMessage = 20 << 20;
    options.maxFragments = 100'000;
    options.fragmentSize = fragmentSize;
    return options;
}

// Sends and receives at the same time, since neither end takes all of it before it says something.
std::string echoed(WebSocket& socket, std::string_view message) {
    FiberGroup group;
    group.spawn([&] { socket.send(asBytes(message)); });
    const auto answer = socket.recv();
    group.wait();
    return answer ? answer.toString() : "closed with " + std::to_string(answer.closeCode());
}

std::string pattern(size_t size) {
    std::string bytes(size, ' ');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 31 + i / 251);
    return bytes;
}

}

TEST_CASE("echo passes messages of 16 MiB in each of its styles, when its limits allow it", "[apps][websocket]") {
    Served served(checkedApp("echo"), {"--max-message", "16m"});
    const auto message = pattern(16 << 20);
    for (const char* path : {"/echo", "/events", "/stream"}) {
        CAPTURE(path);
        run([&] {
            auto socket = open(served, path, generous());
            CHECK(echoed(socket, message) == message);
            CHECK(echoed(socket, message + "1") == "closed with 1009");
        });
    }
    CHECK(served.stop() == 0);
}

TEST_CASE("echo passes a message of 65,536 fragments, when its limits allow it", "[apps][websocket]") {
    const auto message = pattern(65'536 * 3);
    Served served(checkedApp("echo"), {"--max-fragments", "65536"});
    for (const char* path : {"/echo", "/events", "/stream"}) {
        CAPTURE(path);
        run([&] {
            auto socket = open(served, path, generous(3));
            CHECK(echoed(socket, message) == message);
            CHECK(echoed(socket, message + "1") == "closed with 1008");
        });
    }
    Served strict(checkedApp("echo"));
    run([&] {
        auto socket = open(strict, "/echo", generous(1));
        CHECK(echoed(socket, pattern(16'384)) == pattern(16'384));
        CHECK(echoed(socket, pattern(16'385)) == "closed with 1008");
    });
}

TEST_CASE("--websocket-deflate switches compression on, with and without context take-over", "[apps][websocket][deflate]") {
    WebSocketOptions asking;
    asking.deflate.emplace().contextTakeover = true;
    asking.deflate->peerContextTakeover = true;
    for (const std::string mode : {"off", "on", "takeover"}) {
        CAPTURE(mode);
        Served served(checkedApp("echo"), {"--websocket-deflate", mode});
        for (const char* path : {"/echo", "/events", "/stream"}) {
            run([&] {
                auto socket = open(served, path, asking);
                CHECK(socket.compresses() == (mode != "off"));
                const auto message = pattern(100'000);
                for (int i = 0; i < 3; ++i) CHECK(echoed(socket, message) == message);
                auto without = open(served, path);
                CHECK_FALSE(without.compresses());
                CHECK(echoed(without, message) == message);
            });
        }
    }
}
