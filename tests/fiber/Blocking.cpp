#include "postern/fiber/Blocking.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "support/Catch.h"
#include "support/LeftoverCheck.h"

#include <atomic>
#include <future>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <thread>

using namespace postern;
using namespace std::chrono_literals;

TEST_CASE("runBlocking() gives back results and exceptions of another thread", "[fiber][threads]") {
    run([] {
        const auto here = std::this_thread::get_id();
        CHECK(runBlocking([] { return std::this_thread::get_id(); }) != here);
        CHECK(*runBlocking([] { return std::make_unique<std::string>("moved"); }) == "moved");
        bool ran = false;
        runBlocking([&] { ran = true; });
        CHECK(ran);
        CHECK_THROWS_WITH(runBlocking([]() -> int { throw std::runtime_error("from there"); }), "from there");
    });
}

TEST_CASE("other fibers run while one waits for a blocking call", "[fiber][threads]") {
    run([] {
        std::atomic<bool> go{false};
        FiberGroup group;
        group.spawn([&] {
            yield();
            go = true;
            go.notify_all();
        });
        runBlocking([&] { go.wait(false); });
        group.wait();
    });
}

TEST_CASE("many blocking calls share a bounded number of threads", "[fiber][threads]") {
    const LeftoverCheck leftovers;
    LoopOptions options;
    options.blockingThreads = 3;
    std::mutex mutex;
    std::set<std::thread::id> threads;
    int inside = 0, most = 0, sum = 0;
    run(
        [&] {
            FiberGroup group;
            for (int i = 0; i < 300; ++i)
                group.spawn([&, i] {
                    sum += runBlocking([&, i] {
                        {
                            const std::lock_guard lock(mutex);
                            threads.insert(std::this_thread::get_id());
                            most = std::max(most, ++inside);
                        }
                        std::this_thread::yield();
                        const std::lock_guard lock(mutex);
                        --inside;
                        return i;
                    });
                });
            group.wait();
        },
        options);
    CHECK(sum == 299 * 150);
    CHECK(most <= 3);
    CHECK(threads.size() <= 3);
    CHECK(leftovers.find() == "");
}

TEST_CASE("a blocking call goes to its end although its fiber is cancelled: it uses that fiber's stack", "[fiber][threads]") {
    run([] {
        std::atomic<bool> began{false}, go{false};
        bool finished = false;
        FiberGroup group;
        group.spawn([&] {
            runBlocking([&] {
                began = true;
                go.wait(false);
            });
            finished = true;
            sleepFor(1h);
        });
        while (!began) yield();
        group.cancel();
        yield();
        CHECK_FALSE(finished);
        go = true;
        go.notify_all();
        group.wait();
        CHECK(finished);
    });
}

TEST_CASE("runBlockingUntil() gives back results and exceptions of another thread", "[fiber][threads]") {
    run([] {
        const auto here = std::this_thread::get_id();
        const auto soon = Loop::current().in(20s);
        CHECK(runBlockingUntil(soon, [] { return std::this_thread::get_id(); }) != here);
        CHECK(*runBlockingUntil(soon, [] { return std::make_unique<std::string>("moved"); }) == "moved");
        CHECK(runBlockingUntil(soon, [owned = std::make_unique<int>(7)] { return *owned; }) == 7);
        std::atomic<bool> ran{false};
        runBlockingUntil(Deadline::never(), [&] { ran = true; });
        CHECK(ran);
        CHECK_THROWS_WITH(runBlockingUntil(soon, []() -> int { throw std::runtime_error("from there"); }), "from there");
    });
}

TEST_CASE("a call that is given up goes on to its end, and what it held and gave is dropped", "[fiber][threads]") {
    const LeftoverCheck leftovers;
    for (const bool byDeadline : {true, false}) {
        CAPTURE(byDeadline);
        auto held = std::make_shared<int>(1), given = std::make_shared<int>(2);
        const std::weak_ptr<int> heldLater = held, givenLater = given;
        std::promise<void> go;
        std::atomic<bool> began{false}, finished{false};
        run([&] {
            FiberGroup group;
            group.spawn([&, held = std::move(held), given = std::move(given)]() mutable {
                const auto deadline = byDeadline ? Loop::current().in(20ms) : Deadline::never();
                runBlockingUntil(deadline, [&, until = go.get_future().share(), held = std::move(held), given = std::move(given)]() mutable {
                    began = true;
                    until.wait_for(5s);
                    finished = true;
                    return std::move(given);
                });
            });
            while (!began) yield();
            if (byDeadline) {
                CHECK_THROWS_AS(group.wait(), TimedOut);
            } else {
                group.cancel();
                group.wait();
            }
            CHECK_FALSE(finished);
            CHECK_FALSE(heldLater.expired());
            go.set_value();
        });
        CHECK(finished);
        CHECK(heldLater.expired());
        CHECK(givenLater.expired());
    }
    CHECK(leftovers.find() == "");
}

TEST_CASE("a call that is given up while it waits in line is never begun", "[fiber][threads]") {
    LoopOptions options;
    options.blockingThreads = 1;
    bool begun = false;
    run(
        [&] {
            std::promise<void> go;
            std::atomic<bool> busy{false};
            FiberGroup group;
            group.spawn([&] {
                runBlocking([&] {
                    busy = true;
                    go.get_future().wait_for(5s);
                });
            });
            while (!busy) yield();
            CHECK_THROWS_AS(runBlockingUntil(Loop::current().in(20ms), [&] { begun = true; }), TimedOut);
            go.set_value();
            group.wait();
            runBlocking([] {});  // all before it have had their turn
        },
        options);
    CHECK_FALSE(begun);
}

TEST_CASE("a call that was given up wakes nobody when it ends", "[fiber][threads]") {
    LoopOptions options;
    options.blockingThreads = 1;
    run(
        [] {
            auto& loop = Loop::current();
            Fiber& self = *loop.runningFiber();
            std::promise<void> go;
            CHECK_THROWS_AS(runBlockingUntil(loop.in(20ms), [until = go.get_future().share()] { until.wait_for(5s); }), TimedOut);
            FiberGroup group;
            group.spawn([&] {
                go.set_value();
                runBlocking([] {});  // its turn is after that
                loop.wake(self, Wake::cancelled);
            });
            CHECK(loop.park(Deadline::never()) == Wake::cancelled);
        },
        options);
}
