// The input is a path or any other text.
#include "postern/protocol/Url.h"

#include "postern/base/Text.h"
#include "postern/base/Utf8.h"
#include "support/Require.h"

#include <vector>

using namespace postern;

namespace {

// What becomes of a path that begins with a slash, segment by segment.
std::optional<std::string> slowDecode(std::string_view path) {
    for (size_t at = 0; at < path.size(); ++at)
        if (path[at] == '%' && (path.size() - at < 3 || hexValue(path[at + 1]) < 0 || hexValue(path[at + 2]) < 0))
            return {};
    const auto decoded = percentDecode(path);
    if (!isValidUtf8(decoded) || decoded.find('\0') != decoded.npos) return {};
    std::vector<std::string> segments;
    std::string_view rest = decoded;
    rest.remove_prefix(1);
    bool endsInDots = false;
    for (bool last = false; !last;) {
        last = rest.find('/') == rest.npos;
        const std::string segment(takeUntil(rest, '/'));
        endsInDots = segment == "." || segment == "..";
        if (segment == ".." && !segments.empty()) segments.pop_back();
        if (!endsInDots) segments.push_back(segment);
    }
    if (endsInDots) segments.emplace_back();
    std::string result;
    for (const auto& segment : segments) result.append("/").append(segment);
    return result;
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto encoded = percentEncode(text);
    for (const char c : encoded)
        require(isAlpha(c) || isDigit(c) || std::string_view("-._~%").find(c) != std::string_view::npos,
                "only unreserved characters");
    require(percentDecode(encoded) == text && percentDecode(encoded, true) == text, "what is encoded is decoded");
    require(percentDecode(text).size() <= size, "decoding makes nothing longer");

    std::string storage;
    for (const auto& path : {std::string(text), "/" + std::string(text)}) {
        const auto found = decodePath(path, storage);
        if (path.starts_with('/')) {
            const auto slow = slowDecode(path);
            require(found.has_value() == slow.has_value(), "the right paths are refused");
            require(!found || *found == *slow, "the path is that of RFC 3986");
        }
        if (!found) continue;
        const std::string result(*found);
        const auto padded = "/" + result + "/";
        require(padded.find("/../") == padded.npos && padded.find("/./") == padded.npos, "no dot segments are left");
        require(isValidUtf8(result) && result.find('\0') == result.npos, "a path is text");
        std::string again;
        for (const char c : result) again += c == '/' ? "/" : percentEncode({&c, 1});
        std::string other;
        require(decodePath(again, other) == result, "a decoded path means itself");
    }
    return 0;
}
