#include "postern/protocol/Cookie.h"

#include <stdexcept>

namespace postern {

namespace {

// RFC 6265 §4.1.1 cookie-octet.
bool isCookieOctet(char c) { return c > ' ' && c < 0x7f && c != '"' && c != ',' && c != ';' && c != '\\'; }

// An attribute may hold anything but what ends it.
bool isAttributeChar(char c) { return c >= ' ' && c < 0x7f && c != ';'; }

void require(bool ok, const char* what) {
    if (!ok) throw std::invalid_argument(what);
}

void writeSameSite(std::string& out, SameSite sameSite) {
    switch (sameSite) {
    case SameSite::unset: return;
    case SameSite::lax: out += "; SameSite=Lax"; return;
    case SameSite::strict: out += "; SameSite=Strict"; return;
    case SameSite::none: out += "; SameSite=None"; return;
    }
}

}

void parseCookies(std::string_view field, NameValues& cookies) {
    while (!field.empty()) {
        auto value = takeUntil(field, ';');
        if (value.find('=') == std::string_view::npos) continue;
        const auto name = trim(takeUntil(value, '='));
        if (name.empty()) continue;
        value = trim(value);
        if (value.size() >= 2 && value.starts_with('"') && value.ends_with('"')) value = value.substr(1, value.size() - 2);
        cookies.add(std::string(name), std::string(value));
    }
}

std::string writeCookie(std::string_view name, std::string_view value, const CookieOptions& options) {
    require(isToken(name), "cookie name is no token");
    require(std::all_of(value.begin(), value.end(), isCookieOctet), "character not allowed in a cookie value: encode it");
    require(std::all_of(options.path.begin(), options.path.end(), isAttributeChar), "character not allowed in a cookie path");
    require(std::all_of(options.domain.begin(), options.domain.end(), isAttributeChar),
            "character not allowed in a cookie domain");
    require(options.sameSite != SameSite::none || options.secure, "SameSite=None needs a secure cookie");
    require(!name.starts_with("__Host-") || (options.secure && options.path == "/" && options.domain.empty()),
            "a __Host- cookie is secure, has the path / and no domain");
    require(!name.starts_with("__Secure-") || options.secure, "a __Secure- cookie is secure");

    std::string out;
    out.append(name).append(1, '=').append(value);
    if (!options.path.empty()) out.append("; Path=").append(options.path);
    if (!options.domain.empty()) out.append("; Domain=").append(options.domain);
    if (options.maxAge) out.append("; Max-Age=").append(std::to_string(std::max<int64_t>(0, options.maxAge->count())));
    if (options.httpOnly) out += "; HttpOnly";
    if (options.secure) out += "; Secure";
    writeSameSite(out, options.sameSite);
    return out;
}

}
