// The input is a chunked body and perhaps more.
#include "postern/protocol/Chunked.h"

#include "postern/base/Text.h"
#include "support/Require.h"
#include "support/Verdicts.h"

#include <algorithm>
#include <optional>

using namespace postern;

namespace {

// chunk-ext of RFC 9112 §7.1.1 without its white space. Takes one extension off the front.
bool takeExtension(std::string_view& text) {
    const auto takeToken = [&] {
        const auto end = std::find_if_not(text.begin(), text.end(), isTokenChar);
        const auto size = static_cast<size_t>(end - text.begin());
        text.remove_prefix(size);
        return size > 0;
    };
    if (!text.starts_with(';')) return false;
    text.remove_prefix(1);
    if (!takeToken()) return false;
    if (!text.starts_with('=')) return true;
    text.remove_prefix(1);
    if (!text.starts_with('"')) return takeToken();
    for (size_t at = 1; at < text.size(); ++at) {
        if (text[at] == '"') {
            text.remove_prefix(at + 1);
            return true;
        }
        if (text[at] == '\\') ++at;
    }
    return false;
}

// Decodes a complete body, line by line; no value when it is malformed or not complete.
std::optional<std::string> slowVerdict(std::string_view bytes) {
    std::string data;
    const auto takeLine = [&]() -> std::optional<std::string_view> {
        const auto end = bytes.find("\r\n");
        if (end == bytes.npos || !isFieldValue(bytes.substr(0, end))) return {};
        const auto line = bytes.substr(0, end);
        bytes.remove_prefix(end + 2);
        return line;
    };
    for (;;) {
        const auto line = takeLine();
        if (!line) return {};
        auto extensions = *line;
        size_t digits = 0, size = 0;
        for (; digits < line->size() && hexValue((*line)[digits]) >= 0; ++digits)
            size = size * 16 + static_cast<size_t>(hexValue((*line)[digits]));
        if (digits == 0 || digits > 15) return {};
        extensions.remove_prefix(digits);
        while (!extensions.empty())
            if (!takeExtension(extensions)) return {};
        if (size == 0) break;
        if (bytes.size() < 2 || bytes.size() - 2 < size || bytes.substr(size, 2) != "\r\n") return {};
        data += bytes.substr(0, size);
        bytes.remove_prefix(size + 2);
    }
    for (;;) {
        const auto line = takeLine();
        if (!line) return {};
        if (line->empty()) return data + " and " + std::to_string(bytes.size());
        if (const auto colon = line->find(':'); colon == line->npos || !isToken(line->substr(0, colon))) return {};
    }
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size > 1 << 14) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto whole = verdictOnChunked({bytes});
    for (const size_t piece : {size_t{1}, 2 + size % 7, 9 + size % 29})
        require(verdictOnChunked(cutInPieces(bytes, piece)) == whole, "one verdict however it arrives");

    const auto slow = slowVerdict(bytes);
    if (slow)
        require(whole == *slow, "a valid body is decoded as RFC 9112 says");
    else
        require(whole.starts_with("400 after ") || whole.starts_with("more after "), "no other body is accepted");

    const auto tight = verdictOnChunked({bytes}, 20);
    require(tight == whole || tight.starts_with("400 after "), "a bound only refuses");
    require(verdictOnChunked(cutInPieces(bytes, 1), 20) == tight, "a bound does not depend on pieces");

    std::string wire;
    for (std::string_view rest = bytes; !rest.empty();) {
        const auto piece = rest.substr(0, 1 + rest.size() / 2);
        std::array<char, 20> head;
        wire.append(head.data(), writeChunkHead(piece.size(), head)).append(piece).append("\r\n");
        rest.remove_prefix(piece.size());
    }
    wire += lastChunk;
    require(verdictOnChunked({wire}, 0) == std::string(bytes) + " and 0", "what is written is read back");
    return 0;
}
