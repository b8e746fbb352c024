#pragma once
// What a web server sends to its programs and reads from them by FastCGI, SCGI and uwsgi, apart from the framework's codecs.

#include "postern/gateway/CgiExchange.h"

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

using WireVariables = std::vector<std::pair<std::string, std::string>>;

inline constexpr CgiProtocol wireProtocols[] = {CgiProtocol::fastCgi, CgiProtocol::scgi, CgiProtocol::uwsgi};

/// Those of an ordinary request. `more` are added; one with a name that is there already replaces it.
WireVariables wireVariables(std::string_view method, std::string_view target, const WireVariables& more = {});
/// Those of a request for a WebSocket.
WireVariables wireUpgrade(std::string_view target, const WireVariables& more = {});

/// Everything in front of the body. FastCGI: request 1. SCGI needs a CONTENT_LENGTH: 0 is added if there is none.
std::string wireHead(CgiProtocol protocol, const WireVariables& variables, bool keepsConnection = false);
/// A piece of the body, or of a WebSocket.
std::string wirePiece(CgiProtocol protocol, std::string_view bytes);
/// What ends it: nothing but for FastCGI.
std::string wireEnd(CgiProtocol protocol);
/// A whole request, with its CONTENT_LENGTH if it has a body.
std::string wireRequest(CgiProtocol protocol, const WireVariables& variables, std::string_view body = {},
                        bool keepsConnection = false);

/// What came back.
struct WireReply {
    std::string text;        ///< with the status line, without records
    bool ended = false;      ///< FastCGI: END_REQUEST came, with "request complete"
    std::string complaint;   ///< what FastCGI forbids

    int status(CgiProtocol protocol) const;  ///< 0: no head came whole
    std::string body() const;
};
/// Takes one reply, as far as it is there, from the front of `bytes`; without FastCGI all of them are one.
WireReply takeWireReply(CgiProtocol protocol, std::string& bytes);

}
