#include "postern/testing/CookieJar.h"

#include "postern/base/Text.h"

#include <algorithm>
#include <chrono>

namespace postern {

namespace {

// RFC 6265 §5.1.4.
std::string_view defaultPath(std::string_view requestPath) {
    const auto slash = requestPath.rfind('/');
    return requestPath.starts_with('/') && slash > 0 ? requestPath.substr(0, slash) : "/";
}

bool matches(std::string_view requestPath, std::string_view path) {
    if (!requestPath.starts_with(path)) return false;
    return requestPath.size() == path.size() || path.ends_with('/') || requestPath[path.size()] == '/';
}

// "Sun, 06 Nov 1994 08:49:37 GMT"; no value for another form.
std::optional<std::chrono::sys_seconds> readDate(std::string_view text) {
    constexpr std::string_view months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    if (text.size() != 29 || text.substr(3, 2) != ", ") return {};
    const auto number = [&](size_t at, size_t digits) { return parseDecimal<unsigned>(text.substr(at, digits)); };
    const auto day = number(5, 2), year = number(12, 4), hour = number(17, 2), minute = number(20, 2), second = number(23, 2);
    const auto month = months.find(text.substr(8, 3));
    if (!day || !year || !hour || !minute || !second || month == std::string_view::npos || month % 3 != 0) return {};
    using namespace std::chrono;
    const auto date = std::chrono::year(static_cast<int>(*year)) / (static_cast<int>(month / 3) + 1) / static_cast<int>(*day);
    if (!date.ok()) return {};
    return sys_days(date) + hours(*hour) + minutes(*minute) + seconds(*second);
}

TimePoint after(std::chrono::seconds time, TimePoint now) {
    constexpr std::chrono::seconds longest = std::chrono::hours(24 * 400);  // as browsers do
    return now + std::clamp(time, std::chrono::seconds(0), longest);
}

}

void CookieJar::store(std::string_view setCookie, std::string_view path, TimePoint now) {
    auto pair = takeUntil(setCookie, ';');
    if (pair.find('=') == std::string_view::npos) return;
    Cookie cookie;
    cookie.name = trim(takeUntil(pair, '='));
    cookie.value = trim(pair);
    cookie.path = defaultPath(path);
    if (cookie.name.empty()) return;
    bool hasMaxAge = false;
    while (!setCookie.empty()) {
        auto value = takeUntil(setCookie, ';');
        const auto name = trim(takeUntil(value, '='));
        value = trim(value);
        if (equalsIgnoringCase(name, "Path") && value.starts_with('/')) cookie.path = value;
        if (equalsIgnoringCase(name, "Secure")) cookie.secure = true;
        if (equalsIgnoringCase(name, "Max-Age")) {
            const bool negative = value.starts_with('-');
            const auto seconds = parseDecimal<uint32_t>(negative ? value.substr(1) : value);
            if (!seconds) continue;
            hasMaxAge = true;
            cookie.expires = after(std::chrono::seconds(negative ? 0 : *seconds), now);
        }
        if (const auto date = equalsIgnoringCase(name, "Expires") ? readDate(value) : std::nullopt; date && !hasMaxAge)
            cookie.expires = after(ceil<std::chrono::seconds>(*date - std::chrono::system_clock::now()), now);
    }
    keep(std::move(cookie), now);
}

void CookieJar::set(std::string_view name, std::string_view value) {
    std::erase_if(cookies_, [&](const Cookie& other) { return other.name == name; });
    cookies_.push_back({std::string(name), std::string(value), "/"});
}

void CookieJar::keep(Cookie cookie, TimePoint now) {
    std::erase_if(cookies_, [&](const Cookie& other) { return other.name == cookie.name && other.path == cookie.path; });
    if (cookie.expires <= now) return;
    const auto place = std::find_if(cookies_.begin(), cookies_.end(),
                                    [&](const Cookie& other) { return other.path.size() < cookie.path.size(); });
    cookies_.insert(place, std::move(cookie));
}

std::string CookieJar::field(std::string_view path, bool secure, TimePoint now) const {
    std::string text;
    for (const auto& cookie : cookies_) {
        if (cookie.expires <= now || (cookie.secure && !secure) || !matches(path, cookie.path)) continue;
        text.append(text.empty() ? "" : "; ").append(cookie.name).append("=").append(cookie.value);
    }
    return text;
}

std::optional<std::string> CookieJar::find(std::string_view name, TimePoint now) const {
    const auto found = std::find_if(cookies_.begin(), cookies_.end(),
                                    [&](const Cookie& cookie) { return cookie.name == name && cookie.expires > now; });
    return found == cookies_.end() ? std::nullopt : std::optional(found->value);
}

}
