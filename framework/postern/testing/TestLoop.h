#pragma once
// The loop of a TestClient: it only runs inside the test's calls. Internal.

#include "postern/fiber/Loop.h"

#include <functional>
#include <string>
#include <string_view>

namespace postern {

class ShiftedPoller;

class TestLoop {
public:
    TestLoop(Duration patience, LogFunction log);

    Loop& loop() { return loop_; }
    /// Runs `function` as a fiber to its end, throws what it throws, and settles. Throws TimedOut, which names `what`, when
    /// patience ends; the fiber is cancelled then.
    void run(std::string_view what, const std::function<void()>& function);
    /// Runs `function` as far as it gets without waiting for time or other threads. False: it did not end, and was cancelled.
    bool tryRun(const std::function<void()>& function);
    /// Runs everything that can run, and waits for nothing.
    void settle();
    /// Lets time pass, from one timer to the next, and settles after each.
    void advance(Duration time);

private:
    struct Task;
    TestLoop(Duration patience, LogFunction log, ShiftedPoller* poller);
    void refuseWithin();
    void end(Task& task);

    ShiftedPoller& poller_;  // the loop's
    const Duration patience_;
    Loop loop_;
};

}
