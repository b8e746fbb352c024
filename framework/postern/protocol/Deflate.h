#pragma once
// Compression with zlib; the only file pair that knows it.

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace postern {

/// Makes one gzip stream (RFC 1952) out of pieces. About 260 KiB while it lives.
class GzipEncoder {
public:
    enum class Flush {
        none,    ///< may keep bytes back for a better ratio
        sync,    ///< everything written so far can be decompressed from what came out
        finish   ///< the end of the stream
    };

    /// `level` 1 (fast) … 9 (small).
    explicit GzipEncoder(int level = 6);
    ~GzipEncoder();
    GzipEncoder(GzipEncoder&&) noexcept;
    GzipEncoder& operator=(GzipEncoder&&) noexcept;

    /// Appends to `out` what is ready.
    void encode(std::string_view data, Flush flush, std::string& out);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Makes raw deflate blocks (RFC 1951). Not for windows of 8 bits, which zlib cannot make: with 9 no distance is over
/// 250 bytes, so what it makes fits them.
class Deflater {
public:
    /// `windowBits` 8…15, `level` and `memoryLevel` 1…9.
    Deflater(int windowBits, int level, int memoryLevel);
    ~Deflater();
    Deflater(const Deflater&) = delete;
    Deflater& operator=(const Deflater&) = delete;

    /// Appends to `out`; with `sync` everything so far can be decompressed, and it ends with 00 00 FF FF.
    void deflate(std::string_view data, bool sync, std::string& out);
    /// Forgets what came before.
    void reset();

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// Reads raw deflate blocks, also behind a block that says it is the last one.
class Inflater {
public:
    /// `windowBits` 8…15: distances beyond that window are errors.
    explicit Inflater(int windowBits);
    ~Inflater();
    Inflater(const Inflater&) = delete;
    Inflater& operator=(const Inflater&) = delete;

    struct Progress {
        size_t consumed = 0;      ///< bytes of the input that are used up
        bool outputFull = false;  ///< there may be more to come without further input
        bool corrupt = false;
    };
    /// Appends at most `limit` bytes to `out`.
    Progress inflate(std::string_view data, size_t limit, std::string& out);
    /// Between two blocks, on a whole byte?
    bool atBlockEnd() const;
    /// Behind a block that said it was the last one?
    bool atStreamEnd() const;
    /// Forgets what came before.
    void reset();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}
