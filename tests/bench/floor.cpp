// floor http|websocket: the least a server can do for a request or a message, as the measure for one that does it
// right. One receive, one send, a share of one epoll_wait; nothing is parsed, checked or allowed to fail.

#include "bench/Net.h"
#include "postern/protocol/Handshake.h"

#include <algorithm>
#include <cerrno>
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

}

int main(int count, char** arguments) {
    const bool websocket = count > 1 && std::string_view(arguments[1]) == "websocket";
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
