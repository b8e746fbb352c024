#pragma once
// How WebSockets say why they end (RFC 6455 §7.4; 1012–1014 from the IANA registry).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace postern {

enum class CloseCode : uint16_t {
    normal = 1000,
    goingAway = 1001,
    protocolError = 1002,
    unsupportedData = 1003,
    noStatus = 1005,          ///< reported only: the close frame carried no code
    abnormal = 1006,          ///< reported only: the line broke without a close frame
    invalidData = 1007,
    policyViolation = 1008,
    messageTooBig = 1009,
    mandatoryExtension = 1010,
    internalError = 1011,
    serviceRestart = 1012,
    tryAgainLater = 1013,
    badGateway = 1014,
};

inline constexpr size_t maxCloseReason = 123;

/// May this code stand in a close frame? 1000–1003, 1007–1014, 3000–4999.
constexpr bool isValidCloseCode(unsigned code) {
    return (code >= 1000 && code <= 1003) || (code >= 1007 && code <= 1014) || (code >= 3000 && code <= 4999);
}

/// A few words on what a code means (RFC 6455 §7.4.1).
std::string_view describeCloseCode(unsigned code);

/// What a close frame says.
struct CloseReason {
    uint16_t code = static_cast<uint16_t>(CloseCode::noStatus);
    std::string_view text;
};

/// Reads the payload of a close frame (RFC 6455 §5.5.1). When it breaks a rule, `error` is the code to answer with.
struct CloseRead {
    CloseReason reason;
    std::optional<CloseCode> error;
};
CloseRead readClose(std::string_view payload);

/// The payload of a close frame: empty for 1005, else the code and the reason, cut to 123 bytes between two characters.
std::string writeClose(uint16_t code, std::string_view reason);

}
