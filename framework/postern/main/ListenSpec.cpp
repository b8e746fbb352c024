#include "postern/main/ListenSpec.h"

#include "postern/base/Text.h"
#include "postern/io/Listener.h"
#include "postern/main/Systemd.h"

#include <fcntl.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace postern {

namespace {

constexpr unsigned socketMode = 0660;

std::string urlOf(const std::string& address, uint16_t port) {
    const bool v6 = address.find(':') != std::string::npos;
    return "http://" + (v6 ? '[' + address + ']' : address) + ':' + std::to_string(port);
}

std::vector<int> shared(int fd, unsigned workers) {
    std::vector<int> fds{fd};
    while (fds.size() < workers) {
        const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
        if (copy < 0) throw std::system_error(errno, std::system_category(), "cannot share a listening socket");
        fds.push_back(copy);
    }
    return fds;
}

OpenListener openTcp(const ListenSpec& spec, unsigned workers) {
    OpenListener open;
    uint16_t port = spec.port;
    for (unsigned i = 0; i < workers; ++i) {
        open.fds.push_back(ListenSocket::tcp(spec.address, port, workers > 1));
        port = ListenSocket::portOf(open.fds.front());  // the one the kernel chose, if it was to choose
    }
    open.url = urlOf(spec.address.empty() ? "0.0.0.0" : spec.address, port);
    return open;
}

OpenListener inherited(int fd, unsigned workers) {
    if (!ListenSocket::isListening(fd))
        throw std::invalid_argument("descriptor " + std::to_string(fd) + " is no listening socket");
    const auto port = ListenSocket::portOf(fd);
    return {port != 0 ? "http://localhost:" + std::to_string(port) : "http on descriptor " + std::to_string(fd),
            shared(fd, workers), {}};
}

}

std::optional<ListenSpec> ListenSpec::parse(std::string_view text, std::string& why) {
    const auto fail = [&](std::string_view what) {
        why = "'" + std::string(text) + "': " + std::string(what);
        return std::optional<ListenSpec>();
    };
    ListenSpec spec;
    if (text == "systemd") {
        spec.kind = Kind::systemd;
        return spec;
    }
    if (text.starts_with("fd:")) {
        const auto fd = parseDecimal<int>(text.substr(3));
        if (!fd) return fail("fd: wants the number of a descriptor");
        spec.kind = Kind::descriptor;
        spec.fd = *fd;
        return spec;
    }
    if (text.starts_with("http+unix:")) {
        spec.kind = Kind::httpUnix;
        spec.address = text.substr(10);
        if (!spec.address.starts_with('/')) return fail("http+unix: wants an absolute path");
        return spec;
    }
    if (!text.starts_with("http://")) return fail("ways to listen are http://HOST:PORT, http+unix:PATH, systemd and fd:N");
    auto authority = text.substr(7);
    if (authority.ends_with('/')) authority.remove_suffix(1);
    const auto colon = authority.rfind(':');
    const auto bracket = authority.rfind(']');
    if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket))
        return fail("the port is missing: http://HOST:PORT");
    const auto port = parseDecimal<uint16_t>(authority.substr(colon + 1));
    if (!port) return fail("the port is no number from 0 to 65535");
    auto host = authority.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    spec.address = host == "*" ? "" : host;
    spec.port = *port;
    return spec;
}

std::vector<OpenListener> openListeners(const ListenSpec& spec, unsigned workers, const std::string& socketGroup) {
    switch (spec.kind) {
    case ListenSpec::Kind::httpTcp:
        return {openTcp(spec, workers)};
    case ListenSpec::Kind::httpUnix:
        return {{"http+unix:" + spec.address,
                 shared(ListenSocket::unixPath(spec.address, socketMode, socketGroup), workers), spec.address}};
    case ListenSpec::Kind::descriptor:
        return {inherited(spec.fd, workers)};
    case ListenSpec::Kind::systemd: {
        const auto fds = systemdSockets();
        if (fds.empty()) throw std::invalid_argument("--listen systemd, but systemd passed no socket (LISTEN_FDS)");
        std::vector<OpenListener> all;
        for (const int fd : fds) all.push_back(inherited(fd, workers));
        return all;
    }
    }
    return {};
}

}
