// A short run with each of the other implementations; "make conformance" has the long one.

#include "support/Catch.h"
#include "support/Process.h"

using namespace postern;

namespace {

void checkConversations(const char* peer, const char* ours) {
    const auto result = runToEnd({requiredVariable("POSTERN_PYTHON"), requiredVariable("POSTERN_SOURCE") + "/tests/interop/run",
                                  "--conversations", "240", "--peer", peer, "--direction", ours});
    CAPTURE(result.output, result.errors);
    CHECK(result.code == 0);
}

}

TEST_CASE("npm ws and our server understand each other, compressed or not", "[interop]") { checkConversations("ws", "server"); }
TEST_CASE("npm ws and our client understand each other, compressed or not", "[interop]") { checkConversations("ws", "client"); }
TEST_CASE("python websockets and our server understand each other, compressed or not", "[interop]") {
    checkConversations("websockets", "server");
}
TEST_CASE("python websockets and our client understand each other, compressed or not", "[interop]") {
    checkConversations("websockets", "client");
}
TEST_CASE("libwebsockets and our server understand each other, compressed or not", "[interop]") {
    checkConversations("libwebsockets", "server");
}
TEST_CASE("libwebsockets and our client understand each other, compressed or not", "[interop]") {
    checkConversations("libwebsockets", "client");
}
TEST_CASE("websocketpp and our server understand each other, compressed or not", "[interop]") {
    checkConversations("websocketpp", "server");
}
TEST_CASE("websocketpp and our client understand each other, compressed or not", "[interop]") {
    checkConversations("websocketpp", "client");
}
TEST_CASE("Boost.Beast and our server understand each other, compressed or not", "[interop]") { checkConversations("beast", "server"); }
TEST_CASE("Boost.Beast and our client understand each other, compressed or not", "[interop]") { checkConversations("beast", "client"); }
TEST_CASE("Chromium and our server understand each other, compressed or not", "[interop]") { checkConversations("chromium", "server"); }
