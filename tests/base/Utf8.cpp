#include "postern/base/Utf8.h"

#include "support/Catch.h"
#include "support/Fragments.h"
#include "support/GuardedBytes.h"
#include "support/SlowUtf8.h"

#include <vector>

using namespace postern;
using namespace std::literals;

namespace {

constexpr auto npos = std::string_view::npos;

struct Text {
    std::string_view bytes;
    size_t firstImpossible;  // npos: none
    bool complete;
};

const Text texts[] = {
    {""sv, npos, true},
    {"\0"sv, npos, true},
    {"\x7f"sv, npos, true},
    {"\xc2\x80"sv, npos, true},          // U+0080
    {"\xdf\xbf"sv, npos, true},          // U+07FF
    {"\xe0\xa0\x80"sv, npos, true},      // U+0800
    {"\xed\x9f\xbf"sv, npos, true},      // U+D7FF
    {"\xee\x80\x80"sv, npos, true},      // U+E000
    {"\xef\xbf\xbf"sv, npos, true},      // U+FFFF, no character but allowed
    {"\xf0\x90\x80\x80"sv, npos, true},  // U+10000
    {"\xf4\x8f\xbf\xbf"sv, npos, true},  // U+10FFFF
    {"\xef\xbb\xbfx"sv, npos, true},     // a byte order mark is text
    {"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5"sv, npos, true},

    {"\xc3"sv, npos, false},
    {"\xe2"sv, npos, false},
    {"\xe2\x82"sv, npos, false},
    {"\xf0"sv, npos, false},
    {"\xf0\x9f"sv, npos, false},
    {"\xf0\x9f\x98"sv, npos, false},

    {"\x80"sv, 0, false},  // continuation bytes of nothing
    {"\xbf"sv, 0, false},
    {"\xc3\xa9\xa9"sv, 2, false},
    {"\xe2\x82\xac\x80"sv, 3, false},
    {"\xf0\x9f\x98\x80\x80"sv, 4, false},
    {"\xc3\x41"sv, 1, false},  // characters that break off
    {"\xc3\xc3"sv, 1, false},
    {"\xe2\x41\x41"sv, 1, false},
    {"\xe2\x82\x41"sv, 2, false},
    {"\xe2\x82\xe2"sv, 2, false},
    {"\xf0\x9f\x98\x41"sv, 3, false},
    {"\xf0\x9f\x41\x41"sv, 2, false},
    {"\xf0\x41\x41\x41"sv, 1, false},
    {"\xc0\x80"sv, 0, false},  // longer than needed
    {"\xc0\xaf"sv, 0, false},
    {"\xc1\xbf"sv, 0, false},
    {"\xe0\x80\x80"sv, 1, false},
    {"\xe0\x9f\xbf"sv, 1, false},
    {"\xf0\x80\x80\x80"sv, 1, false},
    {"\xf0\x8f\xbf\xbf"sv, 1, false},
    {"\xf8\x80\x80\x80\x80"sv, 0, false},
    {"\xfc\x80\x80\x80\x80\x80"sv, 0, false},
    {"\xed\xa0\x80"sv, 1, false},  // surrogates
    {"\xed\xad\xbf"sv, 1, false},
    {"\xed\xbf\xbf"sv, 1, false},
    {"\xed\xa0\xbd\xed\xb8\x80"sv, 1, false},
    {"\xf4\x90\x80\x80"sv, 1, false},  // above U+10FFFF
    {"\xf4\xbf\xbf\xbf"sv, 1, false},
    {"\xf5\x80\x80\x80"sv, 0, false},
    {"\xf7\xbf\xbf\xbf"sv, 0, false},
    {"\xfe"sv, 0, false},  // never bytes of UTF-8
    {"\xff"sv, 0, false},
};

// The place of the first byte that feed() refuses when it gets one at a time.
size_t refusedAt(std::string_view text) {
    Utf8Validator validator;
    for (size_t at = 0; at < text.size(); ++at)
        if (!validator.feed(text.substr(at, 1))) return at;
    return npos;
}

bool agreesWithSlow(std::string_view text) {
    const auto slow = slowUtf8(text);
    Utf8Validator validator;
    const bool fed = validator.feed(text);
    return fed == (slow.firstImpossible == npos) && isValidUtf8(text) == slow.isValid() &&
           (!fed || validator.complete() == slow.complete) && refusedAt(text) == slow.firstImpossible;
}

std::string utf8Of(uint32_t point) {
    const auto part = [&](unsigned shift) { return static_cast<char>(0x80 | (point >> shift & 0x3f)); };
    if (point < 0x80) return {static_cast<char>(point)};
    if (point < 0x800) return {static_cast<char>(0xc0 | point >> 6), part(0)};
    if (point < 0x10000) return {static_cast<char>(0xe0 | point >> 12), part(6), part(0)};
    return {static_cast<char>(0xf0 | point >> 18), part(12), part(6), part(0)};
}

}

TEST_CASE("text is refused at the first byte that cannot be UTF-8", "[base]") {
    for (const auto& row : texts) {
        CAPTURE(row.bytes);
        CHECK(refusedAt(row.bytes) == row.firstImpossible);
        CHECK(isValidUtf8(row.bytes) == (row.firstImpossible == npos && row.complete));
        CHECK(slowUtf8(row.bytes).firstImpossible == row.firstImpossible);
        CHECK(slowUtf8(row.bytes).complete == row.complete);
    }
}

TEST_CASE("the place in a long text and what stands around do not change the verdict", "[base]") {
    for (const auto& row : texts)
        for (size_t before = 0; before <= 70; ++before)
            for (const auto* after : {"", "x", "\xc3\xa9", "0123456789012345678901234567890123456789"}) {
                const auto text = std::string(before, 'a').append(row.bytes).append(after);
                if (agreesWithSlow(text)) continue;
                CAPTURE(row.bytes, before, after);
                FAIL_CHECK("not as the definition says");
            }
}

TEST_CASE("the verdict on text is the same in every fragmentation", "[base]") {
    GuardedBytes room(200);
    for (const auto& row : texts) {
        const auto text = "some plain text, \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80 "s.append(row.bytes);
        const auto slow = slowUtf8(text);
        forEachFragmentation(text, [&](const Fragments& pieces) {
            Utf8Validator validator;
            size_t before = 0;  // of the pieces that were taken
            bool good = true;
            for (const auto piece : pieces) {
                good = validator.feed(room.put(piece));
                if (!good) break;
                before += piece.size();
            }
            const bool right = good ? slow.firstImpossible == npos && validator.complete() == slow.complete
                                    : slow.firstImpossible >= before && slow.firstImpossible != npos;
            if (!right) {
                CAPTURE(row.bytes, pieces.size(), pieces[0].size());
                FAIL_CHECK("not as the definition says");
            }
        });
    }
}

TEST_CASE("every code point but the surrogates is text", "[base]") {
    std::string all;
    for (uint32_t point = 0; point < 0x110000; ++point) {
        const auto text = utf8Of(point);
        const bool surrogate = point >= 0xd800 && point <= 0xdfff;
        if (isValidUtf8(text) == surrogate) FAIL_CHECK("code point " << point);
        if (!surrogate) all += text;
    }
    CHECK(isValidUtf8(all));
}

TEST_CASE("every sequence of two bytes and every kind of three and four is judged by the definition", "[base]") {
    constexpr uint8_t bounds[] = {0x00, 0x41, 0x7f, 0x80, 0x8f, 0x90, 0x9f, 0xa0, 0xbf, 0xc0, 0xe2, 0xf4, 0xff};
    size_t wrong = 0;
    char text[4];
    const auto put = [&](size_t at, unsigned byte) { text[at] = static_cast<char>(byte); };
    for (unsigned first = 0; first < 256; ++first)
        for (unsigned second = 0; second < 256; ++second) {
            put(0, first);
            put(1, second);
            wrong += !agreesWithSlow({text, 2});
            if (first < 0xe0) continue;
            for (const auto third : bounds) {
                put(2, third);
                wrong += !agreesWithSlow({text, 3});
                if (first < 0xf0) continue;
                for (const auto fourth : bounds) {
                    put(3, fourth);
                    wrong += !agreesWithSlow({text, 4});
                }
            }
        }
    CHECK(wrong == 0);
}

TEST_CASE("a validator that was reset remembers nothing", "[base]") {
    Utf8Validator validator;
    CHECK(validator.complete());
    CHECK(validator.feed("\xf4\x8f"));
    CHECK_FALSE(validator.complete());
    validator.reset();
    CHECK(validator.complete());
    CHECK(validator.feed("a\xc3\xa9"));
    CHECK(validator.complete());
}

TEST_CASE("an empty piece changes nothing", "[base]") {
    Utf8Validator validator;
    CHECK(validator.feed({}));
    CHECK(validator.complete());
    CHECK(validator.feed("\xe2"));
    CHECK(validator.feed({}));
    CHECK_FALSE(validator.complete());
    CHECK(validator.feed("\x82\xac"));
    CHECK(validator.complete());
}

TEST_CASE("each longest invalid part is replaced by one replacement character", "[base]") {
    const std::pair<std::string_view, std::string_view> rows[] = {
        // The Unicode Standard, tables 3-8 to 3-11; ? stands for U+FFFD.
        {"\xc0\xaf\xe0\x80\xbf\xf0\x81\x82\x41", "????????A"},
        {"\xed\xa0\x80\xed\xbf\xbf\xed\xaf\x41", "????????A"},
        {"\xf4\x91\x92\x93\xff\x41\x80\xbf\x42", "?????A??B"},
        {"\xe1\x80\xe2\xf0\x91\x92\xf1\xbf\x41", "????A"},
        {"\x61\xf1\x80\x80\xe1\x80\xc2\x62\x80\x63\x80\xbf\x64", "a???b?c??d"},
        {"", ""},
        {"plain", "plain"},
        {"\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9"},
        {"\xc3", "?"},
        {"x\xf0\x9f\x98", "x?"},
        {"\xe2\x82\xc3\xa9", "?\xc3\xa9"},
    };
    for (const auto& [bytes, shown] : rows) {
        std::string expected;
        for (const char c : shown) expected += c == '?' ? "\xef\xbf\xbd"s : std::string(1, c);
        CAPTURE(bytes);
        CHECK(withInvalidUtf8Replaced(bytes) == expected);
        CHECK(slowReplaced(bytes) == expected);
    }
    for (const auto& row : texts) CHECK(withInvalidUtf8Replaced(row.bytes) == slowReplaced(row.bytes));
}

TEST_CASE("a prefix ends between two characters and is as long as it can be", "[base]") {
    const auto text = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80z"sv;  // 1, 2, 3, 4 and 1 bytes
    const size_t sizes[] = {0, 1, 1, 3, 3, 3, 6, 6, 6, 6, 10, 11, 11, 11};
    const GuardedBytes guarded(text);
    for (size_t limit = 0; limit < std::size(sizes); ++limit) {
        CAPTURE(limit);
        CHECK(utf8Prefix(guarded.view(), limit) == text.substr(0, sizes[limit]));
    }
    CHECK(utf8Prefix(text, npos) == text);
    CHECK(utf8Prefix({}, 5).empty());
}

TEST_CASE("a prefix of what is no UTF-8 is no longer than asked", "[base]") {
    for (const auto& row : texts)
        for (size_t limit = 0; limit <= 8; ++limit) {
            const auto prefix = utf8Prefix(row.bytes, limit);
            CHECK(prefix.size() <= limit);
            CHECK(row.bytes.starts_with(prefix));
        }
}
