#include "postern/main/Systemd.h"

#include "postern/base/Text.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>

namespace postern {

namespace {

std::string_view environment(const char* name) {
    const char* value = std::getenv(name);
    return value ? value : "";
}

int passedSockets() {
    if (parseDecimal<int>(environment("LISTEN_PID")).value_or(0) != ::getpid()) return 0;
    return parseDecimal<int>(environment("LISTEN_FDS")).value_or(0);
}

}

bool hasSystemdSockets() { return passedSockets() > 0; }

std::vector<SystemdSocket> systemdSockets() {
    constexpr int first = 3;
    std::vector<SystemdSocket> sockets;
    auto names = environment("LISTEN_FDNAMES");
    for (int fd = first; fd < first + passedSockets(); ++fd) {
        ::fcntl(fd, F_SETFD, FD_CLOEXEC);
        sockets.push_back({fd, std::string(takeUntil(names, ':'))});
    }
    return sockets;
}

void notifySystemd(std::string_view state) {
    const auto path = environment("NOTIFY_SOCKET");
    sockaddr_un address{};
    if (path.empty() || path.size() >= sizeof address.sun_path) return;
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    if (path.front() == '@') address.sun_path[0] = '\0';
    const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size());
    ::sendto(fd, state.data(), state.size(), MSG_NOSIGNAL, reinterpret_cast<const sockaddr*>(&address), size);
    ::close(fd);
}

}
