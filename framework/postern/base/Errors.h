#pragma once
// Errors are sorted by what the caller can do. A peer that closes in good order is not an error and never throws;
// a breach of the protocol is a value returned by its codec.

#include <stdexcept>
#include <string>

namespace postern {

/// The line is gone: nothing more can be sent or received on it.
class Disconnected : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// A deadline passed. Nothing that had arrived is lost; the call may be repeated.
class TimedOut : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// This fiber was asked to end. Every further wait throws it again; let it pass.
class Cancelled : public std::runtime_error {
public:
    Cancelled() : std::runtime_error("cancelled") {}
};

/// Ends a request with an HTTP status of the handler's choice. `text` is shown to the client.
class HttpError : public std::runtime_error {
public:
    explicit HttpError(int status, const std::string& text = {}) : std::runtime_error(text), status_(status) {}
    int status() const { return status_; }

private:
    int status_;
};

}
