#pragma once
// UTF-8 by the definition of RFC 3629, a character at a time: slow, and simple enough to be believed. The real code is
// compared with it.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace postern {

struct SlowCharacter {
    enum Kind { whole, cut, invalid };
    Kind kind = cut;
    size_t size = 0;  ///< bytes that belong to it; of an invalid one, those before the first impossible byte
};

/// Can the first `bits` of a character that has `missing` more bytes still become a code point of `length` bytes?
inline bool isPossible(uint32_t bits, size_t missing, size_t length) {
    constexpr uint32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    const uint32_t low = std::max(bits << (6 * missing), smallest[length]);
    const uint32_t high = std::min((bits + 1) << (6 * missing), uint32_t{0x110000}) - 1;
    return low <= high && !(low >= 0xd800 && high <= 0xdfff);
}

/// The first character of `text`.
inline SlowCharacter slowCharacter(std::string_view text) {
    if (text.empty()) return {};
    const auto lead = static_cast<uint8_t>(text[0]);
    const size_t length = lead < 0x80 ? 1 : lead < 0xc0 ? 0 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : lead < 0xf8 ? 4 : 0;
    if (length == 0) return {SlowCharacter::invalid, 0};
    uint32_t bits = length == 1 ? lead : lead & (0x7fU >> length);
    for (size_t seen = 1;; ++seen) {
        if (!isPossible(bits, length - seen, length)) return {SlowCharacter::invalid, seen - 1};
        if (seen == length) return {SlowCharacter::whole, length};
        if (seen == text.size()) return {SlowCharacter::cut, seen};
        const auto next = static_cast<uint8_t>(text[seen]);
        if ((next & 0xc0) != 0x80) return {SlowCharacter::invalid, seen};
        bits = bits << 6 | (next & 0x3f);
    }
}

struct SlowUtf8 {
    size_t firstImpossible = std::string_view::npos;  ///< no valid text has this byte here
    bool complete = true;                             ///< ends between two characters
    bool isValid() const { return firstImpossible == std::string_view::npos && complete; }
};

inline SlowUtf8 slowUtf8(std::string_view text) {
    for (size_t at = 0; at < text.size();) {
        const auto character = slowCharacter(text.substr(at));
        at += character.size;
        if (character.kind == SlowCharacter::invalid) return {at, false};
        if (character.kind == SlowCharacter::cut) return {std::string_view::npos, false};
    }
    return {};
}

/// As the WHATWG decoder does: one U+FFFD for each longest beginning of a character that does not go on.
inline std::string slowReplaced(std::string_view text) {
    std::string out;
    while (!text.empty()) {
        const auto character = slowCharacter(text);
        const auto size = std::max<size_t>(character.size, 1);
        out += character.kind == SlowCharacter::whole ? text.substr(0, size) : std::string_view("\xef\xbf\xbd");
        text.remove_prefix(size);
    }
    return out;
}

}
