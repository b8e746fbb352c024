// Our programs behind nginx, lighttpd, Apache, Caddy and HAProxy by HTTP, over TCP (way 8001 of docs/deploy) and a Unix
// socket (way 8002).

#include "support/Catch.h"
#include "support/GatewaySuite.h"
#include "support/WebSocketClient.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <memory>

using namespace postern;

namespace {

constexpr int ways[] = {8001, 8002};

const std::vector<std::string> uploads{"--max-body", "64m"};

Deployment::Options withArguments(std::vector<std::string> arguments) {
    Deployment::Options options;
    options.arguments = std::move(arguments);
    return options;
}

void forEachFront(const std::function<void(FrontKind)>& check) {
    for (const auto kind : allFronts) {
        INFO(nameOf(kind));
        check(kind);
    }
}

// Closes upgraded connections after 3 s of silence. Caddy has no such limit.
std::string impatient(FrontKind kind) {
    switch (kind) {
    case FrontKind::nginx: return "proxy_read_timeout 3s;";
    case FrontKind::lighttpd: return "server.max-read-idle = 3";
    case FrontKind::apache: return "Timeout 3";
    case FrontKind::caddy:
    case FrontKind::haproxy: break;
    }
    return {};
}

bool hasEnded(const BlockingClient& client) {
    char byte;
    const auto got = ::recv(client.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got == 0 || (got < 0 && errno == ECONNRESET);
}

}

TEST_CASE("proxies: pages come through, many over one connection", "[gateways][proxies]") {
    forEachFront([](FrontKind kind) {
        Deployment echo(kind, checkedApp("echo"));
        for (const int number : ways) {
            checkEchoPage(wayIn(echo, kind, number));
            checkKeepAlive(wayIn(echo, kind, number));
            if (kind != FrontKind::lighttpd) checkTargetIsUntouched(wayIn(echo, kind, number));  // it normalizes them
        }
    });
}

TEST_CASE("proxies: a WebSocket holds its whole conversation, and either side may close it", "[gateways][proxies]") {
    forEachFront([](FrontKind kind) {
        Deployment echo(kind, checkedApp("echo"));
        for (const int number : ways) {
            const auto way = wayIn(echo, kind, number);
            checkConversation(way);
            checkProgramCloses(way);
        }
        checkProgramStops(wayIn(echo, kind, 8002));
    });
}

TEST_CASE("proxies: a front whose FastCGI cannot upgrade hands WebSockets to the same program's HTTP socket", "[gateways][proxies]") {
    for (const auto kind : {FrontKind::apache, FrontKind::caddy, FrontKind::haproxy}) {
        Deployment echo(kind, checkedApp("echo"));
        checkConversation(wayIn(echo, kind, 8003));
        checkOrigins(wayIn(echo, kind, 8003), "localhost:" + std::to_string(echo.port(8003)));
        checkClientDrops(wayIn(echo, kind, 8003));
        checkClientIsNotBelieved(wayIn(echo, kind, 8003));
    }
}

TEST_CASE("proxies: a drop on either side ends the other", "[gateways][proxies]") {
    forEachFront([](FrontKind kind) {
        Deployment echo(kind, checkedApp("echo"));
        for (const int number : ways) checkClientDrops(wayIn(echo, kind, number));
        checkProgramDrops(wayIn(echo, kind, 8001));
    });
}

TEST_CASE("proxies: only pages of the front's own host open WebSockets, whatever a client says of itself", "[gateways][proxies]") {
    forEachFront([](FrontKind kind) {
        Deployment echo(kind, checkedApp("echo"));
        for (const int number : ways) {
            checkOrigins(wayIn(echo, kind, number), "localhost");
            checkOrigins(wayIn(echo, kind, number), "localhost:" + std::to_string(echo.port(number)));
        }
        checkClientIsNotBelieved(wayIn(echo, kind, 8002));
    });
}

TEST_CASE("proxies: forms of up to 20 MB arrive, with a length and in chunks, and one that breaks off holds nothing up", "[gateways][proxies]") {
    forEachFront([](FrontKind kind) {
        Deployment form(kind, optimisedApp("form"), withArguments(uploads));
        for (const int number : ways) {
            checkForm(wayIn(form, kind, number));
            checkUploads(wayIn(form, kind, number), 7);
            checkUploadAborts(wayIn(form, kind, number));
        }
        checkUploads(wayIn(form, kind, 8002), 20'000'000);
    });
}

TEST_CASE("proxies: what a program sends by itself arrives at once, and it notices clients that go", "[gateways][proxies]") {
    std::vector<std::unique_ptr<Deployment>> deployments;
    std::vector<WayIn> clocks;
    for (const auto kind : allFronts) {
        auto& clock = *deployments.emplace_back(std::make_unique<Deployment>(kind, checkedApp("clock")));
        for (const int number : ways) clocks.push_back(wayIn(clock, kind, number));
    }
    checkPushes(clocks);
    checkReplyAborts(clocks);
}

TEST_CASE("proxies: the heartbeat keeps an idle WebSocket open that a front would close", "[gateways][proxies]") {
    WebSocketOptions options;
    options.pingInterval = std::chrono::milliseconds(500);
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer&) {
            while (auto message = socket.recv()) {
                if (message.textData() == "quiet") socket.setHeartbeat({});
                socket.send(message.textData());
            }
        },
        options);
    struct Pair {
        std::unique_ptr<Front> front;
        BlockingClient kept, quiet;
    };
    const auto connect = [](uint16_t port, std::string_view word) {
        BlockingClient client(port);
        REQUIRE(client.upgrade("/").status == 101);
        client.text(word);
        REQUIRE(client.next().payload == word);
        return client;
    };
    std::vector<DeployedFile> files;
    std::vector<Pair> pairs;
    for (const auto kind : {FrontKind::nginx, FrontKind::lighttpd, FrontKind::apache, FrontKind::haproxy}) {
        const Replacements more = kind == FrontKind::haproxy ? Replacements{{" 60s", " 3s"}} : Replacements{};
        const auto& file = files.emplace_back(kind, server.http().port(), "/nowhere", std::string(), more);
        auto front = std::make_unique<Front>(kind, file, impatient(kind));
        const uint16_t port = file.ports.at(8001);
        pairs.push_back({std::move(front), connect(port, "kept"), connect(port, "quiet")});
    }
    // The one without a heartbeat shows that the front does close idle ones.
    const auto until = std::chrono::steady_clock::now() + patience;
    const auto quietOnesAreClosed = [&] {
        return std::all_of(pairs.begin(), pairs.end(), [](const Pair& pair) { return hasEnded(pair.quiet); });
    };
    while (!quietOnesAreClosed() && std::chrono::steady_clock::now() < until)
        for (auto& pair : pairs) {
            const auto ping = pair.kept.next();
            REQUIRE(ping.opcode == 9);
            pair.kept.frame(10, ping.payload);
        }
    CHECK(quietOnesAreClosed());
    for (auto& pair : pairs) {
        pair.kept.text("still here");
        auto frame = pair.kept.next();
        while (frame.opcode == 9) frame = pair.kept.next();
        CHECK(frame.payload == "still here");
    }
}
