// The first byte says how the way in reads its variables; then come NAME=VALUE lines. 0xfe stands for a line feed in
// one.
#include "postern/protocol/CgiEnvironment.h"

#include "postern/base/Utf8.h"
#include "support/Require.h"
#include "support/Verdicts.h"

#include <algorithm>
#include <vector>

using namespace postern;

namespace {

struct Variable {
    std::string name, value;
};
using Variables = std::vector<Variable>;

std::optional<Violation> read(const Variables& variables, const CgiVariableRules& rules, RequestHead& head) {
    auto copy = variables; // gone when the head is looked at
    FieldViews views;
    for (const auto& [name, value] : copy) views.push_back({name, value});
    return readCgiVariables(views, rules, {}, head);
}

std::string verdict(const Variables& variables, const CgiVariableRules& rules) {
    RequestHead head;
    const auto violation = read(variables, rules, head);
    return violation ? std::to_string(violation->status) : describe(head);
}

bool isField(const Variable& variable) { return variable.name.starts_with("HTTP_"); }

void checkHead(const RequestHead& head) {
    require(isToken(head.method), "a method is a token");
    require(head.pathInfo == "*" || head.pathInfo.starts_with('/'), "a path begins at the root");
    const auto padded = std::string(head.pathInfo) + "/";
    require(padded.find("/../") == padded.npos && padded.find("/./") == padded.npos, "no dot segments");
    require(isValidUtf8(head.pathInfo) && head.pathInfo.find('\0') == head.pathInfo.npos, "a path is text");
    require(head.host.empty() || isValidHost(head.host), "a valid host");
    require(head.scheme == "http" || head.scheme == "https", "one of two schemes");
    require(head.framing != BodyFraming::chunked, "a gateway has decoded chunks");
    for (const auto& [name, value] : head.fields) {
        require(isFieldName(name) && isFieldValue(value), "fields are valid");
        for (const char* never : {"Proxy", "Content-Length"})
            require(!equalsIgnoringCase(name, never), "a field is dropped");
        require(name.find('_') == name.npos, "no underscore in a field name");
    }
    require(countFields(head.fields, "Host") <= 1 && countFields(head.fields, "Sec-WebSocket-Key") <= 1,
            "single fields");
}

void checkWayBack(const RequestHead& head) {
    Variables variables;
    for (const auto& [name, value] : writeCgiVariables(head)) variables.push_back({name, value});
    RequestHead again;
    const auto violation = read(variables, {std::string(head.scriptName), false, false, true}, again);
    require(!violation, "what is written is accepted");
    require(again.method == head.method && again.target == head.target && again.path == head.path, "the same request");
    require(again.query == head.query && again.pathInfo == head.pathInfo, "the same path");
    require(again.scriptName == head.scriptName && again.scheme == head.scheme, "the same place");
    require(again.remoteAddress == head.remoteAddress && again.remoteUser == head.remoteUser, "the same client");
    require(again.contentLength == head.contentLength, "the same length");
    require(describe(again.fields) == describe(head.fields), "the same fields");
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
    Variables variables;
    for (std::string_view rest = text; !rest.empty();) {
        std::string line(takeUntil(rest, '\n'));
        std::replace(line.begin(), line.end(), '\xfe', '\n');
        const auto sign = std::min(line.find('='), line.size());
        variables.push_back({line.substr(0, sign), sign < line.size() ? line.substr(sign + 1) : std::string()});
        // Gateways write names in capitals.
        for (auto& c : variables.back().name) c = c == '-' ? '_' : toUpper(c);
    }
    const CgiVariableRules rules{data[0] & 1 ? "/app" : "", (data[0] & 2) != 0, (data[0] & 4) != 0, (data[0] & 8) != 0};

    const auto found = verdict(variables, rules);
    auto moved = variables;
    std::stable_partition(moved.begin(), moved.end(), isField);
    require(verdict(moved, rules) == found, "the gateway's own variables may stand anywhere");

    RequestHead head;
    if (read(variables, rules, head)) return 0;
    checkHead(head);
    checkWayBack(head);
    return 0;
}
