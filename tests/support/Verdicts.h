#pragma once
// What the HTTP codecs make of bytes, as one line of text: easy to write into a table, easy to compare.

#include "postern/protocol/Chunked.h"
#include "postern/protocol/HttpHead.h"
#include "support/Fragments.h"
#include "support/GuardedBytes.h"

#include <string>
#include <string_view>

namespace postern {

inline std::string describe(BodyFraming framing, uint64_t length) {
    switch (framing) {
    case BodyFraming::none: return "none";
    case BodyFraming::length: return std::to_string(length);
    case BodyFraming::chunked: return "chunked";
    case BodyFraming::untilEnd: return "untilEnd";
    }
    return "?";
}

inline std::string describe(const FieldViews& fields) {
    std::string text;
    for (const auto& [name, value] : fields) text.append("; ").append(name).append(": ").append(value);
    return text;
}

/// "POST /a%20b?c HTTP/1.1; path /a%20b; query c; info /a b; host h; body 5; keep-alive; Host: h; Content-Length: 5"
inline std::string describe(const RequestHead& head) {
    std::string text;
    text.append(head.method).append(" ").append(head.target);
    text.append(" HTTP/1.").append(std::to_string(head.minorVersion));
    text.append("; path ").append(head.path);
    if (!head.query.empty()) text.append("; query ").append(head.query);
    text.append("; info ").append(head.pathInfo);
    if (!head.scriptName.empty()) text.append("; script ").append(head.scriptName);
    text.append("; host ").append(head.host);
    text.append("; body ").append(describe(head.framing, head.contentLength));
    text.append(head.keepAlive ? "; keep-alive" : "; close");
    if (head.expectContinue) text.append("; continue");
    return text.append(describe(head.fields));
}

/// Like a connection: looks for the end of the head each time a piece has come, then parses it. Every view that a codec
/// gets ends at an inaccessible page. "more", the status of a refusal, or the description of the head.
inline std::string verdictOnHead(const Fragments& pieces, const HeadLimits& limits = {}) {
    static GuardedBytes guarded(size_t{1} << 16);
    HeadScanner scanner;
    std::string bytes;
    for (const auto piece : pieces) {
        bytes += piece;
        const auto found = scanner.scan(guarded.put(bytes), limits);
        if (const auto* violation = std::get_if<Violation>(&found)) return std::to_string(violation->status);
        const auto* size = std::get_if<size_t>(&found);
        if (!size) continue;
        RequestHead head;
        const auto violation = parseRequestHead(guarded.put(std::string_view(bytes).substr(0, *size)), limits, head);
        return violation ? std::to_string(violation->status) : describe(head);
    }
    return "more";
}

/// "more after DATA", "400 after DATA", or "DATA" and how many bytes were left for the next message.
inline std::string verdictOnChunked(const Fragments& pieces, size_t maxOverhead = 16 * 1024) {
    static GuardedBytes guarded(size_t{1} << 17);
    ChunkedDecoder decoder(maxOverhead);
    std::string data;
    size_t left = 0;
    bool done = false;
    for (const auto piece : pieces) {
        auto input = guarded.put(piece);
        while (!done && !input.empty()) {
            const auto outcome = decoder.next(input);
            if (const auto* violation = std::get_if<Violation>(&outcome))
                return std::to_string(violation->status) + " after " + data;
            const auto* got = std::get_if<ChunkedDecoder::Piece>(&outcome);
            if (!got) break;
            data += got->data;
            done = got->done;
            input.remove_prefix(got->consumed);
        }
        if (done) left += input.size();
    }
    return done ? data + " and " + std::to_string(left) : "more after " + data;
}

/// Empty when `read(fragments)` gives `expected` however `bytes` is cut, else what it gave and the size of the first
/// piece.
template <typename Read> std::string deviation(std::string_view bytes, std::string_view expected, Read read) {
    std::string found;
    forEachFragmentation(bytes, [&](const Fragments& pieces) {
        if (!found.empty()) return;
        if (const std::string got = read(pieces); got != expected)
            found = "in " + std::to_string(pieces.size()) + " pieces, the first of " +
                    std::to_string(pieces[0].size()) + " bytes: " + got;
    });
    return found;
}

}
