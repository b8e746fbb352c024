#include "support/RawDeflate.h"

#include <zlib.h>

#include <new>
#include <stdexcept>

namespace postern {

namespace {

Bytef* bytesOf(std::string_view text) { return reinterpret_cast<Bytef*>(const_cast<char*>(text.data())); }

constexpr std::string_view messageEnd("\0\0\xff\xff", 4);

} // namespace

struct RawDeflater::State {
    z_stream stream{};

    State(int windowBits, Codes codes) {
        const int level = codes == Codes::stored ? 0 : 9;
        const int strategy = codes == Codes::fixed ? Z_FIXED : Z_DEFAULT_STRATEGY;
        if (deflateInit2(&stream, level, Z_DEFLATED, -windowBits, 9, strategy) != Z_OK) throw std::bad_alloc();
    }
    ~State() { deflateEnd(&stream); }

    std::string run(std::string_view text, int flush) {
        std::string out;
        stream.next_in = bytesOf(text);
        stream.avail_in = static_cast<uInt>(text.size());
        do {
            const auto before = out.size();
            out.resize(before + text.size() + 1024);
            stream.next_out = bytesOf(out) + before;
            stream.avail_out = static_cast<uInt>(out.size() - before);
            deflate(&stream, flush);
            out.resize(out.size() - stream.avail_out);
        } while (stream.avail_out == 0);
        return out;
    }
};

RawDeflater::RawDeflater(int windowBits, Codes codes) : state_(std::make_unique<State>(windowBits, codes)) {}
RawDeflater::~RawDeflater() = default;

std::string RawDeflater::flush(std::string_view text) { return state_->run(text, Z_SYNC_FLUSH); }

std::string RawDeflater::message(std::string_view text) {
    auto bytes = flush(text);
    if (!bytes.ends_with(messageEnd)) throw std::logic_error("a flush ends with an empty block");
    bytes.resize(bytes.size() - messageEnd.size());
    return bytes;
}

std::string RawDeflater::finalMessage(std::string_view text) { return state_->run(text, Z_FINISH) + '\0'; }

std::string rawDeflated(std::string_view text, int windowBits, RawDeflater::Codes codes) {
    return RawDeflater(windowBits, codes).message(text);
}

std::string storedBlock(std::string_view text, bool final) {
    const auto size = static_cast<unsigned>(text.size());
    std::string block(1, final ? '\1' : '\0');
    for (const unsigned number : {size, ~size})
        for (const int shift : {0, 8}) block += static_cast<char>(number >> shift);
    return block.append(text);
}

struct RawInflater::State {
    z_stream stream{};

    explicit State(int windowBits) {
        if (inflateInit2(&stream, -windowBits) != Z_OK) throw std::bad_alloc();
    }
    ~State() { inflateEnd(&stream); }
};

RawInflater::RawInflater(int windowBits) : state_(std::make_unique<State>(windowBits)) {}
RawInflater::~RawInflater() = default;

std::optional<std::string> RawInflater::message(std::string_view payload) {
    auto& stream = state_->stream;
    const auto bytes = std::string(payload).append(messageEnd);
    std::string out;
    stream.next_in = bytesOf(bytes);
    stream.avail_in = static_cast<uInt>(bytes.size());
    for (;;) {
        const auto before = out.size();
        out.resize(before + 4 * bytes.size() + 1024);
        stream.next_out = bytesOf(out) + before;
        stream.avail_out = static_cast<uInt>(out.size() - before);
        const int result = inflate(&stream, Z_SYNC_FLUSH);
        out.resize(out.size() - stream.avail_out);
        if (result != Z_OK && result != Z_BUF_ERROR) return {};
        if (stream.avail_out > 0) break;
    }
    if (stream.avail_in > 0) return {};
    return out;
}

void RawInflater::forget() { inflateReset(&state_->stream); }

} // namespace postern
