#include "postern/protocol/Mask.h"

#include <algorithm>
#include <cstring>

namespace postern {

namespace {

// The compiler turns this into whatever vector registers the target has.
using Vector = uint8_t __attribute__((vector_size(32)));

}

void applyMask(std::span<char> data, MaskKey key, size_t offset) {
    if (offset % 4 != 0) std::rotate(key.begin(), key.begin() + offset % 4, key.end());
    uint32_t word;
    std::memcpy(&word, key.data(), sizeof word);
    const uint64_t doubleWord = uint64_t{word} << 32 | word;

    char* at = data.data();
    size_t left = data.size();
    if (left >= sizeof(Vector)) {
        Vector pattern;
        for (size_t i = 0; i < sizeof pattern; i += 8) std::memcpy(reinterpret_cast<char*>(&pattern) + i, &doubleWord, 8);
        for (; left >= sizeof(Vector); at += sizeof(Vector), left -= sizeof(Vector)) {
            Vector bytes;
            std::memcpy(&bytes, at, sizeof bytes);
            bytes ^= pattern;
            std::memcpy(at, &bytes, sizeof bytes);
        }
    }
    for (; left >= 8; at += 8, left -= 8) {
        uint64_t bytes;
        std::memcpy(&bytes, at, 8);
        bytes ^= doubleWord;
        std::memcpy(at, &bytes, 8);
    }
    if (left >= 4) {
        uint32_t bytes;
        std::memcpy(&bytes, at, 4);
        bytes ^= word;
        std::memcpy(at, &bytes, 4);
        at += 4;
        left -= 4;
    }
    for (size_t i = 0; i < left; ++i) at[i] = static_cast<char>(at[i] ^ key[i]);
}

}
