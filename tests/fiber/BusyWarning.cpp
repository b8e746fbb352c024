#include "postern/fiber/Loop.h"

#include "support/Catch.h"
#include "support/OwnTime.h"

#include <functional>
#include <string>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

// What is logged while `work` runs on a fiber; it makes time pass by calling its argument.
std::vector<std::string> logOf(Duration limit, const std::function<void(const std::function<void(Duration)>&)>& work) {
    std::vector<std::string> lines;
    LoopOptions options;
    options.busyWarning = limit;
    options.log = [&](LogLevel level, std::string_view line) {
        CHECK(level == LogLevel::warning);
        lines.emplace_back(line);
    };
    auto poller = std::make_unique<OwnTime>();
    auto& time = *poller;
    Loop loop(options, std::move(poller));
    loop.spawn([&] {
        work([&](Duration duration) { time.pass(duration); });
        loop.stop();
    });
    loop.run();
    return lines;
}

std::string nameOf(const void* text) { return *static_cast<const std::string*>(text); }

}

TEST_CASE("a fiber that runs for the busy warning's time without waiting is named in the log, a shorter one is not", "[fiber]") {
    const std::string name = "GET /report";
    CHECK(logOf(100ms, [&](const auto& compute) {
              const Fiber::Purpose purpose(nameOf, &name);
              compute(99ms);
          }).empty());
    const auto lines = logOf(100ms, [&](const auto& compute) {
        const Fiber::Purpose purpose(nameOf, &name);
        compute(100ms);
    });
    REQUIRE(lines.size() == 1);
    CHECK(lines[0] == "GET /report ran for 100 ms without waiting, and its worker served nobody else meanwhile: give such work to "
                      "runBlocking(); see docs/fibers.md");
    CHECK(logOf(0ms, [](const auto& compute) { compute(1h); }).empty());
}

TEST_CASE("what the loop does between two fibers is the time of neither", "[fiber]") {
    std::vector<std::string> lines;
    LoopOptions options;
    options.busyWarning = 100ms;
    options.log = [&](LogLevel, std::string_view line) { lines.emplace_back(line); };
    auto poller = std::make_unique<OwnTime>();
    auto& time = *poller;
    Loop loop(options, std::move(poller));
    int ran = 0;
    loop.post([&] { loop.spawnNext([&] { ++ran; }); });
    loop.post([&] { time.pass(200ms); });
    loop.post([&] { loop.spawnNext([&] { ++ran; }); });
    loop.turn(loop.now());
    CHECK(ran == 2);
    CHECK(lines.empty());
}

TEST_CASE("the time of a fiber that waits in between does not add up", "[fiber]") {
    CHECK(logOf(100ms, [](const auto& compute) {
              for (int i = 0; i < 10; ++i) {
                  compute(60ms);
                  sleepFor(1s);
              }
          }).empty());
}

TEST_CASE("a warning names the innermost purpose, and a fiber without one too", "[fiber]") {
    const std::string outer = "outer", inner = "inner";
    const auto lines = logOf(100ms, [&](const auto& compute) {
        compute(150ms);
        sleepFor(20s);
        const Fiber::Purpose first(nameOf, &outer);
        {
            const Fiber::Purpose second(nameOf, &inner);
            compute(200ms);
            sleepFor(20s);
        }
        compute(300ms);
        sleepFor(20s);
    });
    REQUIRE(lines.size() == 3);
    CHECK(lines[0].starts_with("a fiber ran for 150 ms"));
    CHECK(lines[1].starts_with("inner ran for 200 ms"));
    CHECK(lines[2].starts_with("outer ran for 300 ms"));
}

TEST_CASE("busy warnings come once in ten seconds and tell how many were left out", "[fiber]") {
    const auto lines = logOf(100ms, [](const auto& compute) {
        for (int i = 0; i < 4; ++i) {
            compute(100ms);
            sleepFor(3s);
        }
        compute(100ms);
        sleepFor(1ms);
    });
    REQUIRE(lines.size() == 2);
    CHECK(lines[1].find("(and 3 more like it since the last warning)") != std::string::npos);
}
