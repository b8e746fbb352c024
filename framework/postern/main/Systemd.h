#pragma once
// What a service manager passes and wants to know (sd_listen_fds(3), sd_notify(3)), without its library.

#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct SystemdSocket {
    int fd;
    std::string name;   ///< FileDescriptorName of its unit, or empty
};
/// The sockets this process was given, from descriptor 3 on; closed for children. Empty when there are none.
std::vector<SystemdSocket> systemdSockets();
bool hasSystemdSockets();

/// "READY=1", "STOPPING=1"; nothing if nobody asked (NOTIFY_SOCKET).
void notifySystemd(std::string_view state);

}
