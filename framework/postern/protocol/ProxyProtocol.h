#pragma once
// The header a proxy puts before a client's bytes to say whose they are: the PROXY protocol of HAProxy, version 1 (a line
// of text) and version 2 (binary).

#include "postern/protocol/Outcome.h"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern {

struct ProxyHeader {
    size_t size = 0;          ///< bytes of the header; the client's own follow
    bool local = false;       ///< it names no client that has an address: those of the connection count
    std::string address;      ///< of the client, in numbers; an IPv4-mapped one as IPv4
    uint16_t port = 0;        ///< of the client
    uint16_t serverPort = 0;  ///< the one the client called

    bool operator==(const ProxyHeader&) const = default;
};

inline constexpr size_t maxProxyLine = 107;     ///< bytes of a version 1 header with its CRLF
inline constexpr size_t maxProxyBlock = 1024;   ///< bytes that follow the first 16 of a version 2 header

/// `bytes` is everything since the start of the connection, growing from call to call. A violation comes with the first
/// byte that no header can have there. Checksums (the CRC32C of version 2) are not verified, and what else a version 2
/// header tells of the connection is skipped.
Outcome<ProxyHeader> readProxyHeader(std::string_view bytes);

}
