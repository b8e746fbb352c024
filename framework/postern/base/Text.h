#pragma once
// Small questions about ASCII text. Nothing here looks at the locale (a Turkish one must not change a header).

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern {

constexpr char toLower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; }
constexpr char toUpper(char c) { return c >= 'a' && c <= 'z' ? static_cast<char>(c - 32) : c; }
constexpr bool isDigit(char c) { return c >= '0' && c <= '9'; }
constexpr bool isAlpha(char c) { return toLower(c) >= 'a' && toLower(c) <= 'z'; }

/// 0…15, or -1 for anything that is no hexadecimal digit.
constexpr int hexValue(char c) {
    if (isDigit(c)) return c - '0';
    const char lower = toLower(c);
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
}

constexpr bool equalsIgnoringCase(std::string_view a, std::string_view b) {
    return a.size() == b.size() &&
           std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return x == y || toLower(x) == toLower(y); });
}

/// RFC 9110 §5.6.2 tchar.
constexpr bool isTokenChar(char c) {
    return isDigit(c) || isAlpha(c) || (c > ' ' && std::string_view("!#$%&'*+-.^_`|~").find(c) != std::string_view::npos);
}

constexpr bool isToken(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), isTokenChar);
}

/// Without leading and trailing spaces and tabs (RFC 9110 §5.6.3 OWS).
constexpr std::string_view trim(std::string_view text) {
    const auto isSpace = [](char c) { return c == ' ' || c == '\t'; };
    while (!text.empty() && isSpace(text.front())) text.remove_prefix(1);
    while (!text.empty() && isSpace(text.back())) text.remove_suffix(1);
    return text;
}

/// Digits only: no sign, no space, no overflow.
template <typename Integer>
std::optional<Integer> parseDecimal(std::string_view text) {
    if (text.empty() || !isDigit(text.front())) return {};
    Integer value{};
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size()) return {};
    return value;
}

/// Cuts `text` at the first `separator` and returns the part before it; `text` keeps what follows.
constexpr std::string_view takeUntil(std::string_view& text, char separator) {
    const auto at = text.find(separator);
    const auto head = text.substr(0, at);
    text = at == std::string_view::npos ? std::string_view() : text.substr(at + 1);
    return head;
}

/// Calls `visit(element)` for each non-empty element of a comma-separated list (RFC 9110 §5.6.1).
template <typename Visit>
void forEachListElement(std::string_view list, Visit visit) {
    while (!list.empty())
        if (const auto element = trim(takeUntil(list, ',')); !element.empty()) visit(element);
}

/// Is `token` an element of this comma-separated list? Letters compare without case.
inline bool listContains(std::string_view list, std::string_view token) {
    bool found = false;
    forEachListElement(list, [&](std::string_view element) { found = found || equalsIgnoringCase(element, token); });
    return found;
}

/// Text from a peer, made fit for one line of a log: control characters and bytes over 126 become \xNN.
std::string escapedForLog(std::string_view text, size_t limit = 200);

}
