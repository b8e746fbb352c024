#include "conformance/PeerReader.h"

#include "postern/protocol/CloseCode.h"
#include "support/SlowUtf8.h"

#include <algorithm>
#include <utility>

namespace postern::conformance {

namespace {

uint64_t readBigEndian(std::string_view bytes) {
    uint64_t number = 0;
    for (const char c : bytes) number = number << 8 | static_cast<unsigned char>(c);
    return number;
}

bool isUtf8(std::string_view text) {
    const bool isAscii = std::none_of(text.begin(), text.end(), [](char c) { return c & 0x80; });
    return isAscii || slowUtf8(text).isValid();
}

} // namespace

PeerReader::PeerReader(Role tested, const Setup& setup)
    : masked_(tested == Role::client), takeover_(setup.ownTakeover) {
    if (setup.compression == Compression::with) inflater_ = std::make_unique<RawInflater>(setup.ownBits);
}

bool PeerReader::complain(const char* rule) {
    if (complaint_.empty()) complaint_ = rule;
    return false;
}

void PeerReader::feed(std::string_view bytes) {
    unread_ += bytes;
    for (Frame frame; complaint_.empty() && takeFrame(frame);) understand(std::move(frame));
}

bool PeerReader::takeFrame(Frame& frame) {
    if (closed_ && !unread_.empty()) return complain("§5.5.1: something follows its close frame");
    if (unread_.size() < 2) return false;
    const auto first = static_cast<unsigned char>(unread_[0]), second = static_cast<unsigned char>(unread_[1]);
    frame = {(first & 0x80) != 0, (first & 0x40) != 0, first & 0x0f, {}};
    const bool control = frame.opcode >= 8;
    if ((first & 0x30) != 0 || (frame.compressed && !inflater_)) return complain("§5.2: a reserved bit is set");
    if (frame.compressed && (control || frame.opcode == 0)) return complain("7692 §6: RSV1 where no message begins");
    if (frame.opcode > 10 || (frame.opcode > 2 && !control)) return complain("§5.2: a reserved opcode");
    if (((second & 0x80) != 0) != masked_) return complain("§5.1: masked, or not masked");
    const unsigned shortLength = second & 0x7f;
    const size_t lengthBytes = shortLength == 127 ? 8 : shortLength == 126 ? 2 : 0;
    if (control && (!frame.fin || shortLength > 125)) return complain("§5.5: a long or fragmented control frame");
    const size_t header = 2 + lengthBytes + (masked_ ? 4 : 0);
    if (unread_.size() < header) return false;
    const auto length =
        lengthBytes == 0 ? shortLength : readBigEndian(std::string_view(unread_).substr(2, lengthBytes));
    if (length < (lengthBytes == 8 ? 65536u : lengthBytes == 2 ? 126u : 0u))
        return complain("§5.2: a length that is not in its shortest form");
    if (unread_.size() - header < length) return false;
    frame.payload = unread_.substr(header, length);
    if (masked_) {
        keys_.push_back(unread_.substr(header - 4, 4));
        char* byte = frame.payload.data();  // the test is not optimised, and some payloads are long
        const char* key = keys_.back().data();
        for (size_t i = 0; i < length; ++i, ++byte) *byte = static_cast<char>(*byte ^ key[i & 3]);
        if (std::count(keys_.begin(), keys_.end(), keys_.back()) > 2)
            complain("§5.3: the same masking key again and again");
    }
    unread_.erase(0, header + length);
    return true;
}

void PeerReader::understand(Frame frame) {
    if (frame.opcode == 8) {
        closed_ = true;
        if (frame.payload.empty()) return events_.push_back({.kind = "close"});
        if (frame.payload.size() == 1) return void(complain("§5.5.1: half a close code"));
        const auto code = readBigEndian(frame.payload.substr(0, 2));
        const auto reason = frame.payload.substr(2);
        if (!isValidCloseCode(static_cast<unsigned>(code)))
            return void(complain("§7.4: a close code that none may send"));
        if (!isUtf8(reason)) return void(complain("§5.5.1: a reason that is not UTF-8"));
        return events_.push_back(
            {.kind = "close", .payload = std::to_string(code) + (reason.empty() ? "" : " " + reason)});
    }
    if (frame.opcode > 8)
        return events_.push_back({.kind = frame.opcode == 9 ? "ping" : "pong", .payload = frame.payload});
    if ((frame.opcode == 0) != isMessageOpen_) return void(complain("§5.4: fragments out of order"));
    if (frame.opcode != 0) {
        isText_ = frame.opcode == 1;
        isCompressed_ = frame.compressed;
    }
    message_ += frame.payload;
    isMessageOpen_ = !frame.fin;
    if (frame.fin) finishMessage();
}

void PeerReader::finishMessage() {
    auto message = std::exchange(message_, {});
    if (isCompressed_) {
        auto inflated = inflater_->message(message);
        if (!takeover_) inflater_->forget();
        if (!inflated) return void(complain("7692 §7.2: what it compressed cannot be read"));
        message = std::move(*inflated);
    }
    if (isText_ && !isUtf8(message)) return void(complain("§5.6: text that is not UTF-8"));
    events_.push_back({.kind = isText_ ? "text" : "binary", .payload = std::move(message)});
}

} // namespace postern::conformance
