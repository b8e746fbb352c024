#include "postern/protocol/Form.h"

#include "postern/base/Utf8.h"
#include "support/Catch.h"
#include "support/GuardedBytes.h"

#include <random>

using namespace postern;
using namespace std::literals;

namespace {

using Pairs = std::vector<NameValues::Pair>;

Pairs pairsOf(std::string_view text) {
    NameValues values;
    CHECK_FALSE(parseForm(GuardedBytes(text), 1000, values));
    return {values.begin(), values.end()};
}

std::string times(size_t count, std::string_view text) {
    std::string all;
    for (size_t i = 0; i < count; ++i) all += text;
    return all;
}

}

TEST_CASE("a form is read as browsers write it", "[protocol]") {
    struct Row {
        std::string_view text;
        Pairs pairs;
    };
    const auto replaced = std::string("\xef\xbf\xbd");
    const Row rows[] = {
        {"", {}},
        {"&", {}},
        {"&&&", {}},
        {"a=b", {{"a", "b"}}},
        {"a", {{"a", ""}}},
        {"a=", {{"a", ""}}},
        {"=b", {{"", "b"}}},
        {"=", {{"", ""}}},
        {"a=b&c=d", {{"a", "b"}, {"c", "d"}}},
        {"&a=b&&c=d&", {{"a", "b"}, {"c", "d"}}},
        {"a=1&a=2&A=3", {{"a", "1"}, {"a", "2"}, {"A", "3"}}},
        {"a=b=c", {{"a", "b=c"}}},
        {"a==", {{"a", "="}}},
        {"a=b;c=d", {{"a", "b;c=d"}}},
        {"a+b=c+d", {{"a b", "c d"}}},
        {"+=+", {{" ", " "}}},
        {"a%2Bb=%2b", {{"a+b", "+"}}},
        {"%26=%3D", {{"&", "="}}},
        {"a%3Db=c", {{"a=b", "c"}}},
        {"a=%00", {{"a", std::string(1, '\0')}}},
        {"%00=b", {{std::string(1, '\0'), "b"}}},
        {"a=%", {{"a", "%"}}},
        {"a=%4", {{"a", "%4"}}},
        {"a=%zz", {{"a", "%zz"}}},
        {"a=%%41", {{"a", "%A"}}},
        {"a=%u0041", {{"a", "%u0041"}}},
        {"a=%2541", {{"a", "%41"}}},
        {"a=%0d%0A", {{"a", "\r\n"}}},
        {"a=%C3%a4", {{"a", "\xc3\xa4"}}},
        {"a=\xc3\xa4", {{"a", "\xc3\xa4"}}},
        {"a=%ff", {{"a", replaced}}},
        {"a=\xff", {{"a", replaced}}},
        {"%ff=%fe", {{replaced, replaced}}},
        {"a=%c0%af", {{"a", replaced + replaced}}},
        {"a=x%e2%82y", {{"a", "x" + replaced + "y"}}},
        {"a=%ed%a0%80", {{"a", replaced + replaced + replaced}}},
        {"a=b#c?d/e", {{"a", "b#c?d/e"}}},
    };
    for (const auto& [text, pairs] : rows) {
        INFO(text);
        CHECK(pairsOf(text) == pairs);
    }
}

TEST_CASE("a form has a limit of pairs", "[protocol]") {
    const auto status = [](std::string_view text, size_t limit) {
        NameValues values;
        const auto violation = parseForm(text, limit, values);
        CHECK(values.size() <= limit);
        return violation ? violation->status : 200;
    };
    CHECK(status(times(999, "a=b&"), 1000) == 200);
    CHECK(status(times(1000, "a=b&"), 1000) == 200);
    CHECK(status(times(1001, "a=b&"), 1000) == 413);
    CHECK(status(times(1001, "&"), 1000) == 200);
    CHECK(status(times(1001, "=&"), 1000) == 413);
    CHECK(status("", 0) == 200);
    CHECK(status("a", 0) == 413);
}

TEST_CASE("pairs are added to those that are there", "[protocol]") {
    NameValues values;
    values.add("a", "1");
    CHECK_FALSE(parseForm("a=2&b=3", 10, values));
    CHECK(values["a"] == "2");
    CHECK(values.size() == 3);
    CHECK(parseForm("c=4", 3, values)->status == 413);
}

TEST_CASE("2^16 pairs and a MiB of escapes take no time to speak of", "[protocol]") {
    NameValues values;
    CHECK_FALSE(parseForm(times(1 << 16, "a=b&"), SIZE_MAX, values));
    CHECK(values.size() == 1 << 16);
    CHECK(pairsOf("a=" + times(1 << 18, "%ff"))[0].value.size() == 3 << 18);
    CHECK(pairsOf("a=" + times(1 << 20, "%"))[0].value.size() == 1 << 20);
}

TEST_CASE("a written form reads back", "[protocol]") {
    NameValues some;
    some.add("a b", "c+d&e=f");
    some.add("", "");
    some.add("\0"sv.data(), "%41");
    some.add("\xc3\xa4", std::string("\0\r\n", 3));
    some.add("a b", "");
    const auto text = writeForm(some);
    CHECK(pairsOf(text) == Pairs(some.begin(), some.end()));
    CHECK(writeForm({}).empty());

    std::mt19937 random(6);
    for (int round = 0; round < 300; ++round) {
        const auto word = [&] {
            std::string bytes(random() % 8, '\0');
            for (auto& c : bytes)
                c = static_cast<char>(random() % 3 ? random() : static_cast<unsigned char>("&=+%;\0 a"[random() % 8]));
            return withInvalidUtf8Replaced(bytes);
        };
        NameValues values;
        for (auto count = random() % 5; count-- > 0;) values.add(word(), word());
        const auto written = writeForm(values);
        for (const char c : written) CHECK((c > ' ' && c < 0x7f));
        CHECK(pairsOf(written) == Pairs(values.begin(), values.end()));
    }
}
