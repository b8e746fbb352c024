#pragma once
// Frames in, messages and control frames out (RFC 6455 §5.4–§5.6). Pure: no socket, no clock.

#include "postern/base/Utf8.h"
#include "postern/protocol/Frame.h"

#include <cstdint>
#include <span>
#include <string>
#include <variant>

namespace postern {

struct AssemblerLimits {
    uint64_t messageBytes = 1024 * 1024;  ///< of a whole message; more is 1009
    size_t fragments = 16 * 1024;         ///< frames of one message; more is 1008 (a million empty ones cost nothing to send)
};

/// One data message, or one control frame.
struct Incoming {
    WebSocketOpcode opcode = WebSocketOpcode::text;  ///< never continuation
    bool assembled = false;         ///< the payload is Assembler::takeMessage(), not `payload`
    std::span<char> payload;        ///< unmasked in place, within the bytes given to next()
};

class Assembler {
public:
    enum class Role { server, client };

    Assembler(Role role, const AssemblerLimits& limits) : limits_(limits), role_(role) {}

    struct Step {
        std::variant<NeedMore, FrameError, Incoming> result;
        size_t consumed = 0;  ///< bytes of the input that are used up; the payload lies among them
    };

    /// Looks at `input`, everything unread so far, and unmasks in it. A whole message in one frame is lent from `input`
    /// without a copy; otherwise its bytes are gathered as they come, checked at once, and consumed. After an error the
    /// Assembler is not to be used again.
    Step next(std::span<char> input);

    /// The gathered message, after an Incoming that says `assembled`.
    std::string takeMessage();

    /// Inside a message: a part of it was consumed, the rest is to come.
    bool insideMessage() const { return fragments_ != 0; }

private:
    std::optional<FrameError> accept(const FrameHeader& header) const;
    std::optional<FrameError> gather(std::span<char> piece);
    Step control(const FrameHeader& header, std::span<char> input);
    Step wholeMessage(const FrameHeader& header, std::span<char> input);
    Step finishFrame(size_t consumed);

    AssemblerLimits limits_;
    std::string message_;         // of the message being gathered
    size_t fragments_ = 0;        // frames of it seen; 0: no message is open
    uint64_t payloadSeen_ = 0;    // of the frame being gathered
    FrameHeader frame_;           // whose payload is being gathered, when inFrame_
    bool inFrame_ = false;
    WebSocketOpcode opcode_ = WebSocketOpcode::text;  // of the open message
    Utf8Validator utf8_;
    Role role_;
};

}
