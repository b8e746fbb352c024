#include "postern/protocol/ClientHandshake.h"

#include "postern/base/Fields.h"
#include "postern/protocol/Handshake.h"

#include <algorithm>
#include <stdexcept>

namespace postern {

namespace {

constexpr std::string_view ownFields[] = {"Host",
                                          "Upgrade",
                                          "Connection",
                                          "Origin",
                                          "Sec-WebSocket-Key",
                                          "Sec-WebSocket-Version",
                                          "Sec-WebSocket-Protocol",
                                          "Sec-WebSocket-Extensions",
                                          "Sec-WebSocket-Accept",
                                          "Content-Length",
                                          "Transfer-Encoding",
                                          "TE",
                                          "Expect"};

void checkHeader(const Header& header) {
    if (!isFieldName(header.name) || !isFieldValue(header.value))
        throw std::invalid_argument("malformed header field: " + escapedForLog(header.name));
    if (std::any_of(std::begin(ownFields), std::end(ownFields), [&](auto own) { return equalsIgnoringCase(own, header.name); }))
        throw std::invalid_argument("the header field " + header.name + " belongs to the handshake");
}

bool isVisible(char c) { return c > ' ' && c < 0x7f; }

// RFC 6455 §4.1 allows the absolute form, too.
bool isValidTarget(std::string_view target) {
    const bool hasForm = target.starts_with('/') || target.starts_with("http://") || target.starts_with("https://");
    return hasForm && std::all_of(target.begin(), target.end(), isVisible) && target.find('#') == std::string_view::npos;
}

void check(const ClientRequest& request) {
    const auto require = [](bool ok, const char* what, const std::string& found) {
        if (!ok) throw std::invalid_argument(what + (": '" + escapedForLog(found)) + "'");
    };
    require(isValidTarget(request.target), "the target of a request is a path or a URL without spaces, control characters and fragment", request.target);
    require(isValidHost(request.host), "the host of a request is a name or an address, and perhaps a port", request.host);
    require(isValidKey(request.key), "the key of a request is base64 of 16 bytes", request.key);
    require(isFieldValue(request.origin), "the origin of a request has no control characters", request.origin);
    for (const auto& protocol : request.protocols) {
        require(isToken(protocol), "a subprotocol is a token", protocol);
        require(std::count(request.protocols.begin(), request.protocols.end(), protocol) == 1, "a subprotocol is named twice", protocol);
    }
    for (const auto& header : request.headers) checkHeader(header);
}

std::vector<std::string_view> fieldsOf(const ResponseHead& answer, std::string_view name) {
    std::vector<std::string_view> values;
    for (const auto& field : answer.fields)
        if (equalsIgnoringCase(field.name, name)) values.push_back(field.value);
    return values;
}

}

std::string writeClientRequest(const ClientRequest& request) {
    check(request);
    std::string head = "GET " + request.target + " HTTP/1.1\r\nHost: " + request.host +
                       "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " +
                       request.key + "\r\n";
    if (!request.origin.empty()) head += "Origin: " + request.origin + "\r\n";
    std::string protocols;
    for (const auto& protocol : request.protocols) protocols += (protocols.empty() ? "" : ", ") + protocol;
    if (!protocols.empty()) head += "Sec-WebSocket-Protocol: " + protocols + "\r\n";
    if (request.deflate && request.deflate->enabled)
        head += "Sec-WebSocket-Extensions: " + offerDeflate(*request.deflate) + "\r\n";
    for (const auto& header : request.headers) head += header.name + ": " + header.value + "\r\n";
    return head + "\r\n";
}

std::string writeCookieField(const std::vector<Header>& cookies) {
    std::string text;
    for (const auto& [name, value] : cookies) {
        if (!isToken(name)) throw std::invalid_argument("the name of a cookie is a token: '" + escapedForLog(name) + "'");
        // More than RFC 6265 lets servers set: they do, and want it back.
        if (!isFieldValue(value) || value.find(';') != std::string::npos || trim(value) != value)
            throw std::invalid_argument("the cookie " + name + " has a semicolon, a control character, or a space at an end: encode it");
        text += (text.empty() ? "" : "; ") + name + "=" + value;
    }
    return text;
}

std::variant<ClientAgreement, std::string> checkAnswer(const ResponseHead& answer, const ClientRequest& request) {
    const auto wrong = [](const char* why) { return std::string(why); };
    if (answer.status != 101) return wrong("the status is not 101");
    if (answer.minorVersion < 1) return wrong("the answer is HTTP/1.0");
    const auto upgrade = fieldsOf(answer, "Upgrade");
    if (upgrade.size() != 1 || !equalsIgnoringCase(upgrade[0], "websocket")) return wrong("no 'Upgrade: websocket'");
    if (!anyFieldContains(answer.fields, "Connection", "upgrade")) return wrong("no 'Connection: Upgrade'");
    const auto accept = fieldsOf(answer, "Sec-WebSocket-Accept");
    if (accept.size() != 1 || accept[0] != acceptKey(request.key)) return wrong("Sec-WebSocket-Accept does not fit the key");
    if (!fieldsOf(answer, "Transfer-Encoding").empty()) return wrong("a 101 with Transfer-Encoding");
    const auto length = fieldsOf(answer, "Content-Length");
    if (!std::all_of(length.begin(), length.end(), [](auto value) { return value == "0"; }))
        return wrong("a 101 with Content-Length");

    ClientAgreement agreement;
    const auto protocol = fieldsOf(answer, "Sec-WebSocket-Protocol");
    if (protocol.size() > 1) return wrong("more than one Sec-WebSocket-Protocol");
    if (protocol.size() == 1) {
        if (std::find(request.protocols.begin(), request.protocols.end(), protocol[0]) == request.protocols.end())
            return wrong("a subprotocol that was not asked for");
        agreement.protocol = protocol[0];
    }
    const auto deflate = acceptDeflate(fieldsOf(answer, "Sec-WebSocket-Extensions"), request.deflate);
    if (deflate.error) return wrong(deflate.error);
    agreement.deflate = deflate.agreement;
    return agreement;
}

}
