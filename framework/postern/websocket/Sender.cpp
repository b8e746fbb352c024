#include "postern/websocket/Sender.h"

#include "postern/websocket/WebSocketCore.h"

#include <stdexcept>

namespace postern {

template <typename Action>
bool Sender::post(Action action) const {
    if (!link_) return false;
    const std::lock_guard lock(link_->mutex);
    return link_->gate && link_->gate->post([link = link_, action = std::move(action)] {
        if (link->core) action(*link->core);
    });
}

bool Sender::send(std::string_view text) const {
    return post([message = std::string(text)](WebSocketCore& core) {
        core.sendFromSender(WebSocketOpcode::text, message);
    });
}

bool Sender::send(ByteView bytes) const {
    return post([message = std::string(asText(bytes))](WebSocketCore& core) {
        core.sendFromSender(WebSocketOpcode::binary, message);
    });
}

bool Sender::close(uint16_t code, std::string_view reason) const {
    if (!isValidCloseCode(code)) throw std::invalid_argument("a close frame cannot carry the code " + std::to_string(code));
    return post([code, text = std::string(reason)](WebSocketCore& core) { core.startClose(code, text); });
}

}
