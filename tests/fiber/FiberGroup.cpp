#include "postern/fiber/FiberGroup.h"

#include "postern/fiber/Run.h"
#include "postern/fiber/Sync.h"
#include "support/Catch.h"

using namespace postern;
using namespace std::chrono_literals;

TEST_CASE("leaving a group's scope cancels its fibers and waits until all have ended", "[fiber]") {
    run([] {
        int cleaned = 0;
        {
            FiberGroup group;
            for (int i = 0; i < 5; ++i)
                group.spawn([&] {
                    struct CleanUp {
                        int& count;
                        ~CleanUp() {
                            const Fiber::Shield shield;
                            yield();
                            ++count;
                        }
                    } cleanUp{cleaned};
                    sleepFor(1h);
                });
            yield();
            CHECK_FALSE(group.empty());
        }
        CHECK(cleaned == 5);
        CHECK(Loop::current().fiberCount() == 1);
    });
}

TEST_CASE("a group's wait throws the first exception that left one of its fibers, when all have ended", "[fiber]") {
    run([] {
        FiberGroup group;
        bool last = false;
        group.spawn([] {
            yield();
            throw std::runtime_error("first");
        });
        group.spawn([&] {
            sleepFor(2ms);
            last = true;
            throw std::runtime_error("second");
        });
        group.spawn([] { throw Cancelled(); });
        CHECK_THROWS_WITH(group.wait(), "first");
        CHECK(last);
        CHECK_NOTHROW(group.wait());
        group.spawn([] {});
        CHECK_NOTHROW(group.wait());
    });
}

TEST_CASE("a group's wait ends at its deadline, or with its own fiber, and the others go on", "[fiber]") {
    run([] {
        FiberGroup group;
        Event go;
        bool done = false;
        group.spawn([&] {
            go.wait();
            done = true;
        });
        CHECK_THROWS_AS(group.wait(Loop::current().in(1ms)), TimedOut);
        bool cancelled = false;
        {
            FiberGroup outer;
            outer.spawn([&] {
                try {
                    group.wait();
                } catch (const Cancelled&) {
                    cancelled = true;
                }
            });
            yield();
        }
        CHECK(cancelled);
        CHECK_FALSE(done);
        go.set();
        group.wait();
        CHECK(done);
    });
}

TEST_CASE("a fiber may start others in its own group while it is waited for", "[fiber]") {
    run([] {
        FiberGroup group;
        int ran = 0;
        group.spawn([&] {
            yield();
            for (int i = 0; i < 3; ++i) group.spawn([&] { ++ran; });
        });
        group.wait();
        CHECK(ran == 3);
    });
}
