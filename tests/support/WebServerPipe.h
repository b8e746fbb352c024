#pragma once
// A gateway for FastCGI, SCGI or uwsgi in memory, and what it answers to bytes that arrive in pieces of any size.

#include "postern/gateway/WebServerGateway.h"

#include <string>
#include <string_view>

namespace postern {

struct WebServerAnswer {
    std::string bytes;      ///< everything the gateway sent
    bool ended = false;     ///< it ended the connection before the web server did
    std::string log;        ///< its lines
};

/// The request became a WebSocket.
inline bool isUpgrade(const WebServerAnswer& answer) { return answer.bytes.find("101 Switching") != std::string::npos; }

/// What the web server sent broke a rule of the protocol.
inline bool isCut(const WebServerAnswer& answer) { return answer.log.find("cut a ") != std::string::npos; }

/// Says `bytes` in pieces of `pieceSize` and then ends, to a gateway that takes every Upgrade. Its handler echoes messages
/// and answers anything else with method, path and body: at /parts in parts, at /deaf without reading the body.
WebServerAnswer answerTo(CgiProtocol protocol, std::string_view bytes, size_t pieceSize);

/// One record of FastCGI.
std::string fastCgiRecord(int type, int id, std::string_view content, size_t padding = 0);
/// A name and value as FCGI_PARAMS hold them.
std::string fastCgiPair(std::string_view name, std::string_view value);

}
