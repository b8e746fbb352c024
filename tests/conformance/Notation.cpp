#include "conformance/Notation.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <stdexcept>

namespace postern::conformance {

namespace {

[[noreturn]] void wrong(std::string_view what, std::string_view where) {
    throw std::invalid_argument(std::string(what).append(" in the notation: ").append(where));
}

int numberIn(std::string_view text, int base = 10) {
    int number = 0;
    const auto end = text.data() + text.size();
    if (std::from_chars(text.data(), end, number, base).ptr != end || text.empty()) wrong("no number", text);
    return number;
}

bool isNumber(std::string_view text) {
    return !text.empty() && std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::vector<std::string_view> split(std::string_view text, std::string_view separator) {
    std::vector<std::string_view> parts;
    while (!text.empty()) {
        const auto end = text.find(separator);
        parts.push_back(text.substr(0, end));
        text.remove_prefix(end == std::string_view::npos ? text.size() : end + separator.size());
    }
    return parts;
}

std::string_view takeWord(std::string_view& text) {
    const auto end = std::min(text.find(' '), text.size());
    const auto word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    return word;
}

struct Payload {
    std::string bytes;
    std::optional<size_t> mark;
};

Payload readPayload(std::string_view notation) {
    Payload payload;
    for (size_t at = 0; at < notation.size(); ++at) {
        const char c = notation[at];
        if (c == '|') {
            payload.mark = payload.bytes.size();
        } else if (c == '%') {
            if (at + 2 >= notation.size()) wrong("a cut %", notation);
            payload.bytes += static_cast<char>(numberIn(notation.substr(at + 1, 2), 16));
            at += 2;
        } else if (c == '{') {
            const auto end = notation.find('}', at), times = notation.rfind('*', end);
            if (end == std::string_view::npos || times == std::string_view::npos || times < at)
                wrong("no {x*n}", notation);
            const auto one = unescaped(notation.substr(at + 1, times - at - 1));
            for (int i = numberIn(notation.substr(times + 1, end - times - 1)); i > 0; --i) payload.bytes += one;
            at = end;
        } else {
            payload.bytes += c;
        }
    }
    return payload;
}

void appendBigEndian(std::string& out, uint64_t number, int bytes) {
    for (int i = bytes - 1; i >= 0; --i) out += static_cast<char>(number >> (8 * i));
}

struct FrameSpec {
    int first = 0x80;
    bool masked = false;
    std::string key = "\x37\xfa\x21\x3d";
    int lengthBytes = -1;           // -1: as few as will do
    std::optional<uint64_t> length; // none: the payload's
};

int opcodeOf(std::string_view name) {
    constexpr std::array names = {"cont", "text", "binary", "", "", "", "", "", "close", "ping", "pong"};
    const auto found = std::find(names.begin(), names.end(), name);
    if (found != names.end()) return static_cast<int>(found - names.begin());
    if (!name.starts_with("op")) wrong("an unknown word", name);
    return numberIn(name.substr(2));
}

bool readFlag(std::string_view word, FrameSpec& spec) {
    if (word == "rsv1")
        spec.first |= 0x40;
    else if (word == "rsv2")
        spec.first |= 0x20;
    else if (word == "rsv3")
        spec.first |= 0x10;
    else if (word == "wrongmask")
        spec.masked = !spec.masked;
    else if (word == "len16")
        spec.lengthBytes = 2;
    else if (word == "len64")
        spec.lengthBytes = 8;
    else if (word.starts_with("len=")) {
        uint64_t length = 0;
        const auto digits = word.substr(4);
        if (std::from_chars(digits.data(), digits.data() + digits.size(), length).ptr != digits.data() + digits.size())
            wrong("no length", word);
        spec.length = length;
    } else if (word.starts_with("mask=")) {
        if (word.size() != 13) wrong("no key", word);
        for (size_t i = 0; i < 4; ++i) spec.key[i] = static_cast<char>(numberIn(word.substr(5 + 2 * i, 2), 16));
    } else {
        return false;
    }
    return true;
}

std::string headerOf(const FrameSpec& spec, size_t payloadSize) {
    const auto length = spec.length.value_or(payloadSize);
    const int lengthBytes = spec.lengthBytes >= 0 ? spec.lengthBytes : length > 0xffff ? 8 : length > 125 ? 2 : 0;
    const int maskBit = spec.masked ? 0x80 : 0;
    std::string bytes(1, static_cast<char>(spec.first));
    bytes += static_cast<char>(maskBit | (lengthBytes == 8 ? 127 : lengthBytes == 2 ? 126 : static_cast<int>(length)));
    appendBigEndian(bytes, length, lengthBytes);
    return spec.masked ? bytes + spec.key : bytes;
}

void sayFrame(std::string_view item, FrameSpec spec, Said& said) {
    auto rest = item;
    auto word = takeWord(rest);
    while (readFlag(word, spec)) word = takeWord(rest);
    if (word.starts_with('+')) {
        spec.first &= 0x7f;
        word.remove_prefix(1);
    }
    spec.first |= opcodeOf(word);
    std::string front;
    if (word == "close") {
        const bool isCode = isNumber(rest.substr(0, rest.find_first_of(" |")));
        said.closes.push_back(rest.empty() ? "close 1005" : "close " + unescaped(rest));
        if (isCode) appendBigEndian(front, static_cast<uint64_t>(numberIn(takeWord(rest))), 2);
    }
    auto payload = readPayload(rest);
    if (payload.mark) *payload.mark += front.size();
    payload.bytes.insert(0, front);
    said.bytes += headerOf(spec, payload.bytes.size());
    if (payload.mark) said.mark = said.bytes.size() + *payload.mark;
    if (spec.masked)
        for (size_t i = 0; i < payload.bytes.size(); ++i)
            payload.bytes[i] = static_cast<char>(payload.bytes[i] ^ spec.key[i % 4]);
    said.bytes += payload.bytes;
}

void sayHex(std::string_view digits, Said& said) {
    for (auto word : split(digits, " ")) {
        if (word == "|")
            said.mark = said.bytes.size();
        else if (word.size() == 2)
            said.bytes += static_cast<char>(numberIn(word, 16));
        else
            wrong("no byte", word);
    }
}

void sayItem(std::string_view item, Role tested, Said& said) {
    if (item.starts_with("hex ")) return sayHex(item.substr(4), said);
    if (item.starts_with("wait ")) {
        said.wait = std::chrono::seconds(numberIn(item.substr(5, item.size() - 6)));
        return;
    }
    FrameSpec spec;
    spec.masked = tested == Role::server;
    sayFrame(item, spec, said);
}

Event readEvent(std::string_view item) {
    Event event;
    event.optional = item.starts_with('(');
    if (event.optional) item = item.substr(1, item.size() - 2);
    event.kind = takeWord(item);
    event.payload = unescaped(item);
    return event;
}

// A close without a reason stands for any.
bool matches(const Event& heard, const Event& expected) {
    if (heard.kind != expected.kind) return false;
    if (heard.kind == "close" && isNumber(expected.payload))
        return heard.payload.substr(0, heard.payload.find(' ')) == expected.payload;
    return heard.payload == expected.payload;
}

bool isPrintable(char c) { return c >= ' ' && c < 0x7f && c != '%' && c != '|' && c != '{' && c != '}' && c != ';'; }

} // namespace

std::string unescaped(std::string_view notation) { return readPayload(notation).bytes; }

std::string escaped(std::string_view bytes) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    for (const char c : bytes) {
        if (isPrintable(c)) {
            text += c;
            continue;
        }
        const auto byte = static_cast<unsigned char>(c);
        text.append("%").append(1, digits[byte >> 4]).append(1, digits[byte & 15]);
    }
    return text;
}

Said say(std::string_view notation, Role tested) {
    Said said;
    for (const auto item : split(notation, "; ")) sayItem(item, tested, said);
    return said;
}

Expected expect(std::string_view notation) {
    Expected expected;
    bool saysOpen = false;
    for (const auto item : split(notation, "; ")) {
        if (item == "open")
            saysOpen = true;
        else
            expected.events.push_back(readEvent(item));
    }
    expected.staysOpen = saysOpen || !expected.endsWithClose();
    return expected;
}

bool fulfils(const std::vector<Event>& heard, const Expected& expected) {
    // Which beginnings of what was heard fulfil the expectations so far?
    std::vector<bool> reached(heard.size() + 1);
    reached[0] = true;
    for (const auto& event : expected.events) {
        std::vector<bool> next(heard.size() + 1);
        for (size_t at = 0; at <= heard.size(); ++at) {
            if (!reached[at]) continue;
            if (event.optional) next[at] = true;
            if (at < heard.size() && matches(heard[at], event)) next[at + 1] = true;
        }
        reached = std::move(next);
    }
    return reached[heard.size()];
}

std::string describe(const std::vector<Event>& events) {
    constexpr size_t shown = 60;
    std::string text;
    for (const auto& event : events) {
        text.append(text.empty() ? "" : "; ").append(event.kind);
        if (event.payload.empty()) continue;
        text.append(" ").append(escaped(event.payload.substr(0, shown)));
        if (event.payload.size() > shown)
            text.append("… (").append(std::to_string(event.payload.size())).append(" bytes)");
    }
    return text;
}

} // namespace postern::conformance
