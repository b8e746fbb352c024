#include "postern/base/Crypto.h"

#include "support/Catch.h"
#include "support/GuardedBytes.h"

#include <array>
#include <random>
#include <set>

using namespace postern;
using namespace std::literals;

namespace {

std::string hex(std::string_view bytes) {
    std::string text;
    for (const char c : bytes) {
        text += "0123456789abcdef"[static_cast<unsigned char>(c) >> 4];
        text += "0123456789abcdef"[c & 15];
    }
    return text;
}

}

TEST_CASE("SHA-1 gives the digests of FIPS 180", "[base]") {
    CHECK(hex(sha1({})) == "da39a3ee5e6b4b0d3255bfef95601890afd80709");
    CHECK(hex(sha1(GuardedBytes("abc"sv))) == "a9993e364706816aba3e25717850c26c9cd0d89d");
    CHECK(hex(sha1("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq")) ==
          "84983e441c3bd26ebaae4aa1f95129e5e54670f1");
    CHECK(hex(sha1(std::string(1'000'000, 'a'))) == "34aa973cd4c4daa4f61eeb2bdbad27316534016f");
    CHECK(base64Encode(sha1("dGhlIHNhbXBsZSBub25jZQ==258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) ==
          "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
}

TEST_CASE("HMAC-SHA-256 gives the values of RFC 4231", "[base]") {
    CHECK(hex(hmacSha256(std::string(20, '\x0b'), "Hi There")) ==
          "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7");
    CHECK(hex(hmacSha256("Jefe", GuardedBytes("what do ya want for nothing?"sv))) ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    CHECK(hex(hmacSha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")) ==
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    CHECK(hex(hmacSha256({}, {})) == "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad");
}

TEST_CASE("base64 writes and reads the vectors of RFC 4648", "[base]") {
    struct Row {
        std::string_view data, text;
    };
    const Row rows[] = {
        {"", ""},
        {"f", "Zg=="},
        {"fo", "Zm8="},
        {"foo", "Zm9v"},
        {"foob", "Zm9vYg=="},
        {"fooba", "Zm9vYmE="},
        {"foobar", "Zm9vYmFy"},
        {"\0\0\0"sv, "AAAA"},
        {"\xfb\xff\xbf"sv, "+/+/"},
        {"\xff"sv, "/w=="},
    };
    for (const auto& [data, text] : rows) {
        INFO(text);
        CHECK(base64Encode(GuardedBytes(data)) == text);
        CHECK(base64Decode(GuardedBytes(text)) == std::string(data));
    }
}

TEST_CASE("base64 that is not the one right text has no value", "[base]") {
    for (const auto text : {"Z"sv,
                            "Zg"sv,
                            "Zg="sv,
                            "Zg==="sv,
                            "===="sv,
                            "="sv,
                            "Z==="sv,
                            "Zg==Zg=="sv,
                            "Zm=v"sv,
                            "Zh=="sv,
                            "Zm9="sv,
                            " Zg=="sv,
                            "Zg== "sv,
                            "Zg==\n"sv,
                            "\nZm9vZg="sv,
                            "Zm9v\n\n\n\n"sv,
                            "    Zm9v"sv,
                            "    "sv,
                            "Zm 9v   "sv,
                            "Zm-_"sv,
                            "Zm9v\0\0\0\0"sv,
                            "\0\0\0\0"sv,
                            "Zm9\xff"sv,
                            "Zm9v-A=="sv,
                            "-EOF"sv,
                            "Zm9v-==="sv,
                            "Zm9vYg=A"sv,
                            "dGhlIHNhbXBsZSBub25jZQ"sv}) {
        INFO(text);
        CHECK_FALSE(base64Decode(GuardedBytes(text)));
    }
}

TEST_CASE("every string survives base64, and every change of a letter is another string or none", "[base]") {
    std::mt19937 random(1);
    for (size_t size = 0; size < 70; ++size) {
        std::string data(size, '\0');
        for (auto& c : data) c = static_cast<char>(random());
        auto text = base64Encode(data);
        CHECK(text.size() == (size + 2) / 3 * 4);
        CHECK(base64Decode(text) == data);
        if (text.empty()) continue;
        auto& changed = text[random() % text.size()];
        changed = changed == 'x' ? 'y' : 'x';
        CHECK(base64Decode(text) != data);
    }
}

TEST_CASE("random bytes fill exactly the room given and do not repeat", "[base]") {
    std::array<char, 48> room{};
    std::set<std::string> seen;
    for (int i = 0; i < 100; ++i) {
        fillRandom(std::span(room).subspan(16, 16));
        seen.emplace(room.data() + 16, 16);
    }
    CHECK(seen.size() == 100);
    const auto untouched = std::string(16, '\0');
    CHECK(std::string(room.data(), 16) == untouched);
    CHECK(std::string(room.data() + 32, 16) == untouched);
    fillRandom({});
}

TEST_CASE("the comparison in constant time is a comparison", "[base]") {
    CHECK(equalsInConstantTime({}, {}));
    CHECK(equalsInConstantTime(GuardedBytes("a\0b"sv), GuardedBytes("a\0b"sv)));
    CHECK_FALSE(equalsInConstantTime("a\0b"sv, "a\0c"sv));
    CHECK_FALSE(equalsInConstantTime("a", "ab"));
    CHECK_FALSE(equalsInConstantTime("", "a"));
    CHECK_FALSE(equalsInConstantTime("bb", "ab"));
}
