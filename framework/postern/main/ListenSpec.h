#pragma once
// Where a program serves and what it speaks there, as --listen names it.

#include "postern/gateway/CgiExchange.h"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct ListenSpec {
    enum class Kind { tcp, unixPath, systemd, descriptor };

    Kind kind = Kind::tcp;
    std::optional<CgiProtocol> protocol;      ///< what web servers speak there; none: HTTP
    bool tls = false;                         ///< HTTP within TLS
    std::string address;                      ///< host or path
    uint16_t port = 0;
    int fd = -1;
    std::optional<WebsocketOver> websocket;   ///< none: as --websocket-over says

    /// `http://HOST:PORT`, `http+unix:PATH`, `http+fd:N`, the same with https, fcgi, scgi or uwsgi, `fd:N` for HTTP, `systemd`;
    /// behind each `?websocket=auto`, `yes` or `no`. No value: `why` says what is wrong.
    static std::optional<ListenSpec> parse(std::string_view text, std::string& why);
};

std::optional<WebsocketOver> parseWebsocketOver(std::string_view text);

/// Listening sockets of one spec, opened before privileges are dropped: one for each worker where the kernel spreads
/// connections over them (TCP), otherwise one that all share.
struct OpenListener {
    std::optional<CgiProtocol> protocol;
    std::optional<WebsocketOver> websocket;
    std::string url;               ///< for people: "http://127.0.0.1:8080"
    std::vector<int> fds;          ///< as many as workers; a shared one is duplicated
    std::string unlinkAtExit;      ///< path of a socket we made
    bool tls = false;
};

struct ListenRules {
    unsigned workers = 1;
    std::string socketGroup;
    bool gatewaysAllowed = false;  ///< somebody beyond this machine was named who may speak FastCGI, SCGI or uwsgi
    bool hasCertificate = false;   ///< without one nobody can speak https
};

/// A socket of systemd speaks what its FileDescriptorName begins with (https, fcgi, scgi, uwsgi), otherwise HTTP. Throws
/// std::system_error or std::invalid_argument with a text for people.
std::vector<OpenListener> openListeners(const ListenSpec& spec, const ListenRules& rules);

}
