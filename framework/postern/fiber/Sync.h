#pragma once
// How fibers of one loop wait for each other. None of it is for other threads: those use Loop::post().

#include "postern/fiber/Loop.h"

#include <deque>
#include <optional>
#include <utility>

namespace postern {

/// Fibers that wait for the same thing, in the order they came.
class WaitQueue {
public:
    /// Parks the current fiber until it is notified or the deadline.
    Wake wait(Deadline deadline = Deadline::never()) {
        auto& loop = Loop::current();
        Fiber& fiber = *loop.runningFiber();
        waiters_.pushBack(fiber);
        const auto wake = loop.park(deadline);
        fiber.ListNode<>::unlink();  // one that is cancelled already does not wait, and nobody takes it out
        return wake;
    }
    /// Lets the first go on. False if nobody waits.
    bool notifyOne();
    void notifyAll();
    bool empty() const { return waiters_.empty(); }
    /// Who is notified next; nullptr: nobody waits.
    Fiber* first() { return empty() ? nullptr : &waiters_.front(); }

private:
    List<Fiber> waiters_;
};

/// One fiber at a time; the next in line gets it directly. Works with std::lock_guard.
class Mutex {
public:
    /// Throws Cancelled.
    void lock();
    bool try_lock() { return locked_ ? false : (locked_ = true); }
    void unlock();

private:
    WaitQueue waiters_;
    bool locked_ = false;
};

/// Something that happens once (until reset()): everybody who waits, or comes later, goes on.
class Event {
public:
    void set() {
        set_ = true;
        waiters_.notifyAll();
    }
    void reset() { set_ = false; }
    bool isSet() const { return set_; }
    /// Throws TimedOut, Cancelled.
    void wait(Deadline deadline = Deadline::never()) {
        while (!set_) throwUnlessReady(waiters_.wait(deadline));
    }

private:
    WaitQueue waiters_;
    bool set_ = false;
};

/// Values from fiber to fiber, in order, at most `capacity` on the way.
template <typename Value>
class Channel {
public:
    explicit Channel(size_t capacity) : capacity_(capacity) {}

    /// Waits while the channel is full. False if it is closed. Throws TimedOut, Cancelled.
    bool send(Value value, Deadline deadline = Deadline::never()) {
        while (!closed_ && values_.size() >= capacity_) throwUnlessReady(senders_.wait(deadline));
        if (closed_) return false;
        values_.push_back(std::move(value));
        receivers_.notifyOne();
        return true;
    }
    /// False, without waiting, if it is full or closed.
    bool trySend(Value value) {
        if (closed_ || values_.size() >= capacity_) return false;
        values_.push_back(std::move(value));
        receivers_.notifyOne();
        return true;
    }
    /// Waits for a value; none when the channel is closed and empty. Throws TimedOut, Cancelled.
    std::optional<Value> receive(Deadline deadline = Deadline::never()) {
        while (values_.empty() && !closed_) throwUnlessReady(receivers_.wait(deadline));
        return tryReceive();
    }
    std::optional<Value> tryReceive() {
        if (values_.empty()) return {};
        std::optional<Value> value(std::move(values_.front()));
        values_.pop_front();
        senders_.notifyOne();
        return value;
    }
    /// Nothing more goes in; what is inside may still be received.
    void close() {
        closed_ = true;
        senders_.notifyAll();
        receivers_.notifyAll();
    }
    bool isClosed() const { return closed_; }
    size_t size() const { return values_.size(); }

private:
    size_t capacity_;
    std::deque<Value> values_;
    WaitQueue senders_, receivers_;
    bool closed_ = false;
};

}
