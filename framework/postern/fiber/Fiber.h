#pragma once
// A stackful fiber: a function that can stop in the middle and go on later, on the thread of its loop.
// Programs use FiberGroup; gateways use Loop::spawn().

#include "postern/base/Errors.h"
#include "postern/base/List.h"
#include "postern/fiber/Stack.h"
#include "postern/fiber/Timers.h"

#include <cstdint>
#include <exception>

namespace postern {

class FiberGroup;
class Loop;

/// Why a wait ended.
enum class Wake : uint8_t { ready, timedOut, cancelled };

/// Lives at the top of its own stack, so an idle fiber costs the one page that holds both.
class Fiber : public ListNode<>, public ListNode<struct FiberTag> {
public:
    /// Asks it to end: what it waits for, and everything it will wait for, ends with Cancelled.
    void cancel();
    bool isCancelled() const { return cancelled_; }
    Loop& loop() const { return loop_; }
    const Stack& stack() const { return stack_; }
    /// It will go on soon, see Completion::expected: first with 1, then with 0.
    void expect(unsigned ahead) const;

    /// Within its scope the current fiber cannot be interrupted: for joins and for work that other threads do on its
    /// stack.
    class Shield;
    /// Names what the current fiber does, for the log, as long as it lives.
    class Purpose;

private:
    friend class FiberGroup;
    friend class Loop;
    struct Switching;

    Fiber(Loop& loop, Stack stack, void (*run)(void*), void* closure);
    ~Fiber();

    static void fireTimer(Timer& timer);

    enum class State : uint8_t { waiting, scheduled, running, done };

    // What every switch needs comes first, in as few cache lines as it can.
    Loop& loop_;
    void* context_ = nullptr;           // where it goes on (Boost.Context)
    State state_ = State::scheduled;
    Wake wake_ = Wake::ready;
    bool cancelled_ = false;
    uint8_t shields_ = 0;
    unsigned uncaughtExceptions_ = 0;
    void* caughtExceptions_ = nullptr;  // of __cxa_get_globals(): it may wait inside a catch
    TimePoint lastRun_{};
    Timer timer_;
    size_t warmPlace_ = ~size_t{0};     // in the loop's list of stacks that may hold pages they do not need
    const Purpose* purpose_ = nullptr;

    Stack stack_;
    void (*run_)(void* closure);
    void* closure_;
    void* sanitizerState_ = nullptr;    // fake stack (ASan) or fiber handle (TSan)
    FiberGroup* group_ = nullptr;
    Fiber* nextInGroup_ = nullptr;
    Fiber* previousInGroup_ = nullptr;
};

}
