#include "postern/protocol/Cookie.h"

#include "support/Catch.h"
#include "support/GuardedBytes.h"

#include <random>
#include <stdexcept>

using namespace postern;
using namespace std::literals;

namespace {

using Pairs = std::vector<NameValues::Pair>;

Pairs pairsOf(std::string_view field) {
    NameValues cookies;
    parseCookies(GuardedBytes(field), cookies);
    return {cookies.begin(), cookies.end()};
}

bool throws(std::string_view name, std::string_view value, const CookieOptions& options) {
    try {
        writeCookie(name, value, options);
    } catch (const std::invalid_argument&) {
        return true;
    }
    return false;
}

}

TEST_CASE("cookies are read as browsers send them", "[protocol]") {
    struct Row {
        std::string_view field;
        Pairs pairs;
    };
    const Row rows[] = {
        {"", {}},
        {";", {}},
        {" ; ;\t", {}},
        {"a=b", {{"a", "b"}}},
        {"a=b; c=d", {{"a", "b"}, {"c", "d"}}},
        {"a=b;c=d", {{"a", "b"}, {"c", "d"}}},
        {" \ta = b\t;", {{"a", "b"}}},
        {"a=", {{"a", ""}}},
        {"a=b=c==", {{"a", "b=c=="}}},
        {"a", {}},
        {"a; b=c; d", {{"b", "c"}}},
        {"=b", {}},
        {" =b; a=c", {{"a", "c"}}},
        {"=", {}},
        {"a=1; a=2; A=3", {{"a", "1"}, {"a", "2"}, {"A", "3"}}},
        {"a=\"b\"", {{"a", "b"}}},
        {"a=\"\"", {{"a", ""}}},
        {"a=\"", {{"a", "\""}}},
        {"a=\"b", {{"a", "\"b"}}},
        {"a=b\"", {{"a", "b\""}}},
        {"a=\"b c\"", {{"a", "b c"}}},
        {"a=\"b;c=d\"", {{"a", "\"b"}, {"c", "d\""}}},
        {"a=%41+b", {{"a", "%41+b"}}},
        {"a=b, c=d", {{"a", "b, c=d"}}},
        {"a=\xc3\xa4\xff", {{"a", "\xc3\xa4\xff"}}},
        {"$Version=1; a=b; $Path=/", {{"$Version", "1"}, {"a", "b"}, {"$Path", "/"}}},
    };
    for (const auto& [field, pairs] : rows) {
        INFO(field);
        CHECK(pairsOf(field) == pairs);
    }
}

TEST_CASE("cookies are added to those that are there", "[protocol]") {
    NameValues cookies;
    parseCookies("a=1", cookies);
    parseCookies("b=2; a=3", cookies);
    CHECK(cookies.size() == 3);
    CHECK(cookies["a"] == "3");
}

TEST_CASE("a cookie is written with the safe attributes", "[protocol]") {
    CHECK(writeCookie("a", "b", {}) == "a=b; Path=/; HttpOnly; SameSite=Lax");
    CHECK(writeCookie("a", "", {}) == "a=; Path=/; HttpOnly; SameSite=Lax");
    CookieOptions options;
    options.path.clear();
    options.httpOnly = false;
    options.sameSite = SameSite::unset;
    CHECK(writeCookie("a", "b", options) == "a=b");
    options.path = "/x y";
    options.domain = "example.com";
    options.maxAge = std::chrono::hours(24);
    options.secure = true;
    options.sameSite = SameSite::none;
    CHECK(writeCookie("a", "b", options) == "a=b; Path=/x y; Domain=example.com; Max-Age=86400; Secure; SameSite=None");
    options.sameSite = SameSite::strict;
    options.maxAge = 0s;
    CHECK(writeCookie("a", "b", options) == "a=b; Path=/x y; Domain=example.com; Max-Age=0; Secure; SameSite=Strict");
    options.maxAge = -5s;
    CHECK(writeCookie("a", "b", options).find("; Max-Age=0;") != std::string::npos);
    options.maxAge = std::chrono::seconds::max();
    CHECK(writeCookie("a", "b", options).find("; Max-Age=9223372036854775807;") != std::string::npos);
    options.maxAge = std::chrono::seconds::min();
    CHECK(writeCookie("a", "b", options).find("; Max-Age=0;") != std::string::npos);
}

TEST_CASE("a character that would end a cookie or its field throws", "[protocol]") {
    for (const auto bad : {"a\r"sv, "a\n"sv, "a\r\nX: y"sv, "a\0b"sv, "a;b"sv, "a\x7f"sv, "a\x01"sv}) {
        INFO(bad);
        CookieOptions options;
        CHECK(throws(bad, "v", options));
        CHECK(throws("n", bad, options));
        options.path = bad;
        CHECK(throws("n", "v", options));
        options.path = "/";
        options.domain = bad;
        CHECK(throws("n", "v", options));
    }
    for (const auto name : {""sv, "a b"sv, "a="sv, "a,"sv, "a\""sv, "a:"sv, "a/"sv, "\xc3\xa4"sv, "a\t"sv})
        CHECK(throws(name, "v", {}));
    for (const auto value : {" "sv, "a b"sv, "a,b"sv, "a\"b"sv, "\"a\""sv, "a\\b"sv, "a\tb"sv, "\xc3\xa4"sv, "\xff"sv})
        CHECK(throws("n", value, {}));
}

TEST_CASE("options that contradict each other throw", "[protocol]") {
    CookieOptions options;
    options.sameSite = SameSite::none;
    CHECK(throws("a", "b", options));
    options.secure = true;
    CHECK_FALSE(throws("a", "b", options));

    CHECK(throws("__Secure-a", "b", {}));
    CHECK(throws("__Host-a", "b", {}));
    CookieOptions host;
    host.secure = true;
    CHECK_FALSE(throws("__Secure-a", "b", host));
    CHECK_FALSE(throws("__Host-a", "b", host));
    host.domain = "example.com";
    CHECK_FALSE(throws("__Secure-a", "b", host));
    CHECK(throws("__Host-a", "b", host));
    host.domain.clear();
    host.path = "/x";
    CHECK(throws("__Host-a", "b", host));
    host.path.clear();
    CHECK(throws("__Host-a", "b", host));
}

TEST_CASE("what a cookie accepts comes back, and it stays one field", "[protocol]") {
    std::mt19937 random(7);
    int written = 0;
    for (int round = 0; round < 20000; ++round) {
        const auto word = [&](size_t longest) {
            std::string text(random() % (longest + 1), '\0');
            for (auto& c : text)
                c = random() % 8 ? static_cast<char>('!' + random() % 94) : static_cast<char>(random());
            return text;
        };
        const auto name = word(3), value = word(4);
        CookieOptions options;
        options.path = word(2);
        options.domain = word(2);
        std::string field;
        try {
            field = writeCookie(name, value, options);
        } catch (const std::invalid_argument&) {
            continue;
        }
        ++written;
        for (const char c : field) CHECK((c >= ' ' && c < 0x7f));
        CHECK(std::count(field.begin(), field.end(), ';') ==
              2 + (options.path.empty() ? 0 : 1) + (options.domain.empty() ? 0 : 1));
        CHECK(pairsOf(field.substr(0, field.find(';'))) == Pairs{{name, value}});
    }
    CHECK(written > 1000);
}
