#include "postern/fiber/Sync.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "support/Catch.h"

#include <mutex>
#include <string>

using namespace postern;
using namespace std::chrono_literals;

TEST_CASE("those who wait in a queue go on in the order they came", "[fiber]") {
    run([] {
        WaitQueue queue;
        std::string order;
        FiberGroup group;
        for (const char name : {'a', 'b', 'c', 'd'})
            group.spawn([&, name] {
                CHECK(queue.wait() == Wake::ready);
                order += name;
            });
        yield();
        CHECK(queue.notifyOne());
        yield();
        CHECK(order == "a");
        queue.notifyAll();
        group.wait();
        CHECK(order == "abcd");
        CHECK_FALSE(queue.notifyOne());
    });
}

TEST_CASE("a notification is not lost to a waiter whose time is over or who was cancelled", "[fiber]") {
    run([] {
        WaitQueue queue;
        FiberGroup group;
        Wake first = Wake::ready, second = Wake::ready;
        group.spawn([&] { first = queue.wait(Loop::current().in(1ms)); });
        group.spawn([&] { second = queue.wait(); });
        sleepFor(5ms);
        CHECK(first == Wake::timedOut);
        CHECK(queue.notifyOne());
        group.wait();
        CHECK(second == Wake::ready);

        Wake cancelledLate = Wake::timedOut;
        group.spawn([&] { cancelledLate = queue.wait(); });
        yield();
        queue.notifyOne();
        group.cancel();  // it was notified first
        group.wait();
        CHECK(cancelledLate == Wake::ready);
    });
}

TEST_CASE("a mutex lets one fiber in at a time, in the order they came", "[fiber]") {
    run([] {
        Mutex mutex;
        int inside = 0, most = 0;
        std::string order;
        FiberGroup group;
        for (const char name : {'a', 'b', 'c', 'd', 'e'})
            group.spawn([&, name] {
                const std::lock_guard lock(mutex);
                most = std::max(most, ++inside);
                order += name;
                yield();
                yield();
                --inside;
            });
        group.wait();
        CHECK(most == 1);
        CHECK(order == "abcde");
        CHECK(mutex.try_lock());
        CHECK_FALSE(mutex.try_lock());
        mutex.unlock();
    });
}

TEST_CASE("a mutex whose next in line was cancelled goes to the one after", "[fiber]") {
    run([] {
        Mutex mutex;
        mutex.lock();
        bool got = false;
        FiberGroup cancelled, group;
        cancelled.spawn([&] { const std::lock_guard lock(mutex); });
        yield();
        group.spawn([&] {
            const std::lock_guard lock(mutex);
            got = true;
        });
        yield();
        cancelled.cancel();
        cancelled.wait();
        mutex.unlock();
        group.wait();
        CHECK(got);
        CHECK(mutex.try_lock());
        mutex.unlock();
    });
}

TEST_CASE("an event wakes all who wait and lets later ones pass, until it is reset", "[fiber]") {
    run([] {
        Event event;
        int passed = 0;
        FiberGroup group;
        for (int i = 0; i < 3; ++i)
            group.spawn([&] {
                event.wait();
                ++passed;
            });
        CHECK_THROWS_AS(event.wait(Loop::current().in(1ms)), TimedOut);
        CHECK(passed == 0);
        event.set();
        event.wait();
        group.wait();
        CHECK(passed == 3);
        event.reset();
        CHECK_FALSE(event.isSet());
        CHECK_THROWS_AS(event.wait(Deadline(Loop::current().now())), TimedOut);
    });
}

TEST_CASE("a channel keeps the order and holds no more than its capacity", "[fiber]") {
    run([] {
        Channel<int> channel(3);
        size_t most = 0;
        FiberGroup group;
        group.spawn([&] {
            for (int i = 0; i < 100; ++i) {
                CHECK(channel.send(i));
                most = std::max(most, channel.size());
            }
            channel.close();
        });
        int expected = 0;
        while (const auto value = channel.receive()) CHECK(*value == expected++);
        CHECK(expected == 100);
        CHECK(most == 3);
        CHECK_FALSE(channel.send(1));
        CHECK_FALSE(channel.trySend(1));
        CHECK(channel.isClosed());
    });
}

TEST_CASE("every value of a channel reaches one of its receivers", "[fiber]") {
    run([] {
        Channel<int> channel(2);
        std::vector<int> seen(200);
        FiberGroup receivers, senders;
        for (int i = 0; i < 5; ++i)
            receivers.spawn([&] {
                while (const auto value = channel.receive()) {
                    ++seen[static_cast<size_t>(*value)];
                    yield();
                }
            });
        for (int s = 0; s < 4; ++s)
            senders.spawn([&, s] {
                for (int i = 0; i < 50; ++i) channel.send(s * 50 + i);
            });
        senders.wait();
        channel.close();
        receivers.wait();
        CHECK(seen == std::vector<int>(200, 1));
    });
}

TEST_CASE("waiting at a channel ends at the deadline and when it is closed", "[fiber]") {
    run([] {
        Channel<std::string> channel(1);
        CHECK_THROWS_AS(channel.receive(Loop::current().in(1ms)), TimedOut);
        CHECK(channel.trySend("kept"));
        CHECK_FALSE(channel.trySend("too many"));
        CHECK_THROWS_AS(channel.send("late", Loop::current().in(1ms)), TimedOut);
        FiberGroup group;
        bool refused = false;
        group.spawn([&] { refused = !channel.send("closed meanwhile"); });
        yield();
        channel.close();
        group.wait();
        CHECK(refused);
        CHECK(channel.receive() == "kept");
        CHECK_FALSE(channel.receive());
    });
}
