#pragma once

#include "postern/base/Time.h"
#include "postern/io/TlsContext.h"
#include "postern/protocol/ClientHandshake.h"
#include "postern/websocket/WebSocketOptions.h"

#include <functional>
#include <string>
#include <vector>

namespace postern {

/// How a client opens a WebSocket.
struct ClientOptions {
    WebSocketOptions socket;        ///< as on a server; `protocols` are asked for, `requireProtocol` wants one of them agreed on
    std::string origin;             ///< the Origin field; empty: none, as programs that are no browsers do
    std::vector<Header> headers;    ///< more fields of the request
    std::vector<Header> cookies;    ///< names and values; become one Cookie field
    std::function<void(ClientRequest&)> modifyRequest;  ///< sees the request last, and may change it
    Duration timeout = std::chrono::seconds(10);        ///< from the look-up of the name to the answer
    size_t maxHead = 16 * 1024;     ///< bytes of the answer's head
    TlsClientOptions tls;           ///< for wss: certificates are verified unless it says otherwise
};

}
