#pragma once

#include "postern/client/ClientOptions.h"
#include "postern/websocket/WebSocket.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

/// The server gave another answer than a correct 101. `what()` says what is wrong.
class HandshakeError : public std::runtime_error {
public:
    HandshakeError(const std::string& what, int status = 0, std::vector<Header> fields = {}, std::string body = {})
        : std::runtime_error(what), status_(status), fields_(std::move(fields)), body_(std::move(body)) {}

    int status() const { return status_; }                          ///< 0: there was no answer that could be read
    const std::vector<Header>& fields() const { return fields_; }   ///< of the answer
    std::string field(std::string_view name) const;                 ///< the last one of that name, or empty
    const std::string& body() const { return body_; }               ///< its beginning, at most 4 KiB

private:
    int status_;
    std::vector<Header> fields_;
    std::string body_;
};

/// A 3xx: redirects are not followed, for they could lead a request with its cookies anywhere.
class RedirectRefused : public HandshakeError {
public:
    using HandshakeError::HandshakeError;
    std::string location() const { return field("Location"); }
};

/// A 401.
class Unauthorized : public HandshakeError {
public:
    using HandshakeError::HandshakeError;
    std::string challenge() const { return field("WWW-Authenticate"); }
};

/// Opens a WebSocket to `url`: `ws://HOST[:PORT]/PATH`, `wss://…`, or `ws+unix:SOCKET[:/PATH]`. Waits on the current fiber:
/// call it in a handler, or within run(). Throws std::invalid_argument (the URL or the options), HandshakeError,
/// Disconnected (TlsError among them), TimedOut, Cancelled.
WebSocket connectWebSocket(std::string_view url, const ClientOptions& options = {});

/// The same on a stream that leads to the server already; `url` is only asked for the request's target and Host.
WebSocket connectWebSocketOver(std::unique_ptr<ByteStream> stream, std::string_view url, const ClientOptions& options = {});

}
