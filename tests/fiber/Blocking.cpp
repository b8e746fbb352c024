#include "postern/fiber/Blocking.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "support/Catch.h"
#include "support/LeftoverCheck.h"

#include <atomic>
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
