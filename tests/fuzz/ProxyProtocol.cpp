// The input is what a proxy sends first.
#include "postern/protocol/ProxyProtocol.h"

#include "postern/base/Text.h"
#include "support/ProxyVerdicts.h"
#include "support/Require.h"

#include <arpa/inet.h>

#include <vector>

using namespace postern;

namespace {

std::string text(int family, const void* raw) {
    char text[INET6_ADDRSTRLEN] = "";
    if (family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(static_cast<const in6_addr*>(raw)))
        return ::inet_ntop(AF_INET, static_cast<const char*>(raw) + 12, text, sizeof text);
    return ::inet_ntop(family, raw, text, sizeof text);
}

// As inet_pton() reads it, and empty for what it does not read.
std::string slowAddress(int family, const std::string& word) {
    in6_addr raw{};
    if (word.find('\0') != word.npos || ::inet_pton(family, word.c_str(), &raw) != 1) return {};
    if (family == AF_INET6 && word.find('.') != word.npos) {
        const auto head = word.substr(0, word.rfind(':') + 1);
        if (head != "::" && !equalsIgnoringCase(head, "::ffff:")) return {};
    }
    return text(family, &raw);
}

bool isPort(const std::string& word) {
    const auto value = parseDecimal<uint16_t>(word);
    return value && std::to_string(*value) == word;
}

// The verdict on a line that is all there; "" for any other.
std::string slowLine(std::string_view bytes) {
    const auto end = bytes.find_first_of("\r\n");
    if (end > 105 || bytes.substr(end, 2) != "\r\n") return {};
    const auto size = " in " + std::to_string(end + 2);
    std::vector<std::string> words{""};
    for (const char c : bytes.substr(0, end))
        if (c == ' ') words.emplace_back();
        else words.back() += c;
    if (words.size() < 2 || words[0] != "PROXY") return {};
    if (words[1] == "UNKNOWN") return "local" + size;
    if (words.size() != 6 || (words[1] != "TCP4" && words[1] != "TCP6") || !isPort(words[4]) || !isPort(words[5])) return {};
    const int family = words[1] == "TCP4" ? AF_INET : AF_INET6;
    const auto source = slowAddress(family, words[2]);
    if (source.empty() || slowAddress(family, words[3]).empty()) return {};
    return source + ' ' + words[4] + " to " + words[5] + size;
}

std::string slowBinary(std::string_view bytes) {
    if (bytes.size() < 16 || !bytes.starts_with(std::string_view("\r\n\r\n\0\r\nQUIT\n", 12))) return {};
    const auto number = [&](size_t at) { return static_cast<uint8_t>(bytes[at]) * 256U + static_cast<uint8_t>(bytes[at + 1]); };
    const size_t length = number(14), end = 16 + length;
    const auto size = " in " + std::to_string(end);
    if (length > 1024 || bytes.size() < end) return {};
    if (bytes[12] == '\x20') return "local" + size;
    const int family = bytes[13] >> 4, transport = bytes[13] & 15;
    if (bytes[12] != '\x21' || family < 0 || family > 3 || transport > 2) return {};
    if (family == 0 || transport == 0) return "local" + size;
    size_t at = 16 + (family == 1 ? 12 : family == 2 ? 36 : 216);
    while (at < end) at += at + 3 <= end ? 3 + number(at + 1) : 3;
    if (at != end) return {};
    if (family == 3) return "local" + size;
    const size_t ports = family == 1 ? 24 : 48;
    return text(family == 1 ? AF_INET : AF_INET6, std::string(bytes.substr(16, 16)).data()) + ' ' + std::to_string(number(ports)) +
           " to " + std::to_string(number(ports + 2)) + size;
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size > 1 << 11) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto whole = verdictOnProxy(bytes);
    const auto slow = bytes.starts_with("PROXY ") ? slowLine(bytes) : slowBinary(bytes);
    require(slow.empty() ? whole == "more" || whole == "wrong" : whole == slow, "a header is what the two forms say");
    require(whole != "more" || canBecomeProxyHeader(std::string(bytes)), "more is asked for only if that can help");
    require(whole != "more" || size < 16 + maxProxyBlock, "no header is longer than the longest");
    require(verdictOnProxy(cutInPieces(bytes, 1)) == whole, "one verdict however it arrives");
    return 0;
}
