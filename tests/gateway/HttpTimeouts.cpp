// Clients that are slow, on purpose or not. The waits are cut short by the settings.

#include "support/Catch.h"
#include "support/TestServer.h"

#include <atomic>

using namespace postern;
using namespace std::chrono_literals;

namespace {

void tell(Cgi& cgi) { cgi.write("got " + cgi.postBody(), true); }

bool eventually(const std::function<bool()>& holds) {
    const auto until = std::chrono::steady_clock::now() + testPatience;
    while (!holds()) {
        if (std::chrono::steady_clock::now() > until) return false;
        std::this_thread::yield();
    }
    return true;
}

} // namespace

TEST_CASE("a head that does not end in time gets a 408, however steadily its bytes drip", "[gateway][threads]") {
    HttpSettings settings;
    settings.headTimeout = 200ms;
    TestServer server(tell, settings);
    SECTION("a stall") {
        RawClient client(server);
        client.send("GET / HTTP/1.1\r\nHost: h\r\n");
        const auto reply = client.receiveReply();
        CHECK(reply.status == 408);
        CHECK(reply.saysClose());
        client.trySend("\r\n" + rawRequest("GET", "/late"));
        CHECK(client.waitForEnd() == RawClient::End::closed);
        CHECK(server.log().count("(408)") == 1);
    }
    SECTION("a drip") {
        RawClient client(server);
        client.send("GET / HTTP/1.1\r\nHost: h\r\nX: ");
        while (!client.hasArrived(5ms) && client.trySend("x")) continue;
        CHECK(client.receiveReply().status == 408);
    }
    SECTION("in the second request of a connection") {
        RawClient client(server);
        CHECK(client.request(rawRequest("GET", "/")).status == 200);
        client.send("GET");
        CHECK(client.receiveReply().status == 408);
        CHECK(client.waitForEnd() == RawClient::End::closed);
    }
    SECTION("behind a whole request in one segment") {
        RawClient client(server);
        CHECK(client.request(rawRequest("GET", "/") + "GET /").status == 200);
        CHECK(client.receiveReply().status == 408);
    }
    CHECK(RawClient(server).request(rawRequest("GET", "/")).status == 200);
}

TEST_CASE("an idle connection is closed without a word when its time is up", "[gateway][threads]") {
    HttpSettings settings;
    settings.idleTimeout = 150ms;
    TestServer server(tell, settings);
    SECTION("before the first request") {
        RawClient client(server);
        CHECK(client.receiveAll().empty());
    }
    SECTION("after a request") {
        RawClient client(server);
        CHECK(client.request(rawRequest("GET", "/")).status == 200);
        CHECK(client.receiveAll().empty());
    }
    SECTION("an empty line is no request") {
        RawClient client(server);
        client.send("\r\n");
        CHECK(client.receiveAll().empty());
    }
    CHECK(server.log().all().empty());
}

TEST_CASE("the idle time does not run while a request is served", "[gateway][threads]") {
    HttpSettings settings;
    settings.idleTimeout = 100ms;
    Event* release = nullptr;
    std::atomic<bool> waiting{false};
    TestServer server(
        [&](Cgi& cgi) {
            Event event;
            release = &event;
            waiting = true;
            event.wait();
            cgi.write("slow", true);
        },
        settings);
    RawClient client(server);
    client.send(rawRequest("GET", "/"));
    REQUIRE(eventually([&] { return waiting.load(); }));
    CHECK(RawClient(server).receiveAll().empty()); // began later, and its time is up
    server.onLoop([&] { release->set(); });
    CHECK(client.receiveReply().body == "slow");
}

TEST_CASE("a body that stops coming gets a 408 and the connection ends", "[gateway][threads]") {
    HttpSettings settings;
    settings.limits.bodyTimeout = 200ms;
    TestServer server(tell, settings);
    for (const std::string field : {"Content-Length: 10\r\n", "Transfer-Encoding: chunked\r\n"}) {
        RawClient client(server);
        client.send(rawRequest("POST", "/", field, field[0] == 'C' ? "hello" : "5\r\nhello\r\n"));
        const auto reply = client.receiveReply();
        CHECK(reply.status == 408);
        CHECK(reply.saysClose());
        client.trySend(rawRequest("GET", "/late"));
        CHECK(client.waitForEnd() == RawClient::End::closed);
    }
    CHECK(RawClient(server).request(rawRequest("GET", "/")).status == 200);
}

TEST_CASE("a body that only drips gets a 408, since its rate counts and not only its pauses", "[gateway][threads]") {
    HttpSettings settings;
    settings.limits.bodyTimeout = 300ms;
    settings.limits.bodyBytesPerSecond = 1'000'000;
    TestServer server(tell, settings);
    RawClient client(server);
    client.send(rawRequest("POST", "/", "Content-Length: 1000000\r\n"));
    while (!client.hasArrived(5ms) && client.trySend("x")) continue;
    CHECK(client.receiveReply().status == 408);
}

TEST_CASE("a body nobody reads is not waited for longer than a body that is read", "[gateway][threads]") {
    HttpSettings settings;
    settings.limits.bodyTimeout = 200ms;
    TestServer server([](Cgi& cgi) { cgi.write("deaf", true); }, settings);
    RawClient client(server);
    CHECK(client.request(rawRequest("POST", "/", "Content-Length: 10\r\n", "hello")).body == "deaf");
    CHECK(client.waitForEnd() == RawClient::End::closed);
}

TEST_CASE("a client that takes nothing of its reply is cut, and its handler learns of it", "[gateway][threads]") {
    HttpSettings settings;
    settings.sendTimeout = 200ms;
    std::atomic<bool> disconnected{false};
    TestServer server(
        [&](Cgi& cgi) {
            if (cgi.pathInfo() == "/small") return cgi.write("small", true);
            cgi.setGzip(false);
            const std::string piece(50'000, 'x');
            try {
                for (;;) cgi.write(piece);
            } catch (const Disconnected&) {
                disconnected = true;
                throw;
            }
        },
        settings);
    RawClient client(server.port(), 4096);
    client.send(rawRequest("GET", "/"));
    CHECK(eventually([&] { return disconnected.load(); }));
    CHECK(RawClient(server).request(rawRequest("GET", "/small")).body == "small");
    CHECK(client.waitForEnd() == RawClient::End::reset);
}

TEST_CASE("a client that reads slowly but steadily gets all of a large reply", "[gateway][threads]") {
    HttpSettings settings;
    settings.sendTimeout = 2s;
    const std::string all(8'000'000, 'y');
    TestServer server(
        [&](Cgi& cgi) {
            cgi.setGzip(false);
            cgi.write(all, true);
        },
        settings);
    RawClient client(server.port(), 4096);
    client.send(rawRequest("GET", "/", "Connection: close\r\n"));
    const auto replies = RawReply::takeAll(client.receiveAll());
    REQUIRE(replies.size() == 1);
    CHECK((replies[0].body == all));
}

TEST_CASE("a client that never closes after the last reply is left after the linger time", "[gateway][threads]") {
    HttpSettings settings;
    settings.lingerTimeout = 100ms;
    settings.maxConnections = 2;
    TestServer server(tell, settings);
    RawClient stays(server);
    CHECK(stays.request(rawRequest("GET", "/", "Connection: close\r\n")).status == 200);
    CHECK(stays.receiveAll().empty());
    // The server has sent its FIN and waits for ours, until it does not any more: then what we send is answered by a
    // reset.
    CHECK(eventually([&] { return !stays.trySend("x"); }));
}

TEST_CASE("hundreds of requests whose replies nobody reads do not pile up in the server", "[gateway][threads]") {
    std::atomic<int> served{0};
    const std::string large(100'000, 'z');
    TestServer server([&](Cgi& cgi) {
        if (cgi.pathInfo() == "/other") return cgi.write("other", true);
        ++served;
        cgi.setGzip(false);
        cgi.write(large, true);
    });
    RawClient client(server.port(), 4096);
    std::string all;
    for (int i = 0; i < 300; ++i) all += rawRequest("GET", "/", i == 299 ? "Connection: close\r\n" : "");
    client.send(all);
    CHECK(eventually([&] { return served > 0; }));
    for (int i = 0; i < 20; ++i) CHECK(RawClient(server).request(rawRequest("GET", "/other")).body == "other");
    CHECK(served < 150); // the kernel's buffers hold some megabytes
    size_t bytes = 0;
    const auto replies = RawReply::takeAll(client.receiveAll());
    for (const auto& reply : replies) bytes += reply.body.size();
    CHECK(replies.size() == 300);
    CHECK(bytes == 300 * large.size());
    CHECK(served == 300);
}
