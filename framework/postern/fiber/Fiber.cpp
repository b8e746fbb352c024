#include "postern/fiber/Fiber.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Loop.h"

#include <boost/context/detail/fcontext.hpp>

#include <cxxabi.h>

#include <algorithm>
#include <cassert>
#include <string>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) && !defined(__SANITIZE_ADDRESS__)
#define __SANITIZE_ADDRESS__ 1
#endif
#if __has_feature(thread_sanitizer) && !defined(__SANITIZE_THREAD__)
#define __SANITIZE_THREAD__ 1
#endif
#endif

#ifdef __SANITIZE_ADDRESS__
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#endif

// Switching stacks. Three things follow a fiber besides its registers: the exceptions it is handling (the C++ ABI keeps
// them per thread), and what the sanitizers know about the stack.

namespace postern {

namespace context = boost::context::detail;

namespace {

// The part of the Itanium C++ ABI's __cxa_eh_globals that every implementation has.
struct ExceptionGlobals {
    void* caught;
    unsigned uncaught;
};

}

struct Fiber::Switching {
    // Where every fiber begins.
    static void enter(context::transfer_t from) {
        auto* fiber = static_cast<Fiber*>(from.data);
        Loop& loop = fiber->loop_;
        loop.context_ = from.fctx;
        arrivedInFiber(*fiber, loop);
        try {
            fiber->run_(fiber->closure_);
        } catch (const Cancelled&) {
            // It was asked to end, and ended.
        } catch (const std::exception& error) {
            fiberFailed(*fiber, error.what());
        } catch (...) {
            fiberFailed(*fiber, "unknown exception");
        }
        fiber->state_ = State::done;
        loop.suspend(*fiber);
        assert(false);
    }

    static void fiberFailed(Fiber& fiber, const char* what) {
        if (fiber.group_) fiber.group_->failed(std::current_exception());
        else fiber.loop_.log(LogLevel::error, std::string("a fiber ended with an exception: ") + what);
    }

    static void arrivedInFiber([[maybe_unused]] Fiber& fiber, [[maybe_unused]] Loop& loop) {
#ifdef __SANITIZE_ADDRESS__
        __sanitizer_finish_switch_fiber(fiber.sanitizerState_, &loop.sanitizerStack_, &loop.sanitizerStackSize_);
#endif
    }
};

Fiber::Fiber(Loop& loop, Stack stack, void (*run)(void*), void* closure)
    : loop_(loop), timer_(loop.timers(), fireTimer, this), stack_(stack), run_(run), closure_(closure) {
    auto* top = static_cast<char*>(closure);
    context_ = context::make_fcontext(top, static_cast<size_t>(top - stack.bottom), Switching::enter);
#ifdef __SANITIZE_THREAD__
    sanitizerState_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#ifdef __SANITIZE_THREAD__
    __tsan_destroy_fiber(sanitizerState_);
#endif
}

void Fiber::cancel() {
    cancelled_ = true;
    if (shields_ == 0) loop_.wake(*this, Wake::cancelled);
}

void Fiber::expect(unsigned ahead) const {
    constexpr size_t hot = 128, frames = 640;  // bytes: of this, and of what the functions that wait keep on the stack
    if (ahead > 0) fetch(this, hot);
    else fetch(context_, frames);
}

void Fiber::fireTimer(Timer& timer) {
    auto& fiber = *static_cast<Fiber*>(timer.owner());
    fiber.loop_.wake(fiber, Wake::timedOut);
}

void Loop::enterThread() { exceptions_ = abi::__cxa_get_globals(); }

[[gnu::always_inline]] inline void Loop::resume(Fiber& fiber) {
    assert(!running_ && fiber.state_ != Fiber::State::done);
    running_ = &fiber;
    fiber.state_ = Fiber::State::running;
    fiber.lastRun_ = now_;
    if (options_.busyWarning != Duration::zero()) busySince_ = poller_->roughly();
    auto& globals = *static_cast<ExceptionGlobals*>(exceptions_);
    caughtExceptions_ = std::exchange(globals.caught, fiber.caughtExceptions_);
    uncaughtExceptions_ = std::exchange(globals.uncaught, fiber.uncaughtExceptions_);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_start_switch_fiber(&sanitizerState_, fiber.stack_.bottom, fiber.stack_.size());
#endif
#ifdef __SANITIZE_THREAD__
    sanitizerState_ = __tsan_get_current_fiber();
    __tsan_switch_to_fiber(fiber.sanitizerState_, 0);
#endif
    const auto back = context::jump_fcontext(fiber.context_, &fiber);
#ifdef __SANITIZE_ADDRESS__
    __sanitizer_finish_switch_fiber(sanitizerState_, nullptr, nullptr);
#endif
    fiber.context_ = back.fctx;
    running_ = nullptr;
    fiber.caughtExceptions_ = std::exchange(globals.caught, caughtExceptions_);
    fiber.uncaughtExceptions_ = std::exchange(globals.uncaught, uncaughtExceptions_);
    if (fiber.state_ == Fiber::State::done) destroy(fiber);
    else if (fiber.warmPlace_ == ~size_t{0}) noteWarm(fiber);
    runDeferred();
}

inline void Loop::suspend(Fiber& fiber) {
    noteBusy(fiber);
#ifdef __SANITIZE_ADDRESS__
    void** keep = fiber.state_ == Fiber::State::done ? nullptr : &fiber.sanitizerState_;
    __sanitizer_start_switch_fiber(keep, sanitizerStack_, sanitizerStackSize_);
#endif
#ifdef __SANITIZE_THREAD__
    __tsan_switch_to_fiber(sanitizerState_, 0);
#endif
    const auto back = context::jump_fcontext(context_, nullptr);
    context_ = back.fctx;
    Fiber::Switching::arrivedInFiber(fiber, *this);
}

Wake Loop::park(Deadline deadline) {
    assert(running_);
    Fiber& fiber = *running_;
    if (fiber.cancelled_ && fiber.shields_ == 0) return Wake::cancelled;
    fiber.state_ = Fiber::State::waiting;
    fiber.wake_ = Wake::ready;
    // Never in this round of timers: one that sleeps for no time again and again would keep all others from running.
    if (!deadline.isNever()) fiber.timer_.set(std::max(deadline.at(), now_ + Duration(1)));
    suspend(fiber);
    fiber.timer_.clear();
    return fiber.wake_;
}

void Loop::runWoken() {
    while (!woken_.empty()) resume(woken_.popFront());
}

void Loop::runReady() {
    // Those that become ready meanwhile have their turn after the next look at the poller.
    List<Fiber> batch;
    ready_.moveAllTo(batch);
    while (!batch.empty()) {
        resume(batch.popFront());
        runWoken();
    }
}

void Loop::destroy(Fiber& fiber) {
    FiberGroup* group = fiber.group_;
    if (group) group->remove(fiber);
    if (fiber.warmPlace_ != ~size_t{0}) forgetWarm(fiber);
    const Stack stack = fiber.stack_;
    fiber.~Fiber();
#ifdef __SANITIZE_ADDRESS__
    __asan_unpoison_memory_region(stack.bottom, stack.size());  // its outermost frames never returned
#endif
    stacks_.giveBack(stack);
    --fiberCount_;
    if (group) group->ended();
}

}
