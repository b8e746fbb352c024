#include "postern/protocol/Assembler.h"

#include "support/Catch.h"
#include "support/Conversation.h"

#include <initializer_list>
#include <limits>
#include <vector>

using namespace postern;
using namespace std::literals;

namespace {

constexpr uint64_t noLimit = std::numeric_limits<uint64_t>::max();
constexpr Role bothRoles[] = {Role::server, Role::client};

struct Piece {
    unsigned first;  // byte of the frame
    std::string_view payload;
};

// A frame as a peer of `role` sends it.
std::string wire(Role role, const Piece& piece) {
    const size_t length = piece.payload.size();
    const unsigned shortLength = length < 126 ? static_cast<unsigned>(length) : length < 65536 ? 126 : 127;
    std::string bytes{static_cast<char>(piece.first),
                      static_cast<char>(shortLength | (role == Role::server ? 128 : 0))};
    for (size_t i = shortLength == 126 ? 2 : shortLength == 127 ? 8 : 0; i-- > 0;)
        bytes += static_cast<char>(length >> 8 * i);
    if (role == Role::client) return bytes.append(piece.payload);
    constexpr auto key = "\x37\xfa\x21\x3d"sv;
    bytes += key;
    for (size_t i = 0; i < length; ++i) bytes += static_cast<char>(piece.payload[i] ^ key[i % 4]);
    return bytes;
}

std::string wire(Role role, const std::vector<Piece>& pieces) {
    std::string bytes;
    for (const auto& piece : pieces) bytes += wire(role, piece);
    return bytes;
}

std::string heardAtOnce(Role role, std::string_view bytes, const AssemblerLimits& limits = {}) {
    return converse(role, limits, {bytes}).said;
}

// What is heard, after checking that every fragmentation and the slow reading agree with it.
std::string heard(Role role, std::string_view bytes, const AssemblerLimits& limits = {}) {
    const auto right = slowConversation(role, limits, bytes);
    const auto atOnce = converse(role, limits, {bytes});
    std::string wrong = disagreement(atOnce, right);
    forEachFragmentation(bytes, [&](const Fragments& pieces) {
        const auto seen = converse(role, limits, pieces);
        if (!wrong.empty() || (seen.said == atOnce.said && seen.insideMessage == atOnce.insideMessage)) return;
        wrong = "in " + std::to_string(pieces.size()) + " pieces, the first of " + std::to_string(pieces[0].size()) +
                ": " + seen.said;
    });
    const auto slowest = converse(role, limits, cutInPieces(bytes, 1));
    if (wrong.empty() && (slowest.errorBy < right.errorFrom || slowest.errorBy > right.errorBy) && !right.headerCut)
        wrong = "refused with byte " + std::to_string(slowest.errorBy);
    return wrong.empty() ? atOnce.said : wrong;
}

std::string heard(Role role, const std::vector<Piece>& pieces, const AssemblerLimits& limits = {}) {
    return heard(role, wire(role, pieces), limits);
}

std::string repeated(std::string_view text, size_t count) {
    std::string all;
    for (size_t i = 0; i < count; ++i) all += text;
    return all;
}

}

TEST_CASE("the examples of RFC 6455 are understood", "[protocol]") {
    const struct {
        Role role;
        std::string_view bytes, said;
    } rows[] = {
        {Role::client, "\x81\x05\x48\x65\x6c\x6c\x6f"sv, "text Hello"},
        {Role::server, "\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv, "text Hello"},
        {Role::client, "\x01\x03\x48\x65\x6c\x80\x02\x6c\x6f"sv, "text Hello"},
        {Role::client, "\x89\x05\x48\x65\x6c\x6c\x6f"sv, "ping Hello"},
        {Role::server, "\x8a\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"sv, "pong Hello"},
    };
    for (const auto& row : rows) CHECK(heard(row.role, row.bytes) == row.said);
    for (const size_t length : {256, 65536}) {
        const auto header = length == 256 ? "\x82\x7e\x01\x00"s : "\x82\x7f\x00\x00\x00\x00\x00\x01\x00\x00"s;
        const auto payload = repeated("x", length);
        CHECK((heardAtOnce(Role::client, header + payload) == "binary " + payload));
    }
}

TEST_CASE("frames become messages, however they arrive", "[protocol]") {
    const struct {
        std::vector<Piece> pieces;
        std::string_view said;
    } rows[] = {
        {{}, ""},
        {{{0x81, ""}}, "text"},
        {{{0x82, ""}}, "binary"},
        {{{0x82, "\xff\0\x80"sv}}, "binary \xff\0\x80"sv},
        {{{0x81, "one"}, {0x82, "two"}, {0x81, "three"}}, "text one; binary two; text three"},
        {{{0x01, "a"}, {0x00, "b"}, {0x80, "c"}}, "text abc"},
        {{{0x02, "\xff"}, {0x80, "\xfe"}}, "binary \xff\xfe"},
        {{{0x01, ""}, {0x80, "late"}}, "text late"}, // an empty first fragment opens a message
        {{{0x02, ""}, {0x00, ""}, {0x00, ""}, {0x80, ""}}, "binary"},
        {{{0x01, "early"}, {0x80, ""}}, "text early"},
        {{{0x01, "a"}, {0x80, "b"}, {0x81, "c"}, {0x02, "d"}, {0x80, "e"}}, "text ab; text c; binary de"},

        {{{0x89, ""}}, "ping"},
        {{{0x8a, "unasked"}}, "pong unasked"},
        {{{0x88, ""}}, "close"},
        {{{0x88, "\x03\xe8"}}, "close \x03\xe8"},
        {{{0x89, "\xff\xfe"}}, "ping \xff\xfe"}, // control payloads are no text
        {{{0x01, "a"}, {0x89, "p"}, {0x80, "b"}}, "ping p; text ab"},
        {{{0x01, "a"}, {0x89, "1"}, {0x8a, "2"}, {0x00, "b"}, {0x89, ""}, {0x80, "c"}},
         "ping 1; pong 2; ping; text abc"},
        {{{0x01, ""}, {0x89, "p"}, {0x80, ""}}, "ping p; text"},
        {{{0x01, "a"}, {0x88, "\x03\xe9"}}, "close \x03\xe9"},
        {{{0x01, "\xe2\x82"}, {0x89, "\x80"}, {0x80, "\xac"}}, "ping \x80; text \xe2\x82\xac"}, // within a character
        {{{0x89, "a"}, {0x89, "b"}, {0x81, "c"}}, "ping a; ping b; text c"},

        {{{0x01, "a"}}, ""},
        {{{0x81, "x"}, {0x02, "a"}, {0x00, "b"}}, "text x"},
    };
    for (const auto& row : rows)
        for (const auto role : bothRoles) CHECK(heard(role, row.pieces) == row.said);
}

TEST_CASE("messages and control frames of every length are understood", "[protocol]") {
    for (const size_t length : {0, 1, 2, 3, 4, 124, 125, 126, 127, 128, 1000})
        for (const auto role : bothRoles) {
            const auto payload = repeated("x", length);
            const auto said = length == 0 ? ""s : " " + payload;
            CAPTURE(length);
            CHECK((heard(role, {{0x82, payload}}) == "binary" + said));
            CHECK((heard(role, {{0x01, payload}, {0x80, payload}}) == "text" + (length == 0 ? ""s : said + payload)));
            if (length <= 125)
                CHECK((heard(role, {{0x01, "a"}, {0x89, payload}, {0x80, ""}}) == "ping" + said + "; text a"));
        }
    for (const size_t length : {65535, 65536, 100000})
        for (const auto role : bothRoles) {
            const auto bytes = wire(role, {0x82, repeated("0123456789", length).substr(0, length)});
            const auto said = heardAtOnce(role, bytes);
            CHECK(said.size() == length + 7);
            for (const size_t size : {1, 7, 31, 4096})
                CHECK((converse(role, {}, cutInPieces(bytes, size)).said == said));
        }
}

TEST_CASE("each opcode has its place: inside a message or outside", "[protocol]") {
    const struct {
        unsigned opcode;
        std::string_view outside, inside;  // what is said of the final frame
    } rows[] = {
        {0, "1002", "text ab"}, {1, "text b", "1002"},    {2, "binary b", "1002"}, {3, "1002", "1002"},
        {4, "1002", "1002"},    {5, "1002", "1002"},      {6, "1002", "1002"},     {7, "1002", "1002"},
        {8, "close b", "close b"}, {9, "ping b", "ping b"}, {10, "pong b", "pong b"}, {11, "1002", "1002"},
        {12, "1002", "1002"},   {13, "1002", "1002"},     {14, "1002", "1002"},    {15, "1002", "1002"},
    };
    for (const auto& row : rows)
        for (const auto role : bothRoles) {
            CAPTURE(row.opcode);
            CHECK(heard(role, {{0x80 | row.opcode, "b"}}) == row.outside);
            CHECK(heard(role, {{0x01, "a"}, {0x80 | row.opcode, "b"}}) == row.inside);
            // Not final: data frames wait for more, control frames may not.
            const auto fragment = [](unsigned opcode, std::string_view said) {
                return opcode >= 8 || said == "1002" ? "1002"sv : ""sv;
            };
            CHECK(heard(role, {{row.opcode, "b"}}) == fragment(row.opcode, row.outside));
            CHECK(heard(role, {{0x01, "a"}, {row.opcode, "b"}}) == fragment(row.opcode, row.inside));
        }
}

TEST_CASE("a continuation of nothing is refused", "[protocol]") {
    for (const auto role : bothRoles) {
        CHECK(heard(role, {{0x80, ""}}) == "1002");
        CHECK(heard(role, {{0x81, "a"}, {0x80, "b"}}) == "text a; 1002");
        CHECK(heard(role, {{0x01, "a"}, {0x80, "b"}, {0x00, "c"}}) == "text ab; 1002");
        CHECK(heard(role, {{0x89, "p"}, {0x00, ""}}) == "ping p; 1002");
    }
}

TEST_CASE("a new message inside a fragmented one is refused, even behind an empty fragment", "[protocol]") {
    for (const auto role : bothRoles)
        for (const unsigned first : {0x01, 0x02, 0x81, 0x82}) {
            CHECK(heard(role, {{0x01, "a"}, {first, "b"}}) == "1002");
            CHECK(heard(role, {{0x02, ""}, {first, ""}}) == "1002");
            CHECK(heard(role, {{0x01, "a"}, {0x89, "p"}, {first, "b"}}) == "ping p; 1002");
        }
}

TEST_CASE("reserved bits are refused in every frame", "[protocol]") {
    for (const auto role : bothRoles)
        for (const unsigned bits : {0x40, 0x20, 0x10, 0x70})
            for (const unsigned opcode : {0x81, 0x82, 0x88, 0x89, 0x8a, 0x01}) {
                CHECK(heard(role, {{bits | opcode, "x"}}) == "1002");
                CHECK(heard(role, {{0x01, "a"}, {bits | 0x80, "x"}}) == "1002");
            }
}

TEST_CASE("control frames are short and whole", "[protocol]") {
    const auto payload = repeated("x", 126);
    for (const auto role : bothRoles)
        for (const unsigned opcode : {8U, 9U, 10U}) {
            CHECK(heard(role, {{0x80 | opcode, payload}}) == "1002");
            CHECK(heard(role, {{opcode, "x"}}) == "1002");
            CHECK(heard(role, {{opcode, ""}}) == "1002");
            CHECK(heard(role, {{0x01, "a"}, {0x80 | opcode, payload}}) == "1002");
        }
}

TEST_CASE("clients mask every frame and servers none", "[protocol]") {
    for (const unsigned first : {0x81, 0x82, 0x01, 0x88, 0x89, 0x8a})
        for (const auto payload : {""sv, "x"sv}) {
            CHECK(heard(Role::server, wire(Role::client, {first, payload})) == "1002");
            CHECK(heard(Role::client, wire(Role::server, {first, payload})) == "1002");
        }
    CHECK(heard(Role::server, wire(Role::server, {0x01, "a"}) + wire(Role::client, {0x80, "b"})) == "1002");
    CHECK(heard(Role::client, wire(Role::client, {0x01, "a"}) + wire(Role::server, {0x80, "b"})) == "1002");
    CHECK(heard(Role::server, "\x81\x82\0\0\0\0hi"sv) == "text hi");  // a key of zeros is a mask
}

TEST_CASE("lengths that are not in their shortest form are refused", "[protocol]") {
    for (const auto bytes :
         {"\x82\x7e\x00\x00"sv, "\x82\x7e\x00\x05hello"sv, "\x82\x7e\x00\x7d"sv,
          "\x82\x7f\x00\x00\x00\x00\x00\x00\x00\x05hello"sv, "\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"sv})
        CHECK(heard(Role::client, bytes) == "1002");
}

TEST_CASE("a message that will be too big is refused by its header", "[protocol]") {
    const auto header = [](uint64_t length) {
        std::string bytes = "\x82\x7f"s;
        for (unsigned shift = 64; shift > 0; shift -= 8) bytes += static_cast<char>(length >> (shift - 8));
        return bytes;
    };
    const struct {
        uint64_t limit, length;
        std::string_view said;
    } rows[] = {
        {65536, 65536, ""},
        {65536, 65537, "1009"},
        {65537, 65536, ""},
        {1024 * 1024, 1024 * 1024, ""},
        {1024 * 1024, 1024 * 1024 + 1, "1009"},
        {1024 * 1024, 0x7fffffffffffffff, "1009"},
        {0x7fffffff, 0x80000000, "1009"},
        {0x80000000, 0x80000000, ""},
        {uint64_t{1} << 53, uint64_t{1} << 53, ""},
        {(uint64_t{1} << 53) - 1, uint64_t{1} << 53, "1009"},
        {0x7ffffffffffffffe, 0x7fffffffffffffff, "1009"},
        {0x7fffffffffffffff, 0x7fffffffffffffff, ""},  // nothing is set aside for bytes that have not come
        {noLimit, 0x7fffffffffffffff, ""},
        {noLimit, 0x8000000000000000, "1002"},
        {noLimit, noLimit, "1002"},
        {1, 0x8000000000000000, "1002"},
    };
    for (const auto& row : rows) {
        CAPTURE(row.limit, row.length);
        CHECK(heard(Role::client, header(row.length), {row.limit, 10}) == row.said);
        CHECK(heard(Role::client, header(row.length) + "some bytes", {row.limit, 10}) == row.said);
    }
    // What came before counts, and the sum does not overflow.
    const auto open = wire(Role::client, {0x02, "x"});
    const auto rest = "\x80"s + header(0x7fffffffffffffff).substr(1);
    CHECK(heard(Role::client, open + rest, {0x7fffffffffffffff, 10}) == "1009");
    CHECK(heard(Role::client, open + rest, {noLimit, 10}) == "");
}

TEST_CASE("the limit of a message holds to the byte, in one frame and over many", "[protocol]") {
    for (const uint64_t limit : {0, 1, 2, 10, 125, 126, 127, 300})
        for (const auto role : bothRoles)
            for (uint64_t length = limit == 0 ? 0 : limit - 1; length <= limit + 1; ++length) {
                const AssemblerLimits limits{limit, 1000};
                const auto payload = repeated("x", static_cast<size_t>(length));
                const auto said = length > limit ? "1009"s : length == 0 ? "text"s : "text " + payload;
                CAPTURE(limit, length);
                CHECK(heard(role, {{0x81, payload}}, limits) == said);
                const auto half = std::string_view(payload).substr(0, payload.size() / 2);
                const auto rest = std::string_view(payload).substr(payload.size() / 2);
                CHECK(heard(role, {{0x01, half}, {0x80, rest}}, limits) == said);
                CHECK(heard(role, {{0x01, ""}, {0x00, half}, {0x00, rest}, {0x80, ""}}, limits) == said);
                CHECK(heard(role, {{0x01, payload}, {0x80, ""}}, limits) == said);
            }
    const AssemblerLimits small{3, 1000};
    for (const auto role : bothRoles) {
        CHECK(heard(role, {{0x81, "abc"}, {0x82, "def"}, {0x01, "gh"}, {0x80, "i"}}, small) ==
              "text abc; binary def; text ghi");
        CHECK(heard(role, {{0x01, "abc"}, {0x80, "d"}}, small) == "1009");
        CHECK(heard(role, {{0x01, "abc"}, {0x89, "a long ping"}, {0x80, ""}}, small) == "ping a long ping; text abc");
    }
}

TEST_CASE("the limit is applied to a header before its payload has come", "[protocol]") {
    const AssemblerLimits limits{100, 1000};
    CHECK(heard(Role::client, "\x81\x65"sv, limits) == "1009");
    CHECK(heard(Role::client, "\x81\x64"sv, limits) == "");
    CHECK(heard(Role::client, wire(Role::client, {0x01, repeated("x", 60)}) + "\x80\x29", limits) == "1009");
    CHECK(heard(Role::client, wire(Role::client, {0x01, repeated("x", 60)}) + "\x80\x28", limits) == "");
}

TEST_CASE("a message of too many fragments is refused by the first of them too many", "[protocol]") {
    for (const size_t limit : {1, 2, 3, 20})
        for (const auto role : bothRoles)
            for (size_t count = limit > 1 ? limit - 1 : 1; count <= limit + 1; ++count) {
                std::vector<Piece> pieces{{0x01, ""}};
                for (size_t i = 1; i < count; ++i) pieces.push_back({0x00, ""});
                pieces.back().first |= 0x80;
                CAPTURE(limit, count);
                CHECK(heard(role, pieces, {1000, limit}) == (count > limit ? "1008" : "text"));
                // Control frames do not count, and each message counts anew.
                pieces.insert(pieces.begin() + 1, {0x89, ""});
                pieces.insert(pieces.begin(), {0x81, "x"});
                const auto end = count > limit ? "1008" : count > 1 ? "ping; text" : "text; ping";
                CHECK(heard(role, pieces, {1000, limit}).ends_with(end));
            }
    const auto empty = wire(Role::server, {0x00, ""});
    auto bytes = wire(Role::server, {0x01, ""}) + repeated(empty, AssemblerLimits().fragments - 1);
    CHECK(heardAtOnce(Role::server, bytes) == "");
    CHECK(heardAtOnce(Role::server, bytes + empty) == "1008");
}

TEST_CASE("text that is not UTF-8 is refused at its first impossible byte", "[protocol]") {
    const std::string_view texts[] = {
        // nothing begins so
        "\x80", "\xbf", "\xff",
        // longer than needed
        "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf",
        // surrogates, too high
        "\xed\xa0\x80", "\xed\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80", "\xf8\x88\x80\x80\x80",
        // broken off, cut at the end
        "\xc3\x28", "\xe2\x28\xa1", "\xe2\x82\x28", "\xf0\x9f\x98\x28", "\xc3", "\xe2\x82", "\xf0\x9f\x98",
    };
    for (const auto role : bothRoles)
        for (const auto wrong : texts) {
            CAPTURE(wrong);
            const auto text = "plain \xc3\xa9 "s.append(wrong);
            CHECK(heard(role, {{0x81, text}}) == "1007");
            for (size_t at = 0; at <= text.size(); ++at) {
                const auto first = std::string_view(text).substr(0, at), rest = std::string_view(text).substr(at);
                CHECK(heard(role, {{0x01, first}, {0x80, rest}}) == "1007");
                CHECK(heard(role, {{0x01, first}, {0x89, "\xff"}, {0x00, ""}, {0x80, rest}}).ends_with("1007"));
            }
            CHECK(heard(role, {{0x82, text}}) == "binary " + text);
        }
}

TEST_CASE("text that cannot become UTF-8 is refused while its frame is still coming", "[protocol]") {
    for (const auto role : bothRoles) {
        const auto frame = wire(role, {0x81, "\xce\xba\xf4\x90\x80\x80 and a long rest"});
        const size_t header = frame.size() - 22;
        const auto bytewise = converse(role, {}, cutInPieces(frame, 1));
        CHECK(bytewise.said == "1007");
        CHECK(bytewise.errorBy == header + 4);
        CHECK(heardAtOnce(role, std::string_view(frame).substr(0, header + 3)) == "");
        CHECK(heardAtOnce(role, std::string_view(frame).substr(0, header + 4)) == "1007");
    }
}

TEST_CASE("characters may be cut by frames and reads anywhere", "[protocol]") {
    const auto text = "\xce\xba\xe1\xbd\xb9 \xe2\x82\xac \xf0\x9f\x98\x80\xf4\x8f\xbf\xbf"sv;
    for (const auto role : bothRoles) {
        for (size_t at = 0; at <= text.size(); ++at)
            CHECK(heard(role, {{0x01, text.substr(0, at)}, {0x80, text.substr(at)}}) == "text " + std::string(text));
        std::vector<Piece> pieces;
        for (size_t at = 0; at < text.size(); ++at) pieces.push_back({at == 0 ? 1U : 0U, text.substr(at, 1)});
        pieces.push_back({0x80, ""});
        CHECK(heard(role, pieces) == "text " + std::string(text));
        CHECK(heard(role, {{0x01, "\xe2"}, {0x80, "\x82\xac"}, {0x81, "x"}, {0x81, "\x80"}}) ==
              "text \xe2\x82\xac; text x; 1007");
    }
}

TEST_CASE("a message that came whole is lent from the input", "[protocol]") {
    for (const auto role : bothRoles) {
        auto bytes = wire(role, {{0x81, "whole"}, {0x82, ""}, {0x89, "p"}});
        const size_t header = role == Role::server ? 6 : 2;
        Assembler assembler(role, {});
        const auto step = assembler.next(bytes);
        const auto* incoming = std::get_if<Incoming>(&step.result);
        REQUIRE(incoming);
        CHECK_FALSE(incoming->assembled);
        CHECK(incoming->payload.data() == bytes.data() + header);
        CHECK(incoming->payload.size() == 5);
        CHECK(step.consumed == header + 5);
        CHECK_FALSE(assembler.insideMessage());
    }
}

TEST_CASE("a message is open from its first consumed byte to its last", "[protocol]") {
    for (const auto role : bothRoles) {
        const auto bytes = wire(role, {{0x01, "ab"}, {0x89, "p"}, {0x80, "cd"}});
        const size_t header = role == Role::server ? 6 : 2;
        for (size_t size = 0; size <= bytes.size(); ++size) {
            const auto seen = converse(role, {}, cutInPieces(std::string_view(bytes).substr(0, size), 1));
            CHECK(seen.insideMessage == (size >= header && size < bytes.size()));
        }
    }
}

TEST_CASE("bytes behind a message wait for the next call", "[protocol]") {
    for (const auto role : bothRoles) {
        auto bytes = wire(role, {{0x01, "a"}, {0x80, "b"}, {0x81, "next"}});
        Assembler assembler(role, {});
        const auto step = assembler.next(bytes);
        REQUIRE(std::holds_alternative<Incoming>(step.result));
        CHECK(std::get<Incoming>(step.result).assembled);
        CHECK(assembler.takeMessage() == "ab");
        const auto last = assembler.next(std::span(bytes).subspan(step.consumed));
        REQUIRE(std::holds_alternative<Incoming>(last.result));
        CHECK(std::get<Incoming>(last.result).payload.size() == 4);
        CHECK(step.consumed + last.consumed == bytes.size());
        CHECK(std::holds_alternative<NeedMore>(assembler.next({}).result));
    }
}
