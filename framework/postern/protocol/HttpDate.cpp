#include "postern/protocol/HttpDate.h"

#include <algorithm>

namespace postern {

std::array<char, httpDateSize> writeHttpDate(std::chrono::sys_seconds time) {
    using namespace std::chrono;
    constexpr std::string_view days = "SunMonTueWedThuFriSat";
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    const auto day = floor<std::chrono::days>(time);
    const year_month_day date(day);
    const hh_mm_ss clock(time - day);

    std::array<char, httpDateSize> out{};
    auto at = out.begin();
    const auto text = [&](std::string_view part) { at = std::copy(part.begin(), part.end(), at); };
    const auto number = [&](int64_t value, int digits) {
        for (int i = digits; i-- > 0; value /= 10) at[i] = static_cast<char>('0' + value % 10);
        at += digits;
    };
    text(days.substr(weekday(day).c_encoding() * 3, 3));
    text(", ");
    number(static_cast<unsigned>(date.day()), 2);
    text(" ");
    text(months.substr((static_cast<unsigned>(date.month()) - 1) * 3, 3));
    text(" ");
    number(static_cast<int>(date.year()), 4);
    text(" ");
    number(clock.hours().count(), 2);
    text(":");
    number(clock.minutes().count(), 2);
    text(":");
    number(clock.seconds().count(), 2);
    text(" GMT");
    return out;
}

}
