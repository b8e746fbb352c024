// load echo|deflate PORT CONNECTIONS SECONDS [BYTES]: each connection sends a message (20 bytes; for deflate 1 KiB of JSON,
// compressed, without context take-over), waits for its echo, and again.
// load idle-http|idle-websocket|idle-events PORT CONNECTIONS: connections that have had one answer, and rest.
//
// It says "ready" when all connections are there. echo and deflate begin with a line on standard input, and print the number
// of echoes and the seconds they took. The connections are closed after another line, idle ones after one.

#include "bench/Net.h"

#include "postern/protocol/Deflate.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <vector>

using namespace bench;

namespace {

constexpr std::string_view mask = "\x12\x34\x56\x78";

std::string header(unsigned first, size_t size, unsigned maskBit) {
    std::string bytes(1, static_cast<char>(first));
    const unsigned word = size < 126 ? static_cast<unsigned>(size) : size < 65536 ? 126 : 127;
    bytes += static_cast<char>(word | maskBit);
    for (size_t i = word == 126 ? 2 : word == 127 ? 8 : 0; i-- > 0;) bytes += static_cast<char>(size >> (8 * i));
    return bytes;
}

std::string maskedFrame(unsigned first, std::string_view payload) {
    auto frame = header(first, payload.size(), 0x80).append(mask);
    for (size_t i = 0; i < payload.size(); ++i) frame += static_cast<char>(payload[i] ^ mask[i % 4]);
    return frame;
}

std::string payloadOf(size_t size) {
    std::string text = "twenty bytes of text";
    while (text.size() < size) text += "twenty bytes of text";
    return text.substr(0, size);
}

// What an interface sends: names that come again, numbers and words that do not.
std::string json() {
    std::string text = "[";
    for (unsigned i = 0; text.size() < 1000; ++i) {
        const auto number = i * 2654435761u;
        text += "{\"id\":" + std::to_string(number) + ",\"name\":\"item-" + std::to_string(number % 9973) + "\",\"price\":" +
                std::to_string(number % 100000 / 100) + ".95,\"available\":" + (number & 64 ? "true" : "false") + "},";
    }
    text.resize(1023);
    return text + "]";
}

std::string compressed(std::string_view text) {
    postern::Deflater deflater(15, 6, 8);
    std::string payload;
    deflater.deflate(text, true, payload);
    payload.resize(payload.size() - 4);
    return payload;
}

void send(int fd, std::string_view bytes) {
    while (!bytes.empty()) bytes.remove_prefix(static_cast<size_t>(checked(static_cast<int>(::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL)), "send")));
}

std::string request(std::string_view what) {
    const std::string host = "Host: 127.0.0.1\r\n";
    if (what == "idle-http") return "GET / HTTP/1.1\r\n" + host + "\r\n";
    const std::string path = what == "idle-events" ? "/events" : "/echo";
    const std::string extension =
        what == "deflate" ? "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; client_no_context_takeover\r\n" : "";
    return "GET " + path + " HTTP/1.1\r\n" + host + "Upgrade: websocket\r\nConnection: Upgrade\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n" + extension + "\r\n";
}

// A connection that has had its first answer. From many addresses, so that ports do not run out.
int open(uint16_t port, std::string_view what, size_t index) {
    const bool websocket = what != "idle-http";
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

    send(fd, request(what));
    const std::string_view last = websocket ? "\r\n\r\n" : "Hello, world!\n";
    std::string answer;
    char buffer[1024];
    while (!answer.ends_with(last)) {
        const auto size = checked(static_cast<int>(::recv(fd, buffer, sizeof buffer, 0)), "recv");
        if (size == 0) throw std::runtime_error("the server closed a connection: " + answer);
        answer.append(buffer, static_cast<size_t>(size));
    }
    if (!answer.starts_with(websocket ? "HTTP/1.1 101" : "HTTP/1.1 200")) throw std::runtime_error(answer);
    if (what == "deflate" && answer.find("permessage-deflate") == std::string::npos)
        throw std::runtime_error("the server does not compress: " + answer);
    return fd;
}

void waitForLine() {
    std::fflush(stdout);
    for (int c = 0; c != '\n' && c != EOF;) c = std::getchar();
}

// Is this the whole echo? A compressed one may have any bytes, in one frame.
class Expected {
public:
    Expected(bool compresses, unsigned first, std::string_view payload)
        : compresses_(compresses), frame_(header(first, payload.size(), 0).append(payload)) {}

    bool isComplete(std::string_view bytes) const {
        if (!compresses_) {
            if (bytes.size() < frame_.size()) return false;
            if (bytes != frame_) throw std::runtime_error("this is no echo of what was sent");
            return true;
        }
        if (bytes.size() < 4) return false;
        if (bytes[0] != '\xc1' || bytes[1] != 126) throw std::runtime_error("this is no compressed echo");
        const auto size = static_cast<size_t>(static_cast<unsigned char>(bytes[2]) << 8 | static_cast<unsigned char>(bytes[3]));
        return bytes.size() >= 4 + size;
    }

private:
    bool compresses_;
    std::string frame_;
};

void echo(const std::vector<int>& sockets, double seconds, const std::string& message, const Expected& expected) {
    using Clock = std::chrono::steady_clock;
    Epoll epoll;
    for (const int fd : sockets) epoll.add(fd, EPOLLIN);
    std::vector<std::string> arrived(static_cast<size_t>(*std::max_element(sockets.begin(), sockets.end())) + 1);
    static char buffer[256 * 1024];
    const auto start = Clock::now();
    const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    for (const int fd : sockets) send(fd, message);
    size_t echoes = 0, waiting = sockets.size();
    for (bool over = false; waiting > 0; over = over || elapsed() >= seconds) {
        epoll.wait(1000, [&](int fd) {
            auto& bytes = arrived[static_cast<size_t>(fd)];
            const auto size = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (size == 0) throw std::runtime_error("the server closed a connection");
            bytes.append(buffer, size < 0 ? 0 : static_cast<size_t>(size));
            if (!expected.isComplete(bytes)) return;
            bytes.clear();
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
        std::fputs("usage: load echo|deflate|idle-http|idle-websocket|idle-events PORT CONNECTIONS [SECONDS [BYTES]]\n", stderr);
        return 2;
    }
    try {
        raiseDescriptorLimit();
        const std::string_view what = arguments[1];
        std::vector<int> sockets;
        for (size_t i = 0; i < std::stoul(arguments[3]); ++i)
            sockets.push_back(open(static_cast<uint16_t>(std::stoul(arguments[2])), what, i));
        std::puts("ready");
        waitForLine();
        if (what.starts_with("idle")) return 0;
        const bool compresses = what == "deflate";
        const auto payload = compresses ? json() : payloadOf(count > 5 ? std::stoul(arguments[5]) : 20);
        const unsigned first = count > 5 ? 0x82 : 0x81;  // sizes are of binary messages
        const auto message = compresses ? maskedFrame(0xc1, compressed(payload)) : maskedFrame(first, payload);
        echo(sockets, count > 4 ? std::stod(arguments[4]) : 1, message, Expected(compresses, first, payload));
        waitForLine();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "load: %s\n", problem.what());
        return 1;
    }
}
