#include "postern/protocol/PerMessageDeflate.h"

#include "support/Catch.h"
#include "support/RawDeflate.h"

#include <random>

using namespace postern;
using namespace std::literals;

namespace {

// Both ends of one agreement, in one loop's memory.
struct Ends {
    explicit Ends(const DeflateAgreement& agreement, const DeflateOptions& options = taking())
        : server(agreement, options, true, pool), client(agreement, options, false, pool) {}

    static DeflateOptions taking() {
        DeflateOptions options;
        options.contextTakeover = true;
        return options;
    }

    DeflatePool pool;
    PerMessageDeflate server, client;
};

std::string compressed(PerMessageDeflate& end, std::string_view text) {
    std::string out;
    end.compress(text, PerMessageDeflate::Piece::last, out);
    return out;
}

// "corrupt", or what the payload stands for; read in steps of that size, in and out.
std::string decompressed(PerMessageDeflate& end, std::string_view payload, size_t step = SIZE_MAX) {
    std::string text;
    while (!payload.empty()) {
        const auto piece = payload.substr(0, step);
        const auto progress = end.decompress(piece, step, text);
        if (progress.corrupt) return "corrupt";
        payload.remove_prefix(progress.consumed);
    }
    for (;;) {
        const auto progress = end.finishDecompressing(step, text);
        if (progress.corrupt) return "corrupt";
        if (!progress.outputFull) return text;
    }
}

std::string decompressedAfresh(std::string_view payload) {
    Ends ends({});
    return decompressed(ends.client, payload);
}

std::string noise(size_t size, unsigned seed, unsigned letters) {
    std::mt19937 random(seed);
    std::string text;
    while (text.size() < size) text += static_cast<char>('a' + random() % letters);
    return text;
}

}

TEST_CASE("the examples of RFC 7692 §7.2.3 are read and written", "[protocol]") {
    DeflateOptions options = Ends::taking();
    Ends ends({}, options);
    CHECK(decompressed(ends.client, "\xf2\x48\xcd\xc9\xc9\x07\x00"sv) == "Hello");
    CHECK(decompressed(ends.client, "\xf2\x00\x11\x00\x00"sv) == "Hello");  // §7.2.3.2: from the window of the first
    Ends fresh({});
    CHECK(decompressed(fresh.client, "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00"sv) == "Hello");
    CHECK(decompressed(fresh.client, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00"sv) == "Hello");
    CHECK(decompressed(fresh.client, "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00"sv) == "Hello");
    CHECK(decompressed(fresh.client, "\x00"sv).empty());
    CHECK(compressed(fresh.server, {}) == "\x00"sv);
    CHECK(compressed(fresh.server, "Hello").size() <= 7);
    CHECK(compressed(fresh.server, {}) == "\x00"sv);
}

TEST_CASE("messages come through whatever was agreed on, in steps of any size", "[protocol]") {
    const std::string texts[] = {"", "x", noise(1000, 1, 3), std::string(70'000, 'z'), noise(40'000, 2, 26), noise(100, 3, 2), ""};
    for (int bits = 8; bits <= 15; ++bits)
        for (const bool serverForgets : {false, true})
            for (const size_t step : {size_t{1}, size_t{7}, size_t{1000}, SIZE_MAX}) {
                Ends ends({serverForgets, !serverForgets, bits, 23 - bits});
                std::string wrong;
                for (const auto& text : texts) {
                    if (step == 1 && text.size() > 2000) continue;
                    if (decompressed(ends.client, compressed(ends.server, text), step) != text) wrong = "to the client";
                    if (decompressed(ends.server, compressed(ends.client, text), step) != text) wrong = "to the server";
                }
                INFO(bits << " bits, steps of " << step);
                CHECK(wrong.empty());
            }
}

TEST_CASE("what is compressed for a window keeps within it, also for the one of 8 bits", "[protocol]") {
    for (int bits = 8; bits <= 15; ++bits) {
        Ends ends({false, false, bits, 15});
        RawInflater strict(bits);
        bool right = true;
        // Pieces that repeat what is just within and just beyond each window.
        for (unsigned i = 0; i < 40; ++i) {
            auto text = noise(200 + 13 * i, i, 26);
            text += text + noise((1u << bits) - 20 + i, i + 100, 26) + text;
            right = right && strict.message(compressed(ends.server, text)) == text;
        }
        INFO(bits);
        CHECK(right);
    }
}

TEST_CASE("the context is taken over only as agreed", "[protocol]") {
    const auto text = noise(500, 9, 26);
    Ends keeping({});
    const auto first = compressed(keeping.server, text), second = compressed(keeping.server, text);
    CHECK(second.size() < first.size() / 4);
    CHECK(decompressed(keeping.client, first) == text);
    CHECK(decompressed(keeping.client, second) == text);

    Ends forgetting({true, false, 15, 15});
    const auto once = compressed(forgetting.server, text), again = compressed(forgetting.server, text);
    CHECK(once == again);
    CHECK(decompressed(forgetting.client, once) == text);
    CHECK(decompressed(forgetting.client, second) == "corrupt");
}

TEST_CASE("a compressor at rest is given up, and nobody notices", "[protocol]") {
    Ends ends({});
    const auto text = noise(500, 4, 26);
    CHECK(decompressed(ends.client, compressed(ends.server, text)) == text);
    ends.server.rest();
    const auto afresh = compressed(ends.server, text);
    CHECK(afresh.size() > 200);
    CHECK(decompressed(ends.client, afresh) == text);
    CHECK(decompressed(ends.client, compressed(ends.server, text)) == text);

    std::string part;
    ends.server.compress(text, PerMessageDeflate::Piece::more, part);
    ends.server.rest();  // within a message there is no rest
    ends.server.compress("end", PerMessageDeflate::Piece::last, part);
    CHECK(decompressed(ends.client, part) == text + "end");
    std::string dropped;
    ends.server.compress(noise(3000, 5, 26), PerMessageDeflate::Piece::more, dropped);
    ends.server.forget();
    CHECK(decompressed(ends.client, compressed(ends.server, text)) == text);
}

TEST_CASE("a message in pieces can be read up to each flush", "[protocol]") {
    Ends ends({});
    std::string payload, seen;
    for (int i = 0; i < 20; ++i) {
        const auto before = payload.size();
        ends.server.compress("piece " + std::to_string(i) + ", ", PerMessageDeflate::Piece::flush, payload);
        ends.client.decompress(std::string_view(payload).substr(before), SIZE_MAX, seen);
        CHECK(seen.ends_with("piece " + std::to_string(i) + ", "));
    }
    const auto before = payload.size();
    ends.server.compress({}, PerMessageDeflate::Piece::flush, payload);
    CHECK(payload.size() == before);
    ends.server.compress({}, PerMessageDeflate::Piece::last, payload);
    CHECK(payload.substr(before) == "\x00"sv);
}

TEST_CASE("damaged payloads are corrupt, cut ones too", "[protocol]") {
    const auto good = rawDeflated(noise(400, 6, 26));
    for (size_t size = 0; size < good.size(); ++size) {
        Ends ends({});
        INFO(size);
        CHECK(decompressed(ends.client, good.substr(0, size)) == "corrupt");
    }
    Ends ends({});
    CHECK(decompressed(ends.client, "\x07"sv) == "corrupt");                          // block type 3
    CHECK(decompressedAfresh("\x00\x05\x00\x00\x00hello\x00"sv) == "corrupt");  // LEN without its complement
    CHECK(decompressedAfresh(storedBlock("final", true)) == "final");      // without the empty block behind it
    CHECK(decompressedAfresh(storedBlock("a", true) + storedBlock("b") + "\x00"s) == "ab");
}

TEST_CASE("never more than asked for is decompressed at once", "[protocol]") {
    Ends ends({});
    const auto bomb = compressed(ends.server, std::string(10'000'000, '\0'));
    CHECK(bomb.size() < 50'000);
    std::string out;
    const auto progress = ends.client.decompress(bomb, 1000, out);
    CHECK(out.size() == 1000);
    CHECK(progress.outputFull);
    CHECK(out.capacity() <= 2000);
}

TEST_CASE("a loop keeps few compressors, and lends the one that fits", "[protocol]") {
    DeflatePool pool;
    const DeflatePool::DeflaterKind small{9, 1, 1}, large{15, 6, 8};
    auto first = pool.takeDeflater(small);
    const auto* known = first.get();
    pool.giveBack(std::move(first), small);
    CHECK(pool.takeDeflater(large).get() != known);
    CHECK(pool.takeDeflater(small).get() == known);
    auto inflater = pool.takeInflater(12);
    const auto* knownInflater = inflater.get();
    pool.giveBack(std::move(inflater), 12);
    CHECK(pool.takeInflater(15).get() != knownInflater);
    CHECK(pool.takeInflater(12).get() == knownInflater);
}
