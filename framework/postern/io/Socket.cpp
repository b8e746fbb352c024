#include "postern/io/Socket.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <new>
#include <stdexcept>
#include <system_error>

namespace postern {

namespace {

bool readAddress(const std::string& text, uint16_t port, sockaddr_storage& out, socklen_t& size) {
    out = {};
    if (text.starts_with('/')) {
        auto& unixAddress = reinterpret_cast<sockaddr_un&>(out);
        if (text.size() >= sizeof unixAddress.sun_path) return false;
        unixAddress.sun_family = AF_UNIX;
        std::memcpy(unixAddress.sun_path, text.data(), text.size());
        size = sizeof unixAddress;
        return true;
    }
    auto& v4 = reinterpret_cast<sockaddr_in&>(out);
    auto& v6 = reinterpret_cast<sockaddr_in6&>(out);
    if (::inet_pton(AF_INET, text.c_str(), &v4.sin_addr) == 1) {
        v4.sin_family = AF_INET;
        v4.sin_port = htons(port);
        size = sizeof v4;
        return true;
    }
    if (::inet_pton(AF_INET6, text.c_str(), &v6.sin6_addr) == 1) {
        v6.sin6_family = AF_INET6;
        v6.sin6_port = htons(port);
        size = sizeof v6;
        return true;
    }
    return false;
}

std::string errorText(int error) { return std::error_code(error, std::system_category()).message(); }

}

Endpoint readEndpoint(const sockaddr_storage& address) {
    char text[INET6_ADDRSTRLEN] = "";
    if (address.ss_family == AF_INET) {
        const auto& v4 = reinterpret_cast<const sockaddr_in&>(address);
        ::inet_ntop(AF_INET, &v4.sin_addr, text, sizeof text);
        return {text, ntohs(v4.sin_port)};
    }
    if (address.ss_family == AF_INET6) {
        const auto& v6 = reinterpret_cast<const sockaddr_in6&>(address);
        if (IN6_IS_ADDR_V4MAPPED(&v6.sin6_addr)) ::inet_ntop(AF_INET, &v6.sin6_addr.s6_addr[12], text, sizeof text);
        else ::inet_ntop(AF_INET6, &v6.sin6_addr, text, sizeof text);
        return {text, ntohs(v6.sin6_port)};
    }
    return {};
}

Socket::Socket(Loop& loop, int fd, bool hasSpoken) : ByteStream(loop) {
    descriptor_.fd = fd;
    descriptor_.readable = hasSpoken;
    try {
        loop.poller().attach(descriptor_);
    } catch (...) {
        loop.poller().close(descriptor_);
        throw;
    }
}

std::unique_ptr<Socket> Socket::take(Loop& loop, int fd, bool hasSpoken) {
    try {
        return std::make_unique<Socket>(loop, fd, hasSpoken);
    } catch (const std::bad_alloc&) {  // nobody owns it yet
        Descriptor lost;
        lost.fd = fd;
        loop.poller().close(lost);
        throw;
    }
}

Socket::~Socket() {
    cancelAll();
    // A peer that did not get all of it must not take it for whole.
    loop().poller().close(descriptor_, broken() || queuedBytes() > 0);
}

Endpoint Socket::localEndpoint() const {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    if (::getsockname(descriptor_.fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) return {};
    return readEndpoint(address);
}

std::unique_ptr<Socket> Socket::connect(const std::string& address, uint16_t port, Deadline deadline) {
    sockaddr_storage target;
    socklen_t size = 0;
    if (!readAddress(address, port, target, size)) throw Disconnected("no numeric address or socket path: " + address);
    const int fd = ::socket(target.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) throw Disconnected("no socket: " + errorText(errno));
    const int on = 1;
    if (target.ss_family != AF_UNIX) ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);

    auto& loop = Loop::current();
    auto socket = std::make_unique<Socket>(loop, fd);
    Operation connecting;
    connecting.kind = Operation::Kind::connect;
    connecting.descriptor = &socket->descriptor_;
    connecting.address = &target;
    connecting.addressSize = size;
    throwUnlessReady(loop.perform(connecting, deadline));
    if (connecting.result < 0)
        throw Disconnected("cannot connect to " + address + ": " + errorText(static_cast<int>(-connecting.result)));
    return socket;
}

bool Socket::submitReceive(Operation& operation) {
    operation.descriptor = &descriptor_;
    return loop().poller().submit(operation);
}

void Socket::cancelReceive(Operation& operation) { loop().poller().cancel(operation); }

bool Socket::submitSend(Operation& operation) {
    operation.descriptor = &descriptor_;
    return loop().poller().submit(operation);
}

void Socket::cancelSend(Operation& operation) { loop().poller().cancel(operation); }

void Socket::shutdownSend() { loop().poller().shutdownSend(descriptor_); }

}
