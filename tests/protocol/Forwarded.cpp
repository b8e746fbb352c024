#include "postern/protocol/Forwarded.h"

#include "support/Catch.h"

using namespace postern;

namespace {

std::vector<AddressRange> ranges(std::initializer_list<std::string_view> texts) {
    std::vector<AddressRange> found;
    for (const auto text : texts) found.push_back(*AddressRange::parse(text));
    return found;
}

std::string read(const FieldViews& fields,
                 std::initializer_list<std::string_view> trusted = {"10.0.0.0/8", "2001:db8:1::/48"}) {
    const auto client = readForwarded(fields, ranges(trusted));
    return std::string(client.address) + '|' + std::string(client.scheme) + '|' + std::string(client.host);
}

} // namespace

TEST_CASE("an address range holds its addresses and no others", "[protocol]") {
    struct Case {
        const char* range;
        const char* address;
        bool inside;
    };
    for (const auto& [range, address, inside] : {
             Case{"192.0.2.0/24", "192.0.2.0", true},
             Case{"192.0.2.0/24", "192.0.2.255", true},
             Case{"192.0.2.0/24", "192.0.3.0", false},
             Case{"192.0.2.0/24", "192.0.1.255", false},
             Case{"192.0.2.128/25", "192.0.2.127", false},
             Case{"192.0.2.128/25", "192.0.2.128", true},
             Case{"192.0.2.1", "192.0.2.1", true},
             Case{"192.0.2.1", "192.0.2.2", false},
             Case{"192.0.2.1/32", "192.0.2.0", false},
             Case{"192.0.2.99/24", "192.0.2.1", true},
             Case{"0.0.0.0/0", "203.0.113.9", true},
             Case{"0.0.0.0/0", "2001:db8::1", false},
             Case{"::/0", "2001:db8::1", true},
             Case{"2001:db8::/33", "2001:db8:7fff::1", true},
             Case{"2001:db8::/33", "2001:db8:8000::1", false},
             Case{"::1", "::1", true},
             Case{"::1", "::2", false},
             Case{"::ffff:192.0.2.1", "192.0.2.1", true},
             Case{"unix", "", true},
             Case{"unix", "127.0.0.1", false},
             Case{"127.0.0.1", "", false},
             Case{"0.0.0.0/0", "no address", false},
             Case{"0.0.0.0/0", "192.0.2.1 ", false},
         }) {
        CAPTURE(range, address);
        const auto parsed = AddressRange::parse(range);
        REQUIRE(parsed);
        CHECK(parsed->contains(address) == inside);
    }
}

TEST_CASE("what is no address range is refused", "[protocol]") {
    for (const char* text :
         {"", "x", "192.0.2", "192.0.2.0/", "192.0.2.0/33", "192.0.2.0/-1", "192.0.2.0/+8", "192.0.2.0/8x",
          "2001:db8::/129", "[::1]", "192.0.2.1:80", "Unix", "unix/8", "/8", "192.0.2.0/24/24"}) {
        CAPTURE(text);
        CHECK_FALSE(AddressRange::parse(text));
    }
}

TEST_CASE("the client is the first address from the right that is no trusted proxy", "[protocol]") {
    CHECK(read({}) == "||");
    CHECK(read({{"X-Forwarded-For", "192.0.2.1"}}) == "192.0.2.1||");
    CHECK(read({{"x-forwarded-for", "6.6.6.6, 192.0.2.1"}}) == "192.0.2.1||");
    CHECK(read({{"X-Forwarded-For", "6.6.6.6, 192.0.2.1, 10.0.0.1,10.9.9.9"}}) == "192.0.2.1||");
    CHECK(read({{"X-Forwarded-For", "6.6.6.6"}, {"X-Forwarded-For", "192.0.2.1, 10.0.0.1"}}) == "192.0.2.1||");
    CHECK(read({{"X-Forwarded-For", "10.0.0.2, 10.0.0.1"}}) == "10.0.0.2||");
    CHECK(read({{"X-Forwarded-For", "192.0.2.1:4711"}}) == "192.0.2.1||");
    CHECK(read({{"X-Forwarded-For", "2001:db8::7"}}) == "2001:db8::7||");
    CHECK(read({{"X-Forwarded-For", "[2001:db8::7]:4711, 2001:db8:1::1"}}) == "2001:db8::7||");
    CHECK(read({{"X-Forwarded-For", " , 192.0.2.1 , "}}) == "192.0.2.1||");
}

TEST_CASE("what stands left of an unknown hop is not believed", "[protocol]") {
    CHECK(read({{"X-Forwarded-For", "6.6.6.6, unknown"}}) == "||");
    CHECK(read({{"X-Forwarded-For", "6.6.6.6, unknown, 10.0.0.1"}}) == "||");
    CHECK(read({{"Forwarded", "for=6.6.6.6, for=_hidden"}}) == "||");
    CHECK(read({{"Forwarded", "for=6.6.6.6;host=evil, proto=https"}}) == "|https|");
    CHECK(read({{"Forwarded", "for=6.6.6.6;host=evil, proto=https"}}, {"unix", "10.0.0.0/8"}) == "|https|");
    CHECK(read({{"X-Forwarded-For", "6.6.6.6, \"\""}}, {"unix"}) == "||");
}

TEST_CASE("Forwarded is read with its parameters in any order and spelling, and comes before the older fields",
          "[protocol]") {
    CHECK(read({{"Forwarded", "for=192.0.2.1;proto=https;host=example.org"}}) == "192.0.2.1|https|example.org");
    CHECK(read({{"forwarded", "HOST=\"example.org:8080\" ; Proto=HTTPS ; For=\"192.0.2.1:80\""}}) ==
          "192.0.2.1|https|example.org:8080");
    CHECK(read({{"Forwarded", "for=\"[2001:db8::7]\""}}) == "2001:db8::7||");
    CHECK(read({{"Forwarded", "for=\"[2001:db8::7]:80\", for=\"[2001:db8:1::1]:81\";host=inner"}}) == "2001:db8::7||");
    CHECK(read({{"Forwarded", "for=192.0.2.1"}, {"X-Forwarded-For", "6.6.6.6"}, {"X-Forwarded-Proto", "https"}}) ==
          "192.0.2.1||");
    CHECK(read({{"Forwarded", "for=192.0.2.1;proto=gopher;x=y"}}) == "192.0.2.1||");
    CHECK(read({{"Forwarded", "for=\"6.6.6.6, for=192.0.2.1"}}) == "192.0.2.1||"); // a quote left open by the client
}

TEST_CASE("the nearest proxy's word on scheme and host counts", "[protocol]") {
    CHECK(read({{"X-Forwarded-Proto", "http, https"}}) == "|https|");
    CHECK(read({{"X-Forwarded-Proto", "https"}, {"X-Forwarded-Proto", "http"}}) == "|http|");
    CHECK(read({{"X-Forwarded-Proto", "wss"}}) == "|https|");
    CHECK(read({{"X-Forwarded-Proto", "file"}}) == "||");
    CHECK(read({{"X-Forwarded-Host", "evil, example.org"}}) == "||example.org");
}
