#include "postern/protocol/CloseCode.h"

#include "postern/base/Utf8.h"

namespace postern {

CloseRead readClose(std::string_view payload) {
    if (payload.empty()) return {};
    if (payload.size() == 1) return {{}, CloseCode::protocolError};
    const auto code = static_cast<uint16_t>(static_cast<uint8_t>(payload[0]) << 8 | static_cast<uint8_t>(payload[1]));
    const CloseReason reason{code, payload.substr(2)};
    if (!isValidCloseCode(code)) return {reason, CloseCode::protocolError};
    if (!isValidUtf8(reason.text)) return {{code, {}}, CloseCode::invalidData};
    return {reason, {}};
}

std::string writeClose(uint16_t code, std::string_view reason) {
    if (code == static_cast<uint16_t>(CloseCode::noStatus)) return {};
    std::string payload{static_cast<char>(code >> 8), static_cast<char>(code & 0xff)};
    return payload.append(utf8Prefix(reason, maxCloseReason));
}

std::string_view describeCloseCode(unsigned code) {
    switch (static_cast<CloseCode>(code)) {
    case CloseCode::normal: return "normal closure";
    case CloseCode::goingAway: return "going away";
    case CloseCode::protocolError: return "protocol error";
    case CloseCode::unsupportedData: return "unsupported data";
    case CloseCode::noStatus: return "no status code";
    case CloseCode::abnormal: return "abnormal closure";
    case CloseCode::invalidData: return "invalid data";
    case CloseCode::policyViolation: return "policy violation";
    case CloseCode::messageTooBig: return "message too big";
    case CloseCode::mandatoryExtension: return "an extension is missing";
    case CloseCode::internalError: return "internal error";
    case CloseCode::serviceRestart: return "service restart";
    case CloseCode::tryAgainLater: return "try again later";
    case CloseCode::badGateway: return "bad gateway";
    }
    return code >= 4000 && code <= 4999 ? "private use" : code >= 3000 && code <= 3999 ? "registered use" : "unknown";
}

}
