#pragma once
// Both ends of a WebSocket in memory, on the current loop.

#include "postern/fiber/Loop.h"
#include "postern/io/Pipe.h"
#include "postern/websocket/WebSocket.h"

namespace postern {

struct SocketPair {
    explicit SocketPair(const WebSocketOptions& ofServer = {}, const WebSocketOptions& ofClient = {},
                        std::optional<DeflateAgreement> deflate = {}, size_t capacity = 64 * 1024) {
        auto [near, far] = Pipe::make(Loop::current(), capacity);
        Established established;
        established.deflate = deflate;
        server = WebSocket::overStream(std::move(near), ofServer, established);
        established.isClient = true;
        client = WebSocket::overStream(std::move(far), ofClient, established);
    }

    WebSocket server, client;
};

/// Options with permessage-deflate for every message.
inline WebSocketOptions deflating(size_t threshold = 0, bool takeover = true) {
    WebSocketOptions options;
    options.deflate.emplace();
    options.deflate->threshold = threshold;
    options.deflate->contextTakeover = options.deflate->peerContextTakeover = takeover;
    return options;
}

/// Lets everything else that is ready run.
inline void settle() {
    for (int i = 0; i < 6; ++i) yield();
}

}
