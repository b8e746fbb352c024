#pragma once

#include "postern/base/Time.h"
#include "postern/protocol/CloseCode.h"
#include "postern/protocol/DeflateOffer.h"
#include "postern/protocol/Origin.h"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace postern {

inline constexpr uint64_t defaultMaxMessage = 1024 * 1024;
inline constexpr size_t defaultMaxFragments = 16 * 1024;

/// What happens to messages of a Sender when the peer takes them too slowly.
enum class Overflow {
    dropOldest,  ///< the newest matter: prices, positions
    close        ///< every message matters: the socket is closed with WebSocketOptions::overflowCode
};

/// How one WebSocket behaves. acceptWebsocket() throws std::invalid_argument for settings that contradict each other.
struct WebSocketOptions {
    std::vector<std::string> protocols;     ///< subprotocols spoken here, best first; the first the client offers is chosen
    bool requireProtocol = false;           ///< none of them offered: 400 instead of a socket without one
    std::optional<OriginPolicy> origin;     ///< none: the program's policy, which is same-host unless it was told otherwise

    uint64_t maxMessage = 0;                ///< bytes of one received message, more closes with 1009; 0: as the program was
                                            ///< told (--max-message), or 1 MiB
    size_t maxFragments = 0;                ///< frames of one received message, more closes with 1008; 0: as the program was
                                            ///< told (--max-fragments), or 16,384

    std::optional<DeflateOptions> deflate;  ///< permessage-deflate; none: as the program was told (--websocket-deflate)
    size_t fragmentSize = 0;                ///< larger messages are sent in frames of that many bytes; 0: one frame
    bool keepRequest = true;                ///< request() can be asked; its memory is kept as long as the socket

    Duration pingInterval = std::chrono::seconds(25);  ///< under the 60 s after which proxies cut; 0: no heartbeat
    Duration pingGrace = std::chrono::seconds(20);     ///< no byte for interval + grace: the peer is dead
    std::string pingMessage;                ///< payload of the heartbeat, at most 125 bytes

    Duration closeTimeout = std::chrono::seconds(5);   ///< how long a close waits for the peer's answer
    Duration sendTimeout = std::chrono::seconds(30);   ///< the peer takes no byte for that long: the line is cut
    size_t highWater = 64 * 1024;           ///< bytes queued above which send() waits and trySend() refuses

    Overflow overflow = Overflow::close;    ///< for Sender
    size_t maxQueued = 1024 * 1024;         ///< bytes a Sender may have waiting before that
    CloseCode overflowCode = CloseCode::tryAgainLater;

    /// Throws std::invalid_argument.
    void check() const;
};

}
