#include "postern/protocol/Forwarded.h"

#include <arpa/inet.h>

#include <algorithm>

namespace postern {

namespace {

std::optional<std::array<uint8_t, 16>> parseAddress(std::string_view text) {
    if (text.size() >= INET6_ADDRSTRLEN) return {};
    const std::string copy(text);
    std::array<uint8_t, 16> bytes{};
    if (::inet_pton(AF_INET6, copy.c_str(), bytes.data()) == 1) return bytes;
    bytes[10] = bytes[11] = 0xff;
    if (::inet_pton(AF_INET, copy.c_str(), bytes.data() + 12) == 1) return bytes;
    return {};
}

// "192.0.2.1", "192.0.2.1:80", "[2001:db8::1]:80", each perhaps in quotes.
std::string_view withoutPort(std::string_view node) {
    if (node.size() >= 2 && node.starts_with('"') && node.ends_with('"')) node = node.substr(1, node.size() - 2);
    if (node.starts_with('[')) return node.substr(1, node.find(']') - 1);
    const auto colon = node.find(':');
    const bool v6 = colon != std::string_view::npos && node.find(':', colon + 1) != std::string_view::npos;
    return v6 ? node : node.substr(0, colon);
}

std::string_view unquoted(std::string_view text) {
    return text.size() >= 2 && text.starts_with('"') && text.ends_with('"') ? text.substr(1, text.size() - 2) : text;
}

std::string_view schemeOf(std::string_view text) {
    if (equalsIgnoringCase(text, "https") || equalsIgnoringCase(text, "wss")) return "https";
    if (equalsIgnoringCase(text, "http") || equalsIgnoringCase(text, "ws")) return "http";
    return {};
}

ForwardedClient parseHop(std::string_view hop) {
    ForwardedClient client;
    while (!hop.empty()) {
        auto value = trim(takeUntil(hop, ';'));
        const auto name = trim(takeUntil(value, '='));
        value = unquoted(trim(value));
        if (equalsIgnoringCase(name, "for")) client.address = withoutPort(value);
        else if (equalsIgnoringCase(name, "proto")) client.scheme = schemeOf(value);
        else if (equalsIgnoringCase(name, "host")) client.host = value;
    }
    return client;
}

std::vector<std::string_view> elementsOf(const FieldViews& fields, std::string_view name) {
    std::vector<std::string_view> elements;
    for (const auto& field : fields)
        if (equalsIgnoringCase(field.name, name))
            forEachListElement(field.value, [&](std::string_view element) { elements.push_back(element); });
    return elements;
}

// How many hops from the right are trusted proxies' words: those up to the first address that is no trusted proxy.
template <typename AddressOf>
size_t clientIndex(size_t hops, const std::vector<AddressRange>& trusted, AddressOf addressOf) {
    size_t index = hops - 1;
    const auto isProxy = [&](std::string_view address) { return !address.empty() && anyContains(trusted, address); };
    while (index > 0 && isProxy(addressOf(index))) --index;
    return index;
}

}

std::optional<AddressRange> AddressRange::parse(std::string_view text) {
    AddressRange range;
    if (text == "unix") {
        range.unixPeers_ = true;
        return range;
    }
    const auto slash = text.find('/');
    const auto address = text.substr(0, slash);
    const auto bytes = parseAddress(address);
    if (!bytes) return {};
    const unsigned width = address.find(':') == std::string_view::npos ? 32 : 128;
    unsigned bits = width;
    if (slash != std::string_view::npos) {
        const auto given = parseDecimal<unsigned>(text.substr(slash + 1));
        if (!given || *given > width) return {};
        bits = *given;
    }
    range.prefix_ = *bytes;
    range.bits_ = 128 - width + bits;
    return range;
}

bool AddressRange::contains(std::string_view address) const {
    if (address.empty() || unixPeers_) return unixPeers_ && address.empty();
    const auto bytes = parseAddress(address);
    if (!bytes) return false;
    for (unsigned bit = 0; bit < bits_; bit += 8) {
        const unsigned left = std::min(bits_ - bit, 8u);
        const auto mask = static_cast<uint8_t>(0xff << (8 - left));
        if (((*bytes)[bit / 8] & mask) != (prefix_[bit / 8] & mask)) return false;
    }
    return true;
}

bool anyContains(const std::vector<AddressRange>& ranges, std::string_view address) {
    return std::any_of(ranges.begin(), ranges.end(), [&](const auto& range) { return range.contains(address); });
}

ForwardedClient readForwarded(const FieldViews& fields, const std::vector<AddressRange>& trusted) {
    if (const auto hops = elementsOf(fields, "Forwarded"); !hops.empty()) {
        const auto index = clientIndex(hops.size(), trusted, [&](size_t i) { return parseHop(hops[i]).address; });
        auto client = parseHop(hops[index]);
        if (!parseAddress(client.address)) client.address = {};  // "unknown" or an obfuscated name
        return client;
    }
    ForwardedClient client;
    if (const auto hops = elementsOf(fields, "X-Forwarded-For"); !hops.empty()) {
        const auto index = clientIndex(hops.size(), trusted, [&](size_t i) { return withoutPort(hops[i]); });
        client.address = withoutPort(hops[index]);
        if (!parseAddress(client.address)) client.address = {};
    }
    // The nearest proxy's word is the last one.
    if (const auto schemes = elementsOf(fields, "X-Forwarded-Proto"); !schemes.empty()) client.scheme = schemeOf(schemes.back());
    if (const auto hosts = elementsOf(fields, "X-Forwarded-Host"); !hosts.empty()) client.host = hosts.back();
    return client;
}

}
