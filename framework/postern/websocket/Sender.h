#pragma once

#include "postern/base/Bytes.h"

#include <memory>
#include <string>
#include <string_view>

namespace postern {

struct SenderLink;

/// Sends on a WebSocket from any thread, at any time: the only door between threads. Copyable. Messages of one thread
/// keep their order. It never waits: what a slow peer leaves is handled by WebSocketOptions::overflow. Once the socket
/// is gone it does nothing.
class Sender {
public:
    /// One without a socket.
    Sender() = default;

    /// False if the socket is gone already. True promises no more than that it was there.
    bool send(std::string_view text) const;
    bool send(ByteView bytes) const;
    /// Starts to close, with a code and reason as WebSocket::close() takes them; throws std::invalid_argument as it does.
    bool close(uint16_t code = 1000, std::string_view reason = {}) const;

private:
    friend class WebSocket;
    explicit Sender(std::shared_ptr<SenderLink> link) : link_(std::move(link)) {}
    template <typename Action>
    bool post(Action action) const;

    std::shared_ptr<SenderLink> link_;
};

}
