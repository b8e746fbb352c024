#include "postern/protocol/Deflate.h"

#include <zlib.h>

#include <algorithm>
#include <climits>
#include <new>

namespace postern {

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
    auto& stream = state_->stream;
    do {
        // zlib counts in unsigned int: longer data goes in several rounds.
        const auto part = data.substr(0, UINT_MAX);
        data.remove_prefix(part.size());
        stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(part.data()));
        stream.avail_in = static_cast<uInt>(part.size());
        const bool last = data.empty();
        const int mode = !last || flush == Flush::none ? Z_NO_FLUSH : flush == Flush::sync ? Z_SYNC_FLUSH : Z_FINISH;
        do {
            const auto before = out.size();
            const auto room = std::max<size_t>(1024, deflateBound(&stream, stream.avail_in) / 2);
            out.resize(before + room);
            stream.next_out = reinterpret_cast<Bytef*>(out.data() + before);
            stream.avail_out = static_cast<uInt>(room);
            deflate(&stream, mode);
            out.resize(out.size() - stream.avail_out);
        } while (stream.avail_out == 0);
    } while (!data.empty());
}

}
