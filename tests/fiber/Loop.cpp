#include "postern/fiber/Loop.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/fiber/Sync.h"
#include "support/Catch.h"
#include "support/LeftoverCheck.h"

#include <atomic>
#include <string>
#include <thread>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

TEST_CASE("a loop leaves nothing behind, whatever its fibers wait for when it goes", "[fiber]") {
    const LeftoverCheck leftovers;
    int ended = 0;
    {
        Loop loop;
        Event never;
        for (int i = 0; i < 10; ++i)
            loop.spawn([&] {
                struct Count {
                    int& count;
                    ~Count() { ++count; }
                } count{ended};
                never.wait();
            });
        loop.turn(TimePoint::min());
        CHECK(loop.fiberCount() == 10);
    }
    CHECK(ended == 10);
    CHECK(leftovers.find() == "");
}

TEST_CASE("the loop of a thread is current while it runs, and the outer one afterwards", "[fiber]") {
    CHECK(Loop::currentOrNull() == nullptr);
    Loop outer;
    CHECK(&Loop::current() == &outer);
    {
        Loop inner;
        CHECK(&Loop::current() == &inner);
    }
    CHECK(&Loop::current() == &outer);
}

TEST_CASE("run() gives back what its function throws", "[fiber]") {
    CHECK_THROWS_WITH(run([] {
                          yield();
                          throw std::runtime_error("out");
                      }),
                      "out");
}

TEST_CASE("sleep lasts at least as long as it should, and sleepers wake in order of their time", "[fiber]") {
    run([] {
        std::string order;
        FiberGroup group;
        const auto start = Clock::now();
        for (const int n : {3, 1, 2})
            group.spawn([&, n] {
                sleepFor(n * 10ms);
                order += std::to_string(n);
                CHECK(Clock::now() - start >= n * 10ms);
            });
        group.wait();
        CHECK(order == "123");
    });
}

TEST_CASE("a fiber that yields or sleeps for no time, over and over, keeps nobody from running", "[fiber]") {
    run([] {
        for (const bool sleeps : {false, true}) {
            bool posted = false, timed = false, ran = false;
            FiberGroup group;
            group.spawn([&] {
                sleepFor(1ms);
                timed = true;
            });
            group.spawn([&] { ran = true; });
            Loop::current().post([&] { posted = true; });
            while (!posted || !timed || !ran) {
                if (sleeps) sleepFor(0ms);
                else yield();
            }
            group.wait();
        }
        sleepUntil(Deadline(TimePoint::min()));
    });
}

TEST_CASE("what is deferred runs in its order, when the running fiber waits", "[fiber]") {
    struct Note final : Deferred {
        Note(std::string& text, char c) : all(text), name(c) {}
        void runDeferred() override { all += name; }
        std::string& all;
        char name;
    };
    run([] {
        std::string order;
        Note a(order, 'a'), b(order, 'b'), c(order, 'c');
        auto& loop = Loop::current();
        loop.defer(b);
        loop.defer(a);
        loop.defer(b);  // already waiting
        {
            Note gone(order, 'x');
            loop.defer(gone);
        }
        loop.defer(c);
        CHECK(order.empty());
        yield();
        CHECK(order == "bac");
        yield();
        CHECK(order == "bac");
    });
}

TEST_CASE("spawnNext() comes before what is ready outside fibers, and in its turn within one", "[fiber]") {
    Loop loop;
    std::string order;
    loop.spawn([&] { order += "ready "; });
    loop.spawnNext([&] {
        order += "next ";
        yield();
    });
    CHECK(order.empty());
    loop.turn(TimePoint::min());
    CHECK(order == "next ready ");
    order.clear();
    loop.spawn([&] {
        loop.spawnNext([&] { order += "inner "; });
        order += "outer ";
    });
    for (int i = 0; i < 10 && loop.fiberCount() > 0; ++i) loop.turn(TimePoint::min());
    CHECK(order == "outer inner ");
    CHECK(loop.fiberCount() == 0);
}

TEST_CASE("what a task wakes runs before the next task, and what a fiber wakes has its turn later", "[fiber]") {
    Loop loop;
    std::string order;
    Event first, second, third;
    const auto waitFor = [&](Event& event, char name) {
        loop.spawn([&, name] {
            event.wait();
            order += name;
            if (&event == &first) third.set();
            order += '.';
        });
    };
    waitFor(first, '1');
    waitFor(second, '2');
    waitFor(third, '3');
    loop.turn(TimePoint::min());
    loop.post([&] {
        first.set();
        order += 'a';
    });
    loop.post([&] {
        second.set();
        order += 'b';
    });
    for (int i = 0; i < 10 && loop.fiberCount() > 0; ++i) loop.turn(TimePoint::min());
    CHECK(order == "a1.b2.3.");
    CHECK(loop.fiberCount() == 0);
}

TEST_CASE("post() from other threads runs every task, each thread's in its order", "[fiber][threads]") {
    constexpr int threads = 4, each = 2000;
    Loop loop;
    std::vector<int> next(threads);
    bool inOrder = true;
    int total = 0;
    const auto owner = std::this_thread::get_id();
    std::vector<std::thread> posters;
    for (int t = 0; t < threads; ++t)
        posters.emplace_back([&, t] {
            for (int i = 0; i < each; ++i)
                loop.post([&, t, i] {
                    inOrder = inOrder && next[static_cast<size_t>(t)]++ == i && std::this_thread::get_id() == owner;
                    if (++total == threads * each) loop.stop();
                });
        });
    loop.run();
    for (auto& poster : posters) poster.join();
    CHECK(total == threads * each);
    CHECK(inOrder);
}

TEST_CASE("stop() from another thread ends a loop that waits, and it can run again", "[fiber][threads]") {
    Loop loop;
    for (int i = 0; i < 20; ++i) {
        std::thread stopper([&] { loop.stop(); });
        loop.run();
        stopper.join();
    }
    bool ran = false;
    loop.post([&] {
        ran = true;
        loop.stop();
    });
    loop.run();
    CHECK(ran);
}

TEST_CASE("loops on several threads do not touch each other", "[fiber][threads]") {
    std::atomic<int> sum{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t)
        threads.emplace_back([&] {
            run([&] {
                Channel<int> channel(4);
                FiberGroup group;
                group.spawn([&] {
                    for (int i = 1; i <= 100; ++i) channel.send(i);
                    channel.close();
                });
                while (const auto value = channel.receive()) {
                    try {
                        throw *value;
                    } catch (int number) {
                        yield();
                        sum += number;
                    }
                }
            });
        });
    for (auto& thread : threads) thread.join();
    CHECK(sum == 4 * 5050);
}

namespace {

struct Worker : Drainable {
    Worker(Loop& loop, bool obedient, std::string& said)
        : Drainable([](Drainable& self, How how) { static_cast<Worker&>(self).end(how); }), willing(obedient), log(said) {
        loop.add(*this);
    }
    void end(How how) {
        log += how == How::finish ? 'f' : 'a';
        if (willing || how == How::abort) unlink();
    }
    bool willing;
    std::string& log;
};

}

TEST_CASE("a drain ends the loop when everybody has finished", "[fiber]") {
    Loop loop;
    std::string said;
    Worker worker(loop, true, said);
    loop.drain(1h);
    loop.run();
    CHECK(said == "f");
    CHECK(loop.isDraining());
}

TEST_CASE("who does not finish in time, or when asked a second time, is told to abort", "[fiber]") {
    for (const bool twice : {false, true}) {
        Loop loop;
        std::string said;
        Worker worker(loop, false, said);
        loop.drain(twice ? Duration(1h) : Duration(2ms));
        if (twice) loop.drain(1h);
        loop.run();
        CHECK(said == "fa");
    }
}

TEST_CASE("a drain may be asked for by another thread", "[fiber][threads]") {
    Loop loop;
    std::string said;
    Worker worker(loop, true, said);
    std::thread thread([&] { loop.drain(1h); });
    loop.run();
    thread.join();
    CHECK(said == "f");
}
