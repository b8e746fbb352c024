#include "postern/client/RetryAfter.h"

#include "postern/base/Text.h"
#include "postern/protocol/HttpDate.h"

#include <algorithm>
#include <cstdint>

namespace postern {

namespace {

using std::chrono::seconds;
using std::chrono::sys_seconds;

// "Sun, 06 Nov 1994 08:49:37 GMT": the numbers stand at fixed places; whatever else is wrong shows when it is written again.
std::optional<sys_seconds> readDate(std::string_view text) {
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (text.size() != httpDateSize) return {};
    const auto number = [&](size_t at, size_t digits) { return parseDecimal<uint16_t>(text.substr(at, digits)).value_or(9999); };
    const auto month = months.find(text.substr(8, 3));
    const std::chrono::year_month_day day(std::chrono::year(number(12, 4)),
                                          std::chrono::month(static_cast<unsigned>(month / 3 + 1)), std::chrono::day(number(5, 2)));
    if (month == std::string_view::npos || !day.ok() || day.year() < std::chrono::year(1970)) return {};
    const sys_seconds time = std::chrono::sys_days(day) + std::chrono::hours(number(17, 2)) +
                             std::chrono::minutes(number(20, 2)) + seconds(number(23, 2));
    if (number(17, 2) > 23) return {};
    const auto written = writeHttpDate(time);
    if (std::string_view(written.data(), written.size()) != text) return {};
    return time;
}

}

std::optional<seconds> readRetryAfter(std::string_view field, sys_seconds now) {
    field = trim(field);
    if (const auto wait = parseDecimal<uint32_t>(field)) return seconds(*wait);
    const auto date = readDate(field);
    if (!date) return {};
    return std::max(*date - now, seconds(0));
}

}
