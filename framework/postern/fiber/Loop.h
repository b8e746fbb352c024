#pragma once
// One thread's event loop: it runs fibers until all of them wait, then asks its Poller what happened.
//
// Everything here belongs to the loop's thread but post(), stop() and drain(), which any thread may call.

#include "postern/base/Log.h"
#include "postern/fiber/Fiber.h"
#include "postern/fiber/Poller.h"

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <type_traits>
#include <utility>

namespace postern {

class BlockingPool;

struct LoopOptions {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    size_t stackSize = 256 * 1024;  // sanitized frames are several times as large
#else
    size_t stackSize = 64 * 1024;   ///< bytes of address space a fiber; only touched pages cost memory
#endif
    size_t blockingThreads = 16;    ///< most threads runBlocking() may use at once; further calls queue
    Duration idleStackAge = std::chrono::seconds(1);  ///< a stack at rest that long gives unneeded pages back
    Duration busyWarning = Duration::zero();  ///< a fiber that runs that long without waiting is logged; 0: none is
    LogFunction log;                ///< none: standard error
};

/// What takes part in a shutdown: it is asked to finish, and the loop ends when none is left.
struct Drainable : ListNode<struct DrainTag> {
    enum class How { finish, abort };
    explicit Drainable(void (*function)(Drainable&, How)) : drain(function) {}
    void (*drain)(Drainable&, How);  ///< may be called several times, outside every fiber; may destroy the object
};

/// Something to do once, as soon as the running fiber waits: corked output goes out then.
struct Deferred : ListNode<struct DeferredTag> {
    virtual void runDeferred() = 0;

protected:
    ~Deferred() = default;
};

class Loop;

/// The way into a loop for those who may outlive it, from any thread.
class LoopGate {
public:
    explicit LoopGate(Loop& loop) : loop_(&loop) {}
    /// As Loop::post(). False: the loop is gone.
    bool post(std::function<void()> task);
    void close();

private:
    std::mutex mutex_;
    Loop* loop_;  // guarded by mutex_
};

class Loop {
public:
    /// `poller` none: epoll.
    explicit Loop(LoopOptions options = {}, std::unique_ptr<Poller> poller = nullptr);
    Loop(const Loop&) = delete;
    Loop& operator=(const Loop&) = delete;
    /// Cancels every fiber that is left and runs it to its end.
    ~Loop();

    /// The loop of this thread: set while run() or a turn() runs and while the Loop exists on the thread that made it.
    static Loop& current();
    static Loop* currentOrNull();

    /// Runs until stop(), or until a drain has ended.
    void run();
    /// One round: what is ready, then events until `latest`, then due timers. For tests that own the time.
    void turn(TimePoint latest);
    /// Ends run() soon, whatever is left. From any thread.
    void stop();
    /// Runs `task` on the loop, outside every fiber. From any thread.
    void post(std::function<void()> task);
    const std::shared_ptr<LoopGate>& gate() const { return gate_; }

    /// Asks every Drainable to finish; after `limit` those left are told to abort, and a second call does so at once.
    /// run() returns when none is left. From any thread.
    void drain(Duration limit);
    bool isDraining() const { return draining_; }
    void add(Drainable& drainable);

    /// Starts a fiber with `function`, which is moved onto its stack. It runs when the current one waits, or in this
    /// turn. An exception that leaves `function` is logged. Throws std::bad_alloc.
    template <typename Function>
    Fiber& spawn(Function&& function) {
        Fiber& fiber = create(std::forward<Function>(function));
        makeReady(fiber);
        return fiber;
    }
    /// As spawn(), but called outside every fiber it runs before those that are ready already: as soon as what the loop does
    /// now is done.
    template <typename Function>
    void spawnNext(Function&& function) {
        schedule(create(std::forward<Function>(function)));
    }

    /// The running fiber, or nullptr on the loop itself.
    Fiber* runningFiber() { return running_; }
    /// Parks the running fiber until wake() or the deadline: the one place where fibers wait. A fiber that is cancelled
    /// does not wait.
    Wake park(Deadline deadline);
    /// Lets a parked fiber go on: as soon as what the loop does now is done, or in the next turn when a fiber says so. Nothing if
    /// it is not parked.
    void wake(Fiber& fiber, Wake why = Wake::ready);
    /// Of an operation whose owner is a fiber that waits for it.
    static const Completion wakingOwner;
    /// Submits and waits. When it returns anything but ready, the operation was cancelled.
    Wake perform(Operation& operation, Deadline deadline);

    /// The time at the start of this turn.
    TimePoint now() const { return now_; }
    Deadline in(Duration duration) const { return Deadline::after(duration, now_); }
    Poller& poller() { return *poller_; }
    Timers& timers() { return timers_; }
    BufferPool& buffers() { return buffers_; }
    BlockingPool& blockingPool();
    /// This loop's own T, made when it is first asked for; it goes after everything that runs on the loop.
    template <typename T>
    T& local();
    void defer(Deferred& deferred) { deferred_.pushBackUnlessLinked(deferred); }
    void log(LogLevel level, std::string_view line) const;
    /// Cancels every fiber and runs it to its end; not to be called from one, nor from a Completion. For owners that go before
    /// their loop.
    void endFibers();
    /// Fibers that exist.
    size_t fiberCount() const { return fiberCount_; }

private:
    friend class Fiber;

    template <typename Function>
    Fiber& create(Function&& function);
    Fiber& place(Stack stack, void* closure, void (*run)(void*));
    Stack takeStack();
    static uintptr_t fiberPlace(const Stack& stack) {
        return (reinterpret_cast<uintptr_t>(stack.top) - sizeof(Fiber)) & ~uintptr_t{63};
    }

    void schedule(Fiber& fiber);
    void makeReady(Fiber& fiber);
    void runWoken();
    void resume(Fiber& fiber);
    void suspend(Fiber& fiber);
    void destroy(Fiber& fiber);
    void enterThread();
    template <typename T>
    [[gnu::noinline]] void* makeLocal() {
        return keepLocal(slotOf<T>, std::make_shared<T>());
    }
    void* keepLocal(std::atomic<size_t>& slot, std::shared_ptr<void> object);
    void runReady();
    void runDeferred() {
        if (deferring_) return;
        deferring_ = true;
        while (!deferred_.empty()) deferred_.popFront().runDeferred();
        deferring_ = false;
    }
    void runPosted();
    void beginDrain(Duration limit);
    void abortDrain();
    void noteBusy(const Fiber& fiber);
    void warnOfBusy(const Fiber& fiber, Duration busy) noexcept;
    void noteWarm(Fiber& fiber);
    void forgetWarm(Fiber& fiber);
    void trimIdleStacks();

    // Where each loop has its T, as soon as there is one: the same place in all of them. 0 is nobody's.
    template <typename T>
    static inline std::atomic<size_t> slotOf{0};

    LoopOptions options_;
    std::unique_ptr<Poller> poller_;
    TimePoint now_;
    Timers timers_;
    BufferPool buffers_;
    StackPool stacks_;
    Fiber* running_ = nullptr;
    List<Fiber, FiberTag> fibers_;      // all that exist
    List<Fiber> woken_;                 // have their turn when what the loop does now is done
    List<Fiber> ready_;                 // have it after the next look at the poller
    size_t fiberCount_ = 0;
    List<Deferred, DeferredTag> deferred_;
    List<Drainable, DrainTag> drainables_;
    std::vector<Fiber*> warm_;
    TimePoint busySince_;               // the running fiber
    TimePoint nextBusyWarning_;
    unsigned busyUntold_ = 0;           // since the last warning
    Timer trimTimer_;
    Timer drainTimer_;
    bool deferring_ = false;
    bool draining_ = false;
    bool stopped_ = false;
    Loop* previous_ = nullptr;
    std::unique_ptr<BlockingPool> blockingPool_;
    std::vector<std::shared_ptr<void>> locals_;  // by slot

    void* context_ = nullptr;           // of the loop itself while a fiber runs
    void* exceptions_ = nullptr;        // __cxa_get_globals() of this thread
    void* caughtExceptions_ = nullptr;
    unsigned uncaughtExceptions_ = 0;
    void* sanitizerState_ = nullptr;
    const void* sanitizerStack_ = nullptr;
    size_t sanitizerStackSize_ = 0;

    std::mutex postedMutex_;
    std::vector<std::function<void()>> posted_;  // guarded by postedMutex_
    std::atomic<bool> hasPosted_{false};
    std::shared_ptr<LoopGate> gate_;
};

class Fiber::Shield {
public:
    Shield() : fiber_(*Loop::current().runningFiber()) { ++fiber_.shields_; }
    Shield(const Shield&) = delete;
    Shield& operator=(const Shield&) = delete;
    ~Shield() { --fiber_.shields_; }

private:
    Fiber& fiber_;
};

class Fiber::Purpose {
public:
    /// `describe(subject)` is its name.
    Purpose(std::string (*describe)(const void* subject), const void* subject);
    Purpose(const Purpose&) = delete;
    Purpose& operator=(const Purpose&) = delete;
    ~Purpose();

private:
    friend class Loop;
    Fiber& fiber_;
    const Purpose* const outer_;
    std::string (*const describe_)(const void*);
    const void* const subject_;
};

/// Throws TimedOut or Cancelled unless the wait ended well.
void throwUnlessReady(Wake wake);

/// Lets the current fiber wait. Throws Cancelled.
void sleepFor(Duration duration);
void sleepUntil(Deadline deadline);
/// Lets everything else that is ready run first. Throws Cancelled.
void yield();

template <typename T>
T& Loop::local() {
    const auto slot = slotOf<T>.load(std::memory_order_relaxed);
    void* object = slot < locals_.size() ? locals_[slot].get() : nullptr;
    return *static_cast<T*>(object ? object : makeLocal<T>());
}

template <typename Function>
Fiber& Loop::create(Function&& function) {
    using Closure = std::decay_t<Function>;
    static_assert(sizeof(Closure) <= 1024, "a large closure belongs on the heap, not on a fiber's first page");
    const Stack stack = takeStack();
    const auto at = (fiberPlace(stack) - sizeof(Closure)) & ~uintptr_t{63};
    try {
        auto* closure = new (reinterpret_cast<void*>(at)) Closure(std::forward<Function>(function));
        return place(stack, closure, [](void* self) {
            struct Destroy {
                Closure& it;
                ~Destroy() { it.~Closure(); }
            } destroy{*static_cast<Closure*>(self)};
            destroy.it();
        });
    } catch (...) {
        stacks_.giveBack(stack);
        throw;
    }
}

}
