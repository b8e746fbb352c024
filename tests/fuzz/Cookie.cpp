// The input is a Cookie field; its lines are also tried as name, value, path and domain of a cookie to be set.
#include "postern/protocol/Cookie.h"

#include "support/Require.h"

#include <stdexcept>
#include <vector>

using namespace postern;

namespace {

using Pairs = std::vector<NameValues::Pair>;

Pairs pairsOf(std::string_view field) {
    NameValues cookies;
    parseCookies(field, cookies);
    return {cookies.begin(), cookies.end()};
}

void checkRead(std::string_view field) {
    const auto pairs = pairsOf(field);
    Pairs joined;
    for (auto rest = field; !rest.empty();)
        for (auto& pair : pairsOf(takeUntil(rest, ';'))) joined.push_back(std::move(pair));
    require(joined == pairs, "cookies do not depend on each other");
    for (const auto& [name, value] : pairs) {
        require(!name.empty() && name.find_first_of("=;") == name.npos, "a name ends at its sign");
        require(value.find(';') == value.npos, "a value ends at its semicolon");
        require(trim(name) == name, "a name has no space around it");
    }
}

void checkWritten(std::string_view name, std::string_view value, const CookieOptions& options) {
    std::string field;
    try {
        field = writeCookie(name, value, options);
    } catch (const std::invalid_argument&) {
        return;
    }
    for (const char c : field) require(c >= ' ' && c < 0x7f, "a cookie is one line of ASCII");
    const auto attributes = std::count(field.begin(), field.end(), ';');
    const auto expected = !options.path.empty() + !options.domain.empty() + options.maxAge.has_value() +
                          options.httpOnly + options.secure + (options.sameSite != SameSite::unset);
    require(attributes == expected, "no attribute but those asked for");
    require(options.sameSite != SameSite::none || options.secure, "SameSite=None is secure");
    require(pairsOf(field.substr(0, field.find(';'))) == Pairs{{std::string(name), std::string(value)}},
            "a cookie comes back");
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    checkRead(text);

    auto rest = text;
    const auto name = takeUntil(rest, '\n'), value = takeUntil(rest, '\n');
    CookieOptions options;
    options.path = takeUntil(rest, '\n');
    options.domain = takeUntil(rest, '\n');
    options.httpOnly = size % 2;
    options.secure = size / 2 % 2;
    options.sameSite = static_cast<SameSite>(size / 4 % 4);
    if (size / 16 % 2) options.maxAge = std::chrono::seconds(static_cast<int>(size) - 20);
    checkWritten(name, value, options);
    return 0;
}
