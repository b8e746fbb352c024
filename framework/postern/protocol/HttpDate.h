#pragma once
// Dates as HTTP writes them: "Sun, 06 Nov 1994 08:49:37 GMT" (RFC 9110 §5.6.7).

#include <array>
#include <chrono>
#include <string_view>

namespace postern {

inline constexpr size_t httpDateSize = 29;

/// Seconds since 1970 (years 1970…9999) as an IMF-fixdate; exactly 29 characters, no NUL.
std::array<char, httpDateSize> writeHttpDate(std::chrono::sys_seconds time);

}
