// Lines: a letter for the policy, the origin, the scheme, the host, then entries of the list.
#include "postern/protocol/Origin.h"

#include "postern/base/Text.h"
#include "support/Require.h"

#include <optional>

using namespace postern;

namespace {

struct Parts {
    std::string scheme, host;
    unsigned long port = 0;
    bool operator==(const Parts&) const = default;
};

std::string lowered(std::string_view text) {
    std::string out(text);
    for (char& c : out) c = toLower(c);
    return out;
}

bool consistsOf(std::string_view text, std::string_view marks) {
    return text.find_first_not_of("abcdefghijklmnopqrstuvwxyz0123456789" + std::string(marks)) == std::string::npos;
}

std::optional<Parts> partsOf(std::string_view scheme, std::string_view authority) {
    Parts parts{lowered(scheme), lowered(authority), 0};
    std::string digits;
    const auto colon = parts.host.rfind(':');
    if (colon != std::string::npos && parts.host.find_first_not_of("0123456789", colon + 1) == std::string::npos) {
        digits = parts.host.substr(colon + 1);
        parts.host.resize(colon);
    }
    const auto& host = parts.host;
    const bool isAddress = host.starts_with('[') && host.ends_with(']') && consistsOf(host, "[]:.");
    if (host.empty() || !(isAddress || consistsOf(host, "-._~*"))) return {};
    parts.port = parts.scheme == "http" ? 80 : parts.scheme == "https" ? 443 : 0;
    if (!digits.empty()) {
        digits.erase(0, digits.find_first_not_of('0'));
        if (digits.size() > 5) return {};
        parts.port = digits.empty() ? 0 : std::stoul(digits);
    }
    if (parts.port > 65535) return {};
    return parts;
}

std::optional<Parts> partsOf(std::string_view origin) {
    const auto end = origin.find("://");
    if (end == 0 || end == std::string_view::npos) return {};
    return partsOf(origin.substr(0, end), origin.substr(end + 3));
}

bool welcomes(std::string_view entry, std::string_view origin) {
    if (entry == "null" || origin == "null") return entry == origin;
    auto pattern = partsOf(entry);
    auto asking = partsOf(origin);
    if (!pattern || !asking) return false;
    if (pattern->host.starts_with("*.")) {
        const auto domain = pattern->host.substr(1);
        if (asking->host == domain || !asking->host.ends_with(domain)) return false;
        asking->host = pattern->host;
    }
    return asking == pattern;
}

bool isSameHost(std::string_view origin, std::string_view scheme, std::string_view host) {
    const auto own = partsOf(scheme, host);
    return own && own->host.find('*') == std::string::npos && partsOf(origin) == own;
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size > 512) return 0;
    std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto kind = takeUntil(text, '\n');
    const unsigned bits = kind.empty() ? 0 : static_cast<unsigned char>(kind[0]);
    const auto origin = takeUntil(text, '\n'), scheme = takeUntil(text, '\n'), host = takeUntil(text, '\n');
    OriginPolicy policy;
    policy.any = (bits & 7) == 7;
    policy.sameHost = bits & 8;
    policy.absent = bits & 16;
    bool welcome = policy.any || (policy.sameHost && origin != "null" && isSameHost(origin, scheme, host));
    while (!text.empty()) {
        const auto entry = takeUntil(text, '\n');
        if (!isOriginPattern(entry)) continue;
        require(entry == "null" || partsOf(entry), "a pattern has the form of an origin");
        policy.allowed.emplace_back(entry);
        welcome = welcome || welcomes(entry, origin);
    }
    require(isOriginAllowed(policy, origin, scheme, host) == welcome, "an origin is welcome by the policy");
    require(isOriginAllowed(policy, {}, scheme, host) == policy.absent, "the absent origin has its own rule");
    if (partsOf(origin) && origin.find('*') == std::string_view::npos && isToken(origin.substr(0, origin.find("://"))))
        require(isOriginPattern(origin), "what is an origin may stand in the list");
    return 0;
}
