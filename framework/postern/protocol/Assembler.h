#pragma once
// Frames in, messages and control frames out (RFC 6455 §5.4–§5.6). Pure: no socket, no clock.

#include "postern/base/Utf8.h"
#include "postern/protocol/Frame.h"
#include "postern/protocol/PerMessageDeflate.h"

#include <algorithm>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <utility>
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

/// So much of an unfinished message was gathered that the caller wants to see it first: takePiece(), then next() again.
struct Held {};

class Assembler {
public:
    enum class Role : uint8_t { server, client };

    /// `deflate` outlives it; none: compressed messages are refused.
    Assembler(Role role, const AssemblerLimits& limits, PerMessageDeflate* deflate = nullptr)
        : messageLimit_(limits.messageBytes),
          deflate_(deflate),
          fragmentLimit_(static_cast<uint32_t>(std::min<size_t>(limits.fragments, UINT32_MAX))),
          role_(role) {}

    struct Step {
        std::variant<NeedMore, FrameError, Incoming, Held> result;
        size_t consumed = 0;  ///< bytes of the input that are used up; the payload lies among them
    };

    /// Looks at `input`, everything unread so far, and unmasks in it. A whole message in one frame is lent from `input`
    /// without a copy; otherwise its bytes are gathered as they come, decompressed and checked at once, and consumed.
    /// When `hold` bytes (at least 1) of an unfinished message are gathered, it says Held and goes no further. After an
    /// error the Assembler is not to be used again.
    Step next(std::span<char> input, size_t hold = SIZE_MAX);

    /// The gathered message, after an Incoming that says `assembled`.
    std::string takeMessage();
    /// What is gathered of the message that is not complete yet; the limit goes on counting it.
    std::string takePiece() { return open_ ? std::exchange(open_->gathered, {}) : std::string(); }
    size_t gathered() const { return open_ ? open_->gathered.size() : 0; }
    /// While insideMessage().
    WebSocketOpcode openOpcode() const { return open_->opcode; }

    /// Inside a message: a part of it was consumed, the rest is to come.
    bool insideMessage() const { return open_ && open_->fragments != 0; }

private:
    enum class Gathered { all, held, tooBig, corrupt, notUtf8 };

    std::optional<FrameError> accept(const FrameHeader& header) const;
    uint64_t messageRoom() const;
    uint64_t wireRoom() const;
    std::optional<Incoming> usualMessage(std::span<char> input) const;
    void begin(const FrameHeader& header);
    Gathered gather(std::span<char> payload, size_t hold, size_t& consumed);
    void makeRoom(size_t size, size_t hold);
    Gathered inflate(std::string_view piece, size_t hold, size_t& consumed);
    Gathered finishInflating(size_t hold);
    Gathered inflated(const Inflater::Progress& progress, size_t before);
    size_t roomToInflate(size_t hold) const;
    Gathered appended(size_t before);
    static Step wholeFrame(const FrameHeader& header, std::span<char> input);
    Step finishMessage(size_t consumed);

    // A message that is gathered.
    struct Open {
        std::string gathered;         // and not taken yet
        uint64_t bytes = 0;           // all that was gathered
        uint64_t wireBytes = 0;       // in the frames so far
        size_t fragments = 0;         // frames seen; 0: the message is complete
        FrameHeader frame;            // whose payload is being gathered, when inFrame
        uint64_t payloadSeen = 0;     // of it
        size_t unmasked = 0;          // bytes behind those which are unmasked already
        bool inFrame = false;
        bool compressed = false;
        bool inflating = false;       // the decompressor may have more to give, though it has all its input
        WebSocketOpcode opcode = WebSocketOpcode::text;
        Utf8Validator utf8;
    };

    uint64_t messageLimit_;
    PerMessageDeflate* deflate_;
    std::unique_ptr<Open> open_;      // from the first piece of a message until it is taken
    uint32_t fragmentLimit_;
    Role role_;
};

}
