#include "postern/protocol/Frame.h"

#include "support/Catch.h"
#include "support/GuardedBytes.h"

#include <limits>

using namespace postern;
using namespace std::literals;

namespace {

using Opcode = WebSocketOpcode;

constexpr MaskKey key{'\x37', '\xfa', '\x21', '\x3d'};

// Read from left to right and written from right to left.
const struct {
    std::string_view bytes;
    FrameHeader header;
} headers[] = {
    {"\x81\x05"sv, {true, false, Opcode::text, {}, 5}},
    {"\x81\x85\x37\xfa\x21\x3d"sv, {true, false, Opcode::text, key, 5}},
    {"\x01\x03"sv, {false, false, Opcode::text, {}, 3}},
    {"\x80\x02"sv, {true, false, Opcode::continuation, {}, 2}},
    {"\x00\x00"sv, {false, false, Opcode::continuation, {}, 0}},
    {"\x02\x80\x00\x00\x00\x00"sv, {false, false, Opcode::binary, MaskKey{}, 0}},
    {"\x89\x05"sv, {true, false, Opcode::ping, {}, 5}},
    {"\x8a\x85\x37\xfa\x21\x3d"sv, {true, false, Opcode::pong, key, 5}},
    {"\x88\x00"sv, {true, false, Opcode::close, {}, 0}},
    {"\x88\x7d"sv, {true, false, Opcode::close, {}, 125}},
    {"\x89\xfd\x37\xfa\x21\x3d"sv, {true, false, Opcode::ping, key, 125}},
    {"\xc1\x07"sv, {true, true, Opcode::text, {}, 7}},
    {"\x42\x07"sv, {false, true, Opcode::binary, {}, 7}},

    {"\x82\x00"sv, {true, false, Opcode::binary, {}, 0}},
    {"\x82\x01"sv, {true, false, Opcode::binary, {}, 1}},
    {"\x82\x7d"sv, {true, false, Opcode::binary, {}, 125}},
    {"\x82\x7e\x00\x7e"sv, {true, false, Opcode::binary, {}, 126}},
    {"\x82\x7e\x00\x7f"sv, {true, false, Opcode::binary, {}, 127}},
    {"\x82\x7e\x00\x80"sv, {true, false, Opcode::binary, {}, 128}},
    {"\x82\x7e\x01\x00"sv, {true, false, Opcode::binary, {}, 256}},
    {"\x82\x7e\xff\xff"sv, {true, false, Opcode::binary, {}, 65535}},
    {"\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"sv, {true, false, Opcode::binary, {}, 65536}},
    {"\x82\x7f\x00\x00\x00\x00\x7f\xff\xff\xff"sv, {true, false, Opcode::binary, {}, 0x7fffffff}},
    {"\x82\x7f\x00\x00\x00\x00\x80\x00\x00\x00"sv, {true, false, Opcode::binary, {}, 0x80000000}},
    {"\x82\x7f\x00\x00\x00\x00\xff\xff\xff\xff"sv, {true, false, Opcode::binary, {}, 0xffffffff}},
    {"\x82\x7f\x00\x00\x00\x01\x00\x00\x00\x00"sv, {true, false, Opcode::binary, {}, 0x100000000}},
    {"\x82\x7f\x00\x20\x00\x00\x00\x00\x00\x00"sv, {true, false, Opcode::binary, {}, uint64_t{1} << 53}},
    {"\x82\x7f\x7f\xff\xff\xff\xff\xff\xff\xff"sv, {true, false, Opcode::binary, {}, 0x7fffffffffffffff}},
    {"\x82\xfe\x00\x7e\x37\xfa\x21\x3d"sv, {true, false, Opcode::binary, key, 126}},
    {"\x82\xfe\xff\xff\x37\xfa\x21\x3d"sv, {true, false, Opcode::binary, key, 65535}},
    {"\x82\xff\x00\x00\x00\x00\x00\x01\x00\x00\x37\xfa\x21\x3d"sv, {true, false, Opcode::binary, key, 65536}},
    {"\x02\xff\x7f\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"sv,
     {false, false, Opcode::binary, MaskKey{'\xff', '\xff', '\xff', '\xff'}, 0x7fffffffffffffff}},
};

// Each is refused with its last byte, not before.
const struct {
    std::string_view bytes;
    const char* rule;
} refused[] = {
    {"\x91"sv, "RSV3"},
    {"\xa1"sv, "RSV2"},
    {"\xf1"sv, "all reserved bits"},
    {"\x99"sv, "RSV3 of a ping"},
    {"\x83"sv, "reserved opcode"},
    {"\x07"sv, "reserved opcode of a fragment"},
    {"\x8b"sv, "reserved control opcode"},
    {"\x8f"sv, "reserved control opcode"},
    {"\x08"sv, "fragmented close"},
    {"\x09"sv, "fragmented ping"},
    {"\x0a"sv, "fragmented pong"},
    {"\x88\x7e"sv, "long close"},
    {"\x89\x7f"sv, "long ping"},
    {"\x8a\xfe"sv, "long pong"},
    {"\x82\x7e\x00\x00"sv, "0 in two bytes"},
    {"\x82\x7e\x00\x01"sv, "1 in two bytes"},
    {"\x82\x7e\x00\x7d"sv, "125 in two bytes"},
    {"\x81\xfe\x00\x7d"sv, "125 in two bytes, masked"},
    {"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x00"sv, "0 in eight bytes"},
    {"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x7d"sv, "125 in eight bytes"},
    {"\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x7e"sv, "126 in eight bytes"},
    {"\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"sv, "65535 in eight bytes"},
    {"\x02\xff\x00\x00\x00\x00\x00\x00\xff\xff"sv, "65535 in eight bytes, masked"},
    {"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"sv, "2^63"},
    {"\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x05"sv, "2^63 + 5"},
    {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff"sv, "2^64 - 1"},
};

const FrameHeader* headerIn(const std::variant<NeedMore, FrameError, FrameHeader>& read) {
    return std::get_if<FrameHeader>(&read);
}

bool needsMore(std::string_view bytes) { return std::holds_alternative<NeedMore>(readFrameHeader(bytes)); }

}

TEST_CASE("a frame header is read and written byte for byte", "[protocol]") {
    for (const auto& row : headers) {
        CAPTURE(row.bytes);
        const GuardedBytes guarded(row.bytes);
        const auto read = readFrameHeader(guarded);
        REQUIRE(headerIn(read));
        CHECK((*headerIn(read) == row.header));
        CHECK(row.header.size() == row.bytes.size());

        std::array<char, maxFrameHeader> out;
        out.fill('#');
        const auto size = writeFrameHeader(row.header, out.data());
        CHECK(std::string_view(out.data(), size) == row.bytes);
        CHECK(std::string_view(out.data(), out.size()).substr(size).find_first_not_of('#') == std::string_view::npos);
    }
}

TEST_CASE("the payload behind a header does not change how it is read", "[protocol]") {
    for (const auto& row : headers)
        for (const auto after : {"\0"sv, "\xff\xff\xff\xff"sv, "Hello, this is the payload"sv}) {
            const auto read = readFrameHeader(std::string(row.bytes).append(after));
            CHECK((headerIn(read) && *headerIn(read) == row.header));
        }
}

TEST_CASE("a part of a header needs more bytes", "[protocol]") {
    for (const auto& row : headers)
        for (size_t size = 0; size < row.bytes.size(); ++size) {
            CAPTURE(row.bytes, size);
            CHECK(needsMore(GuardedBytes(row.bytes.substr(0, size))));
        }
}

TEST_CASE("a header that breaks a rule is refused with 1002 as soon as it shows", "[protocol]") {
    for (const auto& row : refused) {
        CAPTURE(row.rule);
        for (size_t size = 0; size < row.bytes.size(); ++size)
            CHECK(needsMore(GuardedBytes(row.bytes.substr(0, size))));
        for (const auto after : {""sv, "\x05"sv, "\0\0\0\0\0\0\0\0\0\0\0\0\0\0"sv}) {
            const auto read = readFrameHeader(GuardedBytes(std::string(row.bytes).append(after)));
            const auto* wrong = std::get_if<FrameError>(&read);
            REQUIRE(wrong);
            CHECK((wrong->code == CloseCode::protocolError));
            CHECK(wrong->reason != ""sv);
        }
    }
}

TEST_CASE("every beginning of two bytes is a frame or is none", "[protocol]") {
    for (unsigned first = 0; first < 256; ++first)
        for (unsigned second = 0; second < 256; ++second) {
            const unsigned opcode = first & 15, length = second & 127;
            const bool control = opcode >= 8 && opcode <= 10;
            const bool legal =
                (first & 0x30) == 0 && (control || opcode <= 2) && (!control || (first >= 0x80 && length <= 125));
            // A length that is in its shortest form, and a mask.
            auto bytes = std::string{static_cast<char>(first), static_cast<char>(second)};
            bytes += length == 127 ? "\0\0\0\0\0\1\0\0"sv : length == 126 ? "\0\x7e"sv : ""sv;
            if (second >= 128) bytes += "mask";
            const auto read = readFrameHeader(bytes);
            bool right = std::holds_alternative<FrameError>(read) != legal;
            if (const auto* header = headerIn(read))
                right = right && header->fin == (first >= 128) && header->rsv1 == ((first & 0x40) != 0) &&
                        static_cast<unsigned>(header->opcode) == opcode && header->size() == bytes.size() &&
                        header->mask.has_value() == (second >= 128) &&
                        header->payloadLength == (length == 127 ? 65536 : length);
            else right = right && !legal;
            if (!right) FAIL_CHECK("0x" << std::hex << first << " 0x" << second);
        }
}

TEST_CASE("every length in two bytes and around every power of two is read as it is written", "[protocol]") {
    const auto comesBack = [](uint64_t length) {
        for (const auto& mask : {std::optional<MaskKey>(), std::optional(key)}) {
            const FrameHeader header{true, false, Opcode::binary, mask, length};
            std::array<char, maxFrameHeader> out;
            const auto size = writeFrameHeader(header, out.data());
            const auto read = readFrameHeader({out.data(), size});
            if (size != header.size() || !headerIn(read) || *headerIn(read) != header) return false;
        }
        return true;
    };
    for (uint64_t length = 0; length <= 0x10100; ++length)
        if (!comesBack(length)) FAIL_CHECK(length);
    for (unsigned power = 16; power < 63; ++power)
        for (const uint64_t length : {(uint64_t{1} << power) - 1, uint64_t{1} << power, (uint64_t{1} << power) + 1})
            if (!comesBack(length)) FAIL_CHECK(length);
    CHECK(comesBack(std::numeric_limits<int64_t>::max()));
}
