#pragma once
// A way out for calls that would block the loop's thread: databases, name look-ups, files.

#include "postern/fiber/Loop.h"

#include <condition_variable>
#include <deque>
#include <exception>
#include <functional>
#include <mutex>
#include <optional>
#include <thread>
#include <type_traits>
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

/// Runs `function` on another thread while the current fiber waits, and returns its result or throws its exception.
/// The wait cannot be cancelled: the function may use the caller's stack.
template <typename Function>
auto runBlocking(Function&& function) -> std::invoke_result_t<Function> {
    using Result = std::invoke_result_t<Function>;
    auto& loop = Loop::current();
    Fiber& fiber = *loop.runningFiber();
    bool done = false;
    std::exception_ptr error;
    std::conditional_t<std::is_void_v<Result>, std::optional<bool>, std::optional<Result>> result;
    loop.blockingPool().submit([&] {
        try {
            if constexpr (std::is_void_v<Result>) function();
            else result.emplace(function());
        } catch (...) {
            error = std::current_exception();
        }
        loop.post([&] {
            done = true;
            loop.wake(fiber);
        });
    });
    const Fiber::Shield shield;
    while (!done) loop.park(Deadline::never());
    if (error) std::rethrow_exception(error);
    if constexpr (!std::is_void_v<Result>) return std::move(*result);
}

}
