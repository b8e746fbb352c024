#pragma once
// Who the client is when trusted proxies stand in between: Forwarded (RFC 7239) and the X-Forwarded-* fields.

#include "postern/base/Fields.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

/// A range of addresses, "192.0.2.0/24", "2001:db8::/32" or a single one; "unix" stands for peers of Unix sockets.
class AddressRange {
public:
    static std::optional<AddressRange> parse(std::string_view text);
    /// `address` in numbers; an empty one is the peer of a Unix socket.
    bool contains(std::string_view address) const;

private:
    std::array<uint8_t, 16> prefix_{};  // IPv4 as ::ffff:a.b.c.d
    unsigned bits_ = 0;
    bool unixPeers_ = false;
};

bool anyContains(const std::vector<AddressRange>& ranges, std::string_view address);

/// What the proxies say; empty views where they say nothing.
struct ForwardedClient {
    std::string_view address;
    std::string_view scheme;  ///< "http" or "https"
    std::string_view host;
};

/// Reads the list of hops from right to left and stops at the first that is not trusted: that is the client. Fields
/// from the left of it are the client's own words and are ignored. Call it only if the peer itself is trusted.
ForwardedClient readForwarded(const FieldViews& fields, const std::vector<AddressRange>& trusted);

}
