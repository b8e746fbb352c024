#pragma once
// Bytes and text are the same memory seen two ways: codecs work on char, users may ask for std::byte.

#include <cstddef>
#include <span>
#include <string_view>

namespace postern {

using ByteView = std::span<const std::byte>;

inline ByteView asBytes(std::string_view text) {
    return {reinterpret_cast<const std::byte*>(text.data()), text.size()};
}

inline std::string_view asText(ByteView bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}
