#include "postern/protocol/Mask.h"

#include "support/Catch.h"
#include "support/GuardedBytes.h"

#include <string>

using namespace postern;
using namespace std::literals;

namespace {

constexpr MaskKey key{'\x37', '\xfa', '\x21', '\x3d'};

std::string slowlyMasked(std::string data, MaskKey with, size_t offset) {
    for (size_t i = 0; i < data.size(); ++i) data[i] = static_cast<char>(data[i] ^ with[(offset % 4 + i) % 4]);
    return data;
}

std::string someBytes(size_t size) {
    std::string bytes(size, '\0');
    for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<char>(i * 151 + (i >> 8) + 11);
    return bytes;
}

}

TEST_CASE("the example of RFC 6455 is masked as printed there", "[protocol]") {
    auto data = "Hello"s;
    applyMask(data, key);
    CHECK(data == "\x7f\x9f\x4d\x51\x58");
}

TEST_CASE("masking is right at every alignment, length and offset, and touches nothing else", "[protocol]") {
    const auto plain = someBytes(256);
    alignas(64) char room[256];
    for (size_t alignment = 0; alignment < 32; ++alignment)
        for (size_t length = 0; length <= 130; ++length)
            for (size_t offset = 0; offset < 8; ++offset) {
                plain.copy(room, sizeof room);
                applyMask({room + alignment, length}, key, offset);
                const auto expected = plain.substr(0, alignment) +
                                      slowlyMasked(plain.substr(alignment, length), key, offset) +
                                      plain.substr(alignment + length);
                if (std::string_view(room, sizeof room) == expected) continue;
                CAPTURE(alignment, length, offset);
                FAIL_CHECK("not as byte by byte");
            }
}

TEST_CASE("masking stays within its bytes", "[protocol]") {
    GuardedBytes room(70000);
    for (const size_t length : {0, 1, 3, 4, 7, 8, 31, 32, 33, 63, 64, 65, 127, 4096, 65535, 65536, 70000}) {
        const auto plain = someBytes(length);
        room.put(plain);
        applyMask(room.span(), key, 1);
        CHECK((room.view() == slowlyMasked(plain, key, 1)));
    }
}

TEST_CASE("masking twice gives the bytes back", "[protocol]") {
    for (const auto& with :
         {key, MaskKey{0, 0, 0, 0}, MaskKey{'\xff', '\xff', '\xff', '\xff'}, MaskKey{'\x80', 0, '\x7f', 1}}) {
        auto data = someBytes(1000);
        applyMask(data, with, 3);
        CHECK((data == slowlyMasked(someBytes(1000), with, 3)));
        applyMask(data, with, 3);
        CHECK((data == someBytes(1000)));
    }
}

TEST_CASE("a payload masked in parts is the payload masked at once", "[protocol]") {
    auto whole = someBytes(150);
    applyMask(whole, key);
    for (size_t at = 0; at <= whole.size(); ++at) {
        auto parts = someBytes(150);
        applyMask(std::span(parts).first(at), key);
        applyMask(std::span(parts).subspan(at), key, at);
        CHECK((parts == whole));
    }
}

TEST_CASE("only the offset modulo four counts, however large it is", "[protocol]") {
    for (const size_t offset :
         {0xffffUL, 0x100000000UL, 0x100000001UL, 0x7fffffffffffffffUL, 0xfffffffffffffffcUL, 0xffffffffffffffffUL}) {
        auto data = someBytes(77);
        applyMask(data, key, offset);
        CHECK((data == slowlyMasked(someBytes(77), key, offset)));
    }
}
