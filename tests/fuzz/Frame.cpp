// The input is what stands where a frame header should be.
#include "postern/protocol/Frame.h"

#include "support/Require.h"

#include <algorithm>

using namespace postern;

namespace {

enum Verdict { more, wrong, header };

Verdict verdict(const std::variant<NeedMore, FrameError, FrameHeader>& read) {
    return static_cast<Verdict>(read.index());
}

// The rules of RFC 6455 §5.2, in the order in which their bytes come.
Verdict slowVerdict(std::string_view bytes) {
    const auto byte = [&](size_t i) { return static_cast<uint64_t>(static_cast<unsigned char>(bytes[i])); };
    if (bytes.empty()) return more;
    const auto opcode = byte(0) % 16;
    const bool control = opcode >= 8;
    if (byte(0) / 16 % 4 != 0 || (opcode >= 3 && opcode <= 7) || opcode >= 11 || (control && byte(0) < 128))
        return wrong;
    if (bytes.size() < 2) return more;
    const auto length = byte(1) % 128;
    if (control && length > 125) return wrong;
    size_t size = 2;
    if (length == 126) {
        if (bytes.size() < 4) return more;
        if (byte(2) * 256 + byte(3) < 126) return wrong;
        size = 4;
    } else if (length == 127) {
        if (bytes.size() < 10) return more;
        if (bytes.substr(2, 6) == std::string_view("\0\0\0\0\0\0", 6) || byte(2) >= 128) return wrong;
        size = 10;
    }
    if (byte(1) >= 128) size += 4;
    return bytes.size() < size ? more : header;
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    Verdict before = more;
    for (size_t length = 0; length <= std::min(size, maxFrameHeader + 1); ++length) {
        const auto now = verdict(readFrameHeader(bytes.substr(0, length)));
        require(now == slowVerdict(bytes.substr(0, length)), "the verdict is that of RFC 6455");
        require(before == more || now == before, "a verdict stays when more bytes come");
        before = now;
    }
    const auto read = readFrameHeader(bytes);
    require(verdict(read) == before, "what follows the header does not count");
    require(before != more || size < maxFrameHeader, "no header is longer than the longest");
    if (const auto* error = std::get_if<FrameError>(&read))
        require(error->code == CloseCode::protocolError && *error->reason, "an error is 1002 and says why");
    if (const auto* found = std::get_if<FrameHeader>(&read)) {
        std::array<char, maxFrameHeader> out;
        const auto written = writeFrameHeader(*found, out.data());
        require(written == found->size() && written <= size, "a header knows its size");
        require(bytes.starts_with({out.data(), written}), "a header is written as it was read");
    }
    return 0;
}
