#include "postern/base/Utf8.h"

#include <cstring>

namespace postern {

namespace {

// The first byte decides how many follow and what the second may be (Unicode table 3-7).
struct Lead {
    uint8_t missing, lowest, highest;
};

constexpr Lead leadOf(uint8_t byte) {
    if (byte >= 0xc2 && byte <= 0xdf) return {1, 0x80, 0xbf};
    if (byte == 0xe0) return {2, 0xa0, 0xbf};
    if (byte == 0xed) return {2, 0x80, 0x9f};
    if (byte >= 0xe1 && byte <= 0xef) return {2, 0x80, 0xbf};
    if (byte == 0xf0) return {3, 0x90, 0xbf};
    if (byte >= 0xf1 && byte <= 0xf3) return {3, 0x80, 0xbf};
    if (byte == 0xf4) return {3, 0x80, 0x8f};
    return {0, 0, 0};
}

constexpr uint64_t highBits = 0x8080'8080'8080'8080;

uint64_t wordAt(const char* bytes) {
    uint64_t word;
    std::memcpy(&word, bytes, sizeof word);
    return word;
}

// How many bytes at the front are ASCII: eight at a time, so that plain text costs almost nothing.
size_t asciiPrefix(std::string_view text) {
    size_t at = 0;
    for (; at + 32 <= text.size(); at += 32) {
        uint64_t words[4];
        std::memcpy(words, text.data() + at, sizeof words);
        if ((words[0] | words[1] | words[2] | words[3]) & highBits) break;
    }
    for (; at + 8 <= text.size(); at += 8)
        if (wordAt(text.data() + at) & highBits) break;
    // The last word overlaps the one before.
    if (at + 8 > text.size() && text.size() >= 8 && !(wordAt(text.data() + text.size() - 8) & highBits)) return text.size();
    while (at < text.size() && static_cast<uint8_t>(text[at]) < 0x80) ++at;
    return at;
}

}

bool Utf8Validator::feed(std::string_view piece) {
    for (size_t at = 0; at < piece.size(); ++at) {
        if (missing_ == 0) {
            at += asciiPrefix(piece.substr(at));
            if (at == piece.size()) return true;
        }
        const auto byte = static_cast<uint8_t>(piece[at]);
        if (missing_ == 0) {
            const auto lead = leadOf(byte);
            if (lead.missing == 0) return false;
            missing_ = lead.missing;
            lowest_ = lead.lowest;
            highest_ = lead.highest;
        } else {
            if (byte < lowest_ || byte > highest_) return false;
            --missing_;
            lowest_ = 0x80;
            highest_ = 0xbf;
        }
    }
    return true;
}

bool isValidUtf8(std::string_view text) {
    text.remove_prefix(asciiPrefix(text));
    if (text.empty()) return true;
    Utf8Validator validator;
    return validator.feed(text) && validator.complete();
}

std::string withInvalidUtf8Replaced(std::string_view text) {
    std::string out;
    Utf8Validator validator;
    size_t start = 0;  // of the character being read
    const auto replace = [&] { out += "\xef\xbf\xbd"; };
    for (size_t at = 0; at < text.size();) {
        if (validator.feed(text.substr(at, 1))) {
            ++at;
            if (!validator.complete()) continue;
            out += text.substr(start, at - start);
        } else {
            replace();
            if (validator.complete()) ++at;  // the byte begins nothing; otherwise it may begin the next character
            validator.reset();
        }
        start = at;
    }
    if (!validator.complete()) replace();
    return out;
}

std::string_view utf8Prefix(std::string_view text, size_t limit) {
    if (text.size() <= limit) return text;
    while (limit > 0 && (static_cast<uint8_t>(text[limit]) & 0xc0) == 0x80) --limit;
    return text.substr(0, limit);
}

}
