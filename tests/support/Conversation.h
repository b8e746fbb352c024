#pragma once
// What is said over a WebSocket, as one line of text: as the Assembler hears it in pieces, and as RFC 6455 reads.

#include "postern/protocol/Assembler.h"
#include "support/Fragments.h"
#include "support/GuardedBytes.h"
#include "support/SlowUtf8.h"

#include <algorithm>
#include <stdexcept>
#include <string>
#include <string_view>

namespace postern {

using Role = Assembler::Role;

struct Conversation {
    std::string said; ///< "text Hello; ping x; 1002": events in order, then the code of the error if there was one
    size_t errorFrom = 0;        ///< so many bytes show the error, at the earliest
    size_t errorBy = 0;          ///< and so many at the latest
    bool insideMessage = false;  ///< at the end, when there was no error
    bool headerCut = false;      ///< the bytes end within a frame header

    void say(std::string_view what) { said.append(said.empty() ? "" : "; ").append(what); }
    void say(WebSocketOpcode opcode, std::string_view payload) {
        constexpr std::string_view names[] = {"continuation", "text", "binary", "", "", "", "", "",
                                              "close",        "ping", "pong"};
        say(names[static_cast<size_t>(opcode)]);
        if (!payload.empty()) said.append(" ").append(payload);
    }
};

/// A connection that uses an Assembler as its header says: what was not consumed stays in front of what comes next.
/// Every input ends at an inaccessible page. A broken promise throws std::logic_error.
inline Conversation converse(Role role, const AssemblerLimits& limits, const Fragments& pieces) {
    static GuardedBytes room(size_t{1} << 18);
    const auto require = [](bool kept, const char* promise) {
        if (!kept) throw std::logic_error(promise);
    };
    Conversation seen;
    Assembler assembler(role, limits);
    std::string unread;
    size_t arrived = 0;
    for (const auto piece : pieces) {
        unread += piece;
        arrived += piece.size();
        for (bool more = false; !more;) {
            room.put(unread);
            const auto step = assembler.next(room.span());
            require(step.consumed <= unread.size(), "no more is consumed than there is");
            require(room.view().substr(step.consumed) == unread.substr(step.consumed) ||
                        std::holds_alternative<FrameError>(step.result),
                    "what is not consumed is left as it came");
            if (const auto* wrong = std::get_if<FrameError>(&step.result)) {
                require(*wrong->reason != '\0', "an error says why");
                seen.say(std::to_string(static_cast<int>(wrong->code)));
                seen.errorFrom = seen.errorBy = arrived;
                return seen;
            }
            if (const auto* incoming = std::get_if<Incoming>(&step.result)) {
                const std::string_view payload(incoming->payload.data(), incoming->payload.size());
                require(step.consumed > 0, "an event consumes its bytes");
                require(incoming->opcode != WebSocketOpcode::continuation,
                        "a message has the opcode of its first frame");
                require(payload.empty() || (payload.data() >= room.view().data() &&
                                            payload.data() + payload.size() <= room.view().data() + step.consumed),
                        "the payload lies among the consumed bytes");
                require(!incoming->assembled || !isControl(incoming->opcode), "a control frame is not assembled");
                seen.say(incoming->opcode, incoming->assembled ? assembler.takeMessage() : std::string(payload));
            } else {
                more = true;
                require(unread.size() - step.consumed < maxFrameHeader + maxControlPayload,
                        "only a header and a control frame may have to be kept");
            }
            unread.erase(0, step.consumed);
        }
    }
    seen.insideMessage = assembler.insideMessage();
    return seen;
}

/// RFC 6455 §5, read aloud: all bytes at once, rule by rule. Of several broken rules 1002 comes first, then 1009, then
/// 1008.
inline Conversation slowConversation(Role role, const AssemblerLimits& limits, std::string_view bytes) {
    Conversation seen;
    std::string message;
    size_t frames = 0;  // of the open message
    bool isText = false;
    const auto refuse = [&](int code, size_t from, size_t by) {
        seen.say(std::to_string(code));
        seen.errorFrom = from;
        seen.errorBy = by;
        return seen;
    };
    for (size_t at = 0; at < bytes.size();) {
        const auto byte = [&](size_t i) { return static_cast<unsigned>(static_cast<unsigned char>(bytes[at + i])); };
        const size_t left = bytes.size() - at;
        seen.headerCut = true;
        seen.insideMessage = frames > 0;
        if (left < 2) return seen;
        const bool fin = byte(0) >= 128, masked = byte(1) >= 128;
        const unsigned opcode = byte(0) % 16, shortLength = byte(1) % 128;
        const size_t lengthBytes = shortLength == 126 ? 2 : shortLength == 127 ? 8 : 0;
        const size_t header = 2 + lengthBytes + (masked ? 4 : 0);
        if (left < header) return seen;
        seen.headerCut = false;

        uint64_t length = lengthBytes == 0 ? shortLength : 0;
        for (size_t i = 0; i < lengthBytes; ++i) length = length * 256 + byte(2 + i);
        const bool control = opcode == 8 || opcode == 9 || opcode == 10;
        const bool reserved = byte(0) / 16 % 8 != 0 || (!control && opcode > 2);
        const bool shortest = length >= (lengthBytes == 0 ? 0 : lengthBytes == 2 ? 126 : 65536);
        const bool inItsPlace = control ? fin && length <= 125 : (opcode == 0) == (frames > 0);
        if (reserved || !shortest || length >= uint64_t{1} << 63 || masked != (role == Role::server) || !inItsPlace)
            return refuse(1002, at + 1, at + header);
        if (!control && (length > limits.messageBytes || message.size() > limits.messageBytes - length))
            return refuse(1009, at + 2, at + header);
        if (!control && frames + 1 > limits.fragments) return refuse(1008, at + 1, at + header);

        const auto here = static_cast<size_t>(std::min<uint64_t>(length, left - header));
        std::string payload(bytes.substr(at + header, here));
        for (size_t i = 0; masked && i < here; ++i)
            payload[i] = static_cast<char>(payload[i] ^ bytes[at + header - 4 + i % 4]);
        at += header + here;
        if (control) {
            if (here < length) return seen;
            seen.say(static_cast<WebSocketOpcode>(opcode), payload);
            continue;
        }
        const size_t before = at - message.size() - here;  // where the message would start if it stood in one piece
        message += payload;
        if (opcode != 0) isText = opcode == 1;
        ++frames;
        seen.insideMessage = true;
        const auto utf8 = isText ? slowUtf8(message) : SlowUtf8();
        if (utf8.firstImpossible != std::string_view::npos)
            return refuse(1007, before + utf8.firstImpossible + 1, before + utf8.firstImpossible + 1);
        if (here < length) return seen;
        if (!fin) continue;
        if (!utf8.complete) return refuse(1007, at, at);
        seen.say(isText ? WebSocketOpcode::text : WebSocketOpcode::binary, message);
        message.clear();
        frames = 0;
        seen.insideMessage = false;
    }
    return seen;
}

/// Empty when what the Assembler heard is what RFC 6455 says, else the difference.
inline std::string disagreement(const Conversation& heard, const Conversation& right) {
    if (heard.said != right.said) {
        // A header that is not all there may be refused already.
        if (right.headerCut && heard.said == (right.said.empty() ? "" : right.said + "; ") + "1002") return {};
        return "heard: " + heard.said + "\nright: " + right.said;
    }
    if (right.errorBy == 0 && heard.insideMessage != right.insideMessage) return "wrong about being inside a message";
    return {};
}

}
