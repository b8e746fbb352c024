#include "postern/testing/TestLoop.h"

#include "postern/base/Errors.h"
#include "postern/testing/ShiftedPoller.h"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <stdexcept>

namespace postern {

namespace {

// A handler that never waits for anything but its turn would keep us for ever.
constexpr int maxTurns = 10'000;

std::string inSeconds(Duration time) {
    char text[32];
    std::snprintf(text, sizeof text, "%g s", std::chrono::duration<double>(time).count());
    return text;
}

LoopOptions withLog(LogFunction log) {
    LoopOptions options;
    options.log = std::move(log);
    return options;
}

}

struct TestLoop::Task {
    Task(Loop& loop, const std::function<void()>& function)
        : fiber(loop.spawn([this, &loop, &function] {
              try {
                  function();
              } catch (...) {
                  error = std::current_exception();
              }
              done = true;
              loop.post([] {});  // this turn is not to wait for anything more
          })) {}
    Task(const Task&) = delete;

    bool done = false;
    std::exception_ptr error;
    Fiber& fiber;  // until it is done
};

TestLoop::TestLoop(Duration patience, LogFunction log) : TestLoop(patience, std::move(log), new ShiftedPoller) {}

TestLoop::TestLoop(Duration patience, LogFunction log, ShiftedPoller* poller)
    : poller_(*poller), patience_(patience), loop_(withLog(std::move(log)), std::unique_ptr<Poller>(poller)) {}

void TestLoop::refuseWithin() {
    if (loop_.runningFiber()) throw std::logic_error("this call of a TestClient is for the test, not for a handler or run()");
}

// What it uses lies on our stack: it is waited for, even when it is inside runBlocking().
void TestLoop::end(Task& task) {
    task.fiber.cancel();
    while (!task.done) loop_.turn(poller_.now() + std::chrono::milliseconds(1));
}

void TestLoop::run(std::string_view what, const std::function<void()>& function) {
    refuseWithin();
    Task task(loop_, function);
    const auto until = Deadline::after(patience_, poller_.now()).at();
    while (!task.done && poller_.now() < until) loop_.turn(until);
    const bool late = !task.done;
    if (late) end(task);
    settle();
    if (late) throw TimedOut(std::string(what) + ": nothing came within " + inSeconds(patience_));
    if (task.error) std::rethrow_exception(task.error);
}

bool TestLoop::tryRun(const std::function<void()>& function) {
    refuseWithin();
    Task task(loop_, function);
    settle();
    const bool ended = task.done;
    if (!ended) end(task);
    if (ended && task.error) std::rethrow_exception(task.error);
    return ended;
}

// One quiet turn may have woken somebody at its end; after the second everything has been heard.
void TestLoop::settle() {
    refuseWithin();
    int quiet = 0;
    for (int turns = 0; quiet < 2 && turns < maxTurns; ++turns) {
        loop_.turn(poller_.now());
        const bool due = loop_.timers().next() <= loop_.now();
        quiet = poller_.wasBusy() || due ? 0 : quiet + 1;
    }
}

void TestLoop::advance(Duration time) {
    constexpr Duration least = std::chrono::microseconds(100);
    settle();
    while (time > Duration::zero()) {
        const auto now = poller_.now();
        const auto next = loop_.timers().next();
        const auto step = next >= now + time ? time : std::min(time, std::max(next - now, least));
        poller_.shift(step);
        time -= step;
        settle();
    }
}

}
