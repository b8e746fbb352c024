#pragma once
// application/x-www-form-urlencoded, as in queries and simple POST bodies (WHATWG URL §5.1).

#include "postern/base/Fields.h"
#include "postern/protocol/Outcome.h"

#include <optional>
#include <string>
#include <string_view>

namespace postern {

/// Adds the pairs of `text` to `values`: '+' is a space, %00 a NUL byte, an escape that is none stays as it is, and
/// what is no UTF-8 after decoding becomes U+FFFD. More than `limit` pairs is a 413.
std::optional<Violation> parseForm(std::string_view text, size_t limit, NameValues& values);

/// The pairs as a query or body; parseForm() reads them back.
std::string writeForm(const NameValues& values);

}
