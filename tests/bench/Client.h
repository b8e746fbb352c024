#pragma once
// What the loads have in common: what they send, and connections to the server that have had their first answer. A KIND is
// http, echo (WebSocket), events (WebSocket, Postern's event style) or deflate (WebSocket, compressed).

#include "bench/Net.h"

#include "postern/protocol/Deflate.h"

#include <stdexcept>
#include <vector>

namespace bench {

inline std::string frameHeader(unsigned first, size_t size, unsigned maskBit) {
    std::string bytes(1, static_cast<char>(first));
    const unsigned word = size < 126 ? static_cast<unsigned>(size) : size < 65536 ? 126 : 127;
    bytes += static_cast<char>(word | maskBit);
    for (size_t i = word == 126 ? 2 : word == 127 ? 8 : 0; i-- > 0;) bytes += static_cast<char>(size >> (8 * i));
    return bytes;
}

inline std::string maskedFrame(unsigned first, std::string_view payload) {
    constexpr std::string_view mask = "\x12\x34\x56\x78";
    auto frame = frameHeader(first, payload.size(), 0x80).append(mask);
    for (size_t i = 0; i < payload.size(); ++i) frame += static_cast<char>(payload[i] ^ mask[i % 4]);
    return frame;
}

inline std::string textOf(size_t size) {
    std::string text = "twenty bytes of text";
    while (text.size() < size) text += "twenty bytes of text";
    return text.substr(0, size);
}

// What an interface sends: names that come again, numbers and words that do not.
inline std::string jsonOf(size_t size) {
    std::string text = "[";
    for (unsigned i = 0; text.size() < size; ++i) {
        const auto number = i * 2654435761u;
        text += "{\"id\":" + std::to_string(number) + ",\"name\":\"item-" + std::to_string(number % 9973) + "\",\"price\":" +
                std::to_string(number % 100000 / 100) + ".95,\"available\":" + (number & 64 ? "true" : "false") + "},";
    }
    text.resize(size - 1);
    return text + "]";
}

inline std::string compressed(std::string_view text) {
    postern::Deflater deflater(15, 6, 8);
    std::string payload;
    deflater.deflate(text, true, payload);
    payload.resize(payload.size() - 4);
    return payload;
}

inline void send(int fd, std::string_view bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        bytes.remove_prefix(static_cast<size_t>(checked(static_cast<int>(sent), "send")));
    }
}

inline std::string receive(int fd) {
    char buffer[16 * 1024];
    const auto size = checked(static_cast<int>(::recv(fd, buffer, sizeof buffer, 0)), "recv");
    if (size == 0) throw std::runtime_error("the server closed a connection");
    return {buffer, static_cast<size_t>(size)};
}

inline std::string requestOf(std::string_view kind) {
    const std::string host = " HTTP/1.1\r\nHost: 127.0.0.1\r\n";
    if (kind == "http") return "GET /" + host + "\r\n";
    const std::string path = kind == "events" ? "/events" : "/echo";
    const std::string extension =
        kind == "deflate" ? "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n" : "";
    return "GET " + path + host + "Upgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + extension + "\r\n";
}

// What a connection of this kind sends again and again, after it has shaken hands. Text of 20 bytes; other sizes are binary.
inline std::string messageOf(std::string_view kind, size_t size) {
    if (kind == "http") return requestOf(kind);
    if (kind == "deflate") return maskedFrame(0xc1, compressed(jsonOf(size)));
    return maskedFrame(size == 20 ? 0x81 : 0x82, textOf(size));
}

// From many addresses, so that ports do not run out.
inline int connectTo(uint16_t port, size_t index) {
    const int fd = checked(::socket(AF_INET, SOCK_STREAM, 0), "socket");
    auto from = loopback(0);
    from.sin_addr.s_addr = htonl(static_cast<uint32_t>(INADDR_LOOPBACK + 1 + index % 16));
    const timeval patience{30, 0};
    checked(::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience), "setsockopt");
    const int on = 1;
    checked(::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on), "setsockopt");
    checked(::bind(fd, reinterpret_cast<sockaddr*>(&from), sizeof from), "bind");
    const auto address = loopback(port);
    checked(::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), "connect");
    setNoDelay(fd);
    // Closing leaves nothing behind that the next round would meet.
    const linger now{1, 0};
    checked(::setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof now), "setsockopt");
    return fd;
}

// The answer to the first request, which every server ends in the same way.
inline std::string firstAnswer(int fd, std::string_view kind) {
    send(fd, requestOf(kind));
    const std::string_view last = kind == "http" ? "Hello, world!\n" : "\r\n\r\n";
    std::string answer;
    while (!answer.ends_with(last)) answer += receive(fd);
    if (!answer.starts_with(kind == "http" ? "HTTP/1.1 200" : "HTTP/1.1 101")) throw std::runtime_error(answer);
    if (kind == "deflate" && answer.find("permessage-deflate") == std::string::npos)
        throw std::runtime_error("the server does not compress: " + answer);
    return answer;
}

inline std::vector<int> connectAll(uint16_t port, std::string_view kind, size_t count) {
    raiseDescriptorLimit();
    std::vector<int> sockets;
    for (size_t i = 0; i < count; ++i) {
        sockets.push_back(connectTo(port, i));
        firstAnswer(sockets.back(), kind);
    }
    return sockets;
}

inline void waitForLine() {
    std::fflush(stdout);
    for (int c = 0; c != '\n' && c != EOF;) c = std::getchar();
}

}
