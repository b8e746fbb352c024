// Our programs behind nginx, lighttpd, Apache, Caddy and HAProxy by HTTP, over TCP (way 8001 of docs/deploy) and a Unix
// socket (way 8002).

#include "support/Catch.h"
#include "support/GatewaySuite.h"
#include "support/TestServer.h"

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
    const TestServer server(serveWithHeartbeat);
    std::vector<DeployedFile> files;
    std::vector<std::unique_ptr<Front>> fronts;
    std::vector<std::function<BlockingClient()>> ways;
    for (const auto kind : {FrontKind::nginx, FrontKind::lighttpd, FrontKind::apache, FrontKind::haproxy}) {
        const Replacements more = kind == FrontKind::haproxy ? Replacements{{" 60s", " 3s"}} : Replacements{};
        const auto& file = files.emplace_back(kind, server.port(), "/nowhere", std::string(), more);
        fronts.push_back(std::make_unique<Front>(kind, file, impatient(kind)));
        ways.push_back([port = uint16_t{file.ports.at(8001)}] { return BlockingClient(port); });
    }
    checkHeartbeat(ways);
}
