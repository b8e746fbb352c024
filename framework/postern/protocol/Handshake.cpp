#include "postern/protocol/Handshake.h"

#include "postern/base/Crypto.h"
#include "postern/protocol/DeflateOffer.h"

#include <algorithm>

namespace postern {

namespace {

Violation bad(const char* reason) { return {400, reason}; }

}

std::variant<NotRequested, Violation, WebSocketRequest> readWebSocketRequest(const RequestHead& head) {
    if (head.minorVersion == 0 || !anyFieldContains(head.fields, "Upgrade", "websocket") ||
        !anyFieldContains(head.fields, "Connection", "upgrade"))
        return NotRequested();
    if (head.method != "GET") return bad("a WebSocket is asked for with GET");
    if (countFields(head.fields, "Sec-WebSocket-Version") > 1) return bad("repeated Sec-WebSocket-Version");
    if (head.field("Sec-WebSocket-Version") != "13") return Violation{426, "WebSocket version is not 13"};
    if (countFields(head.fields, "Sec-WebSocket-Key") != 1) return bad("not exactly one Sec-WebSocket-Key");
    if (!isValidKey(head.field("Sec-WebSocket-Key"))) return bad("Sec-WebSocket-Key is not base64 of 16 bytes");
    if (head.framing == BodyFraming::chunked || (head.framing == BodyFraming::length && head.contentLength > 0))
        return bad("a request for a WebSocket has no body");

    WebSocketRequest request{head.field("Sec-WebSocket-Key"), {}};
    for (const auto& field : head.fields)
        if (equalsIgnoringCase(field.name, "Sec-WebSocket-Protocol"))
            forEachListElement(field.value, [&](std::string_view protocol) { request.protocols.push_back(protocol); });
    auto sorted = request.protocols;
    std::sort(sorted.begin(), sorted.end());
    if (!std::all_of(sorted.begin(), sorted.end(), isToken) ||
        std::adjacent_find(sorted.begin(), sorted.end()) != sorted.end())
        return bad("malformed Sec-WebSocket-Protocol");
    std::vector<std::string_view> extensions;
    for (const auto& field : head.fields)
        if (equalsIgnoringCase(field.name, "Sec-WebSocket-Extensions")) extensions.push_back(field.value);
    if (!isExtensionList(extensions)) return bad("malformed Sec-WebSocket-Extensions");
    return request;
}

// The two pad bits may be anything: RFC 6455 §4.1 has an example in which they are not zero.
bool isValidKey(std::string_view key) {
    if (key.size() != 24 || !key.ends_with("==")) return false;
    const auto digits = key.substr(0, 22);
    return std::all_of(digits.begin(), digits.end(), [](char c) { return isAlpha(c) || isDigit(c) || c == '+' || c == '/'; });
}

std::string acceptKey(std::string_view key) {
    return base64Encode(sha1(std::string(key) + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
}

std::string_view selectProtocol(const std::vector<std::string>& supported, const std::vector<std::string_view>& offered) {
    for (const auto& protocol : supported)
        if (std::find(offered.begin(), offered.end(), protocol) != offered.end()) return protocol;
    return {};
}

}
