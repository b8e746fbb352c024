#include "postern/fiber/Loop.h"

#include "postern/fiber/Blocking.h"
#include "postern/fiber/EpollPoller.h"

#include <algorithm>
#include <cassert>
#include <cstdio>
#include <new>

namespace postern {

namespace {

thread_local Loop* currentLoop = nullptr;

// The loop of this thread within a scope.
class Current {
public:
    explicit Current(Loop& loop) : outer_(std::exchange(currentLoop, &loop)) {}
    Current(const Current&) = delete;
    Current& operator=(const Current&) = delete;
    ~Current() { currentLoop = outer_; }

private:
    Loop* const outer_;
};

}

const Completion Loop::wakingOwner{[](Operation& done) {
                                       auto& fiber = *static_cast<Fiber*>(done.owner);
                                       fiber.loop().wake(fiber);
                                   },
                                   [](Operation& expected, unsigned ahead) {
                                       if (ahead > 0) static_cast<Fiber*>(expected.owner)->expect(ahead - 1);
                                   }};

Loop::Loop(LoopOptions options, std::unique_ptr<Poller> poller)
    : options_(std::move(options)),
      poller_(poller ? std::move(poller) : std::make_unique<EpollPoller>()),
      now_(poller_->now()),
      stacks_(options_.stackSize),
      trimTimer_(timers_, [](Timer& timer) { static_cast<Loop*>(timer.owner())->trimIdleStacks(); }, this),
      drainTimer_(timers_, [](Timer& timer) { static_cast<Loop*>(timer.owner())->abortDrain(); }, this),
      previous_(currentLoop),
      gate_(std::make_shared<LoopGate>(*this)) {
    currentLoop = this;
    enterThread();
    buffers_.prepare();
}

Loop::~Loop() {
    endFibers();
    assert(fiberCount_ == 0);
    runDeferred();
    gate_->close();
    runPosted();
    blockingPool_.reset();
    currentLoop = previous_;
}

void Loop::endFibers() {
    assert(!running_);
    const Current current(*this);
    enterThread();
    stopped_ = false;
    draining_ = false;
    // Every round ends at least the fibers that do not wait in their clean-up; one that refuses for ever is our bug.
    for (int round = 0; (fiberCount_ > 0 || !drainables_.empty()) && round < 10'000; ++round) {
        abortDrain();
        List<Fiber, FiberTag> all;
        fibers_.moveAllTo(all);
        while (!all.empty()) {
            Fiber& fiber = all.popFront();
            fibers_.pushBack(fiber);
            if (fiber.state_ == Fiber::State::waiting) fiber.cancel();
        }
        runWoken();
        runReady();
        if (fiberCount_ > 0 || !drainables_.empty()) turn(poller_->now() + std::chrono::milliseconds(1));
    }
}

Loop& Loop::current() {
    assert(currentLoop);
    return *currentLoop;
}

Loop* Loop::currentOrNull() { return currentLoop; }

void* Loop::keepLocal(std::atomic<size_t>& slot, std::shared_ptr<void> object) {
    static std::mutex mutex;
    static size_t slots = 0;
    {
        const std::lock_guard lock(mutex);
        if (slot == 0) slot = ++slots;
    }
    if (slot >= locals_.size()) locals_.resize(slot + 1);
    locals_[slot] = std::move(object);
    return locals_[slot].get();
}

void Loop::run() {
    const Current current(*this);
    while (!stopped_ && !(draining_ && drainables_.empty())) turn(TimePoint::max());
    stopped_ = false;
}

void Loop::turn(TimePoint latest) {
    const Current current(*this);
    enterThread();
    runWoken();
    runReady();
    runDeferred();
    if (stopped_ || (draining_ && drainables_.empty())) return;
    const bool busy = !ready_.empty() || hasPosted_.load(std::memory_order_acquire);
    poller_->wait(busy ? TimePoint::min() : std::min(latest, timers_.next()));
    now_ = poller_->now();
    // Each event with all that follows from it, and at the bottom of the stack: each level that a system call or a switch returns
    // through costs what a wrong guess of the processor costs.
    while (poller_->handleNext()) runWoken();
    runWoken();
    runPosted();
    timers_.fire(now_);
    runWoken();
    runReady();
    runDeferred();
}

void Loop::stop() {
    post([this] { stopped_ = true; });
}

void Loop::post(std::function<void()> task) {
    {
        const std::lock_guard lock(postedMutex_);
        posted_.push_back(std::move(task));
    }
    // Only the first of several needs to wake the loop.
    if (!hasPosted_.exchange(true, std::memory_order_acq_rel)) poller_->wake();
}

bool LoopGate::post(std::function<void()> task) {
    const std::lock_guard lock(mutex_);
    if (loop_) loop_->post(std::move(task));
    return loop_ != nullptr;
}

void LoopGate::close() {
    const std::lock_guard lock(mutex_);
    loop_ = nullptr;
}

void Loop::runPosted() {
    if (!hasPosted_.load(std::memory_order_acquire)) return;
    std::vector<std::function<void()>> tasks;
    {
        const std::lock_guard lock(postedMutex_);
        hasPosted_.store(false, std::memory_order_release);
        tasks.swap(posted_);
    }
    for (auto& task : tasks) {
        task();
        runWoken();
    }
}

void Loop::drain(Duration limit) {
    post([this, limit] { draining_ ? abortDrain() : beginDrain(limit); });
}

void Loop::add(Drainable& drainable) { drainables_.pushBack(drainable); }

void Loop::beginDrain(Duration limit) {
    draining_ = true;
    drainTimer_.set(Deadline::after(limit, now_).at());
    List<Drainable, DrainTag> all;
    drainables_.moveAllTo(all);
    while (!all.empty()) {
        auto& drainable = all.popFront();
        drainables_.pushBack(drainable);
        drainable.drain(drainable, Drainable::How::finish);
    }
}

void Loop::abortDrain() {
    List<Drainable, DrainTag> all;
    drainables_.moveAllTo(all);
    while (!all.empty()) {
        auto& drainable = all.popFront();
        drainables_.pushBack(drainable);
        drainable.drain(drainable, Drainable::How::abort);
    }
    // Who still works is told once more: the first time may have found it in a state that cannot end.
    constexpr auto again = std::chrono::milliseconds(50);
    if (!drainables_.empty()) drainTimer_.set(now_ + again);
}

Fiber& Loop::place(Stack stack, void* closure, void (*function)(void*)) {
    auto* fiber = new (reinterpret_cast<void*>(fiberPlace(stack))) Fiber(*this, stack, function, closure);
    fibers_.pushBack(*fiber);
    ++fiberCount_;
    return *fiber;
}

Stack Loop::takeStack() {
    // Room in the list of warm stacks comes first: nothing may fail when a fiber waits.
    if (warm_.capacity() == fiberCount_) warm_.reserve(std::max<size_t>(16, 2 * fiberCount_));
    return stacks_.take();
}

void Loop::makeReady(Fiber& fiber) {
    fiber.state_ = Fiber::State::scheduled;
    ready_.pushBack(fiber);
}

// Not from a fiber, nor while corked output is sent: a writer that went on then would cork again, and so on.
void Loop::schedule(Fiber& fiber) {
    if (running_ || deferring_) return makeReady(fiber);
    fiber.state_ = Fiber::State::scheduled;
    woken_.pushBack(fiber);
}

void Loop::noteBusy(const Fiber& fiber) {
    if (options_.busyWarning == Duration::zero()) return;
    const auto now = poller_->roughly();
    if (const auto busy = now - busySince_; busy >= options_.busyWarning) warnOfBusy(fiber, busy);
    busySince_ = now;
}

// One line in ten seconds: whoever does it does it often.
void Loop::warnOfBusy(const Fiber& fiber, Duration busy) noexcept try {
    using namespace std::chrono;
    if (busySince_ + busy < nextBusyWarning_) {
        ++busyUntold_;
        return;
    }
    nextBusyWarning_ = busySince_ + busy + seconds(10);
    auto text = fiber.purpose_ ? fiber.purpose_->describe_(fiber.purpose_->subject_) : std::string("a fiber");
    text += " ran for " + std::to_string(duration_cast<milliseconds>(busy).count()) + " ms without waiting, and its worker served nobody else meanwhile";
    if (busyUntold_ > 0) text += " (and " + std::to_string(std::exchange(busyUntold_, 0)) + " more like it since the last warning)";
    log(LogLevel::warning, text + ": give such work to runBlocking(); see docs/fibers.md");
} catch (const std::bad_alloc&) {
    // There are other worries then.
}

Fiber::Purpose::Purpose(std::string (*describe)(const void*), const void* subject)
    : fiber_(*Loop::current().runningFiber()), outer_(std::exchange(fiber_.purpose_, this)), describe_(describe), subject_(subject) {}

Fiber::Purpose::~Purpose() {
    fiber_.loop().noteBusy(fiber_);
    fiber_.purpose_ = outer_;
}

void Loop::wake(Fiber& fiber, Wake why) {
    if (fiber.state_ != Fiber::State::waiting) return;
    fiber.wake_ = why;
    fiber.timer_.clear();
    fiber.ListNode<>::unlink();  // from the queue it waits in
    schedule(fiber);
}

Wake Loop::perform(Operation& operation, Deadline deadline) {
    operation.owner = running_;
    operation.completion = &wakingOwner;
    if (poller_->submit(operation)) return Wake::ready;
    const auto wake = park(deadline);
    if (!operation.pending) return Wake::ready;  // it was complete before the other reason got its turn
    poller_->cancel(operation);
    return wake;
}

// Idle stacks: every fiber that waited is noted once; a sweep each second trims those at rest and forgets them.
void Loop::noteWarm(Fiber& fiber) {
    fiber.warmPlace_ = warm_.size();
    warm_.push_back(&fiber);
    if (!trimTimer_.isSet()) trimTimer_.set(now_ + options_.idleStackAge);
}

void Loop::forgetWarm(Fiber& fiber) {
    warm_[fiber.warmPlace_] = warm_.back();
    warm_[fiber.warmPlace_]->warmPlace_ = fiber.warmPlace_;
    warm_.pop_back();
    fiber.warmPlace_ = ~size_t{0};
}

void Loop::trimIdleStacks() {
    for (size_t i = warm_.size(); i-- > 0;) {
        Fiber& fiber = *warm_[i];
        if (fiber.state_ != Fiber::State::waiting || now_ - fiber.lastRun_ < options_.idleStackAge) continue;
        StackPool::trim(fiber.stack_, static_cast<const char*>(fiber.context_));
        forgetWarm(fiber);
    }
    if (!warm_.empty()) trimTimer_.set(now_ + options_.idleStackAge);
}

BlockingPool& Loop::blockingPool() {
    if (!blockingPool_) blockingPool_ = std::make_unique<BlockingPool>(options_.blockingThreads);
    return *blockingPool_;
}

void Loop::log(LogLevel level, std::string_view line) const {
    if (options_.log) return options_.log(level, line);
    std::fprintf(stderr, "%.*s\n", static_cast<int>(line.size()), line.data());
}

void throwUnlessReady(Wake wake) {
    switch (wake) {
    case Wake::ready: return;
    case Wake::timedOut: throw TimedOut("timed out");
    case Wake::cancelled: throw Cancelled();
    }
}

void sleepUntil(Deadline deadline) {
    if (Loop::current().park(deadline) == Wake::cancelled) throw Cancelled();
}

void sleepFor(Duration duration) { sleepUntil(Loop::current().in(duration)); }

void yield() {
    // A timer would fire before those that are ready; what is deferred puts us behind them.
    struct Return final : Deferred {
        explicit Return(Fiber& yielding) : fiber(yielding) {}
        void runDeferred() override { fiber.loop().wake(fiber); }
        Fiber& fiber;
    };
    auto& loop = Loop::current();
    Return back(*loop.runningFiber());
    loop.defer(back);
    sleepUntil(Deadline::never());
}

}
