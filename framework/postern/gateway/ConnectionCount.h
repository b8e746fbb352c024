#pragma once
// How many connections a gateway has, with the WebSockets that outlive it.

#include "postern/io/Listener.h"

#include <cstddef>

namespace postern {

/// Held by streams: each gives its place back when it goes.
struct ConnectionCount final : StreamHolder {
    size_t open = 0;
    Listener* listener = nullptr;   ///< may hold on at a limit; none once the gateway is gone

    void release() {
        --open;
        if (listener) listener->resume();
    }
    void streamGone() override { release(); }
};

}
