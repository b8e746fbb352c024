// The input is what a client sends: a head and perhaps more.
#include "postern/protocol/HttpHead.h"

#include "postern/base/Utf8.h"
#include "support/Require.h"
#include "support/Verdicts.h"

using namespace postern;

namespace {

bool isAccepted(const std::string& verdict) { return verdict.find(" HTTP/1.") != std::string::npos; }

std::string inLowerCase(std::string_view text) {
    std::string lower(text);
    for (auto& c : lower) c = toLower(c);
    return lower;
}

size_t count(std::string_view text, std::string_view part) {
    size_t found = 0;
    for (auto at = text.find(part); at != text.npos; at = text.find(part, at + 1)) ++found;
    return found;
}

// What no accepted head may hold, looked for in its bytes alone.
void checkBytes(std::string_view bytes) {
    for (size_t at = 0; at < bytes.size(); ++at) {
        const auto byte = static_cast<unsigned char>(bytes[at]);
        require(byte >= ' ' || byte == '\t' || byte == '\r' || byte == '\n', "no control characters");
        require(byte != 0x7f, "no DEL");
        require(byte != '\n' || (at > 0 && bytes[at - 1] == '\r'), "no bare LF");
        require(byte != '\r' || bytes.substr(at + 1, 1) == "\n", "no bare CR");
        require(byte != '\n' || at + 1 == bytes.size() || (bytes[at + 1] != ' ' && bytes[at + 1] != '\t'),
                "no folded line");
    }
    const auto lower = inLowerCase(bytes);
    const bool isNewest = lower.find(" http/1.1\r\n") < lower.find("\r\n", 2);
    const auto hosts = count(lower, "\nhost:"), lengths = count(lower, "\ncontent-length:");
    const auto codings = count(lower, "\ntransfer-encoding:");
    require(hosts == 1 || (hosts == 0 && !isNewest), "one Host, or none before HTTP/1.1");
    require(lengths + codings <= 1, "one framing field");
    require(count(lower, " :") + count(lower, "\t:") == 0 || count(lower, ":") > 1, "no space before a colon");
}

void checkHead(const RequestHead& head, const std::string& expected) {
    require(isToken(head.method) && !head.target.empty(), "a method and a target");
    require(head.pathInfo == "*" || head.pathInfo.starts_with('/'), "a path begins at the root");
    const auto padded = std::string(head.pathInfo) + "/";
    require(padded.find("/../") == padded.npos && padded.find("/./") == padded.npos, "no dot segments");
    require(isValidUtf8(head.pathInfo) && head.pathInfo.find('\0') == head.pathInfo.npos, "a path is text");
    require(head.host.empty() ? head.minorVersion == 0 : isValidHost(head.host), "a valid host");

    std::string again;
    again.append(head.method).append(" ").append(head.target).append(" HTTP/1.");
    again.append(std::to_string(head.minorVersion)).append("\r\n");
    for (const auto& [name, value] : head.fields) again.append(name).append(": ").append(value).append("\r\n");
    HeadLimits roomy;
    roomy.headBytes = 1 << 15;
    require(verdictOnHead({again + "\r\n"}, roomy) == expected, "a head written again reads the same");
}

std::string checkRequest(std::string_view bytes, const HeadLimits& limits) {
    const auto whole = verdictOnHead({bytes}, limits);
    for (const size_t size : {size_t{1}, 2 + bytes.size() % 7, 9 + bytes.size() % 29})
        require(verdictOnHead(cutInPieces(bytes, size), limits) == whole, "one verdict however it arrives");
    if (!isAccepted(whole)) return whole;

    HeadScanner scanner;
    const auto size = std::get<size_t>(scanner.scan(bytes, limits));
    require(size <= limits.headBytes, "a head keeps to its limit");
    require(verdictOnHead({bytes.substr(0, size - 1)}, limits) == "more", "a head is complete with its last byte");
    checkBytes(bytes.substr(0, size));
    RequestHead head;
    require(!parseRequestHead(bytes.substr(0, size), limits, head), "the same verdict twice");
    require(head.fields.size() <= limits.fieldCount && head.target.size() <= limits.targetBytes, "limits hold");
    checkHead(head, whole);
    return whole;
}

void checkResponse(std::string_view bytes) {
    HeadScanner scanner;
    const auto found = scanner.scan(bytes, {});
    const auto* size = std::get_if<size_t>(&found);
    ResponseHead head;
    if (!size || parseResponseHead(bytes.substr(0, *size), "GET", head)) return;
    require(head.status >= 100 && head.status <= 999, "a status has three digits");
    require(isFieldValue(head.reason), "a reason is one line");
    for (const auto& [name, value] : head.fields) require(isFieldName(name) && isFieldValue(value), "fields are valid");
    ResponseHead toHead;
    require(!parseResponseHead(bytes.substr(0, *size), "HEAD", toHead), "an answer to HEAD is as valid");
    require(toHead.framing == BodyFraming::none, "an answer to HEAD has no body");
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size > 1 << 14) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto normal = checkRequest(bytes, {});
    HeadLimits small;
    small.headBytes = 160;
    small.fieldCount = 4;
    small.targetBytes = 40;
    const auto strict = checkRequest(bytes, small);
    require(!isAccepted(strict) || strict == normal, "limits change no meaning");
    checkResponse(bytes);
    return 0;
}
