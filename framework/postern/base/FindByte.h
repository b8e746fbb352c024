#pragma once
// Looks for a byte of some kind, sixteen at a time.

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

#if defined(__SSE2__)
#include <emmintrin.h>
#endif

namespace postern {

using SixteenBytes = uint8_t __attribute__((vector_size(16)));
using SixteenAnswers = int8_t __attribute__((vector_size(16)));  // 0 or -1 each

/// Bit i says what answer i is.
inline unsigned bitsOf(SixteenAnswers answers) {
#if defined(__SSE2__)
    return static_cast<unsigned>(_mm_movemask_epi8(std::bit_cast<__m128i>(answers)));
#else
    unsigned bits = 0;
    for (unsigned i = 0; i < sizeof answers; ++i) bits |= (answers[i] & 1u) << i;
    return bits;
#endif
}

/// The first place from `at` on that `isWanted`; the size of `text` if there is none. It gets the bytes that lie `back`
/// before the place, all of them within `text`. It is asked about one place and about sixteen at once, so it is a generic
/// lambda made of comparisons, `|` and `&`.
template <size_t... back, typename Question>
size_t findPlace(std::string_view text, size_t at, Question isWanted) {
    constexpr size_t width = sizeof(SixteenBytes);
    const auto sixteen = [&](size_t start) {
        SixteenBytes bytes;
        std::memcpy(&bytes, text.data() + start, width);
        return bytes;
    };
    const auto answersFrom = [&](size_t start) { return bitsOf(isWanted(sixteen(start - back)...)); };
    for (; at + width <= text.size(); at += width)
        if (const auto found = answersFrom(at)) return at + static_cast<size_t>(std::countr_zero(found));
    if (text.size() < width + std::max({back...})) {
        while (at < text.size() && !isWanted(static_cast<uint8_t>(text[at - back])...)) ++at;
        return at;
    }
    // The last sixteen overlap those before.
    const auto last = text.size() - width;
    const auto found = answersFrom(last) >> (at - last);
    return found ? at + static_cast<size_t>(std::countr_zero(found)) : text.size();
}

/// The same for a question about the byte alone.
template <typename Question>
size_t findByte(std::string_view text, size_t at, Question isWanted) {
    return findPlace<0>(text, at, isWanted);
}

}
