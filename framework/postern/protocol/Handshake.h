#pragma once
// The opening handshake of a WebSocket, server's side (RFC 6455 §4.2), on the fields of any request.

#include "postern/protocol/Outcome.h"
#include "postern/protocol/RequestHead.h"

#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace postern {

/// The request asks for no WebSocket.
struct NotRequested {};

/// A well-formed request for one. Views point into the request.
struct WebSocketRequest {
    std::string_view key;  ///< not unique: lighttpd sends a constant one for HTTP/2 clients
    std::vector<std::string_view> protocols;   ///< of Sec-WebSocket-Protocol, in the client's order
};

/// Asked means: HTTP/1.1 with `websocket` among the tokens of Upgrade and `upgrade` among those of Connection. Who asks
/// and breaks a rule (method, key, version, a body) gets a Violation; status 426 wants `Sec-WebSocket-Version: 13`.
std::variant<NotRequested, Violation, WebSocketRequest> readWebSocketRequest(const RequestHead& head);

/// Is it base64 of 16 bytes, as a Sec-WebSocket-Key must be?
bool isValidKey(std::string_view key);

/// Sec-WebSocket-Accept for a key.
std::string acceptKey(std::string_view key);

/// The first of the server's protocols that the client offers, compared with case; empty when there is none.
std::string_view selectProtocol(const std::vector<std::string>& supported, const std::vector<std::string_view>& offered);

}
