#pragma once
// Compression with zlib; the only file pair that knows it.

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

}
