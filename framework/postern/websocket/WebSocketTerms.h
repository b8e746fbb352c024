#pragma once
// The options that a socket needs as long as it lives. Sockets of one loop that were opened with the same ones share them.
// Internal.

#include "postern/fiber/Loop.h"
#include "postern/websocket/WebSocketOptions.h"

#include <memory>
#include <string>
#include <vector>

namespace postern {

struct WebSocketTerms {
    std::shared_ptr<LoopGate> gate;  // a handle may outlive the loop
    Duration pingInterval, pingGrace, closeTimeout;
    std::string pingMessage;
    size_t fragmentSize;
    size_t maxQueued;
    Overflow overflow;
    CloseCode overflowCode;

    bool operator==(const WebSocketTerms&) const = default;
};

/// Those of a loop that were asked for last.
class TermsPool {
public:
    std::shared_ptr<const WebSocketTerms> share(WebSocketTerms terms);

private:
    static constexpr size_t kept = 8;
    std::vector<std::shared_ptr<const WebSocketTerms>> recent_;
};

}
