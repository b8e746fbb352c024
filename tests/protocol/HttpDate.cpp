#include "postern/protocol/HttpDate.h"

#include "support/Catch.h"

#include <ctime>
#include <random>
#include <string>

using namespace postern;
using namespace std::chrono;

namespace {

std::string written(int64_t time) {
    const auto date = writeHttpDate(sys_seconds(seconds(time)));
    return {date.begin(), date.end()};
}

}

TEST_CASE("a date is written as HTTP wants it", "[protocol]") {
    CHECK(written(784111777) == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(written(0) == "Thu, 01 Jan 1970 00:00:00 GMT");
    CHECK(written(951782400) == "Tue, 29 Feb 2000 00:00:00 GMT");
    CHECK(written(1709251199) == "Thu, 29 Feb 2024 23:59:59 GMT");
    CHECK(written(1709251200) == "Fri, 01 Mar 2024 00:00:00 GMT");
    CHECK(written(2147483648) == "Tue, 19 Jan 2038 03:14:08 GMT");
    CHECK(written(4107542399) == "Sun, 28 Feb 2100 23:59:59 GMT");
    CHECK(written(4107542400) == "Mon, 01 Mar 2100 00:00:00 GMT");
    CHECK(written(253402300799) == "Fri, 31 Dec 9999 23:59:59 GMT");
}

TEST_CASE("every date agrees with the C library's", "[protocol]") {
    std::mt19937_64 random(8);
    for (int round = 0; round < 20000; ++round) {
        const auto time = static_cast<std::time_t>(random() % 253402300800);
        std::tm parts{};
        REQUIRE(::gmtime_r(&time, &parts));
        char expected[64];
        REQUIRE(std::strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &parts) == httpDateSize);
        CHECK(written(time) == expected);
    }
}
