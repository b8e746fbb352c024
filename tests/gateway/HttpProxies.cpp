// Who the client is, when proxies stand in front of the built-in server.

#include "support/Catch.h"
#include "support/TestServer.h"

using namespace postern;

namespace {

void who(Cgi& cgi) {
    const auto variables = cgi.environment();
    cgi.write(std::string(cgi.remoteAddress()) + ' ' + (cgi.https() ? "https " : "http ") + std::string(cgi.host()) +
                  ' ' + std::string(variables["REMOTE_ADDR"]) + ' ' + std::string(variables["HTTPS"]),
              true);
}

HttpSettings trusting(std::initializer_list<std::string_view> ranges) {
    HttpSettings settings;
    for (const auto range : ranges) settings.trustedProxies.push_back(*AddressRange::parse(range));
    return settings;
}

std::string seen(MemoryServer& server, const std::string& fields) {
    return RawReply::takeAll(server.answer({rawRequest("GET", "/", fields)})).at(0).body;
}

} // namespace

TEST_CASE("nobody is believed who is not named as a proxy", "[gateway]") {
    for (const auto& settings : {HttpSettings(), trusting({"10.0.0.0/8", "unix"})}) {
        MemoryServer server(who, settings);
        CHECK(seen(server, "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n") ==
              "127.0.0.1 http test 127.0.0.1 ");
        CHECK(seen(server, "Forwarded: for=192.0.2.1;proto=https;host=evil\r\n") == "127.0.0.1 http test 127.0.0.1 ");
    }
}

TEST_CASE("a named proxy says who the client is, read from right to left", "[gateway]") {
    MemoryServer server(who, trusting({"127.0.0.1", "10.0.0.0/8"}));
    CHECK(seen(server, "") == "127.0.0.1 http test 127.0.0.1 ");
    CHECK(seen(server, "X-Forwarded-For: 192.0.2.1\r\n") == "192.0.2.1 http test 192.0.2.1 ");
    CHECK(seen(server, "X-Forwarded-For: 6.6.6.6, 192.0.2.1\r\n") == "192.0.2.1 http test 192.0.2.1 ");
    CHECK(seen(server, "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.1.2.3\r\n") == "192.0.2.1 http test 192.0.2.1 ");
    CHECK(seen(server, "X-Forwarded-For: 6.6.6.6\r\nX-Forwarded-For: 192.0.2.1\r\n") ==
          "192.0.2.1 http test 192.0.2.1 ");
    CHECK(seen(server, "X-Forwarded-Proto: https\r\nX-Forwarded-Host: example.org\r\n") ==
          "127.0.0.1 https example.org 127.0.0.1 on");
    CHECK(seen(server, "Forwarded: for=6.6.6.6;host=evil, for=192.0.2.1;proto=https;host=example.org\r\n") ==
          "192.0.2.1 https example.org 192.0.2.1 on");
    CHECK(seen(server, "Forwarded: for=\"[2001:db8::7]:4711\"\r\n") == "2001:db8::7 http test 2001:db8::7 ");
    CHECK(seen(server, "X-Forwarded-For: unknown\r\n") == "127.0.0.1 http test 127.0.0.1 ");
}

TEST_CASE("a host that a proxy passes on is checked as the Host field is", "[gateway]") {
    MemoryServer server(who, trusting({"127.0.0.1"}));
    for (const std::string bad : {"a b", "a/b", "me@a", "a:x", "[::1"}) {
        CAPTURE(bad);
        const auto replies =
            RawReply::takeAll(server.answer({rawRequest("GET", "/", "X-Forwarded-Host: " + bad + "\r\n")}));
        REQUIRE(replies.size() == 1);
        CHECK(replies[0].status == 400);
        CHECK(replies[0].saysClose());
    }
}

TEST_CASE("what one request says of its client is forgotten for the next on the same connection", "[gateway]") {
    MemoryServer server(who, trusting({"127.0.0.1"}));
    const auto replies = RawReply::takeAll(
        server.answer({rawRequest("GET", "/", "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: https\r\n") +
                       rawRequest("GET", "/")}));
    REQUIRE(replies.size() == 2);
    CHECK(replies[0].body == "192.0.2.1 https test 192.0.2.1 on");
    CHECK(replies[1].body == "127.0.0.1 http test 127.0.0.1 ");
}

TEST_CASE("a Proxy field never becomes HTTP_PROXY, and an underscore never passes for a hyphen", "[gateway]") {
    MemoryServer server([](Cgi& cgi) {
        std::string names;
        for (const auto& [name, value] : cgi.environment())
            if (name.starts_with("HTTP_")) names += name + '=' + value + ' ';
        cgi.write(names + std::string(cgi.environment()["CONTENT_LENGTH"]), true);
    });
    const auto request = rawRequest(
        "POST", "/",
        "Proxy: evil\r\nproxy: evil\r\nX_Real: evil\r\nX-Real: me\r\nContent_Length: 9\r\nContent-Length: 2\r\n", "ab");
    CHECK(RawReply::takeAll(server.answer({request})).at(0).body == "HTTP_HOST=test HTTP_X_REAL=me 2");
}
