#pragma once
// What the floors have in common: where they listen, the handshake, and frames of WebSocket.

#include "bench/Net.h"
#include "postern/protocol/Handshake.h"

namespace bench {

// Returns the port. Port 0 takes any.
inline uint16_t listenOn(uint16_t port, int flags, int& listener) {
    listener = checked(::socket(AF_INET, SOCK_STREAM | flags, 0), "socket");
    const int on = 1;
    checked(::setsockopt(listener, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on), "setsockopt");
    auto address = loopback(port);
    socklen_t size = sizeof address;
    checked(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), "bind");
    checked(::listen(listener, 4096), "listen");
    checked(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    return ntohs(address.sin_port);
}

inline void sayWhere(uint16_t port) {
    std::printf("http://127.0.0.1:%u\n", port);
    std::fflush(stdout);
}

inline std::string switchingProtocols(std::string_view request) {
    constexpr std::string_view name = "Sec-WebSocket-Key: ";
    const auto key = request.substr(request.find(name) + name.size(), 24);
    return "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Accept: " + postern::acceptKey(key) + "\r\n\r\n";
}

inline size_t bigEndian(const char* bytes, size_t count) {
    size_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
}

// `to` is `from` or some bytes before it.
inline void unmask(char* to, const char* from, size_t size, const char* mask) {
    typedef uint64_t Block __attribute__((vector_size(16)));
    Block key, block;
    for (size_t i = 0; i < sizeof key; i += 4) std::memcpy(reinterpret_cast<char*>(&key) + i, mask, 4);
    size_t i = 0;
    for (; i + sizeof block <= size; i += sizeof block) {
        std::memcpy(&block, from + i, sizeof block);
        block ^= key;
        std::memcpy(to + i, &block, sizeof block);
    }
    for (; i < size; ++i) to[i] = static_cast<char>(from[i] ^ mask[i % 4]);
}

struct Echoed {
    static constexpr size_t start = 4;
    size_t in;      // what is behind has not come whole
    size_t outEnd;  // the answer is between `start` and this
};

// Whole masked frames become frames without a mask, in place: a header shrinks by 4 bytes. The first one moves up to its
// payload, the others move down.
inline Echoed echoFrames(char* bytes, size_t size) {
    size_t in = 0, out = Echoed::start;
    while (in + 2 <= size) {
        const size_t word = bytes[in + 1] & 0x7f, lengthBytes = word < 126 ? 0 : word == 126 ? 2 : 8, header = 2 + lengthBytes;
        if (in + header + 4 > size) break;
        const auto length = lengthBytes == 0 ? word : bigEndian(bytes + in + 2, lengthBytes);
        if (in + header + 4 + length > size) break;
        char mask[4];
        std::memcpy(mask, bytes + in + header, 4);
        std::memmove(bytes + out, bytes + in, header);
        bytes[out + 1] = static_cast<char>(word);
        unmask(bytes + out + header, bytes + in + header + 4, length, mask);
        in += header + 4 + length;
        out += header + length;
    }
    return {in, out};
}

}
