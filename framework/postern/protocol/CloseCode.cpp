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

}
