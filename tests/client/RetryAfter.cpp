#include "postern/client/RetryAfter.h"

#include "support/Catch.h"

using namespace postern;
using namespace std::chrono_literals;

namespace {

// Sun, 06 Nov 1994 08:49:37 GMT
constexpr std::chrono::sys_seconds now{784111777s};

std::optional<std::chrono::seconds> read(std::string_view field) { return readRetryAfter(field, now); }

}

TEST_CASE("Retry-After is read as seconds or as a date", "[client]") {
    CHECK(read("0") == 0s);
    CHECK(read("120") == 120s);
    CHECK(read(" 7\t") == 7s);
    CHECK(read("Sun, 06 Nov 1994 08:49:40 GMT") == 3s);
    CHECK(read("Mon, 07 Nov 1994 00:00:00 GMT") == 54623s);
    CHECK(read("Sat, 31 Dec 1994 23:59:59 GMT") == 24h * 55 + 15h + 10min + 22s);
}

TEST_CASE("a Retry-After that is over asks for no time", "[client]") {
    CHECK(read("Sun, 06 Nov 1994 08:49:37 GMT") == 0s);
    CHECK(read("Thu, 01 Jan 1970 00:00:00 GMT") == 0s);
}

TEST_CASE("what is no Retry-After has no value", "[client]") {
    for (const char* field :
         {"", "-1", "+1", "1.5", "1s", "soon", "99999999999999999999", "Sun, 06 Nov 1994 08:49:37", "Sun, 06 Nov 1994 08:49:37 UTC",
          "Mon, 06 Nov 1994 08:49:37 GMT", "Sun, 06 nov 1994 08:49:37 GMT", "Sun, 06 ovD 1994 08:49:37 GMT",
          "Wed, 31 Feb 1995 00:00:00 GMT", "Sun, 06 Nov 1994 24:49:37 GMT", "Sun, 06 Nov 1994 08:60:37 GMT",
          "Sun, 06 Nov 1994 08:49:61 GMT", "Sun, xx Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1960 08:49:37 GMT",
          "Sunday, 06-Nov-94 08:49:37 GMT"}) {
        CAPTURE(field);
        CHECK_FALSE(read(field));
    }
}
