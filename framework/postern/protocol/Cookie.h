#pragma once
// Cookies, as servers write them and browsers send them back (RFC 6265).

#include "postern/base/Fields.h"

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace postern {

enum class SameSite { unset, lax, strict, none };

/// Attributes of a Set-Cookie (RFC 6265 §4.1.2). The defaults are the safe ones.
struct CookieOptions {
    std::string path = "/";                        ///< empty: the browser derives it from the request
    std::string domain;                            ///< empty: this host only
    std::optional<std::chrono::seconds> maxAge;    ///< none: until the browser ends; zero or less deletes
    bool httpOnly = true;                          ///< out of reach for scripts
    bool secure = false;                           ///< https only; SameSite::none needs it
    SameSite sameSite = SameSite::lax;
};

/// Adds the pairs of a Cookie field to `cookies`. Parts without '=' or with an empty name are skipped; quotes around a
/// value are dropped. Values are given as sent: nothing is percent-decoded.
void parseCookies(std::string_view field, NameValues& cookies);

/// The value of a Set-Cookie field. Throws std::invalid_argument when the name is no token, the value or an attribute
/// holds a character that would end it, or the options contradict each other.
std::string writeCookie(std::string_view name, std::string_view value, const CookieOptions& options);

}
