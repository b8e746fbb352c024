#pragma once
// Where a program serves, as --listen names it.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct ListenSpec {
    enum class Kind { httpTcp, httpUnix, systemd, descriptor };

    Kind kind = Kind::httpTcp;
    std::string address;    ///< host or path
    uint16_t port = 0;
    int fd = -1;

    /// `http://HOST:PORT`, `http+unix:PATH`, `systemd`, `fd:N`. No value: `why` says what is wrong.
    static std::optional<ListenSpec> parse(std::string_view text, std::string& why);
};

/// Listening sockets of one spec, opened before privileges are dropped: one for each worker where the kernel spreads
/// connections over them (TCP), otherwise one that all share.
struct OpenListener {
    std::string url;               ///< for people: "http://127.0.0.1:8080"
    std::vector<int> fds;          ///< as many as workers; a shared one is duplicated
    std::string unlinkAtExit;      ///< path of a socket we made
};

/// Throws std::system_error or std::invalid_argument with a text for people.
std::vector<OpenListener> openListeners(const ListenSpec& spec, unsigned workers, const std::string& socketGroup);

}
