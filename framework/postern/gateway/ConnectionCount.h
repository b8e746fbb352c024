#pragma once
// How many connections a gateway has, with the WebSockets that outlive it.

#include "postern/io/Listener.h"

#include <cstddef>
#include <memory>

namespace postern {

struct ConnectionCount {
    size_t open = 0;
    Listener* listener = nullptr;   ///< may hold on at a limit; none once the gateway is gone

    void release() {
        --open;
        if (listener) listener->resume();
    }
};

/// For a stream to hold: gives the place back when it goes.
struct ConnectionLease {
    std::shared_ptr<ConnectionCount> count;

    ConnectionLease() = default;
    ConnectionLease(const ConnectionLease&) = delete;
    ~ConnectionLease() {
        if (count) count->release();
    }
};

}
