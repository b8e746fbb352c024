#include "postern/protocol/Origin.h"

#include "support/Catch.h"

using namespace postern;
using namespace std::literals;

namespace {

const OriginPolicy sameHost;
const OriginPolicy any{true, false, true, {}};

OriginPolicy listed(std::vector<std::string> allowed) { return {false, false, true, std::move(allowed)}; }

bool allows(const OriginPolicy& policy, std::string_view origin) {
    return isOriginAllowed(policy, origin, "http", "server.example");
}

}

TEST_CASE("by default an origin is welcome when scheme, host and port are those of the request", "[protocol]") {
    const struct {
        std::string_view origin, scheme, host;
        bool allowed;
    } rows[] = {
        {"http://example.com", "http", "example.com", true},
        {"https://example.com", "https", "example.com", true},
        {"http://localhost:8080", "http", "localhost:8080", true},
        {"http://192.0.2.1:8080", "http", "192.0.2.1:8080", true},
        // the scheme's own port
        {"http://example.com", "http", "example.com:80", true},
        {"http://example.com:80", "http", "example.com", true},
        {"https://example.com", "https", "example.com:443", true},
        {"https://example.com:443", "https", "example.com", true},
        {"http://example.com", "http", "example.com:443", false},
        {"https://example.com", "https", "example.com:80", false},
        {"http://example.com:443", "https", "example.com", false},
        {"https://example.com:80", "http", "example.com", false},
        // case
        {"http://EXAMPLE.com", "http", "example.COM", true},
        {"HTTP://example.com", "http", "example.com", true},
        {"https://example.com", "HTTPS", "example.com:443", true},
        // IPv6
        {"http://[::1]", "http", "[::1]", true},
        {"http://[::1]", "http", "[::1]:80", true},
        {"https://[::1]:443", "https", "[::1]", true},
        {"http://[2001:db8::1]:8080", "http", "[2001:DB8::1]:8080", true},
        {"http://[::1]:8080", "http", "[::1]", false},
        {"http://[::1]", "http", "[::2]", false},
        {"http://[::1]", "http", "::1", false},
        {"http://::1", "http", "::1", false},
        {"http://[::1]evil.example", "http", "[::1]", false},
        {"http://[::1", "http", "[::1", false},
        // another scheme, host or port
        {"https://example.com", "http", "example.com", false},
        {"http://example.com", "https", "example.com", false},
        {"ws://example.com", "http", "example.com", false},
        {"http://example.org", "http", "example.com", false},
        {"http://www.example.com", "http", "example.com", false},
        {"http://example.com", "http", "www.example.com", false},
        {"http://example.com:8080", "http", "example.com", false},
        {"http://example.com", "http", "example.com:8080", false},
        {"http://example.com:8080", "http", "example.com:8081", false},
        {"http://example.com.", "http", "example.com", false},
        // what only looks alike
        {"http://example.com.evil.example", "http", "example.com", false},
        {"http://evilexample.com", "http", "example.com", false},
        {"http://example.comevil", "http", "example.com", false},
        {"http://example.com@evil.example", "http", "example.com", false},
        {"http://evil.example@example.com", "http", "example.com", false},
        {"http://example.com:80@evil.example", "http", "example.com", false},
        {"http://evil.example:80@example.com", "http", "example.com", false},
        {"http://user:password@example.com", "http", "example.com", false},
        {"http://evil.example/example.com", "http", "example.com", false},
        {"http://evil.example#example.com", "http", "example.com", false},
        {"http://evil.example?example.com", "http", "example.com", false},
        {"http://evil.example\\example.com", "http", "example.com", false},
        {"http://example.com\0.evil.example"sv, "http", "example.com", false},
        {"http://example.com http://evil.example", "http", "example.com", false},
        {"http://evil.example http://example.com", "http", "example.com", false},
        {"http://evil.example, http://example.com", "http", "example.com", false},
        {"http://exаmple.com", "http", "example.com", false},  // a Cyrillic letter
        // no origins at all
        {"", "http", "example.com", false},
        {"example.com", "http", "example.com", false},
        {"//example.com", "http", "example.com", false},
        {"http:example.com", "http", "example.com", false},
        {"http:/example.com", "http", "example.com", false},
        {"http://example.com/", "http", "example.com", false},
        {"http://example.com:80/", "http", "example.com", false},
        {"http://example.com/path", "http", "example.com", false},
        {" http://example.com", "http", "example.com", false},
        {"http://example.com ", "http", "example.com", false},
        {"http:// example.com", "http", "example.com", false},
        {"http://", "http", "", false},
        {"http://:80", "http", ":80", false},
        {"http://", "http", "example.com", false},
        {"://example.com", "http", "example.com", false},
        {"null", "http", "null", false},
        {"http://null", "http", "example.com", false},
        {"*", "http", "example.com", false},
        {"http://*", "http", "example.com", false},
        {"http://example.com:", "http", "example.com:x", false},
        {"http://example.com:x", "http", "example.com:x", false},
        {"http://example.com:-1", "http", "example.com:-1", false},
        {"http://example.com:+80", "http", "example.com", false},
        {"http://example.com:65536", "http", "example.com:65536", false},
        {"http://example.com:65616", "http", "example.com:80", false},  // 65536 + 80
        {"http://example.com:80:80", "http", "example.com", false},
        // a Host that nobody should send
        {"http://a.example.com", "http", "*.example.com", false},
        {"http://example.com", "http", "", false},
        {"http://example.com", "http", "example.com/", false},
        {"http://example.com", "http", "example.com, evil.example", false},
        {"http://example.com", "http", "user@example.com", false},
        {"http://example.com", "", "example.com", false},
        {"://example.com", "", "example.com", false},
        {"http://a\\b", "http", "a\\b", false},
    };
    for (const auto& row : rows) {
        CAPTURE(row.origin, row.scheme, row.host);
        CHECK(isOriginAllowed(sameHost, row.origin, row.scheme, row.host) == row.allowed);
        CHECK_FALSE(isOriginAllowed(listed({}), row.origin, row.scheme, row.host));
    }
}

TEST_CASE("every port is its own origin", "[protocol]") {
    for (unsigned port = 0; port < 65536; port += port < 1000 ? 1 : 97) {
        const auto host = "example.com:" + std::to_string(port);
        CHECK(isOriginAllowed(sameHost, "http://" + host, "http", host));
        CHECK(isOriginAllowed(sameHost, "http://" + host, "http", "example.com") == (port == 80));
        CHECK(isOriginAllowed(sameHost, "https://example.com", "https", host) == (port == 443));
    }
}

TEST_CASE("null is an origin that only the list or any welcomes", "[protocol]") {
    CHECK_FALSE(allows(sameHost, "null"));
    CHECK_FALSE(allows(listed({"https://example.com"}), "null"));
    CHECK(allows(listed({"https://example.com", "null"}), "null"));
    CHECK(allows(any, "null"));
    for (const auto other :
         {"NULL"sv, "Null"sv, "null "sv, " null"sv, "nul"sv, "nulls"sv, "null://x"sv, "http://null"sv, ""sv})
        CHECK_FALSE(allows(listed({"null"}), other));
}

TEST_CASE("a request without an origin is welcome unless the policy says otherwise", "[protocol]") {
    CHECK(isOriginAllowed(sameHost, {}, "http", "example.com"));
    CHECK(isOriginAllowed(listed({"https://example.com"}), {}, "http", "example.com"));
    CHECK(isOriginAllowed(any, {}, "http", "example.com"));
    for (const bool anyOther : {true, false})
        CHECK_FALSE(isOriginAllowed({anyOther, true, false, {"null"}}, {}, "http", "example.com"));
    // An empty one is not absent.
    CHECK_FALSE(isOriginAllowed(sameHost, ""sv, "http", "example.com"));
}

TEST_CASE("any origin is any text", "[protocol]") {
    for (const auto origin : {"http://evil.example"sv, "null"sv, ""sv, "nonsense"sv, "https://a@b:c"sv, "\xff\0"sv})
        CHECK(allows(any, origin));
}

TEST_CASE("the list welcomes its origins beside the same host", "[protocol]") {
    auto policy = listed({"https://example.com", "http://localhost:3000", "http://[::1]:81", "chrome-extension://abc"});
    for (const bool both : {true, false}) {
        policy.sameHost = both;
        CHECK(allows(policy, "http://server.example") == both);
        for (const auto* origin : {"https://example.com", "https://example.com:443", "HTTPS://EXAMPLE.COM",
                                   "http://localhost:3000", "http://[::1]:81", "chrome-extension://abc"}) {
            CAPTURE(origin);
            CHECK(allows(policy, origin));
        }
        for (const auto* origin :
             {"http://example.com", "https://example.com:8443", "https://www.example.com",
              "https://example.com.evil.example", "https://evilexample.com", "https://example.com@evil.example",
              "https://evil.example@example.com", "https://example.com/", "http://localhost", "http://localhost:30000",
              "https://localhost:3000", "http://[::1]", "chrome-extension://abcd", "moz-extension://abc",
              "https://example.co", "https://example.com:0443x"}) {
            CAPTURE(origin);
            CHECK_FALSE(allows(policy, origin));
        }
    }
}

TEST_CASE("a wildcard stands for subdomains at any depth and for nothing else", "[protocol]") {
    const auto policy = listed({"https://*.example.com", "http://*.example.org:8080"});
    for (const auto* origin :
         {"https://a.example.com", "https://a.b.c.example.com", "https://A.Example.COM:443",
          "https://example.com.example.com", "http://x.example.org:8080", "https://xn--caf-dma.example.com"}) {
        CAPTURE(origin);
        CHECK(allows(policy, origin));
    }
    const std::string_view refused[] = {
        "https://example.com",                // the domain itself
        "https://.example.com",               // no name before the dot
        "https://badexample.com",             // no dot
        "https://a.example.com.evil.example", // another end
        "https://a.example.comevil",
        "https://example.com.evil.example",
        "http://a.example.com",               // another scheme
        "https://a.example.com:8443",         // another port
        "http://x.example.org",
        "https://x.example.org:8080",
        "https://a.example.com/",
        "https://evil.example/.example.com",
        "https://evil.example#.example.com",
        "https://evil.example?.example.com",
        "https://evil.example@a.example.com",
        "https://evil.example:443@a.example.com",
        "https://evil.example\\.example.com",
        "https://evil.example\\a.example.com",
        "https://evil.example .example.com",
        "https://evil.example\t.example.com",
        "https://evil.example\n.example.com",
        "https://evil.example\0.example.com"sv,
        "https://evil.example,.example.com",
        "https://evil.example:.example.com",
        "https://evil.example:443].example.com",
        "https://[::1].example.com",
        "https://evil.example%2f.example.com",
        "https://\xe4.example.com",
        "https://a.example.com.",
        "null",
        "",
    };
    for (const auto origin : refused) {
        CAPTURE(origin);
        CHECK_FALSE(allows(policy, origin));
    }
}

TEST_CASE("entries that are no patterns welcome nobody", "[protocol]") {
    for (const auto* entry :
         {"*", "https://*", "https://*.", "*.example.com", "*://example.com", "example.com", "https://ex*.com", "",
          "https://example.com/", "https://*.*.com", "https://example.com:*"})
        for (const auto* origin :
             {"https://example.com", "https://a.example.com", "https://example.com:444", "http://evil.example"}) {
            CAPTURE(entry, origin);
            CHECK_FALSE(allows(listed({entry}), origin));
        }
}

TEST_CASE("an entry of the list is checked when it is set", "[protocol]") {
    for (const auto* entry :
         {"null", "https://example.com", "http://example.com:8080", "https://*.example.com", "https://*.a.b:444",
          "HTTP://LOCALHOST", "http://[::1]", "http://[::1]:8080", "http://192.0.2.1", "chrome-extension://abc"}) {
        CAPTURE(entry);
        CHECK(isOriginPattern(entry));
    }
    for (const auto* entry :
         {"", "*", "NULL", "example.com", "//example.com", "https://", "https://*", "https://*.", "https://*.*.com",
          "https://ex*.com", "https://a.*.com", "https://*example.com", "://example.com", "https://example.com/",
          "https://example.com/path", "https://user@example.com", "https://example.com:99999", "https://example.com:x",
          "https://example.com:*", "https://example.com, https://example.org", "https://a b", " https://example.com",
          "https://:443", "https://a?b", "https://a#b", "https://a\\b", "*://example.com"}) {
        CAPTURE(entry);
        CHECK_FALSE(isOriginPattern(entry));
    }
}
