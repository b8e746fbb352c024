// floor http|websocket|large: the least a server can do for a request or a message, as the measure for one that does it
// right. One receive, one send, a share of one epoll_wait; nothing is parsed, checked or allowed to fail. large: messages of
// up to 2 MiB, unmasked eight bytes at a time and sent from where they are.

#include "bench/Net.h"
#include "postern/protocol/Handshake.h"

#include <algorithm>
#include <poll.h>

#include <cerrno>
#include <map>
#include <vector>

using namespace bench;

namespace {

// As long as the reply of apps/hello.
constexpr std::string_view reply = "HTTP/1.1 200 OK\r\n"
                                   "Date: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
                                   "Content-Type: text/plain; charset=utf-8\r\n"
                                   "Content-Length: 14\r\n"
                                   "\r\n"
                                   "Hello, world!\n";

void send(int fd, const char* data, size_t size) {
    if (::send(fd, data, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) std::perror("send");
}

void shakeHands(int fd, std::string_view request) {
    constexpr std::string_view name = "Sec-WebSocket-Key: ";
    const auto key = request.substr(request.find(name) + name.size(), 24);
    const auto answer = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: " + postern::acceptKey(key) + "\r\n\r\n";
    send(fd, answer.data(), answer.size());
}

// Whole frames of up to 125 masked bytes become frames without a mask, in place: a header shrinks from 6 bytes to 2.
void echo(int fd, char* data, size_t size) {
    size_t out = 0;
    for (size_t in = 0; in + 6 <= size;) {
        const auto length = static_cast<size_t>(data[in + 1] & 0x7f);
        char mask[4];
        std::memcpy(mask, data + in + 2, 4);
        data[out] = data[in];
        data[out + 1] = static_cast<char>(length);
        for (size_t i = 0; i < length; ++i) data[out + 2 + i] = static_cast<char>(data[in + 6 + i] ^ mask[i % 4]);
        in += 6 + length;
        out += 2 + length;
    }
    send(fd, data, out);
}

// A connection with one message on its way.
struct Large {
    std::vector<char> bytes = std::vector<char>((2 << 20) + 16);
    size_t size = 0;
};

size_t bigEndian(const char* bytes, size_t count) {
    size_t value = 0;
    for (size_t i = 0; i < count; ++i) value = value << 8 | static_cast<unsigned char>(bytes[i]);
    return value;
}

void sendAll(int fd, const char* data, size_t size) {
    while (size > 0) {
        const auto sent = ::send(fd, data, size, MSG_NOSIGNAL);
        if (sent > 0) {
            data += sent;
            size -= static_cast<size_t>(sent);
            continue;
        }
        pollfd room{fd, POLLOUT, 0};
        if (errno != EAGAIN || ::poll(&room, 1, 10'000) != 1) return std::perror("send");
    }
}

void echoLarge(int fd, Large& line) {
    const auto received = ::recv(fd, line.bytes.data() + line.size, line.bytes.size() - line.size, 0);
    if (received <= 0) return;
    line.size += static_cast<size_t>(received);
    if (line.size < 2) return;
    char* const frame = line.bytes.data();
    const size_t word = frame[1] & 0x7f, lengthBytes = word == 126 ? 2 : word == 127 ? 8 : 0;
    if (line.size < 6 + lengthBytes) return;
    const auto length = lengthBytes == 0 ? word : bigEndian(frame + 2, lengthBytes);
    if (line.size < 6 + lengthBytes + length) return;
    char* const payload = frame + 6 + lengthBytes;
    char mask[8];
    std::memcpy(mask, payload - 4, 4);
    std::memcpy(mask + 4, payload - 4, 4);
    uint64_t key = 0;
    std::memcpy(&key, mask, 8);
    size_t i = 0;
    for (; i + 8 <= length; i += 8) {
        uint64_t part = 0;
        std::memcpy(&part, payload + i, 8);
        part ^= key;
        std::memcpy(payload + i, &part, 8);
    }
    for (; i < length; ++i) payload[i] = static_cast<char>(payload[i] ^ mask[i % 8]);
    // The header moves up to the payload: it has lost its mask.
    std::memmove(frame + 4, frame, 2 + lengthBytes);
    frame[5] = static_cast<char>(word);
    line.size = 0;
    sendAll(fd, frame + 4, 2 + lengthBytes + length);
}

}

int main(int count, char** arguments) {
    const std::string_view what = count > 1 ? arguments[1] : "http";
    const bool websocket = what != "http";
    raiseDescriptorLimit();
    const int listener = checked(::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), "socket");
    auto address = loopback(0);
    socklen_t size = sizeof address;
    checked(::bind(listener, reinterpret_cast<sockaddr*>(&address), size), "bind");
    checked(::listen(listener, 4096), "listen");
    checked(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size), "getsockname");
    std::printf("http://127.0.0.1:%u\n", ntohs(address.sin_port));
    std::fflush(stdout);

    Epoll epoll;
    epoll.add(listener, EPOLLIN);
    static char buffer[64 * 1024];
    std::vector<bool> open;  // the WebSockets that have shaken hands
    std::map<int, Large> lines;
    for (;;) {
        epoll.wait(-1, [&](int fd) {
            if (fd == listener) {
                const int client = ::accept4(listener, nullptr, nullptr, SOCK_NONBLOCK);
                if (client < 0) return;
                setNoDelay(client);
                open.resize(std::max(open.size(), static_cast<size_t>(client) + 1));
                open[static_cast<size_t>(client)] = false;
                return epoll.add(client, EPOLLIN | EPOLLET);
            }
            if (what == "large" && open[static_cast<size_t>(fd)]) return echoLarge(fd, lines[fd]);
            const auto received = ::recv(fd, buffer, sizeof buffer, 0);
            if (received <= 0) {
                if (received == 0 || errno != EAGAIN) ::close(fd);
            } else if (!websocket) {
                send(fd, reply.data(), reply.size());
            } else if (!open[static_cast<size_t>(fd)]) {
                open[static_cast<size_t>(fd)] = true;
                shakeHands(fd, {buffer, static_cast<size_t>(received)});
            } else {
                echo(fd, buffer, static_cast<size_t>(received));
            }
        });
    }
}
