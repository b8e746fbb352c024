#pragma once
// permessage-deflate of one connection (RFC 7692 §7.2): payloads of messages in, payloads out. Pure.
//
// Where the context is not taken over, a (de)compressor is borrowed from the pool for one message, so a connection at
// rest owns none.

#include "postern/protocol/Deflate.h"
#include "postern/protocol/DeflateOffer.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

/// Compressors and decompressors at rest, for all connections of one loop.
class DeflatePool {
public:
    struct DeflaterKind {
        int windowBits, level, memoryLevel;
        bool operator==(const DeflaterKind&) const = default;
    };

    /// Throw std::bad_alloc.
    std::unique_ptr<Deflater> takeDeflater(const DeflaterKind& kind);
    std::unique_ptr<Inflater> takeInflater(int windowBits);
    void giveBack(std::unique_ptr<Deflater> deflater, const DeflaterKind& kind) noexcept;
    void giveBack(std::unique_ptr<Inflater> inflater, int windowBits) noexcept;

private:
    static constexpr size_t kept = 4;  // of each kind; messages rarely overlap on one loop

    std::vector<std::pair<DeflaterKind, std::unique_ptr<Deflater>>> deflaters_;
    std::vector<std::pair<int, std::unique_ptr<Inflater>>> inflaters_;
};

class PerMessageDeflate {
public:
    /// `pool` outlives it. `isServer`: whose end this is.
    PerMessageDeflate(const DeflateAgreement& agreement, const DeflateOptions& options, bool isServer, DeflatePool& pool);
    ~PerMessageDeflate();
    PerMessageDeflate(const PerMessageDeflate&) = delete;
    PerMessageDeflate& operator=(const PerMessageDeflate&) = delete;

    /// Is a message of that size worth it?
    bool pays(size_t messageSize) const { return messageSize >= threshold_; }
    /// Does what is compressed refer to earlier messages, so that each has to be sent?
    bool keepsContext() const { return keepDeflater_; }

    /// Appends the compressed form of a piece of a message; all that was given so far can be read from it when `flush`.
    /// The last piece leaves out the end that every message has in common (§7.2.1). Throws std::bad_alloc.
    enum class Piece { more, flush, last };
    void compress(std::string_view data, Piece piece, std::string& out);

    /// Appends at most `limit` decompressed bytes. Throws std::bad_alloc.
    Inflater::Progress decompress(std::string_view data, size_t limit, std::string& out);
    /// The message ends: what is left of it, at most `limit` bytes. `outputFull`: call it again.
    Inflater::Progress finishDecompressing(size_t limit, std::string& out);

    /// What was compressed last is not sent: the next message starts afresh.
    void forget() {
        deflater_.reset();
        compressing_ = false;
    }

    /// Gives up memory of a connection at rest, as far as the agreement lets it: our compressor may always start afresh.
    void rest();

private:
    DeflatePool& pool_;
    DeflatePool::DeflaterKind kind_;
    int inflateBits_;
    bool keepDeflater_, keepInflater_;
    size_t threshold_;
    std::unique_ptr<Deflater> deflater_;
    std::unique_ptr<Inflater> inflater_;
    uint8_t tailSent_ = 0;       // bytes of the common end that the decompressor has seen
    bool compressing_ = false;   // within a message
};

}
