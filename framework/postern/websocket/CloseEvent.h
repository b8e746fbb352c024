#pragma once

#include <cstdint>
#include <string>

namespace postern {

/// How a WebSocket ended, as browsers tell it.
struct CloseEvent {
    uint16_t code = 1006;   ///< the peer's; 1005: it gave none, 1006: the line broke or was cut
    std::string reason;
    bool wasClean = false;  ///< both sides have sent their close frames
};

}
