#include "postern/protocol/Chunked.h"

#include "postern/base/Text.h"

#include <algorithm>

namespace postern {

namespace {

bool isValueChar(char c) { return c == '\t' || (static_cast<unsigned char>(c) >= 0x20 && c != 0x7f); }

}

Outcome<ChunkedDecoder::Piece> ChunkedDecoder::next(std::string_view input) {
    size_t at = 0;
    while (state_ != State::done && at < input.size()) {
        if (state_ == State::data) {
            const auto size = static_cast<size_t>(std::min<uint64_t>(left_, input.size() - at));
            left_ -= size;
            if (left_ == 0) state_ = State::dataCarriageReturn;
            return Piece{input.substr(at, size), at + size, false};
        }
        if (const char* reason = step(input[at])) return Violation{400, reason};
        ++at;
    }
    if (state_ == State::done) return Piece{{}, at, true};
    return NeedMore();
}

// One byte of anything but chunk data. Returns what is wrong with it, or nullptr.
const char* ChunkedDecoder::step(char c) {
    switch (state_) {
    case State::size:
        return stepSize(c);
    case State::extensionStart:
    case State::extensionName:
    case State::extensionValueStart:
    case State::extensionToken:
    case State::extensionQuoted:
    case State::extensionEscape:
    case State::extensionQuotedEnd:
        if (overheadLeft_ == 0) return "chunk extensions too long";
        --overheadLeft_;
        return stepExtension(c);
    case State::sizeLineFeed:
        if (c != '\n') return "chunk size line ends without LF";
        state_ = left_ == 0 ? State::trailerStart : State::data;
        digits_ = 0;
        return nullptr;
    case State::dataCarriageReturn:
        state_ = State::dataLineFeed;
        return c == '\r' ? nullptr : "chunk longer than its size";
    case State::dataLineFeed:
        state_ = State::size;
        return c == '\n' ? nullptr : "chunk longer than its size";
    case State::trailerStart:
        if (c == '\r') return stepTrailer(c);  // the end of every body is no overhead
        [[fallthrough]];
    case State::trailerName:
    case State::trailerValue:
    case State::trailerLineFeed:
        if (overheadLeft_ == 0) return "trailer section too long";
        --overheadLeft_;
        return stepTrailer(c);
    case State::lastLineFeed:
        state_ = State::done;
        return c == '\n' ? nullptr : "trailer section ends without LF";
    case State::data:
    case State::done:
        break;
    }
    return "internal: no framing byte expected";
}

const char* ChunkedDecoder::stepSize(char c) {
    if (const int digit = hexValue(c); digit >= 0) {
        if (++digits_ > 15) return "chunk size too large";
        left_ = left_ * 16 + static_cast<uint64_t>(digit);
        return nullptr;
    }
    if (digits_ == 0) return "chunk size missing";
    if (c == '\r') state_ = State::sizeLineFeed;
    else if (c == ';') state_ = State::extensionStart;
    else return "malformed chunk size";
    return nullptr;
}

// chunk-ext = *( ";" chunk-ext-name [ "=" chunk-ext-val ] ), without the white space that RFC 9112 calls bad.
const char* ChunkedDecoder::stepExtension(char c) {
    const auto endOfElement = [&] {
        if (c == ';') state_ = State::extensionStart;
        else if (c == '\r') state_ = State::sizeLineFeed;
        else return "malformed chunk extension";
        return static_cast<const char*>(nullptr);
    };
    switch (state_) {
    case State::extensionStart:
        state_ = State::extensionName;
        return isTokenChar(c) ? nullptr : "chunk extension without a name";
    case State::extensionName:
        if (isTokenChar(c)) return nullptr;
        if (c != '=') return endOfElement();
        state_ = State::extensionValueStart;
        return nullptr;
    case State::extensionValueStart:
        state_ = c == '"' ? State::extensionQuoted : State::extensionToken;
        return c == '"' || isTokenChar(c) ? nullptr : "chunk extension without a value";
    case State::extensionToken:
        return isTokenChar(c) ? nullptr : endOfElement();
    case State::extensionQuoted:
        if (c == '"') state_ = State::extensionQuotedEnd;
        else if (c == '\\') state_ = State::extensionEscape;
        return isValueChar(c) ? nullptr : "control character in a chunk extension";
    case State::extensionEscape:
        state_ = State::extensionQuoted;
        return isValueChar(c) ? nullptr : "control character in a chunk extension";
    case State::extensionQuotedEnd:
        return endOfElement();
    default:
        return "internal: no extension expected";
    }
}

const char* ChunkedDecoder::stepTrailer(char c) {
    switch (state_) {
    case State::trailerStart:
        if (c == '\r') {
            state_ = State::lastLineFeed;
            return nullptr;
        }
        state_ = State::trailerName;
        return isTokenChar(c) ? nullptr : "malformed trailer field";
    case State::trailerName:
        if (c == ':') state_ = State::trailerValue;
        else if (!isTokenChar(c)) return "malformed trailer field";
        return nullptr;
    case State::trailerValue:
        if (c == '\r') state_ = State::trailerLineFeed;
        else if (!isValueChar(c)) return "control character in a trailer field";
        return nullptr;
    case State::trailerLineFeed:
        state_ = State::trailerStart;
        return c == '\n' ? nullptr : "trailer line ends without LF";
    default:
        return "internal: no trailer expected";
    }
}

size_t writeChunkHead(size_t size, std::array<char, 20>& out) {
    const auto end = std::to_chars(out.data(), out.data() + out.size() - 2, size, 16).ptr;
    end[0] = '\r';
    end[1] = '\n';
    return static_cast<size_t>(end - out.data()) + 2;
}

}
