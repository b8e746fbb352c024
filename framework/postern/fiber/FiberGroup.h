#pragma once
// Fibers with an owner: nothing outlives the scope that started it.

#include "postern/fiber/Loop.h"

#include <exception>
#include <utility>

namespace postern {

/// Fibers of the current loop that end with this object: its destructor cancels them and waits until all have ended.
/// For one loop's thread; create and destroy it within a fiber.
class FiberGroup {
public:
    FiberGroup() = default;
    FiberGroup(const FiberGroup&) = delete;
    FiberGroup& operator=(const FiberGroup&) = delete;
    ~FiberGroup();

    /// Starts a fiber; it runs when the current one waits. Throws std::bad_alloc.
    template <typename Function>
    void spawn(Function&& function) {
        add(Loop::current().spawn(std::forward<Function>(function)));
    }

    /// Waits until all have ended, then throws the first exception that left one of them (Cancelled is none).
    /// Throws Cancelled or TimedOut; the fibers go on then.
    void wait(Deadline deadline = Deadline::never());
    /// Asks all of them to end, without waiting.
    void cancel();
    bool empty() const { return first_ == nullptr; }

private:
    friend class Fiber;
    friend class Loop;

    void add(Fiber& fiber);
    void remove(Fiber& fiber);
    void ended();
    void failed(std::exception_ptr error);

    Fiber* first_ = nullptr;
    Fiber* waiting_ = nullptr;
    std::exception_ptr error_;
};

}
