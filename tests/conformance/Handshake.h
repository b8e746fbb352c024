#pragma once
// The opening handshake (RFC 6455 §4, RFC 7692 §7.1): what the peer changes in a good one, and what becomes of it.
//
// Changes, each a line:
//
//     Upgrade: h2c         this field has another value, or is there at all
//     +Upgrade: h2c        a line more, as it is
//     -Upgrade             without this field
//     =GET / HTTP/1.0      another first line
//     !hello               this follows the head
//
// {accept} is the Sec-WebSocket-Accept that fits the client's key.

#include "conformance/Row.h"

namespace postern::conformance {

struct Handshake {
    std::string section;
    std::string promise;
    std::vector<std::string> changes;
    /// Of the server: "101; Sec-WebSocket-Protocol: a" (no other subprotocol and no extension), or the status of a
    /// refusal. Parameters of extensions come in any order; one in parentheses may be missing. Of the client: "open",
    /// "open chat.v1" (the subprotocol), "refused 200" (the status; 0: there was no answer that could be read),
    /// "redirect /there", "unauthorized Basic".
    std::string outcome;
    Setup setup = {.compression = Compression::without};
};

using Handshakes = std::vector<Handshake>;

/// Changes of the client's request, and what the server answers.
Handshakes requests();
/// Offers of permessage-deflate in the client's request, and which of them the server takes.
Handshakes offers();
/// Changes of the server's answer, and what the client makes of it.
Handshakes answers();

/// The subprotocols that both programs speak, best first. With "require=1" in the settings they insist on one of them.
inline const std::vector<std::string> spoken = {"chat.v2", "chat.v1"};

} // namespace postern::conformance
