#include "postern/protocol/Origin.h"

#include "postern/base/Text.h"

#include <algorithm>

namespace postern {

namespace {

struct Origin {
    std::string_view scheme, host;
    uint16_t port = 0;
};

uint16_t defaultPort(std::string_view scheme) {
    return equalsIgnoringCase(scheme, "https") ? 443 : equalsIgnoringCase(scheme, "http") ? 80 : 0;
}

// A name or an address in brackets; nothing that another reader would take for the end of the host.
bool isHost(std::string_view host) {
    const bool isAddress = host.starts_with('[') && host.ends_with(']');
    const std::string_view marks = isAddress ? "[]:." : "-._~*";
    return !host.empty() && std::all_of(host.begin(), host.end(), [&](char c) {
        return isAlpha(c) || isDigit(c) || marks.find(c) != std::string_view::npos;
    });
}

// "example.com:8080" or "[::1]:8080"; no port means the scheme's own.
std::optional<Origin> parseAuthority(std::string_view scheme, std::string_view authority) {
    const auto bracket = authority.rfind(']');
    const auto colon = authority.find(':', bracket == std::string_view::npos ? 0 : bracket);
    Origin origin{scheme, authority.substr(0, colon), defaultPort(scheme)};
    if (colon != std::string_view::npos && colon + 1 < authority.size()) {
        const auto port = parseDecimal<uint16_t>(authority.substr(colon + 1));
        if (!port) return {};
        origin.port = *port;
    }
    if (!isHost(origin.host)) return {};
    return origin;
}

std::optional<Origin> parseOrigin(std::string_view text) {
    const auto end = text.find("://");
    if (end == std::string_view::npos || end == 0) return {};
    return parseAuthority(text.substr(0, end), text.substr(end + 3));
}

bool hostMatches(std::string_view pattern, std::string_view host) {
    if (!pattern.starts_with("*.")) return equalsIgnoringCase(pattern, host);
    const auto domain = pattern.substr(1);  // with its dot, so that "badexample.com" is none of example.com
    return host.size() > domain.size() && equalsIgnoringCase(host.substr(host.size() - domain.size()), domain);
}

bool matches(const Origin& pattern, const Origin& origin) {
    return equalsIgnoringCase(pattern.scheme, origin.scheme) && pattern.port == origin.port &&
           hostMatches(pattern.host, origin.host);
}

}

bool isOriginAllowed(const OriginPolicy& policy, std::optional<std::string_view> origin, std::string_view scheme,
                     std::string_view host) {
    if (!origin) return policy.absent;
    if (policy.any) return true;
    const auto listed = [&](const std::string& entry) { return entry == *origin; };
    if (*origin == "null") return std::any_of(policy.allowed.begin(), policy.allowed.end(), listed);
    const auto asking = parseOrigin(*origin);
    if (!asking) return false;
    if (policy.sameHost)
        if (const auto own = parseAuthority(scheme, host);
            own && own->host.find('*') == std::string_view::npos && matches(*own, *asking))
            return true;
    return std::any_of(policy.allowed.begin(), policy.allowed.end(), [&](const std::string& entry) {
        const auto pattern = parseOrigin(entry);
        return pattern && matches(*pattern, *asking);
    });
}

bool isOriginPattern(std::string_view text) {
    if (text == "null") return true;
    const auto pattern = parseOrigin(text);
    if (!pattern || !isToken(pattern->scheme) || pattern->scheme.find('*') != std::string_view::npos) return false;
    const auto host = pattern->host.starts_with("*.") ? pattern->host.substr(2) : pattern->host;
    return !host.empty() && host.find('*') == std::string_view::npos;
}

}
