#pragma once
// Where a client's WebSocket leads (RFC 6455 §3).

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

namespace postern {

struct WebSocketUrl {
    bool secure = false;      ///< wss
    std::string host;         ///< name or address, without the brackets of an IPv6 one; "localhost" for ws+unix
    uint16_t port = 80;
    std::string socketPath;   ///< ws+unix: the Unix socket; otherwise empty
    std::string target;       ///< path and query, at least "/"

    /// As the Host field says it: with the port, unless it is the scheme's own, and brackets around an IPv6 address.
    std::string authority() const;
};

/// Reads `ws://HOST[:PORT][/PATH][?QUERY]`, `wss://…`, or `ws+unix:SOCKET[:/PATH]`. The error is a text for people:
/// another scheme, a user, a fragment, a bad port or host, a space or control character.
std::variant<WebSocketUrl, std::string> parseWebSocketUrl(std::string_view text);

}
