#include "postern/fiber/Timers.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace postern {

namespace {

constexpr size_t children = 4;

}

Timer::Timer(Timers& timers, Fire fire, void* owner) : timers_(timers), fire_(fire), owner_(owner) {
    auto& heap = timers.heap_;
    if (timers.timers_ == heap.capacity()) heap.reserve(std::max<size_t>(16, 2 * heap.capacity()));
    ++timers.timers_;
}

void Timer::set(TimePoint due) {
    assert(counted_);
    due_ = due;
    if (due == TimePoint::max()) return;
    if (place_ == nowhere) return timers_.insert(*this);
    auto& entry = timers_.heap_[place_];
    if (due >= entry.at) return;  // the old moment comes first and finds the new one
    entry.at = due;
    timers_.siftUp(place_);
}

void Timer::remove() {
    clear();
    if (place_ != nowhere) timers_.remove(place_);
    place_ = nowhere;
    if (std::exchange(counted_, false)) --timers_.timers_;
}

void Timers::insert(Timer& timer) {
    heap_.push_back({timer.due_, &timer});
    timer.place_ = static_cast<uint32_t>(heap_.size() - 1);
    siftUp(timer.place_);
}

void Timers::remove(size_t place) {
    heap_[place].timer->place_ = Timer::nowhere;
    const auto last = heap_.back();
    heap_.pop_back();
    if (place == heap_.size()) return;
    put(place, last);
    siftUp(place);
    siftDown(last.timer->place_);
}

void Timers::siftUp(size_t place) {
    const auto entry = heap_[place];
    while (place > 0) {
        const size_t parent = (place - 1) / children;
        if (heap_[parent].at <= entry.at) break;
        put(place, heap_[parent]);
        place = parent;
    }
    put(place, entry);
}

void Timers::siftDown(size_t place) {
    const auto entry = heap_[place];
    for (;;) {
        const size_t first = place * children + 1;
        if (first >= heap_.size()) break;
        const size_t end = std::min(first + children, heap_.size());
        size_t least = first;
        for (size_t child = first + 1; child < end; ++child)
            if (heap_[child].at < heap_[least].at) least = child;
        if (heap_[least].at >= entry.at) break;
        put(place, heap_[least]);
        place = least;
    }
    put(place, entry);
}

void Timers::fire(TimePoint now) {
    while (!heap_.empty() && heap_.front().at <= now) {
        auto& timer = *heap_.front().timer;
        if (timer.due_ > heap_.front().at && timer.due_ != TimePoint::max()) {
            heap_.front().at = timer.due_;
            siftDown(0);
            continue;
        }
        const bool due = timer.due_ != TimePoint::max();
        timer.clear();
        remove(0);
        if (due) timer.fire_(timer);
    }
}

}
