#include "postern/base/FindByte.h"

#include "support/Catch.h"
#include "support/GuardedBytes.h"

#include <algorithm>
#include <string>

using namespace postern;

namespace {

constexpr auto isControl = [](auto byte) { return (byte < ' ') | (byte == 0x7f); };
constexpr auto isLetter = [](auto byte) { return ((byte | 0x20) >= 'a') & ((byte | 0x20) <= 'z'); };
constexpr auto isAfterAb = [](auto byte, auto before, auto twoBefore) {
    return (byte == 'c') & (before == 'b') & (twoBefore == 'a');
};

}

TEST_CASE("the first wanted byte is found wherever it stands, and none beyond the end", "[base]") {
    for (size_t size = 0; size <= 70; ++size)
        for (size_t wanted = 0; wanted <= size; ++wanted) {
            std::string text(size, 'x');
            if (wanted < size) text[wanted] = '\n';
            if (wanted + 1 < size) text.back() = '\n';
            const GuardedBytes guarded(text);
            for (size_t at = 0; at <= size; ++at) {
                const auto expected = at <= wanted ? wanted : std::min(text.find('\n', at), size);
                if (findByte(guarded, at, isControl) == expected) continue;
                FAIL_CHECK(size << " bytes, wanted at " << wanted << ", from " << at);
            }
        }
}

TEST_CASE("one byte and sixteen get the same answer", "[base]") {
    for (int c = 0; c < 256; ++c) {
        const std::string one(1, static_cast<char>(c)), sixteen(16, static_cast<char>(c));
        CHECK(findByte(one, 0, isControl) == findByte(sixteen, 0, isControl) / 16);
        CHECK(findByte(one, 0, isLetter) == findByte(sixteen, 0, isLetter) / 16);
        CHECK(findByte(one, 0, isControl) == (c < 0x20 || c == 0x7f ? 0 : 1));
    }
}

TEST_CASE("a place is judged by the bytes before it too", "[base]") {
    for (size_t size = 3; size <= 50; ++size)
        for (size_t at = 2; at < size; ++at) {
            std::string text(size, 'c');
            text[at - 1] = 'b';
            text[at - 2] = 'a';
            const GuardedBytes guarded(text);
            for (size_t from = 2; from <= size; ++from)
                if (findPlace<0, 1, 2>(guarded, from, isAfterAb) != (from <= at ? at : size))
                    FAIL_CHECK(size << " bytes, wanted at " << at << ", from " << from);
        }
}
