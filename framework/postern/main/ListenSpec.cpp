#include "postern/main/ListenSpec.h"

#include "postern/base/Text.h"
#include "postern/io/Listener.h"
#include "postern/main/Systemd.h"

#include <fcntl.h>
#include <sys/socket.h>

#include <cerrno>
#include <stdexcept>
#include <system_error>

namespace postern {

namespace {

constexpr unsigned socketMode = 0660;

struct Scheme {
    std::string_view name;
    std::optional<CgiProtocol> protocol;
    bool tls = false;
};
constexpr Scheme schemes[] = {{"http", {}},
                              {"https", {}, true},
                              {"fcgi", CgiProtocol::fastCgi},
                              {"scgi", CgiProtocol::scgi},
                              {"uwsgi", CgiProtocol::uwsgi}};

std::string schemeOf(const ListenSpec& spec) {
    for (const auto& scheme : schemes)
        if (scheme.protocol == spec.protocol && scheme.tls == spec.tls) return std::string(scheme.name);
    return {};
}

class SpecReader {
public:
    explicit SpecReader(std::string_view text) : text_(text) {}

    std::optional<ListenSpec> read(std::string& why) {
        auto rest = text_;
        if (const auto problem = readOption(rest); !problem.empty()) return fail(why, problem);
        if (rest == "systemd") {
            spec_.kind = ListenSpec::Kind::systemd;
            return spec_;
        }
        if (rest.starts_with("fd:")) return readDescriptor(rest.substr(3), why);
        for (const auto& [name, protocol, tls] : schemes) {
            if (!rest.starts_with(name)) continue;
            const auto place = rest.substr(name.size());
            spec_.protocol = protocol;
            spec_.tls = tls;
            if (place.starts_with("+fd:")) return readDescriptor(place.substr(4), why);
            if (place.starts_with("+unix:")) return readPath(place.substr(6), why);
            if (place.starts_with("://")) return readAuthority(place.substr(3), why);
        }
        return fail(why, "ways to listen are http://HOST:PORT, http+unix:PATH and http+fd:N, the same with https, fcgi, scgi "
                         "and uwsgi, and systemd");
    }

private:
    std::optional<ListenSpec> fail(std::string& why, const std::string& what) const {
        why = "'" + std::string(text_) + "': " + what;
        return {};
    }

    std::string readOption(std::string_view& rest) {
        const auto mark = rest.rfind("?websocket=");
        if (mark == rest.npos) return {};
        spec_.websocket = parseWebsocketOver(rest.substr(mark + 11));
        if (!spec_.websocket) return "websocket is auto, yes or no";
        rest = rest.substr(0, mark);
        return {};
    }

    std::optional<ListenSpec> readDescriptor(std::string_view number, std::string& why) {
        const auto fd = parseDecimal<int>(number);
        if (!fd) return fail(why, "fd: wants the number of a descriptor");
        spec_.kind = ListenSpec::Kind::descriptor;
        spec_.fd = *fd;
        return spec_;
    }

    std::optional<ListenSpec> readPath(std::string_view path, std::string& why) {
        if (!path.starts_with('/')) return fail(why, schemeOf(spec_) + "+unix: wants an absolute path");
        spec_.kind = ListenSpec::Kind::unixPath;
        spec_.address = path;
        return spec_;
    }

    std::optional<ListenSpec> readAuthority(std::string_view authority, std::string& why) {
        if (authority.ends_with('/')) authority.remove_suffix(1);
        const auto colon = authority.rfind(':');
        const auto bracket = authority.rfind(']');
        if (colon == std::string_view::npos || (bracket != std::string_view::npos && colon < bracket))
            return fail(why, "the port is missing: " + schemeOf(spec_) + "://HOST:PORT");
        const auto port = parseDecimal<uint16_t>(authority.substr(colon + 1));
        if (!port) return fail(why, "the port is no number from 0 to 65535");
        auto host = authority.substr(0, colon);
        if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
        spec_.address = host == "*" ? "" : host;
        spec_.port = *port;
        return spec_;
    }

    std::string_view text_;
    ListenSpec spec_;
};

Endpoint localEndpoint(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return readEndpoint(address);
}

// Whoever reaches such a socket can claim to be any client, so nobody from elsewhere may, unless he was named.
void checkReach(int fd, const OpenListener& listener, const ListenRules& rules) {
    const auto address = localEndpoint(fd).address;
    const bool local = address.empty() || address.starts_with("127.") || address == "::1";
    if (!listener.protocol || local || rules.gatewaysAllowed) return;
    throw std::invalid_argument("--listen " + listener.url + " can be reached from other machines: say by --allow-gateway "
                                "ADDRESS which web servers may connect, or listen on 127.0.0.1 or a Unix socket");
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

OpenListener openTcp(const ListenSpec& spec, const ListenRules& rules) {
    OpenListener open{spec.protocol, spec.websocket, {}, {}, {}, spec.tls};
    uint16_t port = spec.port;
    for (unsigned i = 0; i < rules.workers; ++i) {
        open.fds.push_back(ListenSocket::tcp(spec.address, port, rules.workers > 1, spec.protocol.has_value()));
        port = ListenSocket::portOf(open.fds.front());  // the one the kernel chose, if it was to choose
    }
    const auto host = spec.address.empty() ? "0.0.0.0" : spec.address;
    open.url = schemeOf(spec) + "://" + (host.find(':') == host.npos ? host : '[' + host + ']') + ':' +
               std::to_string(port);
    checkReach(open.fds.front(), open, rules);
    return open;
}

OpenListener openUnix(const ListenSpec& spec, const ListenRules& rules) {
    const int fd = ListenSocket::unixPath(spec.address, socketMode, rules.socketGroup);
    return {spec.protocol, spec.websocket, schemeOf(spec) + "+unix:" + spec.address, shared(fd, rules.workers), spec.address,
            spec.tls};
}

OpenListener inherited(int fd, const ListenSpec& spec, const ListenRules& rules) {
    if (!ListenSocket::isListening(fd))
        throw std::invalid_argument("descriptor " + std::to_string(fd) + " is no listening socket");
    const auto scheme = schemeOf(spec);
    const auto port = ListenSocket::portOf(fd);
    OpenListener open{spec.protocol, spec.websocket,
                      port != 0 ? scheme + "://localhost:" + std::to_string(port)
                                : scheme + " on descriptor " + std::to_string(fd),
                      {}, {}, spec.tls};
    checkReach(fd, open, rules);
    open.fds = shared(fd, rules.workers);
    return open;
}

std::vector<OpenListener> openSystemd(const ListenSpec& spec, const ListenRules& rules) {
    const auto sockets = systemdSockets();
    if (sockets.empty()) throw std::invalid_argument("--listen systemd, but systemd passed no socket (LISTEN_FDS)");
    std::vector<OpenListener> all;
    for (const auto& [fd, name] : sockets) {
        auto its = spec;
        for (const auto& scheme : schemes)
            if (name.starts_with(scheme.name)) {
                its.protocol = scheme.protocol;
                its.tls = scheme.tls;
            }
        all.push_back(inherited(fd, its, rules));
    }
    return all;
}

}

std::optional<WebsocketOver> parseWebsocketOver(std::string_view text) {
    if (text == "auto") return WebsocketOver::findOut;
    if (text == "yes") return WebsocketOver::yes;
    if (text == "no") return WebsocketOver::no;
    return {};
}

std::optional<ListenSpec> ListenSpec::parse(std::string_view text, std::string& why) { return SpecReader(text).read(why); }

namespace {

std::vector<OpenListener> openAny(const ListenSpec& spec, const ListenRules& rules) {
    switch (spec.kind) {
    case ListenSpec::Kind::tcp: return {openTcp(spec, rules)};
    case ListenSpec::Kind::unixPath: return {openUnix(spec, rules)};
    case ListenSpec::Kind::descriptor: return {inherited(spec.fd, spec, rules)};
    case ListenSpec::Kind::systemd: return openSystemd(spec, rules);
    }
    return {};
}

}

std::vector<OpenListener> openListeners(const ListenSpec& spec, const ListenRules& rules) {
    auto listeners = openAny(spec, rules);
    for (const auto& listener : listeners)
        if (listener.tls && !rules.hasCertificate)
            throw std::invalid_argument(listener.url + " needs a certificate: add --tls-cert FILE and --tls-key FILE");
    return listeners;
}

}
