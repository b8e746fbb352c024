#include "postern/fiber/Timers.h"

#include "support/Catch.h"

#include <memory>
#include <random>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

constexpr TimePoint start{1h};

struct Recorder {
    Timers timers;
    std::vector<int> fired;
    struct Entry {
        Entry(Recorder& recorder, int n)
            : owner(recorder), number(n), timer(recorder.timers, [](Timer& self) { fire(self); }, this) {}
        static void fire(Timer& self) {
            auto& entry = *static_cast<Entry*>(self.owner());
            CHECK_FALSE(self.isSet());
            entry.owner.fired.push_back(entry.number);
        }
        Recorder& owner;
        int number;
        Timer timer;
    };
};

}

TEST_CASE("timers fire in the order of their moments, not before", "[fiber]") {
    Recorder recorder;
    Recorder::Entry a(recorder, 1), b(recorder, 2), c(recorder, 3);
    a.timer.set(start + 30ms);
    b.timer.set(start + 10ms);
    c.timer.set(start + 20ms);
    CHECK(recorder.timers.next() == start + 10ms);
    recorder.timers.fire(start + 9ms);
    CHECK(recorder.fired.empty());
    recorder.timers.fire(start + 20ms);
    CHECK(recorder.fired == std::vector{2, 3});
    recorder.timers.fire(start + 1h);
    CHECK(recorder.fired == std::vector{2, 3, 1});
    CHECK(recorder.timers.empty());
    CHECK(recorder.timers.next() == TimePoint::max());
}

TEST_CASE("a timer that is moved away or cleared does not fire at its old moment", "[fiber]") {
    Recorder recorder;
    Recorder::Entry a(recorder, 1), b(recorder, 2);
    a.timer.set(start + 10ms);
    b.timer.set(start + 10ms);
    for (int i = 1; i <= 100; ++i) a.timer.set(start + 10ms + i * 1ms);
    b.timer.clear();
    recorder.timers.fire(start + 50ms);
    CHECK(recorder.fired.empty());
    CHECK(recorder.timers.next() == start + 110ms);
    a.timer.set(start + 60ms);  // nearer again
    CHECK(recorder.timers.next() == start + 60ms);
    recorder.timers.fire(start + 60ms);
    CHECK(recorder.fired == std::vector{1});
}

TEST_CASE("a timer may be set again, or destroyed, while timers fire", "[fiber]") {
    Timers timers;
    int count = 0;
    struct Victim {
        std::unique_ptr<Timer> timer;
        int& count;
    };
    Victim victim{nullptr, count};
    victim.timer = std::make_unique<Timer>(timers, [](Timer& self) { static_cast<Victim*>(self.owner())->count += 100; }, &victim);
    Timer again(
        timers,
        [](Timer& self) {
            auto& owner = *static_cast<Victim*>(self.owner());
            owner.timer.reset();
            if (++owner.count < 5) self.set(start + owner.count * 10ms);
        },
        &victim);
    again.set(start);
    victim.timer->set(start + 1ms);
    for (int i = 0; i < 10; ++i) timers.fire(start + i * 10ms);
    CHECK(count == 5);
    CHECK(timers.empty());
}

TEST_CASE("a destroyed timer never fires", "[fiber]") {
    Recorder recorder;
    auto a = std::make_unique<Recorder::Entry>(recorder, 1);
    Recorder::Entry b(recorder, 2);
    a->timer.set(start);
    b.timer.set(start);
    a.reset();
    recorder.timers.fire(start + 1s);
    CHECK(recorder.fired == std::vector{2});
}

TEST_CASE("timers behave like a sorted list, whatever is set, moved and removed", "[fiber]") {
    for (unsigned seed = 0; seed < 50; ++seed) {
        CAPTURE(seed);
        std::mt19937 random(seed);
        Recorder recorder;
        std::vector<std::unique_ptr<Recorder::Entry>> entries(60);
        std::vector<TimePoint> due(entries.size(), TimePoint::max());
        auto now = start;
        for (int step = 0; step < 600; ++step) {
            const auto i = random() % entries.size();
            switch (random() % 8) {
            case 0:
                entries[i].reset();
                due[i] = TimePoint::max();
                break;
            case 1:
                if (entries[i]) entries[i]->timer.clear();
                due[i] = TimePoint::max();
                break;
            case 2: {
                now += std::chrono::milliseconds(random() % 20);
                std::vector<int> expected;
                for (size_t n = 0; n < due.size(); ++n)
                    if (due[n] <= now) expected.push_back(static_cast<int>(n));
                recorder.fired.clear();
                recorder.timers.fire(now);
                std::vector<TimePoint> moments;
                for (const int n : recorder.fired) moments.push_back(due[static_cast<size_t>(n)]);
                REQUIRE(std::is_sorted(moments.begin(), moments.end()));
                std::sort(recorder.fired.begin(), recorder.fired.end());
                REQUIRE(recorder.fired == expected);
                for (const int n : expected) due[static_cast<size_t>(n)] = TimePoint::max();
                break;
            }
            default:
                if (!entries[i]) entries[i] = std::make_unique<Recorder::Entry>(recorder, static_cast<int>(i));
                due[i] = now + std::chrono::milliseconds(1 + random() % 100);
                entries[i]->timer.set(due[i]);
            }
            REQUIRE(recorder.timers.next() <= *std::min_element(due.begin(), due.end()));
        }
    }
}
