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
    const bool compressed = startsMessage ? header.rsv1 : open_->compressed;
    if (header.payloadLength > (compressed ? wireRoom() : messageRoom())) return tooBig();
    if (open && open_->fragments >= fragmentLimit_) return error("too many fragments", CloseCode::policyViolation);
    return {};
}

uint64_t Assembler::messageRoom() const { return messageLimit_ - (open_ ? open_->bytes : 0); }

// What does not compress is longer than what it stands for, by an eighth with the fixed codes of deflate (RFC 1951 §3.2.6),
// and each flush adds an empty block.
uint64_t Assembler::wireRoom() const {
    constexpr uint64_t flush = 16, start = 64;
    if (messageLimit_ >> 62) return messageLimit_;
    const uint64_t fragments = insideMessage() ? open_->fragments : 0, wireBytes = open_ ? open_->wireBytes : 0;
    return messageLimit_ + messageLimit_ / 8 + start + flush * (fragments + 1) - wireBytes;
}

// What nearly every message is: one frame, all of it there, not compressed, of less than 64 KiB. Nothing: it is something
// else, or wrong. (readFrameHeader() and accept() would say the same, at several times the cost.)
inline std::optional<Incoming> Assembler::usualMessage(std::span<char> input) const {
    if (open_ || input.size() < 2) return {};
    const auto first = static_cast<uint8_t>(input[0]), second = static_cast<uint8_t>(input[1]);
    const bool isText = first == 0x81, isMasked = second & 0x80;
    if ((!isText && first != 0x82) || isMasked != (role_ == Role::server)) return {};
    size_t length = second & 0x7f, headerSize = isMasked ? 6 : 2;
    if (length > 125) {
        headerSize += 2;
        if (length == 127 || input.size() < headerSize) return {};
        length = static_cast<size_t>(static_cast<uint8_t>(input[2]) << 8 | static_cast<uint8_t>(input[3]));
        if (length < 126) return {};
    }
    if (input.size() < headerSize + length || length > messageLimit_) return {};
    const auto payload = input.subspan(headerSize, length);
    MaskKey key{};
    if (isMasked) {
        std::copy_n(payload.data() - key.size(), key.size(), key.begin());
        applyMask(payload, key);
    }
    if (!isText || isValidUtf8({payload.data(), length}))
        return Incoming{static_cast<WebSocketOpcode>(first & 0x0f), false, payload};
    applyMask(payload, key);  // as it was
    return {};
}

Assembler::Step Assembler::next(std::span<char> input, size_t hold) {
    if (const auto usual = usualMessage(input))
        return {*usual, static_cast<size_t>(usual->payload.data() + usual->payload.size() - input.data())};
    size_t consumed = 0;
    for (;;) {
        const auto rest = input.subspan(consumed);
        if (open_ && open_->inFrame) {
            switch (gather(rest, hold, consumed)) {
            case Gathered::tooBig: return {tooBig(), consumed};
            case Gathered::corrupt: return {error("corrupt compressed data", CloseCode::invalidData), consumed};
            case Gathered::notUtf8: return {notUtf8(), consumed};
            case Gathered::held: return {Held(), consumed};
            case Gathered::all: break;
            }
            if (open_->payloadSeen < open_->frame.payloadLength) return {NeedMore(), consumed};
            open_->inFrame = false;
            if (open_->frame.fin) return finishMessage(consumed);
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
            auto step = wholeFrame(header, rest);
            step.consumed += consumed;
            return step;
        }
        begin(header);
        consumed += header.size();
    }
}

void Assembler::begin(const FrameHeader& header) {
    if (header.opcode != WebSocketOpcode::continuation) {
        open_ = std::make_unique<Open>();
        open_->opcode = header.opcode;
        open_->compressed = header.rsv1;
    }
    ++open_->fragments;
    open_->frame = header;
    open_->payloadSeen = 0;
    open_->wireBytes += header.payloadLength;
    open_->inFrame = true;
}

Assembler::Step Assembler::wholeFrame(const FrameHeader& header, std::span<char> input) {
    const auto payload = input.subspan(header.size(), static_cast<size_t>(header.payloadLength));
    if (header.mask) applyMask(payload, *header.mask);
    if (header.opcode == WebSocketOpcode::text && !isValidUtf8({payload.data(), payload.size()})) return {notUtf8(), 0};
    return {Incoming{header.opcode, false, payload}, header.size() + payload.size()};
}

// What has arrived of the frame's payload, and at its end what the decompressor still holds of the message.
Assembler::Gathered Assembler::gather(std::span<char> payload, size_t hold, size_t& consumed) {
    auto& open = *open_;
    payload = payload.first(static_cast<size_t>(std::min<uint64_t>(payload.size(), open.frame.payloadLength - open.payloadSeen)));
    if (open.frame.mask && payload.size() > open.unmasked)
        applyMask(payload.subspan(open.unmasked), *open.frame.mask, static_cast<size_t>((open.payloadSeen + open.unmasked) % 4));
    open.unmasked = std::max(open.unmasked, payload.size());
    auto piece = std::string_view(payload.data(), payload.size());
    size_t used = 0;
    auto result = Gathered::all;
    if (open.compressed) {
        if (!piece.empty() || open.inflating) result = inflate(piece, hold, used);
    } else {
        used = std::min(piece.size(), hold - std::min(hold, open.gathered.size()));
        const auto before = open.gathered.size();
        makeRoom(used, hold);
        open.gathered.append(piece.substr(0, used));
        result = appended(before);
        if (result == Gathered::all && used < piece.size()) result = Gathered::held;
    }
    consumed += used;
    open.payloadSeen += used;
    open.unmasked -= used;
    if (result == Gathered::all && open.compressed && open.frame.fin && open.payloadSeen == open.frame.payloadLength)
        result = finishInflating(hold);
    return result;
}

// A frame says how long it is, but memory is only taken in proportion to what has arrived.
void Assembler::makeRoom(size_t size, size_t hold) {
    auto& open = *open_;
    const auto needed = open.gathered.size() + size;
    if (needed <= open.gathered.capacity()) return;
    const auto whole = open.gathered.size() + (open.frame.payloadLength - open.payloadSeen);
    open.gathered.reserve(static_cast<size_t>(std::min<uint64_t>({whole, needed * 4, hold})));
}

// One byte over the limit is asked for, to tell a message that is at the limit from one that is over it.
size_t Assembler::roomToInflate(size_t hold) const {
    const auto allowed = std::min<uint64_t>(messageRoom(), SIZE_MAX - 1) + 1;
    return std::min(hold - std::min(hold, open_->gathered.size()), static_cast<size_t>(allowed));
}

Assembler::Gathered Assembler::inflate(std::string_view piece, size_t hold, size_t& consumed) {
    auto& open = *open_;
    const auto room = roomToInflate(hold);
    if (room == 0) return Gathered::held;
    const auto before = open.gathered.size();
    const auto progress = deflate_->decompress(piece, room, open.gathered);
    consumed = progress.consumed;
    open.inflating = progress.outputFull;
    return inflated(progress, before);
}

Assembler::Gathered Assembler::finishInflating(size_t hold) {
    const auto room = roomToInflate(hold);
    if (room == 0) return Gathered::held;
    const auto before = open_->gathered.size();
    const auto progress = deflate_->finishDecompressing(room, open_->gathered);
    return inflated(progress, before);
}

Assembler::Gathered Assembler::inflated(const Inflater::Progress& progress, size_t before) {
    const auto result = appended(before);
    if (result != Gathered::all) return result;
    if (progress.corrupt) return Gathered::corrupt;
    return progress.outputFull ? Gathered::held : Gathered::all;
}

Assembler::Gathered Assembler::appended(size_t before) {
    auto& open = *open_;
    // The first breach counts, however much came at once.
    const auto piece = std::string_view(open.gathered).substr(before);
    const auto allowed = piece.substr(0, static_cast<size_t>(std::min<uint64_t>(piece.size(), messageRoom())));
    if (open.opcode == WebSocketOpcode::text && !open.utf8.feed(allowed)) return Gathered::notUtf8;
    if (piece.size() > allowed.size()) return Gathered::tooBig;
    open.bytes += piece.size();
    return Gathered::all;
}

Assembler::Step Assembler::finishMessage(size_t consumed) {
    auto& open = *open_;
    open.fragments = 0;
    open.bytes = open.wireBytes = 0;
    if (open.opcode == WebSocketOpcode::text && !open.utf8.complete()) return {notUtf8(), consumed};
    return {Incoming{open.opcode, true, {}}, consumed};
}

std::string Assembler::takeMessage() {
    const auto open = std::exchange(open_, nullptr);
    return std::move(open->gathered);
}

}
