#include "postern/protocol/Assembler.h"

#include <algorithm>

namespace postern {

namespace {

FrameError error(const char* reason, CloseCode code = CloseCode::protocolError) { return {code, reason}; }
FrameError notUtf8() { return error("text is not UTF-8", CloseCode::invalidData); }

}

// What of a header depends on what came before it: one glance at (opcode, is a message open?).
std::optional<FrameError> Assembler::accept(const FrameHeader& header) const {
    if (header.rsv1) return error("reserved bit set");
    if (role_ == Role::server && !header.mask) return error("client frame without a mask");
    if (role_ == Role::client && header.mask) return error("server frame with a mask");
    if (isControl(header.opcode)) return {};
    const bool open = insideMessage();
    if (header.opcode == WebSocketOpcode::continuation && !open) return error("continuation of nothing");
    if (header.opcode != WebSocketOpcode::continuation && open) return error("new message inside a fragmented one");
    if (header.payloadLength > limits_.messageBytes - std::min<uint64_t>(message_.size(), limits_.messageBytes))
        return error("message too big", CloseCode::messageTooBig);
    if (fragments_ >= limits_.fragments) return error("too many fragments", CloseCode::policyViolation);
    return {};
}

Assembler::Step Assembler::next(std::span<char> input) {
    size_t consumed = 0;
    for (;;) {
        const auto rest = input.subspan(consumed);
        if (inFrame_) {
            const auto size = static_cast<size_t>(std::min<uint64_t>(rest.size(), frame_.payloadLength - payloadSeen_));
            if (auto wrong = gather(rest.first(size))) return {*wrong, consumed};
            consumed += size;
            if (payloadSeen_ < frame_.payloadLength) return {NeedMore(), consumed};
            inFrame_ = false;
            if (frame_.fin) return finishFrame(consumed);
            continue;
        }
        const auto read = readFrameHeader({rest.data(), rest.size()});
        if (const auto* wrong = std::get_if<FrameError>(&read)) return {*wrong, consumed};
        if (std::holds_alternative<NeedMore>(read)) return {NeedMore(), consumed};
        const auto& header = std::get<FrameHeader>(read);
        if (auto wrong = accept(header)) return {*wrong, consumed};

        const bool complete = rest.size() - header.size() >= header.payloadLength;
        if (isControl(header.opcode) || (complete && header.fin && !insideMessage())) {
            if (!complete) return {NeedMore(), consumed};
            auto step = isControl(header.opcode) ? control(header, rest) : wholeMessage(header, rest);
            step.consumed += consumed;
            return step;
        }
        if (header.opcode != WebSocketOpcode::continuation) opcode_ = header.opcode;
        ++fragments_;
        frame_ = header;
        payloadSeen_ = 0;
        inFrame_ = true;
        consumed += header.size();
    }
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

std::optional<FrameError> Assembler::gather(std::span<char> piece) {
    if (frame_.mask) applyMask(piece, *frame_.mask, static_cast<size_t>(payloadSeen_ % 4));
    payloadSeen_ += piece.size();
    if (opcode_ == WebSocketOpcode::text && !utf8_.feed({piece.data(), piece.size()})) return notUtf8();
    message_.append(piece.data(), piece.size());
    return {};
}

Assembler::Step Assembler::finishFrame(size_t consumed) {
    fragments_ = 0;
    if (opcode_ == WebSocketOpcode::text && !utf8_.complete()) return {notUtf8(), consumed};
    utf8_.reset();
    return {Incoming{opcode_, true, {}}, consumed};
}

std::string Assembler::takeMessage() {
    auto message = std::move(message_);
    message_ = {};
    return message;
}

}
