#include "postern/protocol/HttpHead.h"

#include "postern/base/FindByte.h"
#include "postern/protocol/Url.h"

#include <arpa/inet.h>

#include <array>
#include <cstring>
#include <utility>

namespace postern {

namespace {

// One table look-up per byte instead of a chain of comparisons.
constexpr auto tokenTable = [] {
    std::array<bool, 256> table{};
    for (size_t c = 0; c < 256; ++c) table[c] = c < 128 && isTokenChar(static_cast<char>(c));
    return table;
}();
constexpr auto hostTable = [] {
    std::array<bool, 256> table{};
    for (size_t c = 0; c < 128; ++c) table[c] = isAlpha(static_cast<char>(c)) || isDigit(static_cast<char>(c));
    for (const char c : std::string_view("-._~!$&'()*+;=%")) table[static_cast<unsigned char>(c)] = true;
    return table;
}();

// Where the bytes from `at` on end that the table has.
size_t skip(const std::array<bool, 256>& table, std::string_view text, size_t at) {
    while (at < text.size() && table[static_cast<unsigned char>(text[at])]) ++at;
    return at;
}

// Questions for findByte().
constexpr auto isLineFeed = [](auto byte) { return byte == '\n'; };
constexpr auto isQuestionMark = [](auto byte) { return byte == '?'; };
constexpr auto isNoValueByte = [](auto byte) { return ((byte < ' ') & (byte != '\t')) | (byte == 0x7f); };
constexpr auto isNoTargetByte = [](auto byte) { return (byte <= ' ') | (byte >= 0x7f) | (byte == '#'); };
// All but letters, digits, '-' and '.', which is what most tokens are made of.
constexpr auto isUnusualInName = [](auto byte) {
    return (((byte | 0x20) < 'a') | ((byte | 0x20) > 'z')) & ((byte < '-') | (byte > '9') | (byte == '/'));
};
// The line feed of an empty line, or one without its CR.
constexpr auto endsHead = [](auto byte, auto before, auto twoBefore) {
    return (byte == '\n') & ((before != '\r') | (twoBefore == '\n'));
};

constexpr Violation bad(const char* reason) { return {400, reason}; }

// Takes a complete head apart, from its front.
class HeadReader {
public:
    explicit HeadReader(std::string_view head) : head_(head) {}

    std::string_view takeMethod() { return takeTo(skip(tokenTable, head_, at_)); }
    std::string_view takeName() { return takeTo(skip(tokenTable, head_, findByte(head_, at_, isUnusualInName))); }
    std::string_view takeTarget() { return takeTo(findByte(head_, at_, isNoTargetByte)); }
    std::string_view takeValue() { return takeTo(findByte(head_, at_, isNoValueByte)); }
    bool take(char c) {
        const bool is = at_ < head_.size() && head_[at_] == c;
        if (is) ++at_;
        return is;
    }
    bool take(std::string_view text) {
        const bool is =
            head_.size() - at_ >= text.size() && std::memcmp(head_.data() + at_, text.data(), text.size()) == 0;
        if (is) at_ += text.size();
        return is;
    }
    bool takeLineEnd() { return take("\r\n"); }
    bool isAtSpace() const { return at_ < head_.size() && (head_[at_] == ' ' || head_[at_] == '\t'); }
    size_t lineEnd() const { return findByte(head_, at_, isLineFeed); }

private:
    std::string_view takeTo(size_t end) {
        const auto start = std::exchange(at_, end);
        return {head_.data() + start, end - start};
    }

    std::string_view head_;
    size_t at_ = 0;
};

std::optional<Violation> readVersion(std::string_view version, int& minor) {
    if (version.size() != 8 || !version.starts_with("HTTP/") || !isDigit(version[5]) || version[6] != '.' ||
        !isDigit(version[7]))
        return bad("malformed HTTP version");
    if (version[5] != '1' || version[7] > '1') return Violation{505, "only HTTP/1.0 and HTTP/1.1 are spoken here"};
    minor = version[7] - '0';
    return {};
}

std::optional<Violation> readRequestLine(HeadReader& reader, const HeadLimits& limits, RequestHead& head) {
    const auto malformed = [&](const char* reason) {
        return reader.lineEnd() > limits.targetBytes ? Violation{414, "request target too long"} : bad(reason);
    };
    head.method = reader.takeMethod();
    if (head.method.empty() || !reader.take(' ')) return malformed("malformed method");
    head.target = reader.takeTarget();
    if (head.target.empty() || !reader.take(' ')) return malformed("malformed request target");
    if (head.target.size() > limits.targetBytes) return Violation{414, "request target too long"};
    head.minorVersion = 1;
    if (reader.take("HTTP/1.1\r\n")) return {};  // as nearly always
    const auto version = reader.takeTarget();
    if (!reader.takeLineEnd()) return malformed("malformed HTTP version");
    return readVersion(version, head.minorVersion);
}

// What the framing fields say, collected as they are read.
struct Framing {
    struct Field {
        std::string_view value;   // of the last one
        size_t count = 0;

        void note(std::string_view found) {
            value = found;
            ++count;
        }
    };

    Field host, length, transferEncoding, expect;
    bool close = false, keepAlive = false;

    void note(std::string_view name, std::string_view value) {
        switch (name.size()) {
        case 4:
            if (equalsIgnoringCase(name, "Host")) host.note(value);
            break;
        case 6:
            if (equalsIgnoringCase(name, "Expect")) expect.note(value);
            break;
        case 10:
            if (equalsIgnoringCase(name, "Connection")) noteOptions(value);
            break;
        case 14:
            if (equalsIgnoringCase(name, "Content-Length")) length.note(value);
            break;
        case 17:
            if (equalsIgnoringCase(name, "Transfer-Encoding")) transferEncoding.note(value);
            break;
        }
    }
    void noteOptions(std::string_view options) {
        forEachListElement(options, [&](std::string_view option) {
            if (equalsIgnoringCase(option, "close")) close = true;
            if (equalsIgnoringCase(option, "keep-alive")) keepAlive = true;
        });
    }
};

std::optional<Violation> readFields(HeadReader& reader, size_t limit, FieldViews& fields, Framing& found) {
    while (!reader.takeLineEnd()) {
        if (fields.size() == limit) return Violation{431, "too many header fields"};
        const auto name = reader.takeName();
        if (name.empty() || !reader.take(':'))
            return bad(name.empty() && reader.isAtSpace() ? "folded header line" : "malformed header field name");
        const auto value = trim(reader.takeValue());
        if (!reader.takeLineEnd()) return bad("control character in a header field");
        fields.push_back({name, value});
        found.note(name, value);
    }
    return {};
}

// RFC 9112 §6.3, in its strict reading: everything two parsers could understand differently is refused.
template <typename Head>
std::optional<Violation> readFraming(const Framing& found, Head& head) {
    if (found.transferEncoding.count > 0) {
        if (found.length.count > 0) return bad("Content-Length together with Transfer-Encoding");
        if (head.minorVersion == 0) return bad("Transfer-Encoding in HTTP/1.0");
        if (found.transferEncoding.count > 1) return bad("repeated Transfer-Encoding");
        if (!equalsIgnoringCase(found.transferEncoding.value, "chunked"))
            return Violation{501, "transfer coding not supported: only chunked is"};
        head.framing = BodyFraming::chunked;
    } else if (found.length.count > 0) {
        const auto length = parseDecimal<uint64_t>(found.length.value);
        if (found.length.count > 1 || !length || found.length.value.size() > 18) return bad("invalid Content-Length");
        head.framing = BodyFraming::length;
        head.contentLength = *length;
    }
    return {};
}

// Where the IPv6 address in brackets ends that `host` begins with; 0 if it is none.
size_t addressEnd(std::string_view host) {
    const auto end = host.find(']');
    if (end == std::string_view::npos || end < 3) return 0;
    const auto text = host.substr(1, end - 1);
    for (const char c : text)
        if (hexValue(c) < 0 && c != ':' && c != '.') return 0;
    in6_addr address;
    return ::inet_pton(AF_INET6, std::string(text).c_str(), &address) == 1 ? end + 1 : 0;
}

std::optional<Violation> readPath(std::string_view pathAndQuery, RequestHead& head) {
    const auto end = findByte(pathAndQuery, 0, isQuestionMark);
    head.path = pathAndQuery.substr(0, end);
    head.query = pathAndQuery.substr(std::min(end + 1, pathAndQuery.size()));
    if (head.path.empty()) head.path = "/";
    const auto decoded = decodePath(head.path, head.decodedPath);
    if (!decoded) return bad("malformed path");
    head.pathInfo = *decoded;
    return {};
}

std::optional<Violation> readUnusualTarget(std::string_view target, RequestHead& head) {
    if (head.method == "CONNECT") {
        if (!isValidHost(target) || target.find(':') == target.npos || !isDigit(target.back()))
            return bad("malformed CONNECT target");
        head.host = target;
        return readPath({}, head);
    }
    if (target == "*") {
        if (head.method != "OPTIONS") return bad("target * without OPTIONS");
        head.path = head.pathInfo = target;
        return {};
    }
    const auto scheme = target.find("://");
    if (scheme == std::string_view::npos) return bad("malformed request target");
    if (const auto name = target.substr(0, scheme);
        !equalsIgnoringCase(name, "http") && !equalsIgnoringCase(name, "https"))
        return bad("request target of an unknown scheme");
    const auto rest = target.substr(scheme + 3);
    const auto end = std::min(rest.find_first_of("/?"), rest.size());
    head.host = rest.substr(0, end);
    if (!isValidHost(head.host)) return bad("invalid authority in the request target");
    return readPath(rest.substr(end), head);
}

std::optional<Violation> readHost(const Framing& found, RequestHead& head) {
    if (found.host.count > 1) return bad("more than one Host");
    if (found.host.count == 0) return head.minorVersion > 0 ? std::optional(bad("no Host")) : std::nullopt;
    if (!isValidHost(found.host.value)) return bad("invalid Host");
    // The absolute form has set it already; two names for one request are two readings of it.
    if (head.host.empty()) head.host = found.host.value;
    else if (!equalsIgnoringCase(head.host, found.host.value)) return bad("Host differs from the request target");
    return {};
}

std::optional<Violation> readExpect(const Framing& found, RequestHead& head) {
    if (found.expect.count == 0) return {};
    if (found.expect.count > 1 || !equalsIgnoringCase(found.expect.value, "100-continue")) return Violation{417, "unknown expectation"};
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
        seen_ = 2;
        lineStart_ = 2;
    }
    // An end that has not come yet counts as one behind all bytes, so that nobody fills the buffer with an endless line.
    if (!inFields_) {
        const auto end = findByte(bytes, seen_, isLineFeed);
        if (end - lineStart_ > limits.targetBytes + roomForMethodAndVersion)
            return Violation{414, "request target too long"};
        if (end >= limits.headBytes) return Violation{431, "request head too large"};
        seen_ = static_cast<uint32_t>(end);
        if (end == bytes.size()) return NeedMore();
        if (end == lineStart_ || bytes[end - 1] != '\r') return bad("line end without CR");
        if (end - 1 == lineStart_) return bad("empty request line");
        ++seen_;
        inFields_ = true;
    }
    const auto end = findPlace<0, 1, 2>(bytes, seen_, endsHead);
    if (end >= limits.headBytes) return Violation{431, "request head too large"};
    seen_ = static_cast<uint32_t>(end);
    if (end == bytes.size()) return NeedMore();
    return bytes[end - 1] == '\r' ? Outcome<size_t>(end + 1) : bad("line end without CR");
}

std::optional<Violation> parseRequestHead(std::string_view bytes, const HeadLimits& limits, RequestHead& head) {
    head.bytes.assign(bytes);
    HeadReader reader(head.bytes);
    reader.takeLineEnd();
    if (auto violation = readRequestLine(reader, limits, head)) return violation;
    if (auto violation = readTarget(head.target, head)) return violation;
    Framing found;
    if (auto violation = readFields(reader, limits.fieldCount, head.fields, found)) return violation;
    if (auto violation = readHost(found, head)) return violation;
    if (auto violation = readFraming(found, head)) return violation;
    if (auto violation = readExpect(found, head)) return violation;
    head.keepAlive = head.minorVersion > 0 ? !found.close : found.keepAlive && !found.close;
    return {};
}

std::optional<Violation> readTarget(std::string_view target, RequestHead& head) {
    const bool isUsual = target.starts_with('/') && head.method != "CONNECT";
    return isUsual ? readPath(target, head) : readUnusualTarget(target, head);
}

bool isValidHost(std::string_view host) {
    const auto end = host.starts_with('[') ? addressEnd(host) : skip(hostTable, host, 0);
    if (end == 0) return false;
    auto port = host.substr(end);
    if (port.empty()) return true;
    if (port.front() != ':') return false;
    port.remove_prefix(1);
    return port.empty() || parseDecimal<uint16_t>(port).has_value();
}

std::optional<Violation> parseResponseHead(std::string_view bytes, std::string_view requestMethod, ResponseHead& head) {
    HeadReader reader(bytes);
    const auto line = reader.takeValue();
    if (!reader.takeLineEnd()) return bad("control character in the status line");
    if (line.size() < 12 || line[8] != ' ' || (line.size() > 12 && line[12] != ' ')) return bad("malformed status line");
    if (auto violation = readVersion(line.substr(0, 8), head.minorVersion)) return violation;
    const auto status = parseDecimal<int>(line.substr(9, 3));
    if (!status || *status < 100) return bad("malformed status");
    head.status = *status;
    head.reason = line.size() > 13 ? line.substr(13) : std::string_view();
    Framing found;
    if (auto violation = readFields(reader, SIZE_MAX, head.fields, found)) return violation;
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

bool isFieldName(std::string_view name) { return !name.empty() && skip(tokenTable, name, 0) == name.size(); }
bool isFieldValue(std::string_view value) { return findByte(value, 0, isNoValueByte) == value.size(); }

}
