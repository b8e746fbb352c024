#include "postern/protocol/ScgiHead.h"

#include "support/Catch.h"
#include "support/Fragments.h"
#include "support/GuardedBytes.h"

#include <string>
#include <vector>

using namespace postern;
using namespace std::literals;

namespace {

constexpr size_t usual = 256 * 1024;

// Like a connection: asks for the size each time a piece has come, then reads. "more", the status of a refusal, or the
// variables and the size of the head.
std::string verdict(const Fragments& pieces, size_t limit = usual) {
    static GuardedBytes guarded(size_t{1} << 20);
    std::string bytes;
    std::string found = "more";
    for (const auto piece : pieces) {
        bytes += piece;
        if (found != "more") continue;
        const auto size = scgiHeadSize(guarded.put(bytes), limit);
        if (const auto* violation = std::get_if<Violation>(&size)) found = std::to_string(violation->status);
        const auto* whole = std::get_if<size_t>(&size);
        if (!whole || bytes.size() < *whole) continue;
        FieldViews variables;
        if (const auto violation = readScgiHead(guarded.put(std::string_view(bytes).substr(0, *whole)), CgiVariableBudget(limit), variables)) {
            found = std::to_string(violation->status);
            continue;
        }
        found.clear();
        for (const auto& [name, value] : variables) found.append(name).append("=").append(value).append(";");
        found += " " + std::to_string(*whole);
    }
    return found;
}
std::string verdict(std::string_view bytes, size_t limit = usual) { return verdict(Fragments{bytes}, limit); }

std::string netstring(std::string_view content) { return std::to_string(content.size()) + ':' + std::string(content) + ','; }

const auto length0 = "CONTENT_LENGTH\0000\0"s, version1 = "SCGI\0001\0"s;

struct Row {
    std::string bytes, meaning;
};

void check(const std::vector<Row>& rows) {
    for (const auto& [bytes, meaning] : rows) {
        CAPTURE(bytes);
        CHECK(verdict(bytes) == meaning);
        forEachFragmentation(bytes, [&, &meaning = meaning](const Fragments& pieces) {
            if (const auto found = verdict(pieces); found != meaning) FAIL(found << pieces[0].size());
        });
    }
}

}

TEST_CASE("a head of SCGI is its variables in order, however it arrives and whatever follows", "[protocol]") {
    const auto example = "70:CONTENT_LENGTH\00027\0SCGI\0001\0REQUEST_METHOD\0POST\0REQUEST_URI\0/deepthought\0,"s;
    const auto meaning = "CONTENT_LENGTH=27;SCGI=1;REQUEST_METHOD=POST;REQUEST_URI=/deepthought; 74"s;
    check({
        {example, meaning},
        {example + "What is the answer to life?", meaning},
        {example + example, meaning},
        {netstring(length0 + version1), "CONTENT_LENGTH=0;SCGI=1; 28"},
        {netstring(length0 + "A\0\0"s + version1), "CONTENT_LENGTH=0;A=;SCGI=1; 31"},
        {netstring(length0 + "A\0b,c:d=\xff\0"s + version1), "CONTENT_LENGTH=0;A=b,c:d=\xff;SCGI=1; 38"},
        {netstring(length0 + version1 + "A\0b\0A\0c\0"s), "CONTENT_LENGTH=0;SCGI=1;A=b;A=c; 36"},
    });
    for (size_t size = 0; size < example.size(); ++size)
        if (verdict(std::string_view(example).substr(0, size)) != "more") FAIL(size);
}

TEST_CASE("what is no netstring is refused with the first byte that tells", "[protocol]") {
    for (const std::string_view bytes : std::initializer_list<std::string_view>{":", ",", "x", "-", "+", " ", "G", std::string_view("\0", 1), "1x", "1,", "12 ", "1-", "00", "01", "0x"}) {
        CAPTURE(bytes);
        for (size_t size = 0; size < bytes.size(); ++size) CHECK(verdict(bytes.substr(0, size)) == "more");
        CHECK(verdict(bytes) == "400");
        CHECK(verdict(std::string(bytes) + ":CONTENT_LENGTH") == "400");
    }
}

TEST_CASE("a length that overflows or is more than allowed is refused before a byte of the head came", "[protocol]") {
    for (const std::string bytes : {"262145", "999999999", "1000000000", "4294967296", "4294967324", "18446744073709551616", "18446744073709551644"}) {
        CAPTURE(bytes);
        CHECK(verdict(bytes) == "431");
        CHECK(verdict(bytes + ':') == "431");
    }
    CHECK(verdict("26214") == "more");
    CHECK(verdict("262144") == "more");
    CHECK(verdict("262144:") == "more");
    CHECK(verdict(std::string(100'000, '9')) == "431");
}

TEST_CASE("variables of SCGI may take what --max-variables allows, 64 bytes more for each, and not one byte more", "[protocol]") {
    // CONTENT_LENGTH, 0, SCGI and 1 take 20 bytes and twice 64.
    const auto with = [](size_t value, size_t limit) {
        return verdict(netstring(length0 + version1 + "N\0"s + std::string(value, 'v') + '\0'), limit);
    };
    CHECK(with(1000 - 20 - 3 * 64 - 1, 1000).starts_with("CONTENT_LENGTH"));
    CHECK(with(1000 - 20 - 3 * 64, 1000) == "431");
    std::string many = length0 + version1;
    for (int i = 0; i < 10'000; ++i) many += "N\0\0"s;
    CHECK(verdict(netstring(many)) == "431");
}

TEST_CASE("a netstring that holds no head of SCGI is refused", "[protocol]") {
    auto noComma = netstring(length0 + version1);
    noComma.back() = ';';
    auto tooShort = netstring(length0 + version1), tooLong = tooShort;
    tooShort[1] = '3';  // one byte of the head less: its last NUL stands where the comma should
    tooLong[1] = '5';
    check({
        {noComma, "400"},
        {tooShort, "400"},
        {tooLong + "x", "400"},
        {"0:,", "400"},
        {netstring("\0"s), "400"},
        {netstring("\0\0"s), "400"},
        {netstring("x"), "400"},
        {netstring("CONTENT_LENGTH"), "400"},
        {netstring("CONTENT_LENGTH\0"s), "400"},
        {netstring("CONTENT_LENGTH\0000"s), "400"},
        {netstring(length0), "400"},
        {netstring(version1), "400"},
        {netstring(version1 + length0), "400"},
        {netstring("A\0b\0"s + length0 + version1), "400"},
        {netstring("content_length\0000\0"s + version1), "400"},
        {netstring("CONTENT_LENGTH\0\0"s + version1), "400"},
        {netstring(length0 + "SCGI\0002\0"s), "400"},
        {netstring(length0 + "SCGI\0\0"s), "400"},
        {netstring(length0 + "scgi\0001\0"s), "400"},
        {netstring(length0 + version1 + "A\0"s), "400"},        // an odd number of strings
        {netstring(length0 + version1 + "A"), "400"},
        {netstring(length0 + version1 + "A\0b"s), "400"},
        {netstring(length0 + version1 + "\0b\0"s), "400"},
        {netstring(length0 + "\0"s + version1), "400"},
    });
}
