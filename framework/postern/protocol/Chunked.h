#pragma once
// The chunked transfer coding (RFC 9112 §7.1).

#include "postern/protocol/Outcome.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace postern {

/// Decodes a chunked body that arrives in pieces of any size. Extensions and trailers are checked and dropped; both
/// together may take `maxOverhead` bytes a message (CVE-2023-39326 was a server without such a bound).
class ChunkedDecoder {
public:
    explicit ChunkedDecoder(size_t maxOverhead = 16 * 1024) : overheadLeft_(maxOverhead) {}

    struct Piece {
        std::string_view data;  ///< body bytes within the input; empty at the end of the body
        size_t consumed = 0;    ///< input bytes used up, `data` included
        bool done = false;      ///< the body is complete; what follows belongs to the next message
    };

    /// Takes the next piece of body out of `input`. NeedMore means that all of `input` was consumed.
    Outcome<Piece> next(std::string_view input);

private:
    enum class State {
        size, extensionStart, extensionName, extensionValueStart, extensionToken, extensionQuoted, extensionEscape,
        extensionQuotedEnd, sizeLineFeed, data, dataCarriageReturn, dataLineFeed,
        trailerStart, trailerName, trailerValue, trailerLineFeed, lastLineFeed, done
    };

    const char* step(char c);
    const char* stepSize(char c);
    const char* stepExtension(char c);
    const char* stepTrailer(char c);

    uint64_t left_ = 0;  // of the chunk: first its size is read into it, then it counts down
    size_t overheadLeft_;
    unsigned digits_ = 0;
    State state_ = State::size;
};

/// The line before a chunk of `size` > 0 bytes; CRLF must follow the chunk. Returns how many bytes of `out` it took.
size_t writeChunkHead(size_t size, std::array<char, 20>& out);
inline constexpr std::string_view lastChunk = "0\r\n\r\n";

}
