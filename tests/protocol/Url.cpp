#include "postern/protocol/Url.h"

#include "postern/base/Text.h"
#include "postern/base/Utf8.h"
#include "support/Catch.h"
#include "support/GuardedBytes.h"

#include <random>

using namespace postern;
using namespace std::literals;

namespace {

std::optional<std::string> decoded(std::string_view path) {
    std::string storage = "left over";
    const GuardedBytes guarded(path);
    const auto result = decodePath(guarded, storage);
    if (!result) return {};
    return std::string(*result);
}

// RFC 3986 §5.2.4, word for word.
std::string removeDotSegments(std::string in) {
    std::string out;
    const auto dropLastSegment = [&] { out.resize(out.rfind('/') == std::string::npos ? 0 : out.rfind('/')); };
    while (!in.empty()) {
        if (in.starts_with("../"))
            in.erase(0, 3);
        else if (in.starts_with("./"))
            in.erase(0, 2);
        else if (in.starts_with("/./"))
            in.erase(0, 2);
        else if (in == "/.")
            in = "/";
        else if (in.starts_with("/../"))
            in.erase(0, 3), dropLastSegment();
        else if (in == "/..")
            in = "/", dropLastSegment();
        else if (in == "." || in == "..")
            in.clear();
        else {
            const auto end = in.find('/', 1);
            out += in.substr(0, end);
            in.erase(0, end);
        }
    }
    return out;
}

}

TEST_CASE("a path is decoded once and its dot segments are resolved", "[protocol]") {
    struct Row {
        std::string_view path, result;
    };
    const Row rows[] = {
        {"/", "/"},
        {"//", "//"},
        {"/a", "/a"},
        {"/a/", "/a/"},
        {"/a//b", "/a//b"},
        {"/a%20b", "/a b"},
        {"/a+b", "/a+b"},
        {"/%41%7a%7A", "/Azz"},
        {"/%e2%82%ac", "/\xe2\x82\xac"},
        {"/\xe2\x82\xac", "/\xe2\x82\xac"},
        {"/%F0%9F%98%80", "/\xf0\x9f\x98\x80"},
        {"/%25", "/%"},
        {"/%2541", "/%41"},
        {"/%252e%252e/x", "/%2e%2e/x"},
        {"/%2fa", "//a"},
        {"/%3f%23", "/?#"},
        {"/%0a", "/\n"},
        {"/.", "/"},
        {"/..", "/"},
        {"/./", "/"},
        {"/../", "/"},
        {"/../..", "/"},
        {"/../../../etc/passwd", "/etc/passwd"},
        {"/a/.", "/a/"},
        {"/a/..", "/"},
        {"/a/b/..", "/a/"},
        {"/a/b/../", "/a/"},
        {"/a/./b", "/a/b"},
        {"/a/../b", "/b"},
        {"/a/b/c/./../../g", "/a/g"},
        {"/a//../b", "/a/b"},
        {"/a//../../b", "/b"},
        {"/..//x", "//x"},
        {"/.a/..b/c./d..", "/.a/..b/c./d.."},
        {"/.../a", "/.../a"},
        {"/%2e", "/"},
        {"/%2E%2e/a", "/a"},
        {"/a/%2e%2e/b", "/b"},
        {"/a/.%2e/b", "/b"},
        {"/a%2f..%2fb", "/b"},
        {"/a%2f%2e%2e%2f%2e%2e%2fetc", "/etc"},
        {"/p/a%2fb/../c//d;p", "/p/a/c//d;p"},
        {"/..;/a", "/..;/a"},
        {"/..%5c..%5ca", "/..\\..\\a"},
    };
    for (const auto& [path, result] : rows) {
        INFO(path);
        CHECK(decoded(path) == std::string(result));
    }
}

TEST_CASE("a path that is no text has no value", "[protocol]") {
    for (const auto path : {"/%"sv,         "/%a"sv,           "/%zz"sv,          "/%a"sv,
                            "/%g1"sv,       "/%1g"sv,          "/a%"sv,           "/%%41"sv,
                            "/% 1"sv,       "/%+1"sv,          "/%0x41"sv,        "/%u0041"sv,
                            "/%00"sv,       "/a%00b"sv,        "/\0"sv,           "/a\0b"sv,
                            "/%41\0"sv,     "/./\0"sv,         "/%c0%af"sv,       "/%c0%ae%c0%ae/"sv,
                            "/%c1%81"sv,    "/%e0%80%af"sv,    "/%f0%80%80%af"sv, "/%ed%a0%80"sv,
                            "/%ed%bf%bf"sv, "/%f4%90%80%80"sv, "/%f8%88"sv,       "/%80"sv,
                            "/%ff"sv,       "/%fe"sv,          "/%c3"sv,          "/%e2%82"sv,
                            "/%c3/%a4"sv,   "/\xff"sv,         "/\xc0\xaf"sv,     "/\xc3"sv,
                            "/%41\xff"sv,   "/./\xff"sv,       "/\xc3%2e"sv}) {
        INFO(path);
        CHECK_FALSE(decoded(path));
    }
    CHECK(decoded("/\xc3%a4") == "/\xc3\xa4");
}

TEST_CASE("a path with nothing to do is not copied", "[protocol]") {
    const auto path = "/plain/path.html"sv;
    std::string storage;
    CHECK(decodePath(path, storage)->data() == path.data());
    const auto dotted = "/a/./b"sv;
    CHECK(decodePath(dotted, storage)->data() == storage.data());
}

TEST_CASE("no path leads above the root", "[protocol]") {
    std::mt19937 random(3);
    const std::string_view parts[] = {"/", ".", "..", "a", "%2e", "%2F", "%2E%2e", ";", "//", "%252e", "b%20c"};
    for (int round = 0; round < 5000; ++round) {
        std::string path = "/";
        for (auto count = random() % 12; count-- > 0;) path += parts[random() % std::size(parts)];
        INFO(path);
        const auto result = decoded(path);
        REQUIRE(result);
        CHECK(*result == removeDotSegments(percentDecode(path)));
        CHECK(result->starts_with('/'));
        CHECK((*result + "/").find("/../") == std::string::npos);
        CHECK((*result + "/").find("/./") == std::string::npos);
    }
}

TEST_CASE("a path that does not begin with a slash cannot climb either", "[protocol]") {
    for (const auto path : {".."sv, "../a"sv, "../../a"sv, "%2e%2e/a"sv, "a/../../b"sv, "./../a"sv, "."sv, "./a"sv}) {
        INFO(path);
        const auto result = decoded(path);
        REQUIRE(result);
        CHECK(("/" + *result + "/").find("/../") == std::string::npos);
        CHECK(("/" + *result + "/").find("/./") == std::string::npos);
    }
}

TEST_CASE("percent-decoding leaves alone what is no escape", "[protocol]") {
    struct Row {
        std::string_view text, plain, form;
    };
    const Row rows[] = {
        {"", "", ""},
        {"a+b", "a+b", "a b"},
        {"%2B+%20", "++ ", "+  "},
        {"%", "%", "%"},
        {"%4", "%4", "%4"},
        {"%zz%41", "%zzA", "%zzA"},
        {"%%41", "%A", "%A"},
        {"%4%31", "%41", "%41"},
        {"%2541", "%41", "%41"},
        {"%00", "\0"sv, "\0"sv},
        {"%ff%FF", "\xff\xff", "\xff\xff"},
        {"\xff%", "\xff%", "\xff%"},
    };
    for (const auto& [text, plain, form] : rows) {
        INFO(text);
        CHECK(percentDecode(GuardedBytes(text)) == plain);
        CHECK(percentDecode(GuardedBytes(text), true) == form);
    }
}

TEST_CASE("percent-encoding keeps the unreserved characters only", "[protocol]") {
    CHECK(percentEncode("") == "");
    CHECK(percentEncode("AZaz09-._~") == "AZaz09-._~");
    CHECK(percentEncode(" !\"#$%&'()*+,/:;<=>?@[\\]^`{|}") ==
          "%20%21%22%23%24%25%26%27%28%29%2A%2B%2C%2F%3A%3B%3C%3D%3E%3F%40%5B%5C%5D%5E%60%7B%7C%7D");
    CHECK(percentEncode("\0\x7f\x80\xff\r\n"sv) == "%00%7F%80%FF%0D%0A");
}

TEST_CASE("every string survives encoding and decoding", "[protocol]") {
    std::mt19937 random(4);
    for (int round = 0; round < 300; ++round) {
        std::string text(random() % 40, '\0');
        for (auto& c : text) c = static_cast<char>(random());
        const auto encoded = percentEncode(text);
        CHECK(percentDecode(encoded) == text);
        CHECK(percentDecode(encoded, true) == text);
        const auto path = decoded("/x" + encoded + "x");
        const bool isText = isValidUtf8(text) && text.find('\0') == std::string::npos;
        CHECK(path.has_value() == isText);
    }
}
