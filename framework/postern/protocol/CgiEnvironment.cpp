#include "postern/protocol/CgiEnvironment.h"

#include "postern/protocol/Url.h"

#include <algorithm>
#include <cassert>
#include <vector>

namespace postern {

namespace {

constexpr Violation bad(const char* reason) { return {400, reason}; }

// These mean something only once; two of them are two readings of one request.
bool isSingleValued(std::string_view name) {
    if (!name.starts_with("HTTP_")) return true;
    for (const std::string_view single : {"HTTP_HOST", "HTTP_AUTHORIZATION", "HTTP_SEC_WEBSOCKET_KEY", "HTTP_ORIGIN",
                                          "HTTP_SEC_WEBSOCKET_VERSION", "HTTP_CONTENT_LENGTH"})
        if (name == single) return true;
    return false;
}

// The gateway repeats these under their own names, or must never pass them on.
bool isDropped(std::string_view name) {
    return name == "HTTP_PROXY" || name == "HTTP_CONTENT_LENGTH" || name == "HTTP_CONTENT_TYPE";
}

class Reader {
public:
    Reader(std::span<const FieldView> variables, const CgiVariableRules& rules, const HeadLimits& limits,
           RequestHead& head)
        : variables_(variables), rules_(rules), limits_(limits), head_(head) {}

    std::optional<Violation> read() {
        if (auto violation = checkSizes()) return violation;
        if (auto violation = readRequestLine()) return violation;
        if (auto violation = readMount()) return violation;
        if (auto violation = readFields()) return violation;
        if (auto violation = readHost()) return violation;
        readConnection();
        return readBody();
    }

private:
    std::string_view variable(std::string_view name) const {
        for (const auto& entry : variables_)
            if (entry.name == name) return entry.value;
        return {};
    }

    bool has(std::string_view name) const {
        return std::any_of(variables_.begin(), variables_.end(), [&](const auto& entry) { return entry.name == name; });
    }

    // Views stay valid because checkSizes() has reserved room for everything that is ever kept.
    std::string_view keep(std::string_view text) {
        assert(head_.bytes.size() + text.size() <= head_.bytes.capacity());
        const auto at = head_.bytes.size();
        head_.bytes += text;
        return std::string_view(head_.bytes).substr(at);
    }

    std::optional<Violation> checkSizes() {
        size_t total = 0, fieldBytes = 0, fieldCount = 0;
        for (const auto& [name, value] : variables_) {
            total += name.size() + value.size() + 8;
            if (name.find('\0') != std::string_view::npos || value.find('\0') != std::string_view::npos)
                return bad("NUL in a CGI variable");
            if (!name.starts_with("HTTP_")) continue;
            fieldBytes += name.size() + value.size();
            ++fieldCount;
        }
        if (fieldCount > limits_.fieldCount) return Violation{431, "too many header fields"};
        if (fieldBytes > limits_.headBytes) return Violation{431, "request head too large"};
        std::vector<std::string_view> single;
        single.reserve(variables_.size());
        for (const auto& entry : variables_)
            if (!entry.name.empty() && isSingleValued(entry.name)) single.push_back(entry.name);
        std::sort(single.begin(), single.end());
        if (std::adjacent_find(single.begin(), single.end()) != single.end()) return bad("repeated CGI variable");
        head_.bytes.reserve(total * 2 + 64);
        return {};
    }

    std::optional<Violation> readRequestLine() {
        head_.method = keep(variable("REQUEST_METHOD"));
        if (!isToken(head_.method)) return bad("no valid REQUEST_METHOD");
        const auto protocol = variable("SERVER_PROTOCOL");
        head_.minorVersion = protocol == "HTTP/1.0" || protocol == "HTTP/0.9" ? 0 : 1;

        if (const auto uri = variable("REQUEST_URI"); !uri.empty()) {
            head_.target = keep(uri);
        } else {
            // Without the raw target the decoded parts are all there is: encoded again they give the same path.
            std::string target;
            for (const std::string_view part : {variable("SCRIPT_NAME"), variable("PATH_INFO")})
                for (const char c : part) {
                    if (c == '/') target += c;
                    else target += percentEncode({&c, 1});
                }
            if (target.empty()) target = "/";
            if (const auto query = variable("QUERY_STRING"); !query.empty()) target.append(1, '?').append(query);
            head_.notes = std::move(target);
            head_.target = head_.notes;
        }
        if (head_.target.size() > limits_.targetBytes) return Violation{414, "request target too long"};
        for (const char c : head_.target)
            if (const auto byte = static_cast<unsigned char>(c); byte <= ' ' || byte >= 0x7f || c == '#')
                return bad("malformed REQUEST_URI");
        return readTarget(head_.target, head_);
    }

    std::optional<Violation> readMount() {
        std::string_view mount = rules_.mount;
        if (mount.empty() && rules_.mountIsScriptName) mount = variable("SCRIPT_NAME");
        splitMount(mount, head_);
        head_.scriptName = keep(head_.scriptName);
        return {};
    }

    std::optional<Violation> readFields() {
        if (const auto type = variable("CONTENT_TYPE"); !type.empty()) head_.fields.push_back({"Content-Type", keep(type)});
        for (auto entry = variables_.begin(); entry != variables_.end(); ++entry) {
            if (!entry->name.starts_with("HTTP_") || isDropped(entry->name)) continue;
            const bool seen = std::any_of(variables_.begin(), entry, [&](const auto& e) { return e.name == entry->name; });
            if (!seen) head_.fields.push_back({keepFieldName(entry->name.substr(5)), keepJoined(*entry)});
        }
        for (const auto& [name, value] : head_.fields) {
            if (!isFieldName(name)) return bad("malformed name of a CGI variable");
            if (!isFieldValue(value)) return bad("control character in a CGI variable");
        }
        return {};
    }

    // SEC_WEBSOCKET_KEY → Sec-Websocket-Key.
    std::string_view keepFieldName(std::string_view name) {
        const auto kept = keep(name);
        char* at = head_.bytes.data() + (head_.bytes.size() - kept.size());
        bool first = true;
        for (size_t i = 0; i < kept.size(); ++i) {
            if (at[i] == '_') at[i] = '-';
            else if (!first) at[i] = toLower(at[i]);
            first = at[i] == '-';
        }
        return kept;
    }

    std::string_view keepJoined(const FieldView& first) {
        const std::string_view separator = first.name == "HTTP_COOKIE" ? "; " : ", ";
        const auto at = head_.bytes.size();
        bool any = false;
        for (const auto& entry : variables_) {
            if (entry.name != first.name) continue;
            if (any) keep(separator);
            keep(entry.value);
            any = true;
        }
        return trim(std::string_view(head_.bytes).substr(at));
    }

    std::optional<Violation> readHost() {
        const auto named = head_.field("Host");
        if (!named.empty()) {
            if (!isValidHost(named)) return bad("invalid Host");
            if (head_.host.empty()) head_.host = named;
        } else if (head_.host.empty()) {
            const auto name = variable("SERVER_NAME");
            const auto port = variable("SERVER_PORT");
            if (name.empty()) return {};
            const auto at = head_.bytes.size();
            keep(name);
            if (!port.empty() && port != "80" && port != "443") keep(":"), keep(port);
            head_.host = std::string_view(head_.bytes).substr(at);
            if (!isValidHost(head_.host)) head_.host = {};
        }
        return {};
    }

    void readConnection() {
        const auto https = variable("HTTPS");
        const bool secure = equalsIgnoringCase(https, "on") || https == "1" ||
                            equalsIgnoringCase(variable("REQUEST_SCHEME"), "https");
        head_.scheme = secure ? "https" : "http";
        head_.remoteAddress = keep(variable("REMOTE_ADDR"));
        head_.remotePort = parseDecimal<uint16_t>(variable("REMOTE_PORT")).value_or(uint16_t{0});
        head_.serverName = keep(variable("SERVER_NAME"));
        head_.serverPort = parseDecimal<uint16_t>(variable("SERVER_PORT")).value_or(uint16_t{0});
        if (rules_.trustRemoteUser) head_.remoteUser = keep(variable("REMOTE_USER"));
        head_.keepAlive = false;
    }

    std::optional<Violation> readBody() {
        const auto length = variable("CONTENT_LENGTH");
        const auto sentLength = parseDecimal<uint64_t>(variable("HTTP_CONTENT_LENGTH"));
        if (length == "-1") {
            head_.framing = BodyFraming::untilEnd;
        } else if (!length.empty()) {
            const auto value = parseDecimal<uint64_t>(length);
            if (!value || length.size() > 18) return bad("invalid CONTENT_LENGTH");
            if (sentLength && *sentLength > *value)
                return Violation{500, "CONTENT_LENGTH is less than the client sent: nginx before 1.29.6 needs "
                                      "scgi_request_buffering on (uwsgi_request_buffering likewise)"};
            head_.framing = *value > 0 ? BodyFraming::length : BodyFraming::none;
            head_.contentLength = *value;
        } else if (has("HTTP_TRANSFER_ENCODING") || (rules_.bodyUntilEnd && !has("HTTP_UPGRADE"))) {
            head_.framing = BodyFraming::untilEnd;
        }
        if (head_.framing == BodyFraming::untilEnd && rules_.bodyNeedsLength)
            return Violation{411, "the gateway sends a body without CONTENT_LENGTH, whose end cannot be found"};
        return {};
    }

    std::span<const FieldView> variables_;
    const CgiVariableRules& rules_;
    const HeadLimits& limits_;
    RequestHead& head_;
};

}

std::optional<Violation> readCgiVariables(std::span<const FieldView> variables, const CgiVariableRules& rules,
                                          const HeadLimits& limits, RequestHead& head) {
    return Reader(variables, rules, limits, head).read();
}

void splitMount(std::string_view mount, RequestHead& head) {
    if (mount.empty() || mount == "/" || !head.pathInfo.starts_with(mount)) return;
    const auto rest = head.pathInfo.substr(mount.size());
    if (!rest.empty() && !rest.starts_with('/')) return;  // a mount ends between segments
    head.scriptName = mount;
    head.pathInfo = rest.empty() ? std::string_view("/") : rest;
}

NameValues writeCgiVariables(const RequestHead& head) {
    NameValues variables;
    const auto add = [&](std::string_view name, std::string_view value) {
        variables.add(std::string(name), std::string(value));
    };
    add("GATEWAY_INTERFACE", "CGI/1.1");
    add("SERVER_SOFTWARE", "postern");
    add("SERVER_PROTOCOL", head.minorVersion == 0 ? "HTTP/1.0" : "HTTP/1.1");
    add("REQUEST_METHOD", head.method);
    add("REQUEST_SCHEME", head.scheme);
    add("REQUEST_URI", head.target);
    add("SCRIPT_NAME", head.scriptName);
    add("PATH_INFO", head.pathInfo);
    add("QUERY_STRING", head.query);
    add("SERVER_NAME", head.serverName);
    add("SERVER_PORT", std::to_string(head.serverPort));
    add("REMOTE_ADDR", head.remoteAddress);
    if (head.remotePort != 0) add("REMOTE_PORT", std::to_string(head.remotePort));
    if (head.isHttps()) add("HTTPS", "on");
    if (!head.remoteUser.empty()) add("REMOTE_USER", head.remoteUser);
    if (head.framing == BodyFraming::length) add("CONTENT_LENGTH", std::to_string(head.contentLength));
    for (const auto& [name, value] : head.fields) {
        if (equalsIgnoringCase(name, "content-type")) {
            add("CONTENT_TYPE", value);
            continue;
        }
        // An underscore could pass for a hyphen ("X_Real" for "X-Real"), and Proxy for a setting of our own.
        if (equalsIgnoringCase(name, "content-length") || equalsIgnoringCase(name, "proxy") ||
            name.find('_') != std::string_view::npos)
            continue;
        std::string variable = "HTTP_";
        for (const char c : name) variable += c == '-' ? '_' : toUpper(c);
        variables.add(std::move(variable), std::string(value));
    }
    return variables;
}

}
