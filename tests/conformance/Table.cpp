// What the tables promise about themselves.

#include "conformance/Handshake.h"
#include "conformance/Notation.h"
#include "support/Catch.h"

#include <set>

using namespace postern::conformance;

namespace {

std::string lineOf(const Setup& setup) {
    return setup.settings + "/" + std::to_string(static_cast<int>(setup.compression)) + "/" +
           std::to_string(setup.ownTakeover) + "/" + std::to_string(setup.peerTakeover) + "/" +
           std::to_string(setup.ownBits) + "/" + std::to_string(setup.peerBits);
}

// How many there are, none of them twice under another name.
std::string count(const Rows& rows) {
    std::set<std::string> all;
    for (const auto& row : rows) {
        INFO("twice: " << row.promise << ": " << row.says);
        CHECK(all.insert(lineOf(row.setup) + " " + row.says).second);
    }
    return std::to_string(all.size());
}

std::string count(const Handshakes& rows) {
    std::set<std::string> all;
    for (const auto& row : rows) {
        auto text = lineOf(row.setup);
        for (const auto& change : row.changes) text += "\n" + change;
        INFO("twice: " << row.promise);
        CHECK(all.insert(text).second);
    }
    return std::to_string(all.size());
}

} // namespace

TEST_CASE("the table has more than 600 rows for each end, and no row twice", "[conformance]") {
    CHECK("server: " + count(conversationRows(Role::server)) + " conversations, " + count(requests()) + " requests, " +
              count(offers()) + " offers" ==
          "server: 951 conversations, 139 requests, 130 offers");
    CHECK("client: " + count(conversationRows(Role::client)) + " conversations, " + count(answers()) + " answers" ==
          "client: 936 conversations, 146 answers");
}

TEST_CASE("the notation means the bytes that RFC 6455 shows", "[conformance]") {
    CHECK(say("text Hello", Role::server).bytes == say("hex 81 85 37 fa 21 3d 7f 9f 4d 51 58", Role::client).bytes);
    CHECK(say("text Hello", Role::client).bytes == "\x81\x05Hello");
    CHECK(say("+text Hel; cont lo", Role::client).bytes == "\x01\x03Hel\x80\x02lo");
    CHECK(say("wrongmask text Hello", Role::server).bytes == "\x81\x05Hello");
    CHECK(say("close 1000 b%79e", Role::client).bytes == "\x88\x05\x03\xe8"
                                                         "bye");
    CHECK(say("rsv1 rsv3 +op3 a", Role::client).bytes == "\x53\x01"
                                                         "a");
    CHECK(say("len16 len=5 ping", Role::client).bytes == std::string("\x89\x7e\0\x05", 4));
    CHECK(say("len64 len=65536 binary", Role::client).bytes == std::string("\x82\x7f\0\0\0\0\0\x01\0\0", 10));
    CHECK(say("binary {ab*3}c", Role::client).bytes == "\x82\x07"
                                                       "abababc");
    CHECK(say("binary {a*126}", Role::client).bytes.substr(0, 4) == std::string("\x82\x7e\0\x7e", 4));
    CHECK(say("text ab%ff|cd", Role::client).mark == 5);
    CHECK(!say("text ab", Role::client).mark);
    CHECK_THROWS_AS(say("txet a", Role::client), std::invalid_argument);
    CHECK_THROWS_AS(say("text %f", Role::client), std::invalid_argument);
    CHECK_THROWS_AS(say("len=a text", Role::client), std::invalid_argument);
}

TEST_CASE("what was heard is compared event by event", "[conformance]") {
    const auto heard = [](const char* events, const char* expected) {
        return fulfils(expect(events).events, expect(expected));
    };
    CHECK(heard("text a; pong b", "text a; pong b"));
    CHECK(!heard("text a", "text a; pong b"));
    CHECK(!heard("text a; pong b; text c", "text a; pong b"));
    CHECK(!heard("binary a", "text a"));
    CHECK(heard("pong b", "(pong a); pong b"));
    CHECK(heard("pong a; pong b", "(pong a); pong b"));
    CHECK(!heard("pong a", "(pong a); pong b"));
    CHECK(heard("pong a", "(pong a); pong a"));
    CHECK(heard("close 1002 because", "close 1002"));
    CHECK(!heard("close 1002", "close 1002 because"));
    CHECK(!heard("close", "close 1000"));
    CHECK(!heard("close 1000", "close"));
    CHECK(!expect("text a; close 1000").staysOpen);
    CHECK(expect("close 1000; open").staysOpen);
    CHECK(expect("text a").staysOpen);
}
