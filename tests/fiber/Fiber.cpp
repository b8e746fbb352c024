#include "postern/fiber/Fiber.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/fiber/Sync.h"
#include "postern/io/Pipe.h"
#include "postern/main/Signals.h"
#include "support/Catch.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <functional>
#include <string>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

size_t residentPages(const Stack& stack) {
    std::vector<unsigned char> pages(stack.size() / StackPool::pageSize);
    if (::mincore(stack.bottom, stack.size(), pages.data()) != 0) return ~size_t{0};
    size_t count = 0;
    for (const auto page : pages) count += page & 1;
    return count;
}

// Fills much of the stack and returns something that depends on all of it.
[[gnu::noinline]] unsigned useStack(unsigned char seed) {
    volatile unsigned char bytes[40 * 1024];
    for (auto& byte : bytes) byte = seed++;
    unsigned sum = 0;
    for (const auto byte : bytes) sum += byte;
    return sum;
}

[[gnu::noinline]] int recurse(int depth) {
    volatile char frame[1024];
    frame[0] = static_cast<char>(depth);
    return depth == 0 ? 0 : recurse(depth - 1) + frame[0];
}

}

TEST_CASE("ten thousand fibers wait at once, and each goes on where it was", "[fiber]") {
    run([] {
        size_t sum = 0;
        Event go;
        {
            FiberGroup group;
            for (size_t i = 0; i < 10'000; ++i)
                group.spawn([&, i] {
                    go.wait();
                    sum += i;
                });
            yield();
            CHECK(Loop::current().fiberCount() == 10'001);
            CHECK(sum == 0);
            go.set();
            group.wait();
        }
        CHECK(sum == 9'999 * 5'000);
        CHECK(Loop::current().fiberCount() == 1);
    });
}

TEST_CASE("a fiber may wait inside a catch while another one throws and catches", "[fiber]") {
    run([] {
        FiberGroup group;
        std::string seen;
        for (const char* name : {"a", "b", "c"})
            group.spawn([&, name] {
                for (int round = 0; round < 3; ++round) {
                    const auto text = name + std::to_string(round);
                    try {
                        throw std::runtime_error(text);
                    } catch (const std::exception&) {
                        yield();
                        try {
                            yield();
                            throw;  // the exception of this fiber, not the last one thrown
                        } catch (const std::exception& again) {
                            CHECK(again.what() == text);
                            seen += text + ' ';
                        }
                    }
                    CHECK(std::current_exception() == nullptr);
                }
            });
        group.wait();
        CHECK(seen.size() == 27);
    });
}

TEST_CASE("a fiber may wait in a destructor during unwinding: uncaught exceptions are its own", "[fiber]") {
    struct Waits {
        std::vector<int>& counts;
        ~Waits() {
            counts.push_back(std::uncaught_exceptions());
            yield();
            counts.push_back(std::uncaught_exceptions());
        }
    };
    run([] {
        std::vector<int> unwinding, calm;
        FiberGroup group;
        group.spawn([&] {
            try {
                const Waits waits{unwinding};
                throw 1;
            } catch (int) {
                unwinding.push_back(std::uncaught_exceptions());
            }
        });
        group.spawn([&] {
            for (int i = 0; i < 3; ++i) {
                calm.push_back(std::uncaught_exceptions());
                yield();
            }
        });
        group.wait();
        CHECK(unwinding == std::vector{1, 1, 0});
        CHECK(calm == std::vector{0, 0, 0});
        CHECK(std::uncaught_exceptions() == 0);
    });
}

TEST_CASE("cancellation ends every kind of wait, also the next ones", "[fiber]") {
    run([] {
        auto& loop = Loop::current();
        auto [mine, theirs] = Pipe::make(loop);
        Event never;
        Mutex locked;
        locked.lock();
        Channel<int> empty(1), full(1);
        CHECK(full.trySend(1));
        WaitQueue queue;
        Wake queueWake = Wake::ready;
        const std::function<void()> waits[] = {
            [] { sleepFor(24h); },
            [&] { never.wait(); },
            [&] { never.wait(loop.in(24h)); },
            [&] { locked.lock(); },
            [&] { empty.receive(); },
            [&] { full.send(2); },
            [&, pipe = mine.get()] { pipe->receive(); },
            [&] { throwUnlessReady(queueWake = queue.wait()); },
            [&] {
                FiberGroup inner;
                inner.spawn([&] { never.wait(); });
                inner.wait();
            },
        };
        size_t ended = 0, again = 0;
        FiberGroup group;
        for (const auto& wait : waits)
            group.spawn([&] {
                try {
                    wait();
                } catch (const Cancelled&) {
                    ++ended;
                }
                try {
                    sleepFor(24h);
                } catch (const Cancelled&) {
                    ++again;
                }
            });
        yield();
        CHECK(ended == 0);
        group.cancel();
        group.wait();
        CHECK(ended == std::size(waits));
        CHECK(again == std::size(waits));
        CHECK(queueWake == Wake::cancelled);
        CHECK(queue.empty());
    });
}

TEST_CASE("a fiber that is cancelled before it began still runs until its first wait", "[fiber]") {
    run([] {
        bool began = false, ended = false;
        FiberGroup group;
        group.spawn([&] {
            began = true;
            sleepFor(1h);
            ended = true;
        });
        group.cancel();
        group.wait();
        CHECK(began);
        CHECK_FALSE(ended);
    });
}

TEST_CASE("a shield keeps a cancellation away until its scope ends", "[fiber]") {
    run([] {
        Event event;
        bool shielded = false, cancelled = false;
        FiberGroup group;
        group.spawn([&] {
            {
                const Fiber::Shield shield;
                event.wait();
                shielded = true;
            }
            try {
                yield();
            } catch (const Cancelled&) {
                cancelled = true;
            }
        });
        yield();
        group.cancel();
        yield();
        CHECK_FALSE(shielded);
        event.set();
        group.wait();
        CHECK(shielded);
        CHECK(cancelled);
    });
}

TEST_CASE("an idle fiber gives the pages it does not need back, and its variables stay", "[fiber]") {
    LoopOptions options;
    options.stackSize = 256 * 1024;
    options.idleStackAge = 1ms;
    run(
        [] {
            Event go;
            std::array<unsigned, 8> sums{};
            std::vector<const Fiber*> fibers;
            FiberGroup group;
            for (unsigned i = 0; i < sums.size(); ++i)
                group.spawn([&, i] {
                    fibers.push_back(Loop::current().runningFiber());
                    std::array<unsigned char, 512> kept;
                    kept.fill(static_cast<unsigned char>(i));
                    sums[i] = useStack(kept[0]);
                    go.wait();
                    for (const auto byte : kept) CHECK(byte == i);
                    sums[i] -= useStack(kept[511]);
                });
            yield();
            REQUIRE(fibers.size() == sums.size());
            for (const auto* fiber : fibers) CHECK(residentPages(fiber->stack()) >= 10);
            const auto isTrimmed = [](const Fiber* fiber) { return residentPages(fiber->stack()) <= 4; };
            for (int i = 0; i < 10'000 && !std::all_of(fibers.begin(), fibers.end(), isTrimmed); ++i) sleepFor(1ms);
            for (const auto* fiber : fibers) CHECK(residentPages(fiber->stack()) <= 4);
            go.set();
            group.wait();
            for (const auto sum : sums) CHECK(sum == 0);
        },
        options);
}

TEST_CASE("a stack that overflows ends the process with a report, not another fiber's memory", "[fiber]") {
    int output[2];
    REQUIRE(::pipe(output) == 0);
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        ::dup2(output[1], 2);
        const StackOverflowReport report;
        run([] { recurse(1'000'000); });
        ::_exit(0);
    }
    ::close(output[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t size; (size = ::read(output[0], buffer, sizeof buffer)) > 0;) text.append(buffer, static_cast<size_t>(size));
    ::close(output[0]);
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFSIGNALED(status));
    CHECK(WTERMSIG(status) == SIGSEGV);
    CHECK_THAT(text, Catch::Contains("stack overflowed: raise --stack-size"));
}

TEST_CASE("an exception that leaves a fiber is logged, and the loop goes on", "[fiber]") {
    std::string logged;
    LoopOptions options;
    options.log = [&](LogLevel level, std::string_view line) {
        CHECK(level == LogLevel::error);
        logged += line;
    };
    run(
        [] {
            Loop::current().spawn([] { throw std::runtime_error("out of cheese"); });
            Loop::current().spawn([] { throw Cancelled(); });
            yield();
            CHECK(Loop::current().fiberCount() == 1);
        },
        options);
    CHECK_THAT(logged, Catch::Contains("out of cheese"));
    CHECK(logged.find("cancelled") == std::string::npos);
}
