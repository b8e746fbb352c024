#include "postern/protocol/Deflate.h"

#include <zlib.h>

#include <algorithm>
#include <climits>
#include <new>
#include <utility>

namespace postern {

namespace {

// zlib counts in unsigned int: longer data goes in several rounds.
void runDeflate(z_stream& stream, std::string_view data, int flush, std::string& out) {
    do {
        const auto part = data.substr(0, UINT_MAX);
        data.remove_prefix(part.size());
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
        stream.avail_in = static_cast<uInt>(part.size());
        const int mode = data.empty() ? flush : Z_NO_FLUSH;
        do {
            const auto before = out.size();
            const auto room = std::max<size_t>(256, stream.avail_in / 2);
            out.resize(before + room);
            stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
            stream.avail_out = static_cast<uInt>(room);
            deflate(&stream, mode);
            out.resize(out.size() - stream.avail_out);
        } while (stream.avail_out == 0);
    } while (!data.empty());
}

// As resize(), but what is asked for at once is never more than `limit`. In large steps: what was outgrown may stay with the
// process, and is to be little beside what it gave way to.
void growBy(std::string& text, size_t size, size_t limit) {
    if (const auto needed = text.size() + size; needed > text.capacity()) {
        const auto wanted = std::max(needed, text.capacity() * 4);
        text.reserve(wanted > limit / 2 ? limit : wanted);  // a string grows twofold at least, also beyond the limit
    }
    text.resize(text.size() + size);
}

}

struct GzipEncoder::State {
    z_stream stream{};
    State(int level) {
        constexpr int gzipWindow = 15 + 16, memLevel = 8;
        if (deflateInit2(&stream, level, Z_DEFLATED, gzipWindow, memLevel, Z_DEFAULT_STRATEGY) != Z_OK)
            throw std::bad_alloc();
    }
    ~State() { deflateEnd(&stream); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
};

GzipEncoder::GzipEncoder(int level) : state_(std::make_unique<State>(level)) {}
GzipEncoder::~GzipEncoder() = default;
GzipEncoder::GzipEncoder(GzipEncoder&&) noexcept = default;
GzipEncoder& GzipEncoder::operator=(GzipEncoder&&) noexcept = default;

void GzipEncoder::encode(std::string_view data, Flush flush, std::string& out) {
    runDeflate(state_->stream, data, flush == Flush::none ? Z_NO_FLUSH : flush == Flush::sync ? Z_SYNC_FLUSH : Z_FINISH, out);
}

// ── Raw blocks ──

struct Deflater::State {
    z_stream stream{};
    State(int windowBits, int level, int memoryLevel) {
        if (deflateInit2(&stream, level, Z_DEFLATED, -std::max(windowBits, 9), memoryLevel, Z_DEFAULT_STRATEGY) != Z_OK)
            throw std::bad_alloc();
    }
    ~State() { deflateEnd(&stream); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
};

Deflater::Deflater(int windowBits, int level, int memoryLevel)
    : state_(std::make_unique<State>(windowBits, level, memoryLevel)) {}
Deflater::~Deflater() = default;
void Deflater::reset() { deflateReset(&state_->stream); }

void Deflater::deflate(std::string_view data, bool sync, std::string& out) {
    runDeflate(state_->stream, data, sync ? Z_SYNC_FLUSH : Z_NO_FLUSH, out);
}

struct Inflater::State {
    z_stream stream{};
    bool ended = false;
    bool betweenBlocks = false;  // and on a whole byte
    explicit State(int windowBits) {
        if (inflateInit2(&stream, -windowBits) != Z_OK) throw std::bad_alloc();
    }
    ~State() { inflateEnd(&stream); }
    State(const State&) = delete;
    State& operator=(const State&) = delete;
};

Inflater::Inflater(int windowBits) : state_(std::make_unique<State>(windowBits)) {}
Inflater::~Inflater() = default;

void Inflater::reset() {
    inflateReset(&state_->stream);
    state_->ended = state_->betweenBlocks = false;
}

Inflater::Progress Inflater::inflate(std::string_view data, size_t limit, std::string& out) {
    auto& stream = state_->stream;
    Progress progress;
    size_t produced = 0;
    for (;;) {
        const auto part = data.substr(progress.consumed, UINT_MAX);
        const auto room = std::min({limit - produced, std::max<size_t>(512, part.size() * 4), size_t{UINT_MAX}});
        if (room == 0) {
            progress.outputFull = true;
            return progress;
        }
        const auto before = out.size();
        growBy(out, room, before - produced + limit);
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
        stream.avail_in = static_cast<uInt>(part.size());
        stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
        stream.avail_out = static_cast<uInt>(room);
        if (std::exchange(state_->ended, false)) inflateResetKeep(&stream);  // the window stays
        const int result = ::inflate(&stream, Z_SYNC_FLUSH);
        out.resize(out.size() - stream.avail_out);
        produced += room - stream.avail_out;
        progress.consumed += part.size() - stream.avail_in;
        if (result == Z_MEM_ERROR) throw std::bad_alloc();
        if (result == Z_DATA_ERROR || result == Z_NEED_DICT || result == Z_STREAM_ERROR) {
            progress.corrupt = true;
            return progress;
        }
        state_->ended = result == Z_STREAM_END;
        // zlib forgets it when it is called for nothing.
        constexpr int blockEnd = 128, unusedBits = 63;
        if (!part.empty() || stream.avail_out < room)
            state_->betweenBlocks = !state_->ended && (stream.data_type & blockEnd) && (stream.data_type & unusedBits) == 0;
        if (progress.consumed == data.size() && (stream.avail_out > 0 || state_->ended)) return progress;
    }
}

bool Inflater::atStreamEnd() const { return state_->ended; }

bool Inflater::atBlockEnd() const { return state_->betweenBlocks; }

}
