// Many connections at once, and the orderly end of all of them.

#include "support/Catch.h"
#include "support/TestServer.h"

#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <optional>

using namespace postern;
using namespace std::chrono_literals;

namespace {

void tell(Cgi& cgi) { cgi.write("served " + std::string(cgi.requestUri()), true); }

// Requests to "/wait" wait in their handlers until they are let go.
struct Gate {
    Event* open = nullptr;
    std::atomic<int> waiting{0};

    void operator()(Cgi& cgi) {
        if (cgi.pathInfo() == "/wait") {
            static thread_local Event event;
            open = &event;
            ++waiting;
            event.wait();
        }
        tell(cgi);
    }
    Handler handler() {
        return [this](Cgi& cgi) { (*this)(cgi); };
    }
    bool waitFor(int count) const {
        const auto until = std::chrono::steady_clock::now() + testPatience;
        while (waiting < count)
            if (std::chrono::steady_clock::now() > until)
                return false;
            else
                std::this_thread::yield();
        return true;
    }
};

const std::string closing = "Connection: close\r\n";

} // namespace

TEST_CASE("at the limit of connections the one that is idle longest makes room", "[gateway][threads]") {
    HttpSettings settings;
    settings.maxConnections = 3;
    TestServer server(tell, settings);
    std::vector<RawClient> clients;
    for (int i = 0; i < 3; ++i) {
        clients.emplace_back(server);
        CHECK(clients.back().request(rawRequest("GET", "/")).status == 200);
    }
    CHECK(clients[0].request(rawRequest("GET", "/again")).status == 200); // now the second is idle longest
    clients.emplace_back(server);
    CHECK(clients[3].request(rawRequest("GET", "/new")).body == "served /new");
    CHECK(clients[1].receiveAll().empty());
    for (const size_t stays : {0U, 2U, 3U})
        CHECK(clients[stays].request(rawRequest("GET", "/still")).body == "served /still");
}

TEST_CASE("a limit of one connection still serves one after the other", "[gateway][threads]") {
    HttpSettings settings;
    settings.maxConnections = 1;
    TestServer server(tell, settings);
    for (int i = 0; i < 5; ++i) CHECK(RawClient(server).request(rawRequest("GET", "/", closing)).status == 200);
}

TEST_CASE("when all connections are busy the next ones wait instead of being refused", "[gateway][threads]") {
    Gate gate;
    HttpSettings settings;
    settings.maxConnections = 2;
    settings.lingerTimeout = 50ms;
    TestServer server(gate.handler(), settings);
    std::vector<RawClient> busy;
    for (int i = 0; i < 2; ++i) {
        busy.emplace_back(server);
        busy.back().send(rawRequest("GET", "/wait", i == 0 ? closing : ""));
    }
    REQUIRE(gate.waitFor(2));
    std::vector<RawClient> late;
    for (int i = 0; i < 4; ++i) {
        late.emplace_back(server);
        late.back().send(rawRequest("GET", "/late", closing));
    }
    server.onLoop([&] { gate.open->set(); });
    for (auto& client : busy) CHECK(client.receiveReply().body == "served /wait");
    for (auto& client : late) CHECK(client.receiveReply().body == "served /late");
}

TEST_CASE("a WebSocket counts as a connection until it ends", "[gateway][threads]") {
    HttpSettings settings;
    settings.maxConnections = 1;
    std::atomic<bool> over{false}, overInTime{false};
    TestServer server(
        [&](Cgi& cgi) {
            if (!cgi.websocketRequested()) {
                overInTime = over.load();
                return tell(cgi);
            }
            auto websocket = cgi.acceptWebsocket();
            while (websocket.recv()) continue;
            over = true;
        },
        settings);
    std::optional<RawClient> websocket(std::in_place, server);
    CHECK(websocket
              ->request(rawRequest("GET", "/",
                                   "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"))
              .status == 101);
    RawClient next(server);
    next.send(rawRequest("GET", "/next", closing));
    websocket->send(std::string("\x88\x80\0\0\0\0", 6));
    CHECK(websocket->receiveAll() == std::string("\x88\0", 2));
    websocket.reset();
    CHECK(next.receiveReply().body == "served /next");
    CHECK(overInTime);
}

TEST_CASE("hundreds of idle and half-asking clients do not keep others from being served", "[gateway][threads]") {
    TestServer server(tell);
    std::vector<RawClient> slow;
    for (int i = 0; i < 300; ++i) {
        slow.emplace_back(server);
        slow.back().send(i % 2 ? "GET / HT" : "");
    }
    RawClient client(server);
    for (int i = 0; i < 50; ++i) CHECK(client.request(rawRequest("GET", "/")).status == 200);
    for (auto& one : slow)
        one.send((&one - slow.data()) % 2 == 0 ? rawRequest("GET", "/") : "TP/1.1\r\nHost: h\r\n\r\n");
    for (auto& one : slow) CHECK(one.receiveReply().body == "served /");
}

TEST_CASE("out of descriptors the server waits, says so once, and serves again when there are some", "[gateway]") {
    TestServer server(tell);
    RawClient held(server);
    CHECK(held.request(rawRequest("GET", "/")).status == 200);

    rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &before) == 0);
    rlimit none = before;

    // The client has its socket before the limit falls; accepting it needs one that is not there then.
    const int clientFd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    REQUIRE(clientFd >= 0);
    none.rlim_cur = 3;
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &none) == 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(server.port());
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const int connected = ::connect(clientFd, reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const bool said = server.log().wait("out of descriptors");
    const auto meanwhile = held.request(rawRequest("GET", "/meanwhile")).body;
    ::setrlimit(RLIMIT_NOFILE, &before);
    const bool again = server.log().wait("accepting connections again");
    ::close(clientFd);

    CHECK(connected == 0);
    CHECK(said);
    CHECK(meanwhile == "served /meanwhile");
    CHECK(again);
    CHECK(server.log().count("out of descriptors") == 1);
    CHECK(RawClient(server).request(rawRequest("GET", "/after")).status == 200);
}

TEST_CASE("an orderly end answers every request that was accepted, and says close", "[gateway][threads]") {
    Gate gate;
    HttpSettings settings;
    settings.drainGrace = 50ms;
    settings.lingerTimeout = 50ms;
    TestServer server(gate.handler(), settings);
    std::vector<RawClient> busy;
    for (int i = 0; i < 20; ++i) {
        busy.emplace_back(server);
        busy.back().send(rawRequest("GET", "/wait"));
    }
    RawClient idle(server);
    CHECK(idle.request(rawRequest("GET", "/")).status == 200);
    RawClient half(server);
    half.send("GET /half HTTP/1.1\r\nHo");
    RawClient between(server);
    CHECK(between.request(rawRequest("GET", "/")).status == 200);
    REQUIRE(gate.waitFor(20));
    const auto port = server.port();

    server.drain();
    CHECK(idle.receiveAll().empty());
    half.send("st: h\r\n\r\n");
    const auto last = half.receiveReply();
    CHECK(last.body == "served /half");
    CHECK(last.saysClose());
    server.onLoop([&] { gate.open->set(); });
    for (auto& client : busy) {
        const auto reply = client.receiveReply();
        CHECK(reply.body == "served /wait");
        CHECK(reply.saysClose());
        CHECK(client.waitForEnd() == RawClient::End::closed);
    }
    CHECK(server.waitForEnd());
    CHECK_THROWS(RawClient(port));
}

TEST_CASE("whoever had connected before the end is served, even if nobody had accepted it yet", "[gateway][threads]") {
    HttpSettings settings;
    settings.lingerTimeout = 50ms;
    settings.maxConnections = 5; // the last ones are not turned away for it
    std::atomic<bool> stuck{false}, go{false};
    TestServer server(
        [&](Cgi& cgi) {
            if (cgi.pathInfo() == "/block") {
                stuck = true;
                while (!go) std::this_thread::yield();
            }
            tell(cgi);
        },
        settings);
    RawClient blocking(server);
    blocking.send(rawRequest("GET", "/block"));
    const auto until = std::chrono::steady_clock::now() + testPatience;
    while (!stuck && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    std::vector<RawClient> queued;
    for (int i = 0; i < 30; ++i) {
        queued.emplace_back(server);
        queued.back().send(rawRequest("GET", "/queued"));
    }
    server.drain();
    go = true;
    CHECK(blocking.receiveReply().body == "served /block");
    for (auto& client : queued) {
        const auto reply = client.receiveReply();
        CHECK(reply.body == "served /queued");
        CHECK(reply.saysClose());
    }
    CHECK(server.waitForEnd());
}

TEST_CASE("an end that takes too long cuts what is left", "[gateway][threads]") {
    Gate gate;
    TestServer server(gate.handler());
    RawClient client(server);
    client.send(rawRequest("GET", "/wait"));
    REQUIRE(gate.waitFor(1));
    server.drain(50ms);
    CHECK(server.waitForEnd());
    CHECK_THROWS(client.receiveReply());
}

TEST_CASE("no request is lost when the server ends under load: each is answered whole or was never begun",
          "[gateway][threads]") {
    HttpSettings settings;
    settings.drainGrace = 50ms;
    std::atomic<int> served{0};
    TestServer server(
        [&](Cgi& cgi) {
            yield();
            tell(cgi);
            ++served;
        },
        settings);
    std::atomic<int> answered{0}, broken{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i)
        threads.emplace_back([&] {
            try {
                for (;;) {
                    RawClient client(server);
                    for (bool last = false; !last;) {
                        try {
                            client.send(rawRequest("GET", "/load"));
                            last = client.receiveReply().saysClose();
                            ++answered;
                        } catch (const std::runtime_error&) {
                            ++broken;
                            last = true;
                        }
                    }
                }
            } catch (const std::system_error&) {
                // Nobody listens any more.
            }
        });
    const auto until = std::chrono::steady_clock::now() + testPatience;
    while (served < 200 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    server.drain();
    CHECK(server.waitForEnd());
    for (auto& thread : threads) thread.join();
    CHECK(broken == 0);
    CHECK(answered == served);
}
