#pragma once
// What the floor and the load have in common: loopback sockets, and an epoll loop around them.

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

namespace bench {

inline int checked(int result, const char* what) {
    if (result >= 0) return result;
    std::perror(what);
    std::exit(1);
}

inline sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

inline void setNoDelay(int fd) {
    const int on = 1;
    checked(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), "setsockopt");
}

inline void raiseDescriptorLimit() {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

class Epoll {
public:
    void add(int fd, uint32_t events) {
        epoll_event event{events, {}};
        event.data.fd = fd;
        checked(::epoll_ctl(fd_, EPOLL_CTL_ADD, fd, &event), "epoll_ctl");
    }
    /// Calls `ready(fd)` for each descriptor that is ready.
    template <typename Ready>
    void wait(int timeout, Ready ready) {
        const int count = ::epoll_wait(fd_, events_.data(), static_cast<int>(events_.size()), timeout);
        for (int i = 0; i < count; ++i) ready(events_[static_cast<size_t>(i)].data.fd);
    }

private:
    int fd_ = checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1");
    std::array<epoll_event, 256> events_;
};

}
