#include "postern/protocol/WebSocketUrl.h"

#include "postern/base/Text.h"
#include "postern/protocol/HttpHead.h"

namespace postern {

namespace {

constexpr uint16_t standardPort(bool secure) { return secure ? 443 : 80; }

bool takePrefix(std::string_view& text, std::string_view prefix) {
    if (!equalsIgnoringCase(text.substr(0, prefix.size()), prefix)) return false;
    text.remove_prefix(prefix.size());
    return true;
}

}

std::string WebSocketUrl::authority() const {
    std::string text = host.find(':') == std::string::npos ? host : "[" + host + "]";
    if (port != standardPort(secure)) text += ":" + std::to_string(port);
    return text;
}

std::variant<WebSocketUrl, std::string> parseWebSocketUrl(std::string_view text) {
    const auto wrong = [whole = text](std::string_view why) {
        return "'" + escapedForLog(whole) + "' is no WebSocket URL: " + std::string(why);
    };
    for (const char c : text)
        if (c <= ' ' || c == 0x7f) return wrong("it holds a space or a control character, or is not ASCII");
    if (text.find('#') != std::string_view::npos) return wrong("it has a fragment");

    WebSocketUrl url;
    if (takePrefix(text, "ws+unix:")) {
        const auto colon = text.find(':');
        url.socketPath = text.substr(0, colon);
        if (!url.socketPath.starts_with('/')) return wrong("the path of a socket begins with a slash");
        url.host = "localhost";
        url.target = colon == std::string_view::npos ? "/" : text.substr(colon + 1);
        if (!url.target.starts_with('/')) return wrong("the path behind the socket begins with a slash");
        return url;
    }
    if (takePrefix(text, "wss://")) url.secure = true;
    else if (!takePrefix(text, "ws://")) return wrong("it begins with ws://, wss:// or ws+unix:");

    const auto authority = text.substr(0, text.find_first_of("/?"));
    text.remove_prefix(authority.size());
    if (authority.find('@') != std::string_view::npos) return wrong("it names a user; use a header or cookie instead");
    if (authority.empty() || !isValidHost(authority)) return wrong("malformed host or port");
    const auto colon = authority.rfind(':');
    const bool hasPort = colon != std::string_view::npos && authority.find(']', colon) == std::string_view::npos;
    url.port = standardPort(url.secure);
    if (hasPort && colon + 1 < authority.size()) {
        const auto port = parseDecimal<uint16_t>(authority.substr(colon + 1));
        if (!port || *port == 0) return wrong("malformed port");
        url.port = *port;
    }
    const auto host = authority.substr(0, hasPort ? colon : authority.size());
    url.host = host.starts_with('[') ? host.substr(1, host.size() - 2) : host;
    if (url.host.empty()) return wrong("no host");
    url.target = text.starts_with('/') ? text : "/" + std::string(text);
    return url;
}

}
