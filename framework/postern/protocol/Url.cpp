#include "postern/protocol/Url.h"

#include "postern/base/FindByte.h"
#include "postern/base/Text.h"
#include "postern/base/Utf8.h"

namespace postern {

namespace {

// The byte that the escape at the front of `text` stands for, or -1.
int escapedByte(std::string_view text) {
    if (text.size() < 3 || hexValue(text[1]) < 0 || hexValue(text[2]) < 0) return -1;
    return hexValue(text[1]) * 16 + hexValue(text[2]);
}

// True for nearly every path: nothing to decode, to resolve or to check.
bool isPlain(std::string_view path) {
    constexpr auto isUnusual = [](auto byte) { return (byte == '%') | (byte == '.') | (byte == 0) | (byte >= 0x80); };
    for (size_t at = findByte(path, 0, isUnusual); at < path.size(); at = findByte(path, at + 1, isUnusual))
        if (path[at] != '.' || at == 0 || path[at - 1] == '/') return false;
    return true;
}

// Works in place: what is written never overtakes what is read.
void resolveDotSegments(std::string& path) {
    const bool rooted = path.starts_with('/');
    std::string out;
    std::string_view rest = path;
    if (rooted) rest.remove_prefix(1);
    for (bool last = false; !last;) {
        const auto slash = rest.find('/');
        last = slash == std::string_view::npos;
        const auto segment = rest.substr(0, slash);
        if (!last) rest.remove_prefix(slash + 1);
        if (segment == ".." && !out.empty()) out.erase(out.rfind('/'));
        const bool dots = segment == "." || segment == "..";
        if (!dots) out.append(1, '/').append(segment);
        else if (last) out += '/';
    }
    if (!rooted && out.starts_with('/')) out.erase(0, 1);
    path = std::move(out);
}

std::optional<std::string_view> decodeUnusual(std::string_view path, std::string& storage) {
    if (path.find('\0') != std::string_view::npos) return {};
    const bool plain = path.find('%') == path.npos && path.find("/.") == path.npos && !path.starts_with('.');
    if (plain) return isValidUtf8(path) ? std::optional(path) : std::nullopt;
    storage.clear();
    for (size_t at = 0; at < path.size(); ++at) {
        if (path[at] != '%') {
            storage += path[at];
            continue;
        }
        const int byte = escapedByte(path.substr(at));
        if (byte <= 0) return {};
        storage += static_cast<char>(byte);
        at += 2;
    }
    if (!isValidUtf8(storage)) return {};
    resolveDotSegments(storage);
    return storage;
}

}

std::optional<std::string_view> decodePath(std::string_view path, std::string& storage) {
    return isPlain(path) ? path : decodeUnusual(path, storage);
}

std::string percentDecode(std::string_view text, bool plusIsSpace) {
    std::string out;
    out.reserve(text.size());
    for (size_t at = 0; at < text.size(); ++at) {
        const int byte = text[at] == '%' ? escapedByte(text.substr(at)) : -1;
        if (byte >= 0) {
            out += static_cast<char>(byte);
            at += 2;
        } else {
            out += plusIsSpace && text[at] == '+' ? ' ' : text[at];
        }
    }
    return out;
}

std::string percentEncode(std::string_view text) {
    constexpr std::string_view digits = "0123456789ABCDEF";
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (isAlpha(c) || isDigit(c) || c == '-' || c == '.' || c == '_' || c == '~') out += c;
        else out.append(1, '%').append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
    }
    return out;
}

}
