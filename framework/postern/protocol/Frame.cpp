#include "postern/protocol/Frame.h"

#include <algorithm>

namespace postern {

namespace {

uint64_t readBigEndian(std::string_view bytes) {
    uint64_t value = 0;
    for (const char c : bytes) value = value << 8 | static_cast<uint8_t>(c);
    return value;
}

bool isKnown(unsigned opcode) { return opcode <= 2 || (opcode >= 8 && opcode <= 10); }

}

std::variant<NeedMore, FrameError, FrameHeader> readFrameHeader(std::string_view bytes) {
    const auto error = [](const char* reason) { return FrameError{CloseCode::protocolError, reason}; };
    if (bytes.empty()) return NeedMore();
    const auto first = static_cast<uint8_t>(bytes[0]);
    if (first & 0x30) return error("reserved bit set");
    if (!isKnown(first & 0x0f)) return error("reserved opcode");
    FrameHeader header;
    header.fin = first & 0x80;
    header.rsv1 = first & 0x40;
    header.opcode = static_cast<WebSocketOpcode>(first & 0x0f);
    if (isControl(header.opcode) && !header.fin) return error("fragmented control frame");
    if (bytes.size() < 2) return NeedMore();

    const auto second = static_cast<uint8_t>(bytes[1]);
    const unsigned shortLength = second & 0x7f;
    if (isControl(header.opcode) && shortLength > maxControlPayload) return error("control frame longer than 125 bytes");
    const size_t lengthBytes = shortLength == 127 ? 8 : shortLength == 126 ? 2 : 0;
    if (bytes.size() < 2 + lengthBytes) return NeedMore();
    header.payloadLength = lengthBytes == 0 ? shortLength : readBigEndian(bytes.substr(2, lengthBytes));
    if (lengthBytes == 2 && header.payloadLength < 126) return error("length not in its shortest form");
    if (lengthBytes == 8 && header.payloadLength <= 0xffff) return error("length not in its shortest form");
    if (header.payloadLength >> 63) return error("length over 2^63 - 1");

    if (second & 0x80) {
        if (bytes.size() < 2 + lengthBytes + 4) return NeedMore();
        MaskKey& key = header.mask.emplace();
        std::copy_n(bytes.begin() + static_cast<ptrdiff_t>(2 + lengthBytes), 4, key.begin());
    }
    return header;
}

size_t writeFrameHeader(const FrameHeader& header, char* out) {
    const auto length = header.payloadLength;
    out[0] = static_cast<char>((header.fin ? 0x80 : 0) | (header.rsv1 ? 0x40 : 0) | static_cast<int>(header.opcode));
    const int maskBit = header.mask ? 0x80 : 0;
    size_t size = 2;
    const auto writeLength = [&](size_t bytes) {
        for (size_t i = 0; i < bytes; ++i) out[size++] = static_cast<char>(length >> (8 * (bytes - 1 - i)));
    };
    if (length > 0xffff) {
        out[1] = static_cast<char>(maskBit | 127);
        writeLength(8);
    } else if (length > 125) {
        out[1] = static_cast<char>(maskBit | 126);
        writeLength(2);
    } else {
        out[1] = static_cast<char>(maskBit | static_cast<int>(length));
    }
    if (header.mask) {
        std::copy(header.mask->begin(), header.mask->end(), out + size);
        size += 4;
    }
    return size;
}

}
