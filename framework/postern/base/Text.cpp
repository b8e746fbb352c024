#include "postern/base/Text.h"

namespace postern {

std::string escapedForLog(std::string_view text, size_t limit) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string out;
    for (const char c : text.substr(0, limit)) {
        const auto byte = static_cast<unsigned char>(c);
        if (byte >= 0x20 && byte < 0x7f && c != '\\') out += c;
        else out.append("\\x").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
    }
    if (text.size() > limit) out += "...";
    return out;
}

}
