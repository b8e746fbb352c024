#include "postern/protocol/ProxyProtocol.h"

#include "postern/base/Text.h"

#include <arpa/inet.h>

#include <algorithm>
#include <array>

namespace postern {

namespace {

constexpr Violation wrong(const char* reason) { return {400, reason}; }

// Is one of them the start of the other?
bool agree(std::string_view bytes, std::string_view pattern) {
    return bytes.substr(0, pattern.size()) == pattern.substr(0, bytes.size());
}

// `raw`: 4 or 16 bytes, as they travel.
std::string addressText(std::string_view raw) {
    constexpr std::string_view mapped("\0\0\0\0\0\0\0\0\0\0\xff\xff", 12);
    if (raw.starts_with(mapped)) raw.remove_prefix(mapped.size());
    char text[INET6_ADDRSTRLEN] = "";
    ::inet_ntop(raw.size() == 4 ? AF_INET : AF_INET6, raw.data(), text, sizeof text);
    return text;
}

// ── Version 1 ──

// How a text fits a form: it cannot, it is the start of something that does, or it does as it stands.
enum class Fit { never, begun, whole };
using FitFunction = Fit (*)(std::string_view text);

Fit fitNumber(std::string_view text, unsigned largest) {
    if (text.empty()) return Fit::begun;
    if (text.size() > 1 && text.starts_with('0')) return Fit::never;
    const auto value = parseDecimal<unsigned>(text);
    return value && *value <= largest ? Fit::whole : Fit::never;
}

Fit fitPort(std::string_view text) { return fitNumber(text, 65535); }

Fit fitV4(std::string_view text) {
    for (int part = 1;; ++part) {
        const auto size = std::min(text.find('.'), text.size());
        const auto fit = fitNumber(text.substr(0, size), 255);
        if (size == text.size()) return fit == Fit::whole && part < 4 ? Fit::begun : fit;
        if (fit != Fit::whole || part == 4) return Fit::never;
        text.remove_prefix(size + 1);
    }
}

// Groups of hexadecimal digits with a colon between them.
struct Groups {
    size_t count = 0;
    bool open = false;  // ends with a colon
};

std::optional<Groups> readGroups(std::string_view text) {
    Groups groups;
    while (!text.empty()) {
        const auto size = std::min(text.find(':'), text.size());
        const auto isHex = [](char c) { return hexValue(c) >= 0; };
        if (size == 0 || size > 4 || !std::all_of(text.begin(), text.begin() + static_cast<ptrdiff_t>(size), isHex)) return {};
        ++groups.count;
        groups.open = size + 1 == text.size();
        text.remove_prefix(std::min(size + 1, text.size()));
    }
    return groups;
}

// RFC 4291 §2.2. A tail in IPv4's form stands only where inet_ntop() writes it: behind "::" and "::ffff:".
Fit fitV6(std::string_view text) {
    if (const auto dot = text.find('.'); dot != std::string_view::npos) {
        const auto head = text.substr(0, text.rfind(':', dot) + 1);
        return head == "::" || equalsIgnoringCase(head, "::ffff:") ? fitV4(text.substr(head.size())) : Fit::never;
    }
    if (text == ":") return Fit::begun;
    const auto gap = text.find("::");
    const auto left = readGroups(text.substr(0, gap));
    const auto right = gap == std::string_view::npos ? Groups() : readGroups(text.substr(gap + 2));
    if (!left || !right) return Fit::never;
    const auto count = left->count + right->count;
    if (gap != std::string_view::npos) return count + right->open > 7 ? Fit::never : right->open ? Fit::begun : Fit::whole;
    return count + left->open > 8 ? Fit::never : count == 8 ? Fit::whole : Fit::begun;
}

std::string canonicalAddress(int family, std::string_view text) {
    std::array<char, 16> raw{};
    ::inet_pton(family, std::string(text).c_str(), raw.data());
    return addressText({raw.data(), family == AF_INET ? size_t{4} : raw.size()});
}

// "SOURCE DESTINATION SOURCEPORT DESTINATIONPORT\r\n" from `at` on. It cannot be longer than a line may be.
Outcome<ProxyHeader> readClient(std::string_view bytes, size_t at, int family, FitFunction fitAddress) {
    struct Field {
        FitFunction fits;
        char end;
        const char* otherwise;
        std::string_view text{};
    };
    std::array fields{Field{fitAddress, ' ', "malformed source address in a PROXY line"},
                      Field{fitAddress, ' ', "malformed destination address in a PROXY line"},
                      Field{fitPort, ' ', "malformed source port in a PROXY line"},
                      Field{fitPort, '\r', "malformed destination port in a PROXY line"}};
    for (auto& field : fields) {
        const auto end = std::min(bytes.find_first_of(" \r", at), bytes.size());
        field.text = bytes.substr(at, end - at);
        const auto fit = field.fits(field.text);
        if (fit == Fit::never) return wrong(field.otherwise);
        if (end == bytes.size()) return NeedMore();
        if (fit == Fit::begun || bytes[end] != field.end) return wrong(field.otherwise);
        at = end + 1;
    }
    if (at == bytes.size()) return NeedMore();
    if (bytes[at] != '\n') return wrong("a PROXY line without CRLF");
    return ProxyHeader{at + 1, false, canonicalAddress(family, fields[0].text), *parseDecimal<uint16_t>(fields[2].text),
                       *parseDecimal<uint16_t>(fields[3].text)};
}

Outcome<ProxyHeader> readV4Line(std::string_view bytes, size_t at) { return readClient(bytes, at, AF_INET, fitV4); }
Outcome<ProxyHeader> readV6Line(std::string_view bytes, size_t at) { return readClient(bytes, at, AF_INET6, fitV6); }

// What follows the word does not count.
Outcome<ProxyHeader> readUnknownLine(std::string_view bytes, size_t at) {
    if (at < bytes.size() && bytes[at] != ' ' && bytes[at] != '\r') return wrong("an unknown family in a PROXY line");
    const auto end = std::min(bytes.find_first_of("\r\n", at), bytes.size());
    if (end > maxProxyLine - 2) return wrong("a PROXY line that is too long");
    const auto rest = bytes.substr(end);
    if (!agree(rest, "\r\n")) return wrong("a PROXY line without CRLF");
    if (rest.size() < 2) return NeedMore();
    ProxyHeader header;
    header.size = end + 2;
    header.local = true;
    return header;
}

// ── Version 2 ──

enum Command : unsigned { local = 0, proxied = 1 };
enum Family : unsigned { unspecified = 0, inet = 1, inet6 = 2, unixSocket = 3 };
constexpr unsigned lastTransport = 2;                     // none, a stream, datagrams
constexpr std::array<size_t, 4> blockSizes{0, 12, 36, 216};  // of the addresses and ports of each family

unsigned byteAt(std::string_view bytes, size_t at) { return static_cast<unsigned char>(bytes[at]); }
uint16_t numberAt(std::string_view bytes, size_t at) {
    return static_cast<uint16_t>(byteAt(bytes, at) << 8 | byteAt(bytes, at + 1));
}

// Fields of a type, a length in two bytes and a value fill the space from `at` to `end`, as far as can be seen.
bool mayBeFields(std::string_view bytes, size_t at, size_t end) {
    while (at < end) {
        if (end - at < 3) return false;
        if (bytes.size() < at + 2) return true;
        const auto atLeast = at + 3 + byteAt(bytes, at + 1) * 256;
        if (atLeast > end) return false;
        if (bytes.size() < at + 3) return true;
        at = atLeast + byteAt(bytes, at + 2);
    }
    return at == end;
}

Outcome<ProxyHeader> readBinary(std::string_view bytes, size_t at) {
    if (bytes.size() < at + 1) return NeedMore();
    const auto command = byteAt(bytes, at) & 15;
    if (byteAt(bytes, at) >> 4 != 2) return wrong("an unknown version of the PROXY protocol");
    if (command > proxied) return wrong("an unknown command in a PROXY header");

    if (bytes.size() < at + 2) return NeedMore();
    const auto family = byteAt(bytes, at + 1) >> 4, transport = byteAt(bytes, at + 1) & 15;
    if (command == proxied && (family > unixSocket || transport > lastTransport))
        return wrong("an unknown family or transport in a PROXY header");
    // Without a family the block is opaque, and so is that of a connection the proxy made for itself.
    const bool opaque = command == Command::local || family == unspecified || transport == unspecified;

    if (bytes.size() < at + 3) return NeedMore();
    if (byteAt(bytes, at + 2) * 256 > maxProxyBlock) return wrong("a PROXY header that is too long");
    if (bytes.size() < at + 4) return NeedMore();
    const size_t block = at + 4, end = block + numberAt(bytes, at + 2);
    if (end - block > maxProxyBlock) return wrong("a PROXY header that is too long");
    if (!opaque && end - block < blockSizes[family]) return wrong("a PROXY header too short for its addresses");
    if (!opaque && !mayBeFields(bytes, block + blockSizes[family], end)) return wrong("a PROXY header with a malformed field");
    if (bytes.size() < end) return NeedMore();

    ProxyHeader header;
    header.size = end;
    header.local = opaque || family == unixSocket;
    if (header.local) return header;
    const size_t addressSize = family == inet ? 4 : 16, ports = block + 2 * addressSize;
    header.address = addressText(bytes.substr(block, addressSize));
    header.port = numberAt(bytes, ports);
    header.serverPort = numberAt(bytes, ports + 2);
    return header;
}

}

Outcome<ProxyHeader> readProxyHeader(std::string_view bytes) {
    struct Form {
        std::string_view start;
        Outcome<ProxyHeader> (*read)(std::string_view bytes, size_t at);
    };
    static constexpr std::array forms{Form{"PROXY TCP4 ", readV4Line}, Form{"PROXY TCP6 ", readV6Line},
                                      Form{"PROXY UNKNOWN", readUnknownLine},
                                      Form{std::string_view("\r\n\r\n\0\r\nQUIT\n", 12), readBinary}};
    for (const auto& form : forms)
        if (agree(bytes, form.start)) {
            if (bytes.size() < form.start.size()) return NeedMore();
            return form.read(bytes, form.start.size());
        }
    return wrong("no PROXY protocol header");
}

}
