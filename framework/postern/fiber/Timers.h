#pragma once
// Moments at which something is due. Made for deadlines that are set for every operation and hardly ever reached:
// moving one further away, or clearing it, is one store; the heap learns of it when the old moment comes.

#include "postern/base/Time.h"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace postern {

class Timers;

/// Belongs to what it wakes; must not move. Destroying it takes it out.
class Timer {
public:
    using Fire = void (*)(Timer&);

    /// `fire` is called on the loop, outside every fiber, with the timer no longer set.
    Timer(Timers& timers, Fire fire, void* owner);
    Timer(const Timer&) = delete;
    Timer& operator=(const Timer&) = delete;
    ~Timer() { remove(); }

    void set(TimePoint due);
    void clear() { due_ = TimePoint::max(); }
    /// Clears it, and the loop forgets it: it may outlive the loop then.
    void remove();
    bool isSet() const { return due_ != TimePoint::max(); }
    TimePoint due() const { return due_; }
    void* owner() const { return owner_; }

private:
    friend class Timers;
    static constexpr uint32_t nowhere = ~uint32_t{0};

    Timers& timers_;
    Fire fire_;
    void* owner_;
    TimePoint due_ = TimePoint::max();
    uint32_t place_ = nowhere;  // in the heap
    bool counted_ = true;
};

class Timers {
public:
    /// The earliest moment at which fire() may have something to do; TimePoint::max() for never.
    TimePoint next() const { return heap_.empty() ? TimePoint::max() : heap_.front().at; }
    /// Calls every timer that is due.
    void fire(TimePoint now);
    bool empty() const { return heap_.empty(); }

private:
    friend class Timer;
    struct Entry {
        TimePoint at;   // never after the timer's due moment
        Timer* timer;
    };

    void insert(Timer& timer);
    void remove(size_t place);
    void siftUp(size_t place);
    void siftDown(size_t place);
    void put(size_t place, Entry entry) {
        heap_[place] = entry;
        entry.timer->place_ = static_cast<uint32_t>(place);
    }

    size_t timers_ = 0;        // that exist; the heap has room for all of them, so that setting one cannot fail
    std::vector<Entry> heap_;  // four children a node: fewer levels, one cache line each
};

}
