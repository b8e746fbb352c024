#include "postern/base/Text.h"

#include "support/Catch.h"
#include "support/GuardedBytes.h"

#include <limits>

using namespace postern;
using namespace std::literals;

namespace {

template <typename Test> bool onlyOf(std::string_view expected, Test test) {
    for (int c = 0; c < 256; ++c)
        if (test(static_cast<char>(c)) != (expected.find(static_cast<char>(c)) != std::string_view::npos)) return false;
    return true;
}

constexpr std::string_view digits = "0123456789";
constexpr std::string_view lower = "abcdefghijklmnopqrstuvwxyz";
constexpr std::string_view upper = "ABCDEFGHIJKLMNOPQRSTUVWXYZ";

}

TEST_CASE("character classes are those of ASCII, for all 256 bytes", "[base]") {
    const auto letters = std::string(lower).append(upper);
    CHECK(onlyOf(digits, isDigit));
    CHECK(onlyOf(letters, isAlpha));
    CHECK(onlyOf(letters + std::string(digits) + "!#$%&'*+-.^_`|~", isTokenChar));
    CHECK(onlyOf("0123456789abcdefABCDEF", [](char c) { return hexValue(c) >= 0; }));
    for (int i = 0; i < 16; ++i) {
        CHECK(hexValue("0123456789abcdef"[i]) == i);
        CHECK(hexValue("0123456789ABCDEF"[i]) == i);
    }
}

TEST_CASE("only the 26 letters have a case", "[base]") {
    for (int i = 0; i < 256; ++i) {
        const char c = static_cast<char>(i);
        const auto small = lower.find(c), big = upper.find(c);
        CHECK(toLower(c) == (big == std::string_view::npos ? c : lower[big]));
        CHECK(toUpper(c) == (small == std::string_view::npos ? c : upper[small]));
    }
    CHECK(equalsIgnoringCase("Content-TITLE", "cONTENT-title"));
    CHECK(equalsIgnoringCase("", {}));
    CHECK_FALSE(equalsIgnoringCase("a", "ab"));
    CHECK_FALSE(equalsIgnoringCase("@[`{", "`{@["));
    CHECK_FALSE(equalsIgnoringCase("\xc4", "\xe4"));
}

TEST_CASE("a token is one or more token characters", "[base]") {
    CHECK(isToken("x"));
    CHECK(isToken("!#$%&'*+-.^_`|~09azAZ"));
    for (const auto text :
         {""sv, " "sv, "a b"sv, "a\tb"sv, "a:"sv, "a\0"sv, "\xc3\xa4"sv, "a\x7f"sv, "\"a\""sv, "a,b"sv})
        CHECK_FALSE(isToken(text));
}

TEST_CASE("trim takes spaces and tabs off the ends and nothing else", "[base]") {
    CHECK(trim(" \t a \t b\t ") == "a \t b");
    CHECK(trim("") == "");
    CHECK(trim(" \t") == "");
    CHECK(trim("\ra\n") == "\ra\n");
    CHECK(trim("\va\f") == "\va\f");
    CHECK(trim("\xa0"
               "a") == "\xa0"
                       "a");
}

TEST_CASE("a decimal number is digits only and fits", "[base]") {
    struct Row {
        std::string_view text;
        std::optional<uint64_t> value;
    };
    const Row rows[] = {
        {"0", 0},
        {"7", 7},
        {"007", 7},
        {"9223372036854775808", uint64_t{1} << 63},
        {"18446744073709551615", std::numeric_limits<uint64_t>::max()},
        {"18446744073709551616", {}},
        {"18446744073709551621", {}},
        {"99999999999999999999999999", {}},
        {"", {}},
        {"+1", {}},
        {"-1", {}},
        {"-0", {}},
        {" 1", {}},
        {"1 ", {}},
        {"1\n", {}},
        {"0x1", {}},
        {"1_0", {}},
        {"1e3", {}},
        {"1.0", {}},
        {"1,0", {}},
        {"a", {}},
        {"\xef\xbc\x95", {}},
        {"1\0"sv, {}},
    };
    for (const auto& [text, value] : rows) {
        INFO(text);
        CHECK(parseDecimal<uint64_t>(GuardedBytes(text)) == value);
    }
    CHECK(parseDecimal<uint16_t>("65535") == 65535);
    CHECK_FALSE(parseDecimal<uint16_t>("65536"));
    CHECK(parseDecimal<int>("2147483647") == 2147483647);
    CHECK_FALSE(parseDecimal<int>("2147483648"));
    CHECK_FALSE(parseDecimal<int>("-1"));
}

TEST_CASE("takeUntil cuts at the first separator and keeps the rest", "[base]") {
    std::string_view text = "a=b=c";
    CHECK(takeUntil(text, '=') == "a");
    CHECK(text == "b=c");
    CHECK(takeUntil(text, ';') == "b=c");
    CHECK(text.empty());
    CHECK(takeUntil(text, ';').empty());
    text = ";";
    CHECK(takeUntil(text, ';').empty());
    CHECK(text.empty());
}

TEST_CASE("a list gives its elements without white space and empty ones", "[base]") {
    const auto elements = [](std::string_view list) {
        std::string all;
        forEachListElement(GuardedBytes(list), [&](std::string_view element) { all.append(element).append("|"); });
        return all;
    };
    CHECK(elements("") == "");
    CHECK(elements(",,\t, ") == "");
    CHECK(elements("a") == "a|");
    CHECK(elements(" a ,\tb c,,d;e=f\t") == "a|b c|d;e=f|");
}

TEST_CASE("a list contains whole tokens, never parts of one", "[base]") {
    CHECK(listContains("keep-alive, Upgrade", "upgrade"));
    CHECK(listContains("\tUPGRADE\t", "upgrade"));
    CHECK(listContains(",,upgrade,", "Upgrade"));
    CHECK_FALSE(listContains("", "upgrade"));
    CHECK_FALSE(listContains("no-upgrade, upgraded", "upgrade"));
    CHECK_FALSE(listContains("keep-alive upgrade", "upgrade"));
    CHECK_FALSE(listContains("upgrade;x", "upgrade"));
}

TEST_CASE("what a peer sent stays on one line of the log", "[base]") {
    CHECK(escapedForLog("plain ~ text") == "plain ~ text");
    CHECK(escapedForLog("a\r\nb\0\x1b[31m\x7f\xff"sv) == "a\\x0d\\x0ab\\x00\\x1b[31m\\x7f\\xff");
    for (int c = 0; c < 256; ++c)
        for (const char out : escapedForLog(std::string(1, static_cast<char>(c)))) CHECK((out >= ' ' && out < 0x7f));
    CHECK(escapedForLog("12345", 5) == "12345");
    CHECK(escapedForLog("123456", 5).starts_with("12345"));
    CHECK(escapedForLog(std::string(1 << 20, '\n')).size() < 1024);
    CHECK(escapedForLog("\\x0a") != escapedForLog("\n"));
}
