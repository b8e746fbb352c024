#pragma once
// What a client says in the conversation of a number. Script.js and script.py hold the same, byte for byte.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

namespace interop {

/// Marsaglia's xorshift, 32 bits.
class Chance {
public:
    explicit Chance(uint32_t seed) : state_(seed * 2654435761u + 88172645u) {
        if (state_ == 0) state_ = 1;
    }
    uint32_t below(uint32_t limit) {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return (state_ >> 4) % limit;
    }

private:
    uint32_t state_;
};

inline constexpr uint32_t tableSize = 65536, mebi = 1024 * 1024, largest = 16 * mebi;

inline std::string bytesTable() {
    Chance chance(0);
    std::string table;
    while (table.size() < tableSize) table += static_cast<char>(chance.below(256));
    return table;
}

// Characters of one to four bytes, with those at the borders.
inline std::string textTable() {
    using namespace std::string_view_literals;
    static constexpr std::string_view alphabet[] = {
        "a"sv, "b"sv, "c"sv, "d"sv, "e"sv, "f"sv, "g"sv, "h"sv, "i"sv, "j"sv, " "sv, "\0"sv, "\x7f"sv, "\xc2\x80"sv, "\xc3\xa9"sv,
        "\xdf\xbf"sv, "\xe0\xa0\x80"sv, "\xe4\xb8\x96"sv, "\xed\x9f\xbf"sv, "\xee\x80\x80"sv, "\xef\xbf\xbf"sv, "\xf0\x90\x80\x80"sv,
        "\xf0\x9f\x98\x80"sv, "\xf4\x8f\xbf\xbf"sv};
    Chance chance(1);
    std::string table;
    while (table.size() < tableSize) table += alphabet[chance.below(std::size(alphabet))];
    return table;
}

// A piece of the table again and again: a short one, which compresses well, or a long one, which does not.
inline std::string content(Chance& chance, bool text, uint32_t size) {
    static const std::string bytes = bytesTable(), characters = textTable();
    const std::string& table = text ? characters : bytes;
    const auto inside = [&](uint32_t at) { return text && (static_cast<unsigned char>(table[at]) & 0xc0) == 0x80; };
    const uint32_t length = std::min(chance.below(2) == 1 ? 1 + chance.below(40) : 50000, size);
    uint32_t start = chance.below(tableSize - length), end = start + length;
    while (start < end && inside(start)) ++start;
    while (start < end && inside(end)) --end;
    const std::string unit = start < end ? table.substr(start, end - start) : ".";
    std::string whole;
    whole.reserve(size);
    while (whole.size() + unit.size() <= size) whole += unit;
    whole.resize(size, '.');
    return whole;
}

enum class Kind { ping, text, binary };

struct Step {
    Kind kind = Kind::text;
    std::string data;
    std::vector<size_t> cuts;  ///< where it is fragmented, ascending

    std::vector<std::string_view> fragments() const {
        std::vector<std::string_view> pieces;
        size_t from = 0;
        for (const size_t cut : cuts) pieces.push_back(std::string_view(data).substr(from, cut - from)), from = cut;
        pieces.push_back(std::string_view(data).substr(from));
        return pieces;
    }
};

struct Script {
    std::vector<Step> steps;  ///< the last is no ping
    bool pipelined = false;   ///< everything is said before anything is heard
    uint16_t code = 0;        ///< of the close; 0: none
    std::string reason;

    size_t messages() const {
        return static_cast<size_t>(std::count_if(steps.begin(), steps.end(), [](const Step& step) { return step.kind != Kind::ping; }));
    }
    size_t bytes() const {
        size_t sum = 0;
        for (const auto& step : steps) sum += step.data.size();
        return sum;
    }
};

inline uint32_t skewedSize(Chance& chance) {
    static constexpr uint32_t borders[] = {0, 125, 126, 127, 65535, 65536};
    const uint32_t where = chance.below(1000);
    if (where < 60) return borders[chance.below(std::size(borders))];
    return chance.below(where < 800 ? 300 : where < 960 ? 5000 : where < 995 ? 70000 : mebi);
}

inline Step makeStep(Chance& chance, uint32_t number, bool first, bool last) {
    Step step;
    uint32_t size = 0, kind = chance.below(8);
    if (first && number % 1000 == 999) size = largest;
    else if (first && number % 500 == 249) size = mebi + chance.below(largest - mebi);
    if (kind == 0 && !last && size == 0) {
        step.kind = Kind::ping;
        step.data = content(chance, false, chance.below(126));
        return step;
    }
    if (size == 0) size = skewedSize(chance);
    step.kind = kind < 5 ? Kind::text : Kind::binary;
    step.data = content(chance, step.kind == Kind::text, size);
    const uint32_t how = chance.below(16);
    const uint32_t cuts = how < 10 ? 0 : how < 15 ? 1 + chance.below(8) : 1 + chance.below(64);
    for (uint32_t i = 0; i < cuts; ++i) step.cuts.push_back(chance.below(size + 1));
    std::sort(step.cuts.begin(), step.cuts.end());
    return step;
}

/// The same without pings, empty messages and short ones, for a peer that breaks on them.
inline Script filled(Script script) {
    constexpr size_t enough = 64;  // as much as echo compresses
    script.steps.erase(std::remove_if(script.steps.begin(), script.steps.end(), [](const Step& step) { return step.kind == Kind::ping; }),
                       script.steps.end());
    for (auto& step : script.steps)
        if (step.data.size() < enough) step.data.resize(enough, '.');
    return script;
}

inline Script makeScript(uint32_t number) {
    static constexpr uint16_t codes[] = {1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011};
    Chance chance(number + 2);
    Script script;
    const uint32_t count = 1 + chance.below(8);
    for (uint32_t i = 0; i < count; ++i) script.steps.push_back(makeStep(chance, number, i == 0, i + 1 == count));
    script.pipelined = chance.below(2) == 1;
    const uint32_t how = chance.below(4);
    if (how == 1) script.code = 1000;
    else if (how == 2) script.code = static_cast<uint16_t>(3000 + chance.below(2000));
    else if (how == 3) script.code = codes[chance.below(std::size(codes))];
    if (how != 0) script.reason = content(chance, true, chance.below(124));
    return script;
}

}
