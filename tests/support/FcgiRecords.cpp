#include "support/FcgiRecords.h"

#include <algorithm>

namespace postern {

namespace {

std::string bigEndian(size_t number) { return {static_cast<char>(number >> 8), static_cast<char>(number)}; }

std::string pairLength(size_t size) {
    if (size < 128) return std::string(1, static_cast<char>(size));
    return bigEndian(0x8000 | size >> 16) + bigEndian(size);
}

}

std::string fcgiRecord(FcgiType type, std::string_view content) {
    const std::string start{1, static_cast<char>(type), 0, 1};
    return start + bigEndian(content.size()) + std::string(2, '\0') + std::string(content);
}

std::string fcgiRecords(FcgiType type, std::string_view content) {
    constexpr size_t largest = 65528;
    std::string bytes;
    for (; !content.empty(); content.remove_prefix(std::min(largest, content.size())))
        bytes += fcgiRecord(type, content.substr(0, largest));
    return bytes;
}

std::string fcgiBegin(bool keepConnection) {
    return fcgiRecord(FcgiType::begin, {keepConnection ? "\0\1\1\0\0\0\0\0" : "\0\1\0\0\0\0\0\0", 8});
}

std::string fcgiPairs(const std::vector<std::pair<std::string, std::string>>& variables) {
    std::string bytes;
    for (const auto& [name, value] : variables) bytes += pairLength(name.size()) + pairLength(value.size()) + name + value;
    return bytes;
}

bool takeFcgiRecord(std::string& bytes, FcgiRecord& record) {
    if (bytes.size() < 8) return false;
    const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(bytes[i])); };
    const size_t size = byte(4) << 8 | byte(5), whole = 8 + size + byte(6);
    if (bytes.size() < whole) return false;
    record = {static_cast<FcgiType>(byte(1)), byte(0) == 1 && byte(2) == 0 && byte(3) == 1, bytes.substr(8, size)};
    bytes.erase(0, whole);
    return true;
}

}
