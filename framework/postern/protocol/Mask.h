#pragma once
// The masking of client frames (RFC 6455 §5.3).

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace postern {

using MaskKey = std::array<char, 4>;

/// XORs `data` with the key, `offset` being the place of its first byte within the payload. Applied twice it undoes itself.
void applyMask(std::span<char> data, MaskKey key, size_t offset = 0);

}
