#pragma once
// One request and its reply, lent to a handler for one call, whichever way the request came in.
//
// Order of calls: head() and readBody() at any time; sendHead() once, then sendBody() and flush(), then finish().
// Instead of sendHead(): upgrade(). Used by one fiber.

#include "postern/base/Log.h"
#include "postern/io/ByteStream.h"
#include "postern/protocol/RequestHead.h"

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace postern {

/// How a reply begins. The exchange adds what belongs to the way in: framing, Date, Connection.
struct ReplyHead {
    int status = 200;
    std::string_view reason;                  ///< empty: the standard phrase
    std::string_view fields;                  ///< complete lines, each with its CRLF
    std::optional<uint64_t> contentLength;    ///< none: the body is streamed
    bool hasBody = true;                      ///< false for HEAD, 204, 304
};

/// Can this way in carry a WebSocket? If not, `reason` says what stands in between and what would fix it.
struct UpgradeSupport {
    bool supported = true;
    std::string reason;
    Duration proof{};   ///< not zero: only a byte of the client within that time shows that it really can
};

class Exchange {
public:
    virtual ~Exchange() = default;

    virtual const RequestHead& head() const = 0;
    /// The CGI variables of this request: the gateway's own, or what they would be.
    virtual NameValues environment() const = 0;

    /// Bytes of body that readBody() may give in all; more throws HttpError 413.
    virtual void setBodyLimit(uint64_t bytes) = 0;
    /// The next piece of the body, as long as it lasts; empty at its end. Valid until the next call. Throws HttpError
    /// (400 malformed, 408 too slow, 413 too large), Disconnected, Cancelled.
    virtual std::string_view readBody() = 0;

    /// Throws Disconnected, Cancelled, as do the following.
    virtual void sendHead(const ReplyHead& reply) = 0;
    virtual void sendBody(std::string_view piece) = 0;
    /// Both in one, for a body that is there as a whole.
    virtual void sendWhole(const ReplyHead& reply, std::string_view body) {
        sendHead(reply);
        if (reply.hasBody) sendBody(body);
    }
    virtual void flush() = 0;
    /// The reply is complete. Idempotent.
    virtual void finish() = 0;
    /// The reply cannot be completed: ends it so that the client notices.
    virtual void abandon() = 0;

    /// May wait a moment to find out (some gateways only show it by what they send).
    virtual UpgradeSupport canUpgrade() = 0;
    /// Sends 101 with these fields (complete lines) and hands over the stream, with the bytes that came after the head.
    virtual std::unique_ptr<ByteStream> upgrade(std::string_view fields) = 0;

    virtual void log(LogLevel level, std::string_view line) = 0;
};

}
