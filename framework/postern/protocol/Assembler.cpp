#include "postern/protocol/Assembler.h"

#include <algorithm>

namespace postern {

namespace {

FrameError error(const char* reason, CloseCode code = CloseCode::protocolError) { return {code, reason}; }
FrameError notUtf8() { return error("text is not UTF-8", CloseCode::invalidData); }
FrameError tooBig() { return error("message too big", CloseCode::messageTooBig); }

}

// What of a header depends on what came before it: one glance at (opcode, is a message open?).
std::optional<FrameError> Assembler::accept(const FrameHeader& header) const {
    const bool startsMessage = header.opcode == WebSocketOpcode::text || header.opcode == WebSocketOpcode::binary;
    if (header.rsv1 && !(deflate_ && startsMessage)) return error("reserved bit set");
    if (role_ == Role::server && !header.mask) return error("client frame without a mask");
    if (role_ == Role::client && header.mask) return error("server frame with a mask");
    if (isControl(header.opcode)) return {};
    const bool open = insideMessage();
    if (!startsMessage && !open) return error("continuation of nothing");
    if (startsMessage && open) return error("new message inside a fragmented one");
    const bool compressed = startsMessage ? header.rsv1 : compressed_;
    if (header.payloadLength > (compressed ? wireRoom() : messageRoom())) return tooBig();
    if (fragments_ >= limits_.fragments) return error("too many fragments", CloseCode::policyViolation);
    return {};
}

uint64_t Assembler::messageRoom() const { return limits_.messageBytes - messageBytes_; }

// Data that cannot be compressed is a little longer than what it stands for, and each flush adds an empty block.
uint64_t Assembler::wireRoom() const {
    constexpr uint64_t flush = 16, start = 64;
    if (limits_.messageBytes >> 62) return limits_.messageBytes;
    return limits_.messageBytes + limits_.messageBytes / 16 + start + flush * (fragments_ + 1) - wireBytes_;
}

Assembler::Step Assembler::next(std::span<char> input, size_t hold) {
    size_t consumed = 0;
    for (;;) {
        const auto rest = input.subspan(consumed);
        if (inFrame_) {
            switch (gather(rest, hold, consumed)) {
            case Gathered::tooBig: return {tooBig(), consumed};
            case Gathered::corrupt: return {error("corrupt compressed data", CloseCode::invalidData), consumed};
            case Gathered::notUtf8: return {notUtf8(), consumed};
            case Gathered::held: return {Held(), consumed};
            case Gathered::all: break;
            }
            if (payloadSeen_ < frame_.payloadLength) return {NeedMore(), consumed};
            inFrame_ = false;
            if (frame_.fin) return finishMessage(consumed);
            continue;
        }
        const auto read = readFrameHeader({rest.data(), rest.size()});
        if (const auto* wrong = std::get_if<FrameError>(&read)) return {*wrong, consumed};
        if (std::holds_alternative<NeedMore>(read)) return {NeedMore(), consumed};
        const auto& header = std::get<FrameHeader>(read);
        if (auto wrong = accept(header)) return {*wrong, consumed};

        const bool complete = rest.size() - header.size() >= header.payloadLength;
        if (isControl(header.opcode) || (complete && header.fin && !header.rsv1 && !insideMessage())) {
            if (!complete) return {NeedMore(), consumed};
            auto step = isControl(header.opcode) ? control(header, rest) : wholeMessage(header, rest);
            step.consumed += consumed;
            return step;
        }
        begin(header);
        consumed += header.size();
    }
}

void Assembler::begin(const FrameHeader& header) {
    if (header.opcode != WebSocketOpcode::continuation) {
        opcode_ = header.opcode;
        compressed_ = header.rsv1;
    }
    ++fragments_;
    frame_ = header;
    payloadSeen_ = 0;
    wireBytes_ += header.payloadLength;
    inFrame_ = true;
}

Assembler::Step Assembler::control(const FrameHeader& header, std::span<char> input) {
    const auto payload = input.subspan(header.size(), static_cast<size_t>(header.payloadLength));
    if (header.mask) applyMask(payload, *header.mask);
    return {Incoming{header.opcode, false, payload}, header.size() + payload.size()};
}

Assembler::Step Assembler::wholeMessage(const FrameHeader& header, std::span<char> input) {
    auto step = control(header, input);
    const auto payload = std::get<Incoming>(step.result).payload;
    if (header.opcode == WebSocketOpcode::text && !isValidUtf8({payload.data(), payload.size()}))
        return {notUtf8(), 0};
    return step;
}

// What has arrived of the frame's payload, and at its end what the decompressor still holds of the message.
Assembler::Gathered Assembler::gather(std::span<char> payload, size_t hold, size_t& consumed) {
    payload = payload.first(static_cast<size_t>(std::min<uint64_t>(payload.size(), frame_.payloadLength - payloadSeen_)));
    if (frame_.mask && payload.size() > unmasked_)
        applyMask(payload.subspan(unmasked_), *frame_.mask, static_cast<size_t>((payloadSeen_ + unmasked_) % 4));
    unmasked_ = std::max(unmasked_, payload.size());
    auto piece = std::string_view(payload.data(), payload.size());
    size_t used = 0;
    auto result = Gathered::all;
    if (compressed_) {
        if (!piece.empty() || inflating_) result = inflate(piece, hold, used);
    } else {
        used = std::min(piece.size(), hold - std::min(hold, message_.size()));
        const auto before = message_.size();
        makeRoom(used, hold);
        message_.append(piece.substr(0, used));
        result = appended(before);
        if (result == Gathered::all && used < piece.size()) result = Gathered::held;
    }
    consumed += used;
    payloadSeen_ += used;
    unmasked_ -= used;
    if (result == Gathered::all && compressed_ && frame_.fin && payloadSeen_ == frame_.payloadLength)
        result = finishInflating(hold);
    return result;
}

// A frame says how long it is, but memory is only taken in proportion to what has arrived.
void Assembler::makeRoom(size_t size, size_t hold) {
    const auto needed = message_.size() + size;
    if (needed <= message_.capacity()) return;
    const auto whole = message_.size() + (frame_.payloadLength - payloadSeen_);
    message_.reserve(static_cast<size_t>(std::min<uint64_t>({whole, needed * 4, hold})));
}

// One byte over the limit is asked for, to tell a message that is at the limit from one that is over it.
size_t Assembler::roomToInflate(size_t hold) const {
    const auto allowed = std::min<uint64_t>(messageRoom(), SIZE_MAX - 1) + 1;
    return std::min(hold - std::min(hold, message_.size()), static_cast<size_t>(allowed));
}

Assembler::Gathered Assembler::inflate(std::string_view piece, size_t hold, size_t& consumed) {
    const auto room = roomToInflate(hold);
    if (room == 0) return Gathered::held;
    const auto before = message_.size();
    const auto progress = deflate_->decompress(piece, room, message_);
    consumed = progress.consumed;
    inflating_ = progress.outputFull;
    return inflated(progress, before);
}

Assembler::Gathered Assembler::finishInflating(size_t hold) {
    const auto room = roomToInflate(hold);
    if (room == 0) return Gathered::held;
    const auto before = message_.size();
    const auto progress = deflate_->finishDecompressing(room, message_);
    return inflated(progress, before);
}

Assembler::Gathered Assembler::inflated(const Inflater::Progress& progress, size_t before) {
    const auto result = appended(before);
    if (result != Gathered::all) return result;
    if (progress.corrupt) return Gathered::corrupt;
    return progress.outputFull ? Gathered::held : Gathered::all;
}

Assembler::Gathered Assembler::appended(size_t before) {
    // The first breach counts, however much came at once.
    const auto piece = std::string_view(message_).substr(before);
    const auto allowed = piece.substr(0, static_cast<size_t>(std::min<uint64_t>(piece.size(), messageRoom())));
    if (opcode_ == WebSocketOpcode::text && !utf8_.feed(allowed)) return Gathered::notUtf8;
    if (piece.size() > allowed.size()) return Gathered::tooBig;
    messageBytes_ += piece.size();
    return Gathered::all;
}

Assembler::Step Assembler::finishMessage(size_t consumed) {
    fragments_ = 0;
    messageBytes_ = wireBytes_ = 0;
    compressed_ = false;
    if (opcode_ == WebSocketOpcode::text && !utf8_.complete()) return {notUtf8(), consumed};
    utf8_.reset();
    return {Incoming{opcode_, true, {}}, consumed};
}

std::string Assembler::takeMessage() { return std::exchange(message_, {}); }

}
