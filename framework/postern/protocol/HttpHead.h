#pragma once
// The head of an HTTP/1.1 message (RFC 9112 §2–§6), read strictly: what smuggling is made of gets a 400.

#include "postern/protocol/Outcome.h"
#include "postern/protocol/RequestHead.h"

#include <cstddef>
#include <string>
#include <string_view>

namespace postern {

struct HeadLimits {
    size_t headBytes = 16 * 1024;   ///< request line and fields with their line ends; more is a 431
    size_t fieldCount = 100;        ///< more is a 431
    size_t targetBytes = 8 * 1024;  ///< more is a 414
};

/// Finds the end of a head in bytes that arrive in pieces. It remembers how far it looked, so a client that sends byte
/// by byte costs no more than one that sends all at once, and it refuses a bare LF as soon as it sees one.
class HeadScanner {
public:
    /// `bytes` is everything unread of this message, growing from call to call. The value is the size of the head with
    /// its final empty line.
    Outcome<size_t> scan(std::string_view bytes, const HeadLimits& limits);
    void reset() { *this = HeadScanner(); }
    /// True when nothing of a message was seen yet (one empty line before the request line does not count, RFC 9112 §2.2).
    bool untouched() const { return seen_ == lineStart_ && !inFields_; }

private:
    uint32_t seen_ = 0;      // bytes looked at
    uint8_t lineStart_ = 0;  // of the request line
    bool inFields_ = false;  // the request line is complete
};

/// Parses a complete head. `bytes` is copied into `head.bytes`. Fills everything but what only the connection knows
/// (addresses, scheme, mount). Returns no value when all is well.
std::optional<Violation> parseRequestHead(std::string_view bytes, const HeadLimits& limits, RequestHead& head);

/// Splits `target` (any of its four forms, RFC 9112 §3.2) into `head.path`, `head.query` and, for the absolute form,
/// `head.host`; decodes the path into `head.pathInfo`.
std::optional<Violation> readTarget(std::string_view target, RequestHead& head);

/// A Host value: a name or address and perhaps a port (RFC 9110 §7.2). Nothing else: no user, path, list or space.
bool isValidHost(std::string_view host);

/// What a client finds in an answer. Views point into the bytes given.
struct ResponseHead {
    int status = 0;
    int minorVersion = 1;
    std::string_view reason;
    FieldViews fields;
    BodyFraming framing = BodyFraming::none;
    uint64_t contentLength = 0;
    bool keepAlive = true;

    std::string_view field(std::string_view name) const { return fieldValue(fields, name); }
};

/// Parses a complete head found by a HeadScanner. `requestMethod` decides about the body (RFC 9112 §6.3).
std::optional<Violation> parseResponseHead(std::string_view bytes, std::string_view requestMethod, ResponseHead& head);

/// The standard phrase of a status ("Not Found"), or "" for an unknown one.
std::string_view reasonPhrase(int status);

/// May these stand in a field? A name is a token; a value holds no control character but tab (RFC 9110 §5.5).
bool isFieldName(std::string_view name);
bool isFieldValue(std::string_view value);

}
