#pragma once
// A connected TCP or Unix stream socket.

#include "postern/io/ByteStream.h"

#include <string>

namespace postern {

/// The numeric address of a socket name ("192.0.2.1", "2001:db8::1", empty for a Unix socket) and its port.
struct Endpoint {
    std::string address;
    uint16_t port = 0;
};
Endpoint readEndpoint(const sockaddr_storage& address);

class Socket final : public ByteStream {
public:
    /// Takes over `fd`, which is non-blocking.
    Socket(Loop& loop, int fd, bool hasSpoken = false);
    /// The same; `fd` is closed if there is no memory, and std::bad_alloc goes on. `hasSpoken`: its peer has probably sent
    /// something.
    static std::unique_ptr<Socket> take(Loop& loop, int fd, bool hasSpoken = false);
    ~Socket() override;

    /// The local address.
    Endpoint localEndpoint() const;
    int fd() const { return descriptor_.fd; }

    /// Connects to a numeric address and port (TCP) or, when `address` starts with '/', to a Unix socket. Throws
    /// Disconnected with the reason, TimedOut, Cancelled.
    static std::unique_ptr<Socket> connect(const std::string& address, uint16_t port, Deadline deadline = Deadline::never());

protected:
    bool submitReceive(Operation& operation) override;
    void cancelReceive(Operation& operation) override;
    bool submitSend(Operation& operation) override;
    void cancelSend(Operation& operation) override;
    void shutdownSend() override;
    bool hasArrived() const override { return descriptor_.readable; }

private:
    Descriptor descriptor_;
};

}
