#include "postern/io/Socket.h"

#include "postern/fiber/Run.h"
#include "postern/fiber/Sync.h"
#include "postern/io/Listener.h"
#include "support/Catch.h"
#include "support/LeftoverCheck.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

TEST_CASE("two sockets talk over TCP, and each knows its address", "[io]") {
    const LeftoverCheck leftovers;
    run([] {
        const int fd = ListenSocket::tcp("127.0.0.1", 0, false);
        const auto port = ListenSocket::portOf(fd);
        std::unique_ptr<Socket> server;
        Endpoint peer;
        Event accepted;
        Listener listener(Loop::current(), fd, [&](int client, const sockaddr_storage& address) {
            server = std::make_unique<Socket>(Loop::current(), client);
            peer = readEndpoint(address);
            accepted.set();
        });
        listener.start();
        const auto client = Socket::connect("127.0.0.1", port, Loop::current().in(20s));
        accepted.wait(Loop::current().in(20s));
        CHECK(peer.address == "127.0.0.1");
        CHECK(peer.port == client->localEndpoint().port);
        CHECK(server->localEndpoint().port == port);
        client->write("ping");
        REQUIRE(server->receive());
        CHECK(server->unreadText() == "ping");
        server->write("pong");
        REQUIRE(client->receive());
        CHECK(client->unreadText() == "pong");
        // Broken off: the peer gets a reset, not an end that looks like the last byte.
        server->breakOff(ECONNABORTED);
        server.reset();
        CHECK_THROWS_AS(client->receive(), Disconnected);
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("connecting to nobody, or to no address, says what was tried", "[io]") {
    const LeftoverCheck leftovers;
    run([] {
        uint16_t port = 0;
        {
            const int fd = ListenSocket::tcp("127.0.0.1", 0, false);
            port = ListenSocket::portOf(fd);
            Listener closes(Loop::current(), fd, [](int, const sockaddr_storage&) {});
        }
        CHECK_THROWS_WITH(Socket::connect("127.0.0.1", port), Catch::Contains("127.0.0.1"));
        CHECK_THROWS_AS(Socket::connect("not an address", 1), Disconnected);
        CHECK_THROWS_AS(Socket::connect("/nonexistent/socket", 0), Disconnected);
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("addresses are read as numbers; IPv4 within IPv6 as IPv4, Unix sockets as nothing", "[io]") {
    const auto v6 = [](const char* text) {
        sockaddr_storage storage{};
        auto& address = reinterpret_cast<sockaddr_in6&>(storage);
        address.sin6_family = AF_INET6;
        address.sin6_port = htons(8080);
        REQUIRE(::inet_pton(AF_INET6, text, &address.sin6_addr) == 1);
        return readEndpoint(storage);
    };
    CHECK(v6("2001:db8::1").address == "2001:db8::1");
    CHECK(v6("2001:db8::1").port == 8080);
    CHECK(v6("::ffff:192.0.2.7").address == "192.0.2.7");
    sockaddr_storage local{};
    local.ss_family = AF_UNIX;
    CHECK(readEndpoint(local).address.empty());
}

TEST_CASE("a stream that is flooded may go at any moment, also while the loop owes it a turn", "[io]") {
    struct Owner {
        explicit Owner(int fd, size_t limit) : stream(std::make_unique<Socket>(Loop::current(), fd)), left(limit) {}
        void take() {
            static constexpr StreamReceiver receiver{[](void* self) { static_cast<Owner*>(self)->take(); }};
            do {
                const auto size = stream->unread().size();
                stream->consume(size);
                if (size >= left || stream->ended() || stream->broken()) return stream.reset();
                left -= size;
            } while (stream->startReceive(receiver, this));
        }
        std::unique_ptr<Socket> stream;
        size_t left;
    };
    const LeftoverCheck leftovers;
    run([] {
        const std::string block(4096, 'x');
        for (size_t limit = 1; limit < 400'000; limit += 7919) {
            int ends[2];
            REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
            Owner owner(ends[0], limit);
            // Small parts, so that many receives are needed, and more of them come between two turns of the loop.
            const auto flood = [&] {
                while (::send(ends[1], block.data(), block.size(), MSG_NOSIGNAL) > 0) continue;
            };
            flood();
            owner.take();
            for (int turn = 0; turn < 200 && owner.stream; ++turn) {
                flood();
                yield();
            }
            CHECK(!owner.stream);
            ::close(ends[1]);
        }
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("a turn of the loop within an event loses none of the others", "[io]") {
    constexpr size_t count = 8;
    struct Listening {
        static void heard(void* self) {
            auto& listening = *static_cast<Listening*>(self);
            if (++*listening.told == 1) listening.stream->loop().turn(TimePoint::min());
        }
        std::unique_ptr<Socket> stream;
        size_t* told = nullptr;
    };
    static constexpr StreamReceiver receiver{Listening::heard};
    Loop loop;
    size_t told = 0;
    std::vector<Listening> all(count);
    std::vector<int> others;
    for (auto& listening : all) {
        int ends[2];
        REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) == 0);
        listening.stream = std::make_unique<Socket>(loop, ends[0]);
        listening.told = &told;
        REQUIRE_FALSE(listening.stream->startReceive(receiver, &listening));
        others.push_back(ends[1]);
    }
    for (const int fd : others) REQUIRE(::send(fd, "x", 1, MSG_NOSIGNAL) == 1);
    for (int turn = 0; turn < 10; ++turn) loop.turn(TimePoint::min());
    CHECK(told == count);
    for (const int fd : others) ::close(fd);
}
