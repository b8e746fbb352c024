// Many web servers, slow ones among them, at one thread that serves FastCGI.

#include "support/BlockingClient.h"
#include "support/Catch.h"
#include "support/Process.h"
#include "support/WebServerWire.h"

#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <chrono>

using namespace postern;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;
constexpr auto fastCgi = CgiProtocol::fastCgi;

uint16_t portOf(const std::string& url) { return static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))); }

void allowDescriptors(rlim_t count) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= count) return;
    limit.rlim_cur = std::min(count, limit.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < count) throw std::runtime_error("this test opens more files at a time than the system lets it");
}

// Connects `count` clients that say `request` seven bytes every 20 ms, from one thread: the time until all are answered.
std::chrono::nanoseconds dribble(uint16_t port, size_t count, const std::string& request) {
    std::vector<BlockingClient> clients;
    for (size_t i = 0; i < count; ++i) clients.emplace_back(port);
    const auto start = Clock::now();
    auto next = start;
    for (size_t at = 0; at < request.size(); at += 7) {
        for (auto& client : clients) client.send(std::string_view(request).substr(at, 7));
        next += 20ms;
        const auto left = std::chrono::ceil<std::chrono::milliseconds>(next - Clock::now());
        if (left > 0ms) ::poll(nullptr, 0, static_cast<int>(left.count()));
    }
    for (auto& client : clients) {
        auto bytes = client.rest();
        const auto reply = takeWireReply(fastCgi, bytes);
        if (!reply.ended || reply.body() != "Hello, world!\n") throw std::runtime_error("no reply but: " + reply.text);
    }
    return Clock::now() - start;
}

std::chrono::nanoseconds medianRequest(uint16_t port) {
    std::vector<std::chrono::nanoseconds> times;
    BlockingClient client(port);
    const auto request = wireRequest(fastCgi, wireVariables("GET", "/"), {}, true);
    for (int i = 0; i < 301; ++i) {
        const auto start = Clock::now();
        client.send(request);
        client.until(std::string("\1\3\0\1\0\10\0\0\0\0\0\0\0\0\0\0", 16));
        times.push_back(Clock::now() - start);
    }
    std::nth_element(times.begin(), times.begin() + 150, times.end());
    return times[150];
}

}

TEST_CASE("400 FastCGI requests that dribble in take one thread as long as one of them", "[main][scale]") {
    allowDescriptors(600);
    Served served(optimisedApp("hello"), {"--listen", "fcgi://127.0.0.1:0"});
    const auto port = portOf(served.process().line());
    const auto request = wireRequest(fastCgi, wireVariables("GET", "/", {{"PADDING", std::string(120, 'p')}}));
    const auto one = dribble(port, 1, request);
    // The machine may be busy with something else once.
    auto many = dribble(port, 400, request);
    for (int i = 0; i < 2 && many > one * 11 / 10; ++i) many = std::min(many, dribble(port, 400, request));
    CAPTURE(one.count(), many.count());
    CHECK(many <= one * 11 / 10);
    CHECK(served.stop() == 0);
}

TEST_CASE("web servers that stall anywhere delay nobody", "[main][scale]") {
    allowDescriptors(800);
    Served served(optimisedApp("form"), {"--listen", "fcgi://127.0.0.1:0", "--head-timeout", "60s", "--send-timeout", "60s"});
    const auto port = portOf(served.process().line());
    const auto alone = medianRequest(port);
    const auto post = wireHead(fastCgi, wireVariables("POST", "/show", {{"CONTENT_LENGTH", "1000"}, {"CONTENT_TYPE", "application/x-www-form-urlencoded"}}));
    const auto get = wireRequest(fastCgi, wireVariables("GET", "/"), {}, true);
    std::vector<BlockingClient> stalled;
    for (const auto& begun : {std::string(), post.substr(0, 4), post.substr(0, 16 + 5), post.substr(0, 100), post, post + wirePiece(fastCgi, "a=b"), get.substr(0, get.size() - 4)})
        for (int i = 0; i < 50; ++i) {
            stalled.emplace_back(port);
            stalled.back().send(begun);
        }
    // These ask on and on, and read nothing.
    for (int i = 0; i < 20; ++i) {
        stalled.emplace_back(port);
        const int fd = stalled.back().fd();
        for (int asked = 0; asked < 20'000 && ::send(fd, get.data(), get.size(), MSG_DONTWAIT | MSG_NOSIGNAL) == static_cast<ssize_t>(get.size()); ++asked) continue;
    }
    const auto among = medianRequest(port);
    CAPTURE(alone.count(), among.count());
    CHECK(among < 4 * alone + 1ms);
    CHECK(served.process().isRunning());
}

TEST_CASE("1,000 WebSockets at a time over FastCGI each get their echo", "[main][scale]") {
    allowDescriptors(1300);
    Served served(optimisedApp("echo"), {"--listen", "fcgi://127.0.0.1:0"});
    const auto port = portOf(served.process().line());
    const auto head = wireHead(fastCgi, wireUpgrade("/echo"));
    std::vector<BlockingClient> clients;
    for (int i = 0; i < 1000; ++i) {
        clients.emplace_back(port);
        clients.back().send(head);
    }
    for (auto& client : clients) client.until("Sec-WebSocket-Accept");
    for (const std::string round : {"first", "second"}) {
        for (size_t i = 0; i < clients.size(); ++i) clients[i].send(wirePiece(fastCgi, maskedFrame(1, round + std::to_string(i) + ".")));
        for (size_t i = 0; i < clients.size(); ++i) clients[i].until(round + std::to_string(i) + ".");
    }
    CHECK(served.process().isRunning());
}
