#pragma once
// Classic CGI (RFC 3875): one request in the environment and on standard input, its reply on standard output.

#include "postern/gateway/Gateway.h"

namespace postern {

/// Does the gateway in front carry a WebSocket? `find out` looks at how it treats standard input.
enum class WebsocketOver { findOut, yes, no };

struct CgiSettings {
    RequestLimits limits;
    std::string mount;                  ///< path prefix; empty: SCRIPT_NAME
    bool trustRemoteUser = false;
    WebsocketOver websocket = WebsocketOver::findOut;
    Duration sendTimeout = std::chrono::seconds(30);
    AccessFunction access;
};

/// Serves the request described by `variables` over `stream`, calling the handler on the current fiber. False: the
/// request was refused, or its reply could not be completed.
bool serveCgi(std::unique_ptr<ByteStream> stream, std::span<const FieldView> variables, const CgiSettings& settings,
              const ExchangeHandler& handler);

}
