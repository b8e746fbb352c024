#include "postern/protocol/HttpHead.h"

#include "postern/protocol/Url.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>

namespace postern {

namespace {

// One table look-up per byte instead of a chain of comparisons.
constexpr auto tokenTable = [] {
    std::array<bool, 256> table{};
    for (size_t c = 0; c < 256; ++c) table[c] = c < 128 && isTokenChar(static_cast<char>(c));
    return table;
}();
constexpr auto valueTable = [] {
    std::array<bool, 256> table{};
    for (size_t c = 0; c < 256; ++c) table[c] = c == '\t' || (c >= 0x20 && c != 0x7f);
    return table;
}();
constexpr auto targetTable = [] {
    std::array<bool, 256> table{};
    for (size_t c = 0x21; c < 0x7f; ++c) table[c] = c != '#';
    return table;
}();
constexpr auto hostTable = [] {
    std::array<bool, 256> table{};
    for (size_t c = 0; c < 128; ++c) table[c] = isAlpha(static_cast<char>(c)) || isDigit(static_cast<char>(c));
    for (const char c : std::string_view("-._~!$&'()*+;=%")) table[static_cast<unsigned char>(c)] = true;
    return table;
}();

bool allIn(const std::array<bool, 256>& table, std::string_view text) {
    for (const char c : text)
        if (!table[static_cast<unsigned char>(c)]) return false;
    return true;
}

// As the table says, eight bytes at a glance.
bool isValueText(std::string_view text) {
    constexpr uint64_t ones = 0x0101'0101'0101'0101, high = 0x80 * ones;
    while (text.size() >= 8) {
        uint64_t eight;
        std::memcpy(&eight, text.data(), 8);
        const auto deletes = eight ^ (0x7f * ones);
        // A byte below 0x20, or a DEL: the borrow of one may taint its neighbour, never hide it.
        const auto odd = ((eight - 0x20 * ones) & ~eight) | ((deletes - ones) & ~deletes);
        if ((odd & high) != 0 && !allIn(valueTable, text.substr(0, 8))) return false;
        text.remove_prefix(8);
    }
    return allIn(valueTable, text);
}

constexpr Violation bad(const char* reason) { return {400, reason}; }

// Takes a line of a complete head, without its CRLF. The scanner has seen to it that every line ends in CRLF.
std::string_view takeLine(std::string_view& rest) {
    const auto* end = static_cast<const char*>(std::memchr(rest.data(), '\n', rest.size()));
    const auto size = end ? static_cast<size_t>(end - rest.data()) : rest.size();
    auto line = rest.substr(0, size);
    rest.remove_prefix(end ? size + 1 : size);
    if (line.ends_with('\r')) line.remove_suffix(1);
    return line;
}

std::optional<Violation> readVersion(std::string_view version, int& minor) {
    if (version.size() != 8 || !version.starts_with("HTTP/") || !isDigit(version[5]) || version[6] != '.' ||
        !isDigit(version[7]))
        return bad("malformed HTTP version");
    if (version[5] != '1' || version[7] > '1') return Violation{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
    minor = version[7] - '0';
    return {};
}

std::optional<Violation> readRequestLine(std::string_view line, const HeadLimits& limits, RequestHead& head) {
    const auto methodEnd = line.find(' ');
    const auto versionStart = line.rfind(' ');
    if (methodEnd == std::string_view::npos || methodEnd == versionStart) {
        return line.size() > limits.targetBytes ? Violation{414, "request target too long"}
                                                : bad("malformed request line");
    }
    head.method = line.substr(0, methodEnd);
    if (!allIn(tokenTable, head.method) || head.method.empty()) return bad("malformed method");
    head.target = line.substr(methodEnd + 1, versionStart - methodEnd - 1);
    if (head.target.size() > limits.targetBytes) return Violation{414, "request target too long"};
    if (head.target.empty() || !allIn(targetTable, head.target)) return bad("malformed request target");
    return readVersion(line.substr(versionStart + 1), head.minorVersion);
}

std::optional<Violation> readFields(std::string_view rest, size_t limit, FieldViews& fields) {
    for (;;) {
        const auto line = takeLine(rest);
        if (line.empty()) return {};
        if (fields.size() == limit) return Violation{431, "too many header fields"};
        if (line.front() == ' ' || line.front() == '\t') return bad("folded header line");
        size_t colon = 0;
        while (colon < line.size() && tokenTable[static_cast<unsigned char>(line[colon])]) ++colon;
        if (colon == 0 || colon == line.size() || line[colon] != ':') return bad("malformed header field name");
        const auto value = trim(line.substr(colon + 1));
        if (!isValueText(value)) return bad("control character in a header field");
        fields.push_back({line.substr(0, colon), value});
    }
}

// What the framing fields say, collected in one pass over all fields.
struct Framing {
    const FieldView* host = nullptr;
    const FieldView* length = nullptr;
    const FieldView* transferEncoding = nullptr;
    const FieldView* expect = nullptr;
    bool repeatedHost = false, repeatedLength = false, repeatedTransferEncoding = false, repeatedExpect = false;
    bool close = false, keepAlive = false;
};

Framing findFraming(const FieldViews& fields) {
    Framing found;
    const auto note = [](const FieldView& field, const FieldView*& slot, bool& repeated) {
        repeated = slot != nullptr;
        slot = &field;
    };
    for (const auto& field : fields) {
        switch (field.name.size()) {
        case 4:
            if (equalsIgnoringCase(field.name, "host")) note(field, found.host, found.repeatedHost);
            break;
        case 6:
            if (equalsIgnoringCase(field.name, "expect")) note(field, found.expect, found.repeatedExpect);
            break;
        case 10:
            if (equalsIgnoringCase(field.name, "connection")) {
                found.close = found.close || listContains(field.value, "close");
                found.keepAlive = found.keepAlive || listContains(field.value, "keep-alive");
            }
            break;
        case 14:
            if (equalsIgnoringCase(field.name, "content-length")) note(field, found.length, found.repeatedLength);
            break;
        case 17:
            if (equalsIgnoringCase(field.name, "transfer-encoding"))
                note(field, found.transferEncoding, found.repeatedTransferEncoding);
            break;
        }
    }
    return found;
}

// RFC 9112 §6.3, in its strict reading: everything two parsers could understand differently is refused.
template <typename Head>
std::optional<Violation> readFraming(const Framing& found, Head& head) {
    if (found.transferEncoding) {
        if (found.length) return bad("Content-Length together with Transfer-Encoding");
        if (head.minorVersion == 0) return bad("Transfer-Encoding in HTTP/1.0");
        if (found.repeatedTransferEncoding) return bad("repeated Transfer-Encoding");
        if (!equalsIgnoringCase(found.transferEncoding->value, "chunked"))
            return Violation{501, "transfer coding not supported: only chunked is"};
        head.framing = BodyFraming::chunked;
    } else if (found.length) {
        const auto length = parseDecimal<uint64_t>(found.length->value);
        if (found.repeatedLength || !length || found.length->value.size() > 18) return bad("invalid Content-Length");
        head.framing = BodyFraming::length;
        head.contentLength = *length;
    }
    return {};
}

std::optional<Violation> readHost(const Framing& found, RequestHead& head) {
    if (found.repeatedHost) return bad("more than one Host");
    if (!found.host) return head.minorVersion > 0 ? std::optional(bad("no Host")) : std::nullopt;
    if (!isValidHost(found.host->value)) return bad("invalid Host");
    // The absolute form has set it already; two names for one request are two readings of it.
    if (head.host.empty()) head.host = found.host->value;
    else if (!equalsIgnoringCase(head.host, found.host->value)) return bad("Host differs from the request target");
    return {};
}

std::optional<Violation> readExpect(const Framing& found, RequestHead& head) {
    if (!found.expect) return {};
    if (found.repeatedExpect || !equalsIgnoringCase(found.expect->value, "100-continue")) return Violation{417, "unknown expectation"};
    head.expectContinue = head.minorVersion > 0 && head.framing != BodyFraming::none;
    return {};
}

}

Outcome<size_t> HeadScanner::scan(std::string_view bytes, const HeadLimits& limits) {
    constexpr size_t roomForMethodAndVersion = 64;
    if (seen_ == 0 && bytes.starts_with('\r')) {
        // One empty line before a request line is forgiven (RFC 9112 §2.2).
        if (bytes.size() == 1) return NeedMore();
        if (bytes[1] != '\n') return bad("bare CR");
        lineStart_ = seen_ = 2;
    }
    while (seen_ < bytes.size()) {
        const auto* lineFeed = static_cast<const char*>(std::memchr(bytes.data() + seen_, '\n', bytes.size() - seen_));
        if (!lineFeed) {
            seen_ = bytes.size();
            break;
        }
        const auto at = static_cast<size_t>(lineFeed - bytes.data());
        if (!inFields_ && at - lineStart_ > limits.targetBytes + roomForMethodAndVersion)
            return Violation{414, "request target too long"};
        if (at >= limits.headBytes) return Violation{431, "request head too large"};
        if (at == lineStart_ || bytes[at - 1] != '\r') return bad("line end without CR");
        seen_ = at + 1;
        if (at - 1 == lineStart_) return inFields_ ? Outcome<size_t>(seen_) : bad("empty request line");
        lineStart_ = seen_;
        inFields_ = true;
    }
    // Refuse early what can only become too long, so that nobody fills the buffer with one endless line.
    if (!inFields_ && bytes.size() - lineStart_ > limits.targetBytes + roomForMethodAndVersion)
        return Violation{414, "request target too long"};
    if (bytes.size() >= limits.headBytes) return Violation{431, "request head too large"};
    return NeedMore();
}

std::optional<Violation> parseRequestHead(std::string_view bytes, const HeadLimits& limits, RequestHead& head) {
    head.bytes.assign(bytes);
    std::string_view rest = head.bytes;
    if (rest.starts_with("\r\n")) rest.remove_prefix(2);
    if (auto violation = readRequestLine(takeLine(rest), limits, head)) return violation;
    if (auto violation = readTarget(head.target, head)) return violation;
    if (auto violation = readFields(rest, limits.fieldCount, head.fields)) return violation;

    const auto found = findFraming(head.fields);
    if (auto violation = readHost(found, head)) return violation;
    if (auto violation = readFraming(found, head)) return violation;
    if (auto violation = readExpect(found, head)) return violation;
    head.keepAlive = head.minorVersion > 0 ? !found.close : found.keepAlive && !found.close;
    return {};
}

std::optional<Violation> readTarget(std::string_view target, RequestHead& head) {
    std::string_view rest = target;
    if (head.method == "CONNECT") {
        if (!isValidHost(target) || target.find(':') == target.npos || !isDigit(target.back()))
            return bad("malformed CONNECT target");
        head.host = target;
        rest = {};
    } else if (target == "*") {
        if (head.method != "OPTIONS") return bad("target * without OPTIONS");
        head.path = head.pathInfo = target;
        return {};
    } else if (!target.starts_with('/')) {
        const auto scheme = target.find("://");
        if (scheme == std::string_view::npos) return bad("malformed request target");
        if (const auto name = target.substr(0, scheme);
            !equalsIgnoringCase(name, "http") && !equalsIgnoringCase(name, "https"))
            return bad("request target of an unknown scheme");
        rest = target.substr(scheme + 3);
        const auto end = rest.find_first_of("/?");
        head.host = rest.substr(0, end);
        if (!isValidHost(head.host)) return bad("invalid authority in the request target");
        rest = end == std::string_view::npos ? std::string_view() : rest.substr(end);
    }
    const auto question = rest.find('?');
    head.path = rest.substr(0, question);
    head.query = question == std::string_view::npos ? std::string_view() : rest.substr(question + 1);
    if (head.path.empty()) head.path = "/";
    const auto decoded = decodePath(head.path, head.decodedPath);
    if (!decoded) return bad("malformed path");
    head.pathInfo = *decoded;
    return {};
}

bool isValidHost(std::string_view host) {
    std::string_view port;
    if (host.starts_with('[')) {
        const auto end = host.find(']');
        if (end == std::string_view::npos || end < 3) return false;
        for (const char c : host.substr(1, end - 1))
            if (hexValue(c) < 0 && c != ':' && c != '.') return false;
        in6_addr address;
        if (::inet_pton(AF_INET6, std::string(host.substr(1, end - 1)).c_str(), &address) != 1) return false;
        port = host.substr(end + 1);
    } else {
        const auto colon = host.find(':');
        const auto name = host.substr(0, colon);
        if (name.empty() || !allIn(hostTable, name)) return false;
        port = colon == std::string_view::npos ? std::string_view() : host.substr(colon);
    }
    if (port.empty()) return true;
    if (port.front() != ':') return false;
    port.remove_prefix(1);
    return port.empty() || parseDecimal<uint16_t>(port).has_value();
}

std::optional<Violation> parseResponseHead(std::string_view bytes, std::string_view requestMethod, ResponseHead& head) {
    std::string_view rest = bytes;
    const auto line = takeLine(rest);
    if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' ')) return bad("malformed status line");
    if (auto violation = readVersion(line.substr(0, 8), head.minorVersion)) return violation;
    const auto status = parseDecimal<int>(line.substr(9, 3));
    if (!status || *status < 100) return bad("malformed status");
    head.status = *status;
    head.reason = line.size() > 13 ? line.substr(13) : std::string_view();
    if (!allIn(valueTable, head.reason)) return bad("control character in the reason");
    if (auto violation = readFields(rest, SIZE_MAX, head.fields)) return violation;

    const auto found = findFraming(head.fields);
    head.keepAlive = head.minorVersion > 0 ? !found.close : found.keepAlive && !found.close;
    const bool tunnel = requestMethod == "CONNECT" && head.status < 300;
    const bool noBody = head.status < 200 || head.status == 204 || head.status == 304 || requestMethod == "HEAD";
    if (noBody || tunnel) return {};
    head.framing = BodyFraming::untilEnd;
    return readFraming(found, head);
}

std::string_view reasonPhrase(int status) {
    switch (status) {
    case 100: return "Continue";
    case 101: return "Switching Protocols";
    case 200: return "OK";
    case 201: return "Created";
    case 202: return "Accepted";
    case 203: return "Non-Authoritative Information";
    case 204: return "No Content";
    case 205: return "Reset Content";
    case 206: return "Partial Content";
    case 300: return "Multiple Choices";
    case 301: return "Moved Permanently";
    case 302: return "Found";
    case 303: return "See Other";
    case 304: return "Not Modified";
    case 307: return "Temporary Redirect";
    case 308: return "Permanent Redirect";
    case 400: return "Bad Request";
    case 401: return "Unauthorized";
    case 402: return "Payment Required";
    case 403: return "Forbidden";
    case 404: return "Not Found";
    case 405: return "Method Not Allowed";
    case 406: return "Not Acceptable";
    case 407: return "Proxy Authentication Required";
    case 408: return "Request Timeout";
    case 409: return "Conflict";
    case 410: return "Gone";
    case 411: return "Length Required";
    case 412: return "Precondition Failed";
    case 413: return "Content Too Large";
    case 414: return "URI Too Long";
    case 415: return "Unsupported Media Type";
    case 416: return "Range Not Satisfiable";
    case 417: return "Expectation Failed";
    case 421: return "Misdirected Request";
    case 422: return "Unprocessable Content";
    case 425: return "Too Early";
    case 426: return "Upgrade Required";
    case 428: return "Precondition Required";
    case 429: return "Too Many Requests";
    case 431: return "Request Header Fields Too Large";
    case 451: return "Unavailable For Legal Reasons";
    case 500: return "Internal Server Error";
    case 501: return "Not Implemented";
    case 502: return "Bad Gateway";
    case 503: return "Service Unavailable";
    case 504: return "Gateway Timeout";
    case 505: return "HTTP Version Not Supported";
    case 507: return "Insufficient Storage";
    case 511: return "Network Authentication Required";
    }
    return "";
}

bool isFieldName(std::string_view name) { return !name.empty() && allIn(tokenTable, name); }
bool isFieldValue(std::string_view value) { return isValueText(value); }

}
