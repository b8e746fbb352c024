// load echo PORT CONNECTIONS SECONDS: each connection sends a message of 20 bytes, waits for its echo, and again.
// load idle-http|idle-websocket PORT CONNECTIONS: connections that have had one answer, and rest.
//
// It says "ready" when all connections are there. echo begins with a line on standard input, and prints the number of
// echoes and the seconds they took. The connections are closed after another line (echo) or one (idle).

#include "bench/Net.h"

#include <chrono>
#include <stdexcept>
#include <vector>

using namespace bench;

namespace {

constexpr std::string_view payload = "twenty bytes of text";
static_assert(payload.size() == 20);
constexpr std::string_view mask = "\x12\x34\x56\x78";

std::string maskedFrame() {
    std::string frame = "\x81";
    frame += static_cast<char>(0x80 | payload.size());
    frame += mask;
    for (size_t i = 0; i < payload.size(); ++i) frame += static_cast<char>(payload[i] ^ mask[i % 4]);
    return frame;
}

std::string echoedFrame() { return std::string("\x81") + static_cast<char>(payload.size()) + std::string(payload); }

void send(int fd, std::string_view bytes) {
    if (::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(bytes.size()))
        throw std::runtime_error("a message was not sent whole");
}

std::string request(bool websocket) {
    const std::string host = "Host: 127.0.0.1\r\n";
    if (!websocket) return "GET / HTTP/1.1\r\n" + host + "\r\n";
    return "GET /echo HTTP/1.1\r\n" + host + "Upgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
}

// A connection that has had its first answer. From many addresses, so that ports do not run out.
int open(uint16_t port, bool websocket, size_t index) {
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

    send(fd, request(websocket));
    const std::string_view last = websocket ? "\r\n\r\n" : "Hello, world!\n";
    std::string answer;
    char buffer[1024];
    while (!answer.ends_with(last)) {
        const auto size = checked(static_cast<int>(::recv(fd, buffer, sizeof buffer, 0)), "recv");
        if (size == 0) throw std::runtime_error("the server closed a connection: " + answer);
        answer.append(buffer, static_cast<size_t>(size));
    }
    if (!answer.starts_with(websocket ? "HTTP/1.1 101" : "HTTP/1.1 200")) throw std::runtime_error(answer);
    return fd;
}

void waitForLine() {
    std::fflush(stdout);
    for (int c = 0; c != '\n' && c != EOF;) c = std::getchar();
}

void echo(const std::vector<int>& sockets, double seconds) {
    using Clock = std::chrono::steady_clock;
    const auto message = maskedFrame(), expected = echoedFrame();
    Epoll epoll;
    for (const int fd : sockets) epoll.add(fd, EPOLLIN | EPOLLET);
    const auto start = Clock::now();
    const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    for (const int fd : sockets) send(fd, message);
    size_t echoes = 0, waiting = sockets.size();
    for (bool over = false; waiting > 0; over = over || elapsed() >= seconds) {
        epoll.wait(1000, [&](int fd) {
            char buffer[256];
            const auto size = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (std::string_view(buffer, size < 0 ? 0 : static_cast<size_t>(size)) != expected)
                throw std::runtime_error("this is no echo of what was sent");
            ++echoes;
            if (over) --waiting;
            else send(fd, message);
        });
        if (elapsed() > seconds + 10) throw std::runtime_error("an echo is missing");
    }
    std::printf("%zu %.6f\n", echoes, elapsed());
}

}

int main(int count, char** arguments) {
    if (count < 4) {
        std::fputs("usage: load echo|idle-http|idle-websocket PORT CONNECTIONS [SECONDS]\n", stderr);
        return 2;
    }
    try {
        raiseDescriptorLimit();
        const std::string_view what = arguments[1];
        std::vector<int> sockets;
        for (size_t i = 0; i < std::stoul(arguments[3]); ++i)
            sockets.push_back(open(static_cast<uint16_t>(std::stoul(arguments[2])), what != "idle-http", i));
        std::puts("ready");
        waitForLine();
        if (what != "echo") return 0;
        echo(sockets, count > 4 ? std::stod(arguments[4]) : 1);
        waitForLine();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "load: %s\n", problem.what());
        return 1;
    }
}
