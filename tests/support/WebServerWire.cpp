#include "support/WebServerWire.h"

#include "support/FcgiRecords.h"

#include <algorithm>
#include <charconv>

namespace postern {

namespace {

bool isFastCgi(CgiProtocol protocol) { return protocol == CgiProtocol::fastCgi; }

std::string shortText(std::string_view text) {
    return std::string{static_cast<char>(text.size()), static_cast<char>(text.size() >> 8)}.append(text);
}

bool has(const WireVariables& variables, std::string_view name) {
    return std::any_of(variables.begin(), variables.end(), [&](const auto& variable) { return variable.first == name; });
}

std::string netstringHead(const WireVariables& variables) {
    std::string content;
    const auto add = [&](std::string_view name, std::string_view value) {
        content.append(name).append(1, '\0').append(value).append(1, '\0');
    };
    if (!has(variables, "CONTENT_LENGTH")) add("CONTENT_LENGTH", "0");
    for (const auto& [name, value] : variables)
        if (name == "CONTENT_LENGTH") add(name, value);
    add("SCGI", "1");
    for (const auto& [name, value] : variables)
        if (name != "CONTENT_LENGTH") add(name, value);
    return std::to_string(content.size()) + ':' + content + ',';
}

std::string packetHead(const WireVariables& variables) {
    std::string content;
    for (const auto& [name, value] : variables) content += shortText(name) + shortText(value);
    return std::string{0, static_cast<char>(content.size()), static_cast<char>(content.size() >> 8), 0} + content;
}

WireVariables replaced(WireVariables variables, const WireVariables& more) {
    for (const auto& [name, value] : more) {
        const auto same = [&, &name = name](const auto& variable) { return variable.first == name; };
        variables.erase(std::remove_if(variables.begin(), variables.end(), same), variables.end());
    }
    variables.insert(variables.end(), more.begin(), more.end());
    return variables;
}

}

WireVariables wireVariables(std::string_view method, std::string_view target, const WireVariables& more) {
    const auto question = std::min(target.find('?'), target.size());
    const WireVariables usual = {{"REQUEST_METHOD", std::string(method)},
                                 {"REQUEST_URI", std::string(target)},
                                 {"QUERY_STRING", std::string(target.substr(std::min(question + 1, target.size())))},
                                 {"SERVER_PROTOCOL", "HTTP/1.1"},
                                 {"SERVER_NAME", "test"},
                                 {"SERVER_PORT", "80"},
                                 {"REMOTE_ADDR", "192.0.2.7"},
                                 {"HTTP_HOST", "test"}};
    return replaced(usual, more);
}

WireVariables wireUpgrade(std::string_view target, const WireVariables& more) {
    return wireVariables("GET", target,
                         replaced({{"HTTP_UPGRADE", "websocket"},
                                   {"HTTP_CONNECTION", "Upgrade"},
                                   {"HTTP_SEC_WEBSOCKET_VERSION", "13"},
                                   {"HTTP_SEC_WEBSOCKET_KEY", "dGhlIHNhbXBsZSBub25jZQ=="}},
                                  more));
}

std::string wireHead(CgiProtocol protocol, const WireVariables& variables, bool keepsConnection) {
    if (protocol == CgiProtocol::scgi) return netstringHead(variables);
    if (protocol == CgiProtocol::uwsgi) return packetHead(variables);
    return fcgiBegin(keepsConnection) + fcgiRecords(FcgiType::params, fcgiPairs(variables)) + fcgiRecord(FcgiType::params, "");
}

std::string wirePiece(CgiProtocol protocol, std::string_view bytes) {
    return isFastCgi(protocol) ? fcgiRecords(FcgiType::in, bytes) : std::string(bytes);
}

std::string wireEnd(CgiProtocol protocol) { return isFastCgi(protocol) ? fcgiRecord(FcgiType::in, "") : std::string(); }

std::string wireRequest(CgiProtocol protocol, const WireVariables& variables, std::string_view body, bool keepsConnection) {
    auto all = variables;
    if (!body.empty() && !has(all, "CONTENT_LENGTH")) all.emplace_back("CONTENT_LENGTH", std::to_string(body.size()));
    return wireHead(protocol, all, keepsConnection) + wirePiece(protocol, body) + wireEnd(protocol);
}

int WireReply::status(CgiProtocol protocol) const {
    const std::string_view line = protocol == CgiProtocol::uwsgi ? "HTTP/1.1 " : "Status: ";
    int number = 0;
    if (text.starts_with(line) && text.find("\r\n\r\n") != text.npos)
        std::from_chars(text.data() + line.size(), text.data() + line.size() + 3, number);
    return number;
}

std::string WireReply::body() const {
    const auto end = text.find("\r\n\r\n");
    return end == text.npos ? std::string() : text.substr(end + 4);
}

WireReply takeWireReply(CgiProtocol protocol, std::string& bytes) {
    WireReply reply;
    if (!isFastCgi(protocol)) {
        reply.text = std::exchange(bytes, {});
        return reply;
    }
    FcgiRecord record;
    bool outEnded = false;
    while (!reply.ended && takeFcgiRecord(bytes, record)) {
        if (!record.isOurs) reply.complaint += "a record of another request or version; ";
        else if (record.type == FcgiType::out && outEnded) reply.complaint += "STDOUT goes on after its end; ";
        else if (record.type == FcgiType::out && record.content.empty()) outEnded = true;
        else if (record.type == FcgiType::out) reply.text += record.content;
        else if (record.type != FcgiType::end) reply.complaint += "type " + std::to_string(static_cast<int>(record.type)) + "; ";
        else if (record.content != std::string(8, '\0')) reply.complaint += "another END_REQUEST; ";
        else reply.ended = true;
    }
    return reply;
}

}
