#include "postern/protocol/Chunked.h"

#include "support/Catch.h"
#include "support/Verdicts.h"

#include <random>

using namespace postern;
using namespace std::literals;

namespace {

// The verdict when it is the same in every fragmentation, else how it differs.
std::string verdict(std::string_view bytes, size_t maxOverhead = 16 * 1024) {
    const auto whole = verdictOnChunked({bytes}, maxOverhead);
    const auto differs =
        deviation(bytes, whole, [&](const Fragments& pieces) { return verdictOnChunked(pieces, maxOverhead); });
    return differs.empty() ? whole : "differs: " + whole + " whole, but " + differs;
}

std::string chunk(std::string_view data) {
    std::array<char, 20> head;
    return std::string(head.data(), writeChunkHead(data.size(), head)).append(data).append("\r\n");
}

}

TEST_CASE("a chunked body is the same however it arrives", "[protocol]") {
    struct Row {
        std::string_view bytes, verdict;
    };
    const Row rows[] = {
        {"0\r\n\r\n", " and 0"},
        {"0\r\n\r\nGET", " and 3"},
        {"5\r\nhello\r\n0\r\n\r\n", "hello and 0"},
        {"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n\r\n", "hello world and 2"},
        {"00005\r\nhello\r\n000\r\n\r\n", "hello and 0"},
        {"a\r\n0123456789\r\nA\r\n0123456789\r\n0\r\n\r\n", "01234567890123456789 and 0"},
        {"2\r\n\r\n\r\n0\r\n\r\n", "\r\n and 0"},
        {"5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n and 0"},
        {"1;a\r\nx\r\n0;b\r\n\r\n", "x and 0"},
        {"1;a=b;c;d=e\r\nx\r\n0\r\n\r\n", "x and 0"},
        {"1;a=\"b;\\\"c\\\\\xff\t \"\r\nx\r\n0;a=\"\"\r\n\r\n", "x and 0"},
        {"1;a=\"\";b=\"x\";c\r\nx\r\n0\r\n\r\n", "x and 0"},
        {"1\r\nx\r\n0\r\nA: b\r\n\r\n", "x and 0"},
        {"1\r\nx\r\n0\r\nA:\r\nB: \t c \xff\t\r\n\r\nrest", "x and 4"},
        {"1\r\nx\r\n0\r\nContent-Length: 99\r\nTransfer-Encoding: x\r\nHost: evil\r\nCookie: a=b\r\n\r\n", "x and 0"},
        {"", "more after "},
        {"5", "more after "},
        {"5\r", "more after "},
        {"5\r\n", "more after "},
        {"5\r\nhel", "more after hel"},
        {"5\r\nhello", "more after hello"},
        {"5\r\nhello\r", "more after hello"},
        {"5\r\nhello\r\n0\r\n", "more after hello"},
        {"5\r\nhello\r\n0\r\n\r", "more after hello"},
        {"0\r\nA: b\r\n", "more after "},
        {"fffffffffffffff\r\nx", "more after x"},
    };
    for (const auto& [bytes, expected] : rows) {
        INFO(bytes);
        CHECK(verdict(bytes) == expected);
    }
}

TEST_CASE("a malformed chunk is refused", "[protocol]") {
    for (const auto line : {""sv,
                            " 1"sv,
                            "\t1"sv,
                            "1 "sv,
                            "1\t"sv,
                            "0x1"sv,
                            "0X1"sv,
                            "+1"sv,
                            "-1"sv,
                            "-0"sv,
                            "1_0"sv,
                            "1h"sv,
                            "g"sv,
                            "x"sv,
                            "1.0"sv,
                            "1,1"sv,
                            "\"1\""sv,
                            "\v1"sv,
                            "1\0"sv,
                            "\0"sv,
                            "\xb1"sv,
                            "1\xa0"sv,
                            "fffffffffffffffff"sv,
                            "10000000000000000"sv,
                            "00000000000000001"sv,
                            "ffffffffffffffff1"sv,
                            "123456789012345678901234567890"sv}) {
        INFO(line);
        CHECK(verdict(std::string(line) + "\r\nx\r\n0\r\n\r\n") == "400 after ");
    }
    for (const auto bytes : {"\r\n"sv, "\n"sv, "1\nx\r\n"sv, "1\rx\r\n"sv, "1\r\r\nx"sv, "\r\n1\r\nx"sv, "0\n\n"sv,
                             "0\r\n\n"sv, "0\n\r\n"sv, "0\r\n\rX"sv, "0\r\r\n\r\n"sv, "1;\nx"sv}) {
        INFO(bytes);
        CHECK(verdict(bytes) == "400 after ");
    }
    for (const auto bytes : {"1\r\nxy\r\n"sv, "1\r\nx\n"sv, "1\r\nx\ry"sv, "1\r\nx0\r\n\r\n"sv, "1\r\nx\r\r\n"sv,
                             "1\r\nx\n0\r\n\r\n"sv, "1\r\nx\0\r\n"sv}) {
        INFO(bytes);
        CHECK(verdict(bytes) == "400 after x");
    }
    CHECK(verdict("1\r\nx\r\n\r\n0\r\n\r\n") == "400 after x");
    CHECK(verdict("1\r\nx\r\n 0\r\n\r\n") == "400 after x");
}

TEST_CASE("a chunk size fits a file and nothing overflows", "[protocol]") {
    CHECK(verdict("7fffffffffffff\r\nx") == "more after x");
    CHECK(verdict("000000000000001\r\nx\r\n0\r\n\r\n") == "x and 0");
    ChunkedDecoder decoder;
    const auto outcome = decoder.next("fffffffffffffff\r\nabc");
    REQUIRE(std::holds_alternative<ChunkedDecoder::Piece>(outcome));
    CHECK(std::get<ChunkedDecoder::Piece>(outcome).data == "abc");
}

TEST_CASE("a malformed chunk extension is refused", "[protocol]") {
    for (const auto extension :
         {";"sv,      "; "sv,        ";;a"sv,         ";a;"sv,         ";=b"sv,         ";a="sv,
          ";a=;b"sv,  ";a=b=c"sv,    "; a"sv,         ";a "sv,         ";a =b"sv,       ";a= b"sv,
          " ;a"sv,    ";a b"sv,      ";a=b c"sv,      ";a=\"b"sv,      ";a=\"b\"c"sv,   ";a=\"b\" "sv,
          ";a=b\""sv, ";\"a\""sv,    ";a=\"b\\"sv,    ";a,b"sv,        ";a:b"sv,        ";\n"sv,
          ";a\nb"sv,  ";a=\nb"sv,    ";a=\"\n\""sv,   ";a=\"\r\n\""sv, ";a=\"\\\n\""sv, ";a=\"b\"\n"sv,
          ";a\rb"sv,  ";\r"sv,       ";a=\rb"sv,      ";a=\"\r\""sv,   ";a\0"sv,        ";\0"sv,
          ";a=\0"sv,  ";a=\"\0\""sv, ";a=\"\\\0\""sv, ";a=\"\x01\""sv, ";a=\"\x7f\""sv, ";a\x7f"sv,
          ";\xff"sv,  ";a=\xff"sv}) {
        INFO(extension);
        CHECK(verdict("1" + std::string(extension) + "\r\nx\r\n0\r\n\r\n") == "400 after ");
        CHECK(verdict("1\r\nx\r\n0" + std::string(extension) + "\r\n\r\n") == "400 after x");
    }
}

TEST_CASE("a malformed trailer is refused", "[protocol]") {
    for (const auto trailer : {"A\r\n"sv,           ":\r\n"sv,
                               ": b\r\n"sv,         "A : b\r\n"sv,
                               "A\t: b\r\n"sv,      " A: b\r\n"sv,
                               "\tA: b\r\n"sv,      "A: b\r\n c\r\n"sv,
                               "A: b\r\n\tc\r\n"sv, "A B: c\r\n"sv,
                               "A: b\n"sv,          "A: b\nC: d\r\n"sv,
                               "A: b\rC: d\r\n"sv,  "A: b\rXC: d\r\n"sv,
                               "A: b\r\r\n"sv,      "A: \0\r\n"sv,
                               "A: \x01\r\n"sv,     "A: \x7f\r\n"sv,
                               "A\0: b\r\n"sv,      "\xc3\x84: b\r\n"sv,
                               "\"A\": b\r\n"sv,    "GET / HTTP/1.1\r\n"sv}) {
        INFO(trailer);
        CHECK(verdict("1\r\nx\r\n0\r\n" + std::string(trailer) + "\r\n") == "400 after x");
    }
}

TEST_CASE("extensions and trailers together have a bound", "[protocol]") {
    const auto extension = [](size_t size) { return "1;" + std::string(size, 'e') + "\r\nx\r\n"; };
    const auto trailer = [](size_t size) { return "A:" + std::string(size - 2, 't') + "\r\n"; };
    const auto last = std::string("0\r\n"), end = std::string("\r\n");
    constexpr size_t limit = 200, slack = 8; // line ends and separators may count or not
    CHECK(verdict(extension(limit - slack) + last + end, limit) == "x and 0");
    CHECK(verdict(extension(limit + slack) + last + end, limit) == "400 after ");
    CHECK(verdict(last + trailer(limit - slack) + end, limit) == " and 0");
    CHECK(verdict(last + trailer(limit + slack) + end, limit) == "400 after ");
    CHECK(verdict(extension(limit / 2) + last + trailer(limit / 2 - 2 * slack) + end, limit) == "x and 0");
    CHECK(verdict(extension(limit / 2) + last + trailer(limit / 2 + slack) + end, limit) == "400 after x");

    std::string many;
    for (size_t i = 0; i < 200; ++i) many += "1;e\r\nx\r\n";
    CHECK(verdict(many, limit).starts_with("400 after x"));
    many.clear();
    for (size_t i = 0; i < 200; ++i) many += "B:\r\n";
    CHECK(verdict(last + many + end, limit) == "400 after ");

    CHECK(verdict(extension(16 * 1024 - slack) + last + end) == "x and 0");
    CHECK(verdict(extension(16 * 1024 + slack) + last + end) == "400 after ");
    CHECK(verdict(last + trailer(16 * 1024 + slack) + end) == "400 after ");
}

TEST_CASE("a body without extensions and trailers needs no overhead", "[protocol]") {
    std::string body;
    for (int i = 0; i < 300; ++i) body += "1\r\nx\r\n";
    body += lastChunk;
    CHECK(verdict(body, 0) == std::string(300, 'x') + " and 0");
    CHECK(verdict("1;a\r\nx\r\n0\r\n\r\n", 0) == "400 after ");
    CHECK(verdict("0\r\nA:\r\n\r\n", 0) == "400 after ");
}

TEST_CASE("after its end the decoder takes nothing more", "[protocol]") {
    ChunkedDecoder decoder;
    const auto piece = std::get<ChunkedDecoder::Piece>(decoder.next("0\r\n\r\nnext"));
    CHECK(piece.done);
    CHECK(piece.consumed == 5);
    CHECK(piece.data.empty());
    const auto again = std::get<ChunkedDecoder::Piece>(decoder.next("next"));
    CHECK(again.done);
    CHECK(again.consumed == 0);
}

TEST_CASE("the line before a chunk is its size in hexadecimal", "[protocol]") {
    struct Row {
        size_t size;
        std::string_view line;
    };
    const Row rows[] = {
        {1, "1\r\n"},
        {9, "9\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {255, "ff\r\n"},
        {65536, "10000\r\n"},
        {SIZE_MAX, "ffffffffffffffff\r\n"},
    };
    for (const auto& [size, line] : rows) {
        std::array<char, 20> out;
        CHECK(std::string_view(out.data(), writeChunkHead(size, out)) == line);
    }
}

TEST_CASE("what is written in chunks is read back", "[protocol]") {
    std::mt19937 random(5);
    for (int round = 0; round < 30; ++round) {
        std::string body, wire;
        for (auto chunks = random() % 6; chunks-- > 0;) {
            std::string data(1 + random() % 40, '\0');
            for (auto& c : data) c = "\r\n0;:x"[random() % 6];
            wire += chunk(data);
            body += data;
        }
        wire += lastChunk;
        CHECK(verdict(wire) == body + " and 0");
    }
}
