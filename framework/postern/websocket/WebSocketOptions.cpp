#include "postern/websocket/WebSocketOptions.h"

#include "postern/base/Text.h"
#include "postern/protocol/Frame.h"

#include <stdexcept>

namespace postern {

void WebSocketOptions::check() const {
    const auto require = [](bool ok, const char* what) {
        if (!ok) throw std::invalid_argument(what);
    };
    for (const auto& protocol : protocols) require(isToken(protocol), "a subprotocol is a token");
    require(!requireProtocol || !protocols.empty(), "requireProtocol needs protocols");
    require(pingInterval >= Duration::zero() && pingGrace >= Duration::zero(), "heartbeat times are not negative");
    require(pingMessage.size() <= maxControlPayload, "a heartbeat message has at most 125 bytes");
    require(closeTimeout > Duration::zero() && sendTimeout > Duration::zero(), "time-outs are positive");
    require(isValidCloseCode(static_cast<unsigned>(overflowCode)), "overflowCode cannot be sent");
    if (deflate) deflate->check();
    if (origin)
        for (const auto& pattern : origin->allowed) require(isOriginPattern(pattern), "malformed origin pattern");
}

}
