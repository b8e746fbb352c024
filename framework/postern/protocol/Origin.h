#pragma once
// Which pages may open a WebSocket here (RFC 6454, RFC 6455 §10.2). A browser sends cookies along with every handshake,
// whatever page asked for it, so this check is what keeps foreign pages out.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

struct OriginPolicy {
    bool any = false;         ///< every origin is welcome: only for endpoints that trust no cookie
    bool sameHost = true;     ///< scheme, host and port of the Origin are those of the request
    bool absent = true;       ///< requests without an Origin, which do not come from a browser's page
    /// Origins that are welcome too: "https://example.com", "https://*.example.com" (subdomains at any depth, not the
    /// domain itself), with ":port" unless it is the scheme's own; or the word "null".
    std::vector<std::string> allowed = {};
};

/// May this request open a WebSocket? `origin` is the Origin field if there is one, `scheme` and `host` are those the
/// client asked for (the Host field, with its port if any).
bool isOriginAllowed(const OriginPolicy& policy, std::optional<std::string_view> origin, std::string_view scheme,
                     std::string_view host);

/// Is this text an entry for OriginPolicy::allowed?
bool isOriginPattern(std::string_view text);

}
