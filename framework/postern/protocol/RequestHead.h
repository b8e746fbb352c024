#pragma once
// One request without its body, whichever way it came in: parsed from HTTP/1.1 or made from CGI variables.

#include "postern/base/Fields.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern {

/// How the end of a body is found (RFC 9112 §6.3; RFC 3875 §4.1.2 for the CGI family).
enum class BodyFraming { none, length, chunked, untilEnd };

/// The views point into `bytes` and `decodedPath`, so a head is never copied or moved; it is pooled and cleared instead.
struct RequestHead {
    RequestHead() = default;
    RequestHead(const RequestHead&) = delete;
    RequestHead& operator=(const RequestHead&) = delete;

    std::string_view method;
    std::string_view target;       ///< as sent: REQUEST_URI
    std::string_view path;         ///< the path part of the target, still percent-encoded
    std::string_view query;        ///< after the first '?', still encoded; empty when there is none
    int minorVersion = 1;          ///< of HTTP/1; requests of a later major version count as 1.1
    FieldViews fields;             ///< in order; names keep the spelling of the peer

    std::string_view pathInfo;     ///< decoded once, dot segments resolved, below the mount: what a handler routes on
    std::string_view scriptName;   ///< the mount prefix, or empty
    std::string_view host;         ///< authority the client asked for, with its port if it named one
    std::string_view scheme;       ///< "http" or "https"

    BodyFraming framing = BodyFraming::none;
    uint64_t contentLength = 0;    ///< for BodyFraming::length
    bool keepAlive = true;         ///< the client allows another request on this connection
    bool expectContinue = false;   ///< it waits for 100 before it sends the body

    std::string_view remoteAddress; ///< the client, in numbers; empty when unknown (a Unix socket)
    uint16_t remotePort = 0;
    std::string_view serverName;
    uint16_t serverPort = 0;
    std::string_view remoteUser;   ///< only when a gateway is trusted to authenticate

    std::string bytes;             ///< what the views point into
    std::string decodedPath;
    std::string notes;             ///< room for values that were in neither

    bool isHttps() const { return scheme == "https"; }
    std::string_view field(std::string_view name) const { return fieldValue(fields, name); }

    void clear() {
        method = target = path = query = pathInfo = scriptName = host = remoteAddress = serverName = remoteUser = {};
        scheme = "http";
        minorVersion = 1;
        fields.clear();
        framing = BodyFraming::none;
        contentLength = 0;
        keepAlive = true;
        expectContinue = false;
        remotePort = serverPort = 0;
        bytes.clear();
        decodedPath.clear();
        notes.clear();
    }
};

}
