#include "postern/gateway/UpgradeHint.h"

#include <array>

namespace postern {

namespace {

using Version = std::array<unsigned, 3>;

// "lighttpd/1.4.69" → 1, 4, 69; what is missing counts as 0.
Version versionOf(std::string_view server) {
    Version version{};
    takeUntil(server, '/');
    for (auto& part : version) {
        size_t digits = 0;
        while (digits < server.size() && isDigit(server[digits])) ++digits;
        part = parseDecimal<unsigned>(server.substr(0, digits)).value_or(0);
        if (digits == server.size() || server[digits] != '.') break;
        server.remove_prefix(digits + 1);
    }
    return version;
}

// mod_fastcgi and mod_scgi of lighttpd learnt it later than mod_cgi.
bool isOldLighttpd(std::string_view server) {
    return server.starts_with("lighttpd") && versionOf(server) < Version{1, 4, 74};
}

std::string remedy(CgiProtocol protocol, std::string_view server) {
    const std::string proxy = "proxy Upgrade requests to a --listen http:// of this program";
    if (server.starts_with("nginx") && protocol == CgiProtocol::fastCgi)
        return "fastcgi_pass cannot carry a WebSocket: send Upgrade requests to scgi_pass and a --listen scgi+unix: of this "
               "program";
    if (server.starts_with("lighttpd")) {
        if (protocol == CgiProtocol::cgi) return "set cgi.upgrade = \"enable\" (lighttpd 1.4.46 or newer)";
        const std::string module = protocol == CgiProtocol::fastCgi ? "fastcgi.server" : "scgi.server";
        return "set \"upgrade\" => \"enable\" in " + module + ", which takes lighttpd 1.4.74 or newer" +
               (isOldLighttpd(server) ? "; with an older one, use mod_proxy" : "");
    }
    if (server.starts_with("Apache"))
        return "use ProxyPass with upgrade=websocket to a --listen http:// of this program";
    if (server.starts_with("Caddy")) return "use reverse_proxy to a --listen http:// of this program";
    return proxy;
}

}

bool isKnownNotToUpgrade(CgiProtocol protocol, std::string_view server) {
    if (server.starts_with("Apache")) return true;
    return protocol != CgiProtocol::cgi && isOldLighttpd(server);
}

std::string upgradeHint(CgiProtocol protocol, std::string_view server) {
    const auto seen = server.empty() ? "this " + std::string(nameOf(protocol)) + " gateway"
                                     : escapedForLog(server) + "'s " + std::string(nameOf(protocol));
    return seen + " does not carry a WebSocket: " + remedy(protocol, server) + "; see docs/gateways.md";
}

}
