#pragma once
// How long a body may take: every wait has its limit, and so has the whole, in proportion to what came.

#include "postern/gateway/Gateway.h"

#include <algorithm>

namespace postern {

class BodyClock {
public:
    BodyClock(const RequestLimits& limits, TimePoint start) : limits_(limits), start_(start) {}

    void received(size_t bytes) { received_ += bytes; }
    uint64_t receivedBytes() const { return received_; }
    /// For the next wait.
    Deadline deadline(TimePoint now) const {
        const auto earned = std::chrono::seconds(received_ / std::max<uint64_t>(1, limits_.bodyBytesPerSecond));
        return std::min(Deadline::after(limits_.bodyTimeout, now), Deadline::after(limits_.bodyTimeout + earned, start_));
    }

private:
    const RequestLimits& limits_;
    TimePoint start_;
    uint64_t received_ = 0;
};

}
