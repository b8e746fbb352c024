#pragma once
// What is known of the gateways that people put in front, when a WebSocket is to pass through them (docs/gateways.md).

#include "postern/gateway/CgiExchange.h"

namespace postern {

/// Is this gateway (SERVER_SOFTWARE) known not to carry a WebSocket to a program of this protocol?
bool isKnownNotToUpgrade(CgiProtocol protocol, std::string_view server);

/// One sentence for the log: which gateway it is, that it did not carry the WebSocket, and what makes it.
std::string upgradeHint(CgiProtocol protocol, std::string_view server);

}
