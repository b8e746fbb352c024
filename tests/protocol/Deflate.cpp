#include "postern/protocol/Deflate.h"

#include "support/Catch.h"
#include "support/Fragments.h"
#include "support/GuardedBytes.h"

#include <zlib.h>

#include <random>

using namespace postern;

namespace {

using Flush = GzipEncoder::Flush;

struct Inflated {
    std::string data;
    bool complete = false;  // the end of the gzip stream, checksum included, was seen
    bool everything = true; // nothing came after it
};

Inflated inflated(std::string_view bytes) {
    z_stream stream{};
    REQUIRE(inflateInit2(&stream, 15 + 16) == Z_OK);
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(bytes.data()));
    stream.avail_in = static_cast<uInt>(bytes.size());
    Inflated result;
    int code = Z_OK;
    do {
        char room[4096];
        stream.next_out = reinterpret_cast<Bytef*>(room);
        stream.avail_out = sizeof room;
        code = inflate(&stream, Z_SYNC_FLUSH);
        result.data.append(room, sizeof room - stream.avail_out);
    } while (code == Z_OK && (stream.avail_in > 0 || stream.avail_out == 0));
    result.complete = code == Z_STREAM_END;
    result.everything = stream.avail_in == 0;
    inflateEnd(&stream);
    return result;
}

std::string noise(size_t size) {
    std::mt19937 random(9);
    std::string text(size, '\0');
    for (auto& c : text) c = static_cast<char>(random());
    return text;
}

std::string gzip(std::string_view data, int level = 6) {
    std::string out;
    GzipEncoder(level).encode(data, Flush::finish, out);
    return out;
}

}

TEST_CASE("what was compressed comes back whole, of any size", "[protocol]") {
    for (const size_t size : {0, 1, 2, 1000, 1023, 1024, 1025, 4096, 65535, 65536, 300'000})
        for (const int level : {1, 6, 9}) {
            INFO(size << " at level " << level);
            for (const auto& data : {std::string(size, 'a'), noise(size)}) {
                const auto back = inflated(gzip(GuardedBytes(data), level));
                CHECK(back.complete);
                CHECK(back.everything);
                CHECK(back.data == data);
            }
        }
    CHECK(gzip(std::string(1 << 20, 'a')).size() < 4096);
    CHECK(gzip(noise(1 << 16)).size() < (1 << 16) + 200);
    CHECK(gzip("x").starts_with("\x1f\x8b"));
}

TEST_CASE("pieces make one stream, however they are cut", "[protocol]") {
    const auto data = "so much text, so much text, " + noise(50);
    forEachFragmentation(data, [&](const Fragments& pieces) {
        GzipEncoder encoder;
        std::string out;
        for (const auto piece : pieces) encoder.encode(piece, Flush::none, out);
        encoder.encode({}, Flush::finish, out);
        const auto back = inflated(out);
        CHECK((back.complete && back.everything && back.data == data));
    });
}

TEST_CASE("after a sync everything written can be read", "[protocol]") {
    GzipEncoder encoder;
    std::string out, data;
    for (const size_t size : {1, 10, 1000, 0, 2000, 100'000, 3}) {
        const auto piece = noise(size);
        data += piece;
        encoder.encode(piece, Flush::none, out);
        encoder.encode({}, Flush::sync, out);
        CHECK(inflated(out).data == data);
        CHECK_FALSE(inflated(out).complete);
    }
    const auto before = out.size();
    for (int i = 0; i < 1000; ++i) encoder.encode({}, Flush::sync, out);
    CHECK(out.size() <= before + 8);
    encoder.encode("end", Flush::finish, out);
    CHECK(inflated(out).data == data + "end");
    CHECK(inflated(out).complete);
}

TEST_CASE("an encoder appends and can be moved", "[protocol]") {
    GzipEncoder first;
    std::string out = "before";
    first.encode("a", Flush::none, out);
    GzipEncoder second = std::move(first);
    second.encode("b", Flush::none, out);
    first = GzipEncoder(1);
    first = std::move(second);
    first.encode("c", Flush::finish, out);
    CHECK(out.starts_with("before"));
    CHECK(inflated(std::string_view(out).substr(6)).data == "abc");
}
