#pragma once

#include <chrono>
#include <optional>
#include <string_view>

namespace postern {

/// How long a Retry-After field (RFC 9110 §10.2.3) asks to wait, counted from `now`: seconds, or a date in the form that
/// servers write. A date that is over is no time at all; what is neither has no value.
std::optional<std::chrono::seconds> readRetryAfter(std::string_view field, std::chrono::sys_seconds now);

}
