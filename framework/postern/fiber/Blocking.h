#pragma once
// A way out for calls that would block the loop's thread: databases, name look-ups, files.

#include "postern/fiber/Loop.h"

#include <atomic>
#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
#include <utility>
#include <vector>

namespace postern {

/// A few threads that run tasks in order. Started when first needed; the destructor lets queued tasks finish.
class BlockingPool {
public:
    explicit BlockingPool(size_t maxThreads) : maxThreads_(maxThreads) {}
    BlockingPool(const BlockingPool&) = delete;
    BlockingPool& operator=(const BlockingPool&) = delete;
    ~BlockingPool();

    void submit(std::function<void()> task);

private:
    void work();

    const size_t maxThreads_;
    std::mutex mutex_;
    std::condition_variable changed_;
    std::deque<std::function<void()>> tasks_;  // these four guarded by mutex_
    std::vector<std::thread> threads_;
    size_t idle_ = 0;
    bool stopping_ = false;
};

/// What a call on another thread gave: a result or an exception.
template <typename Result>
class BlockingOutcome {
public:
    template <typename Function>
    void of(Function& function) noexcept {
        try {
            if constexpr (std::is_void_v<Result>) function();
            else result_.emplace(function());
        } catch (...) {
            error_ = std::current_exception();
        }
    }
    /// Once, when of() is done.
    Result take() {
        if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
        if constexpr (!std::is_void_v<Result>) return std::move(*result_);
    }

private:
    std::conditional_t<std::is_void_v<Result>, std::optional<bool>, std::optional<Result>> result_;
    std::exception_ptr error_;
};

/// Runs `function` on another thread while the current fiber waits, and returns its result or throws its exception.
/// The wait cannot be cancelled: the function may use the caller's stack.
template <typename Function>
auto runBlocking(Function&& function) -> std::invoke_result_t<Function> {
    auto& loop = Loop::current();
    Fiber& fiber = *loop.runningFiber();
    bool done = false;
    BlockingOutcome<std::invoke_result_t<Function>> outcome;
    loop.blockingPool().submit([&] {
        outcome.of(function);
        loop.post([&] {
            done = true;
            loop.wake(fiber);
        });
    });
    const Fiber::Shield shield;
    while (!done) loop.park(Deadline::never());
    return outcome.take();
}

/// The same, but the wait ends at the deadline and when the fiber is cancelled. The function then goes on to its end, or is
/// never begun, and what it gives is dropped: so it owns all that it uses. The end of the loop waits for it. Throws
/// TimedOut, Cancelled, and what the function throws.
template <typename Function>
auto runBlockingUntil(Deadline deadline, Function function) -> std::invoke_result_t<Function&> {
    struct Call {
        Function function;
        Fiber* waiting;                      // the loop's; none: given up
        BlockingOutcome<std::invoke_result_t<Function&>> outcome{};
        bool done = false;                   // the loop's
        std::atomic<bool> abandoned{false};
    };
    auto& loop = Loop::current();
    const std::shared_ptr<Call> call(new Call{std::move(function), loop.runningFiber()});
    loop.blockingPool().submit([&loop, call = call]() mutable {
        if (!call->abandoned) call->outcome.of(call->function);
        // It goes on the loop's thread, as what it holds may expect.
        loop.post([&loop, call = std::move(call)] {
            call->done = true;
            if (call->waiting) loop.wake(*call->waiting);
        });
    });
    while (!call->done) {
        const auto wake = loop.park(deadline);
        if (call->done || wake == Wake::ready) continue;
        call->waiting = nullptr;
        call->abandoned = true;
        throwUnlessReady(wake);
    }
    return call->outcome.take();
}

}
