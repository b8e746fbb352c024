#pragma once
// The header of a WebSocket frame (RFC 6455 §5.2).

#include "postern/protocol/CloseCode.h"
#include "postern/protocol/Mask.h"
#include "postern/protocol/Outcome.h"

#include <array>
#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace postern {

/// Frame opcodes (RFC 6455 §11.8).
enum class WebSocketOpcode : uint8_t { continuation = 0, text = 1, binary = 2, close = 8, ping = 9, pong = 10 };

constexpr bool isControl(WebSocketOpcode opcode) { return static_cast<uint8_t>(opcode) >= 8; }

inline constexpr size_t maxControlPayload = 125;

struct FrameHeader {
    bool fin = true;
    bool rsv1 = false;
    WebSocketOpcode opcode = WebSocketOpcode::text;
    std::optional<MaskKey> mask;
    uint64_t payloadLength = 0;

    size_t size() const {
        return 2 + (payloadLength > 0xffff ? 8u : payloadLength > 125 ? 2u : 0u) + (mask ? 4u : 0u);
    }
    bool operator==(const FrameHeader&) const = default;
};

/// The peer broke a rule of RFC 6455: close with this code.
struct FrameError {
    CloseCode code = CloseCode::protocolError;
    const char* reason = "";
};

/// Reads the header at the front of `bytes`; its size() says where the payload begins. Refused here: RSV2 and RSV3,
/// reserved opcodes, control frames that are long or fragmented, lengths not in their shortest form or over 2^63 - 1.
/// What depends on the state of the connection is the Assembler's.
std::variant<NeedMore, FrameError, FrameHeader> readFrameHeader(std::string_view bytes);

inline constexpr size_t maxFrameHeader = 14;

/// Writes the header's size() bytes to `out` and returns how many they are.
size_t writeFrameHeader(const FrameHeader& header, char* out);

}
