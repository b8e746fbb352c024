#pragma once
// How many connections a gateway has, with the WebSockets that outlive it.

#include "postern/io/Listener.h"

#include <cstddef>
#include <memory>

namespace postern {

/// Given to streams: each gives its place back when it goes. Lives as long as its gateway and the connections it counts.
struct ConnectionCount final : StreamHolder {
    struct Leave {
        void operator()(ConnectionCount* count) const { count->leave(); }
    };
    using OfGateway = std::unique_ptr<ConnectionCount, Leave>;

    size_t open = 0;
    Listener* listener = nullptr;   ///< may hold on at a limit; none once the gateway is gone

    void release() {
        --open;
        if (listener) listener->resume();
        if (left_ && open == 0) delete this;
    }
    void streamGone() override { release(); }

private:
    void leave() {
        left_ = true;
        if (open == 0) delete this;
    }
    bool left_ = false;
};

}
