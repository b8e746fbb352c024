#include "postern/protocol/ProxyProtocol.h"

#include "support/Catch.h"
#include "support/ProxyVerdicts.h"

using namespace postern;
using namespace std::literals;

namespace {

constexpr auto signature = "\r\n\r\n\0\r\nQUIT\n"sv;

// Version 2: the bytes behind the signature, with the length of `block` between them.
std::string binary(std::string_view versionAndFamily, std::string_view block) {
    std::string bytes(signature);
    bytes += versionAndFamily;
    bytes += static_cast<char>(block.size() >> 8);
    bytes += static_cast<char>(block.size());
    return bytes.append(block);
}

std::string field(char type, std::string_view value) {
    return std::string{type, static_cast<char>(value.size() >> 8), static_cast<char>(value.size())}.append(value);
}

std::string unknownLine(size_t size) { return "PROXY UNKNOWN " + std::string(size - 16, 'x') + "\r\n"; }

const auto v4 = "\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"s;
const auto v6 = "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x01"
                "\x20\x01\x0d\xb8\0\0\0\0\0\0\0\0\0\0\0\x02\xff\xff\x00\x50"s;
const auto mappedV6 = "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x01"
                      "\0\0\0\0\0\0\0\0\0\0\xff\xff\xc0\x00\x02\x02\x00\x01\x00\x02"s;
const std::string unixPaths(216, 'p');

struct Row {
    std::string bytes, meaning;  // without the size, which is all of them
};

const std::vector<Row> headers = {
    {"PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n", "192.0.2.1 56324 to 443"},
    {"PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255 65535 to 65535"},
    {"PROXY TCP4 0.0.0.0 1.10.100.200 0 1\r\n", "0.0.0.0 0 to 1"},
    {"PROXY TCP6 2001:db8::1 2001:db8::2 1 80\r\n", "2001:db8::1 1 to 80"},
    {"PROXY TCP6 ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 65535\r\n",
     "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff 65535 to 65535"},
    {"PROXY TCP6 2001:0DB8:0000:0:00:000:0:0001 :: 1 2\r\n", "2001:db8::1 1 to 2"},
    {"PROXY TCP6 1:2:3:4:5:6:7:: ::2:3:4:5:6:7:8 1 2\r\n", "1:2:3:4:5:6:7:0 1 to 2"},
    {"PROXY TCP6 1::3:4:5:6:7:8 :: 1 2\r\n", "1:0:3:4:5:6:7:8 1 to 2"},
    {"PROXY TCP6 ::ffff:192.0.2.1 ::FFFF:192.0.2.2 1 2\r\n", "192.0.2.1 1 to 2"},
    {"PROXY TCP6 ::192.0.2.1 ::1 1 2\r\n", "::192.0.2.1 1 to 2"},
    {"PROXY TCP6 ::ffff:c000:201 ::1 1 2\r\n", "192.0.2.1 1 to 2"},
    {"PROXY UNKNOWN\r\n", "local"},
    {"PROXY UNKNOWN \r\n", "local"},
    {"PROXY UNKNOWN ffff::1  any\0thing \xff 1 2\r\n"s, "local"},
    {unknownLine(107), "local"},
    {binary("\x21\x11", v4), "192.0.2.1 56324 to 443"},
    {binary("\x21\x12", v4), "192.0.2.1 56324 to 443"},
    {binary("\x21\x21", v6), "2001:db8::1 65535 to 80"},
    {binary("\x21\x22", v6), "2001:db8::1 65535 to 80"},
    {binary("\x21\x21", mappedV6), "192.0.2.1 1 to 2"},
    {binary("\x21\x11", v4 + field('\x04', "")), "192.0.2.1 56324 to 443"},
    {binary("\x21\x11", v4 + field('\x01', "h2") + field('\x04', std::string(300, 'n')) + field('\xee', "\r\n")),
     "192.0.2.1 56324 to 443"},
    {binary("\x21\x11", v4 + field('\x03', "bad!")), "192.0.2.1 56324 to 443"},  // a wrong checksum
    {binary("\x21\x11", v4 + field('\x04', std::string(1024 - 12 - 3, 'n'))), "192.0.2.1 56324 to 443"},
    {binary("\x21\x31", unixPaths), "local"},
    {binary("\x21\x32", unixPaths + field('\x02', "host")), "local"},
    {binary("\x21\x00"s, ""), "local"},
    {binary("\x21\x00"s, "x"), "local"},
    {binary("\x21\x01", "\x01"), "local"},
    {binary("\x21\x10", "\x01"), "local"},
    {binary("\x20\x00"s, ""), "local"},
    {binary("\x20\x11", v4), "local"},
    {binary("\x20\x11", "short"), "local"},
    {binary("\x20\xff", std::string(1024, '\xff')), "local"},
};

// Each is refused with its last byte, not before.
const std::vector<std::string> refused = {
    "G", "p", "\n", "\r\r", "\r\nG", "\r\n\r\nG", "\r\n\r\n\0\r\nQUIT\r"s,
    "PROXY  ", "PROXY\t", "PROXY\r", "PROXY T ", "PROXY TCP ", "PROXY TCP5", "PROXY tcp4"s.substr(0, 7), "PROXY TCP4\r",
    "PROXY UDP"s.substr(0, 8), "PROXY UNKNOWNX", "PROXY UNKNOWN\n", "PROXY UNKNOWN\rX", "PROXY UNKNOWN x\n",
    "PROXY UNKNOWN " + std::string(107 - 15, 'x'), "PROXY UNKNOWN " + std::string(107 - 16, 'x') + "\r\r",

    "PROXY TCP4  ", "PROXY TCP4 .", "PROXY TCP4 a", "PROXY TCP4 -", "PROXY TCP4 +", "PROXY TCP4 00", "PROXY TCP4 01",
    "PROXY TCP4 256", "PROXY TCP4 1000", "PROXY TCP4 1..", "PROXY TCP4 1 ", "PROXY TCP4 1.2.3 ", "PROXY TCP4 1.2.3. ",
    "PROXY TCP4 1.2.3.4.", "PROXY TCP4 1.2.3.4\r", "PROXY TCP4 1.2.3.4\t", "PROXY TCP4 1.2.3.4:", "PROXY TCP4 :",
    "PROXY TCP4 1.2.3.4  ", "PROXY TCP4 1.2.3.4 1.2.3.4\r", "PROXY TCP4 1.2.3.4 1.2.3.4  ", "PROXY TCP4 1.2.3.4 1.2.3.4 -",
    "PROXY TCP4 1.2.3.4 1.2.3.4 +", "PROXY TCP4 1.2.3.4 1.2.3.4 00", "PROXY TCP4 1.2.3.4 1.2.3.4 65536",
    "PROXY TCP4 1.2.3.4 1.2.3.4 100000", "PROXY TCP4 1.2.3.4 1.2.3.4 1\r", "PROXY TCP4 1.2.3.4 1.2.3.4 1x",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1  ", "PROXY TCP4 1.2.3.4 1.2.3.4 1 \r", "PROXY TCP4 1.2.3.4 1.2.3.4 1 02",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2 ", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\n", "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\rG",
    "PROXY TCP4 1.2.3.4 1.2.3.4 1 2\r\r",

    "PROXY TCP6 g", "PROXY TCP6 [", "PROXY TCP6 1.", "PROXY TCP6 12345", "PROXY TCP6 00001", "PROXY TCP6 :1",
    "PROXY TCP6 : ", "PROXY TCP6 :::", "PROXY TCP6 1:::", "PROXY TCP6 1::2::", "PROXY TCP6 1:2:3:4:5:6:7 ",
    "PROXY TCP6 1:2:3:4:5:6:7: ", "PROXY TCP6 1:2:3:4:5:6:7:8:", "PROXY TCP6 1::3:4:5:6:7:8:",
    "PROXY TCP6 1:2:3:4:5:6:7::8", "PROXY TCP6 ::1: ", "PROXY TCP6 ::1%", "PROXY TCP6 ::1/", "PROXY TCP6 ::a.",
    "PROXY TCP6 ::256.", "PROXY TCP6 ::01.", "PROXY TCP6 ::1.2.3.4:", "PROXY TCP6 ::1.2.3 ", "PROXY TCP6 ::fffe:1.",
    "PROXY TCP6 1::1.", "PROXY TCP6 0:0:0:0:0:ffff:1.", "PROXY TCP6 ::1 1.", "PROXY TCP6 ::1 ::1\r",

    std::string(signature) + '\x11', std::string(signature) + '\x31', std::string(signature) + '\x01',
    std::string(signature) + '\x22', std::string(signature) + '\x2f', std::string(signature) + "\x21\x41",
    std::string(signature) + "\x21\x13", std::string(signature) + "\x21\xf0", std::string(signature) + "\x20\xff\x05",
    std::string(signature) + "\x20\xff\x04\x01", std::string(signature) + "\x21\x11\x04\x01",
    std::string(signature) + "\x21\x11\x00\x0b"s, std::string(signature) + "\x21\x21\x00\x23"s,
    std::string(signature) + "\x21\x31\x00\xd7"s, std::string(signature) + "\x21\x11\x00\x0d"s,
    std::string(signature) + "\x21\x11\x00\x0e"s, std::string(signature) + "\x21\x31\x00\xda"s,
    std::string(signature) + "\x21\x11\x00\x10"s + v4 + "\x04\x01"s,          // one byte of value, not 256
    std::string(signature) + "\x21\x11\x00\x10"s + v4 + "\x04\x00\x02"s,      // nor two
    std::string(signature) + "\x21\x11\x00\x10"s + v4 + "\x04\x00\x00"s,      // nor none, which leaves half a field
    std::string(signature) + "\x21\x11\x00\x13"s + v4 + "\x04\x00\x01x\x04\x00\x01"s,
};

}

TEST_CASE("a PROXY header says who the client is, whatever follows it", "[protocol]") {
    for (const auto& [bytes, meaning] : headers) {
        CAPTURE(bytes);
        const auto expected = meaning + " in " + std::to_string(bytes.size());
        CHECK(verdictOnProxy(bytes) == expected);
        for (const auto& rest : {"GET / HTTP/1.1\r\n"s, "\r\n"s, bytes, "\0"s}) CHECK(verdictOnProxy(bytes + rest) == expected);
    }
}

TEST_CASE("a PROXY header is the same however it arrives, and cut short anywhere it asks for more", "[protocol]") {
    for (const auto& [bytes, meaning] : headers) {
        CAPTURE(bytes);
        forEachFragmentation(bytes, [&, &bytes = bytes, &meaning = meaning](const Fragments& pieces) {
            if (verdictOnProxy(pieces) != meaning + " in " + std::to_string(bytes.size())) FAIL(pieces[0].size());
        });
        for (size_t size = 0; size < bytes.size(); ++size)
            if (verdictOnProxy(std::string_view(bytes).substr(0, size)) != "more") FAIL(size);
    }
}

TEST_CASE("what is no PROXY header is refused with the first byte that tells, and stays refused", "[protocol]") {
    for (const auto& bytes : refused) {
        CAPTURE(bytes);
        for (size_t size = 0; size < bytes.size(); ++size) CHECK(verdictOnProxy(std::string_view(bytes).substr(0, size)) == "more");
        CHECK(verdictOnProxy(bytes) == "wrong");
        CHECK(verdictOnProxy(bytes + " 1.2.3.4 1.2.3.4 1 2\r\n") == "wrong");
        const auto outcome = readProxyHeader(bytes);
        CHECK(std::get<Violation>(outcome).reason != ""s);
    }
}

TEST_CASE("more of a PROXY header is asked for only as long as there can be one", "[protocol]") {
    for (const auto& [bytes, meaning] : headers) {
        if (bytes.size() > 110) continue;
        for (size_t at = 0; at < bytes.size(); ++at) {
            auto changed = bytes.substr(0, at + 1);
            for (const char c : "\r\n 0129:.afgPT\x01\x02\x11\x20\x31\xff"sv) {
                changed[at] = c;
                if (verdictOnProxy(changed) != "more" || canBecomeProxyHeader(changed)) continue;
                CAPTURE(changed);
                FAIL("nothing that follows makes a header of it");
            }
        }
    }
}
