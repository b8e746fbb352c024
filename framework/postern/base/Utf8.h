#pragma once
// UTF-8 as RFC 3629 allows it: no overlong forms, no surrogates, nothing above U+10FFFF.

#include <cstdint>
#include <string>
#include <string_view>

namespace postern {

/// Validates text that arrives in pieces and fails at the first byte that no valid text could continue with.
class Utf8Validator {
public:
    /// False as soon as the text so far cannot be the beginning of valid UTF-8.
    [[nodiscard]] bool feed(std::string_view piece);
    /// True when the text so far ends between two characters.
    bool complete() const { return missing_ == 0; }
    void reset() { *this = Utf8Validator(); }

private:
    uint8_t missing_ = 0;     // continuation bytes still to come
    uint8_t lowest_ = 0x80;   // range of the next one
    uint8_t highest_ = 0xbf;
};

bool isValidUtf8(std::string_view text);

/// Every maximal invalid part replaced by U+FFFD, as the WHATWG Encoding Standard decodes.
std::string withInvalidUtf8Replaced(std::string_view text);

/// The longest beginning of at most `limit` bytes that does not cut a character of valid UTF-8.
std::string_view utf8Prefix(std::string_view text, size_t limit);

}
