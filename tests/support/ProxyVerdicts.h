#pragma once
// What readProxyHeader() makes of bytes, as one line of text, and whether it is right to ask for more.

#include "postern/protocol/ProxyProtocol.h"
#include "support/Fragments.h"
#include "support/GuardedBytes.h"

#include <string>
#include <string_view>

namespace postern {

/// "192.0.2.1 56324 to 443 in 42" (the size), "local in 16", "more" or "wrong".
inline std::string describe(const Outcome<ProxyHeader>& outcome) {
    if (std::holds_alternative<NeedMore>(outcome)) return "more";
    const auto* header = std::get_if<ProxyHeader>(&outcome);
    if (!header) return "wrong";
    const auto size = " in " + std::to_string(header->size);
    if (header->local) return "local" + size;
    return header->address + ' ' + std::to_string(header->port) + " to " + std::to_string(header->serverPort) + size;
}

/// Of bytes that end at an inaccessible page.
inline std::string verdictOnProxy(std::string_view bytes) {
    static GuardedBytes guarded(size_t{1} << 16);
    return describe(readProxyHeader(guarded.put(bytes)));
}

/// Like a connection: asks each time a piece has come, until there is a verdict.
inline std::string verdictOnProxy(const Fragments& pieces) {
    std::string bytes, verdict = "more";
    for (size_t i = 0; i < pieces.size() && verdict == "more"; ++i) verdict = verdictOnProxy(bytes += pieces[i]);
    return verdict;
}

/// Goes on from `bytes` with whatever is not refused: false if that leads nowhere.
inline bool canBecomeProxyHeader(std::string bytes) {
    std::string next("\r\n 0:.\0", 7);
    for (int c = 0; c < 256; ++c) next += static_cast<char>(c);
    for (auto verdict = verdictOnProxy(bytes); verdict == "more"; verdict = verdictOnProxy(bytes)) {
        if (bytes.size() >= 16 + maxProxyBlock) return false;
        bytes += '\0';
        for (const char c : next) {
            bytes.back() = c;
            if (verdictOnProxy(bytes) != "wrong") break;
        }
    }
    return verdictOnProxy(bytes) != "wrong";
}

}
