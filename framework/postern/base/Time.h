#pragma once
// Time here is monotonic; only dates shown to people and caches use the wall clock.

#include <chrono>

namespace postern {

using Clock = std::chrono::steady_clock;
using Duration = Clock::duration;
using TimePoint = Clock::time_point;

/// An absolute moment after which a blocking call gives up. Deadlines are handed down unchanged: nested calls
/// never start the time anew.
class Deadline {
public:
    constexpr Deadline() = default;  ///< never
    constexpr explicit Deadline(TimePoint at) : at_(at) {}

    static constexpr Deadline never() { return Deadline(); }
    /// `duration` from `now`; a duration that does not fit means never.
    static constexpr Deadline after(Duration duration, TimePoint now) {
        return duration >= TimePoint::max() - now ? never() : Deadline(now + duration);
    }

    constexpr TimePoint at() const { return at_; }
    constexpr bool isNever() const { return at_ == TimePoint::max(); }
    constexpr auto operator<=>(const Deadline&) const = default;

private:
    TimePoint at_ = TimePoint::max();
};

}
