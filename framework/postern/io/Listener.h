#pragma once
// A listening socket: opened by ListenSocket before a program drops its privileges, accepted from by one Listener per
// loop.

#include "postern/fiber/Loop.h"
#include "postern/io/Socket.h"

#include <functional>
#include <string>

namespace postern {

/// Opens listening sockets; each throws std::system_error whose text names the address and what to do.
struct ListenSocket {
    /// `address` numeric, or a name that resolves; port 0 lets the kernel choose. `shared`: SO_REUSEPORT, one socket
    /// for each worker. `whenTheySpeak`: whoever connects is not accepted before he has sent something.
    static int tcp(const std::string& address, uint16_t port, bool shared, bool whenTheySpeak = false);
    /// A stale socket file is removed, but only if it is a socket and nobody listens on it. `mode` is set before
    /// anybody can connect.
    static int unixPath(const std::string& path, unsigned mode, const std::string& group = {});
    static uint16_t portOf(int fd);
    static bool isListening(int fd);
};

/// Accepts on one loop. Out of descriptors it pauses instead of spinning, and says so once.
class Listener {
public:
    using Accepted = std::function<void(int fd, const sockaddr_storage& peer)>;

    /// Takes over `fd`. `accepted` is called on the loop, outside every fiber, and owns the new descriptor.
    Listener(Loop& loop, int fd, Accepted accepted);
    ~Listener();
    Listener(const Listener&) = delete;
    Listener& operator=(const Listener&) = delete;

    void start();
    /// Accepts whoever is in the queue already, then closes.
    void finish();
    /// Holds on until resume(): for a limit on connections.
    void pause();
    void resume();

private:
    void retry();
    void acceptAll();
    bool handle(int64_t result);

    static constexpr auto retryWhenExhausted = std::chrono::milliseconds(100);

    Loop& loop_;
    Descriptor descriptor_;
    Accepted accepted_;
    Operation accepting_;
    sockaddr_storage peer_{};
    Timer retry_;
    bool paused_ = false;
    bool exhausted_ = false;
};

}
