#include "support/BlockingClient.h"

#include "support/Process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <utility>

namespace postern {

namespace {

[[noreturn]] void fail(const std::string& what) { throw std::runtime_error("client: " + what + ": " + std::strerror(errno)); }

int connectTo(const sockaddr* address, socklen_t size) {
    const int fd = ::socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) fail("no socket");
    const timeval limit{patience.count(), 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    ::setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
    if (::connect(fd, address, size) == 0) return fd;
    const int error = errno;
    ::close(fd);
    errno = error;
    fail("cannot connect");
}

std::string bigEndian(uint64_t number, int bytes) {
    std::string text;
    for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(number >> (8 * i));
    return text;
}

uint64_t readBigEndian(std::string_view bytes) {
    uint64_t number = 0;
    for (const char c : bytes) number = number << 8 | static_cast<unsigned char>(c);
    return number;
}

}

std::string ClientReply::field(std::string_view name) const {
    for (size_t at = head.find("\r\n"); at != std::string::npos; at = head.find("\r\n", at + 2)) {
        const auto line = std::string_view(head).substr(at + 2, head.find("\r\n", at + 2) - at - 2);
        if (line.size() <= name.size() || line[name.size()] != ':') continue;
        if (::strncasecmp(line.data(), name.data(), name.size()) != 0) continue;
        const auto value = line.substr(name.size() + 1);
        return std::string(value.substr(std::min(value.size(), value.find_first_not_of(' '))));
    }
    return {};
}

int ClientFrame::closeCode() const {
    return payload.size() < 2 ? 1005 : static_cast<int>(readBigEndian(std::string_view(payload).substr(0, 2)));
}

BlockingClient::BlockingClient(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    fd_ = connectTo(reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

BlockingClient::BlockingClient(const std::string& unixPath) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, unixPath.c_str(), std::min(unixPath.size(), sizeof address.sun_path - 1));
    fd_ = connectTo(reinterpret_cast<const sockaddr*>(&address), sizeof address);
}

BlockingClient::~BlockingClient() { close(); }

void BlockingClient::close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
}

void BlockingClient::reset() {
    const linger now{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    close();
}

void BlockingClient::send(std::string_view bytes) {
    while (!bytes.empty()) {
        const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
        if (sent < 0) fail("cannot send");
        bytes.remove_prefix(static_cast<size_t>(sent));
    }
}

void BlockingClient::finishSending() { ::shutdown(fd_, SHUT_WR); }

// False: the end.
bool BlockingClient::receive() {
    std::array<char, 65536> some;
    const auto got = ::recv(fd_, some.data(), some.size(), 0);
    if (got < 0) fail("nothing came, after \"" + bytes_.substr(0, 500) + '"');
    bytes_.append(some.data(), static_cast<size_t>(got));
    return got > 0;
}

bool BlockingClient::hasEnded() {
    return bytes_.empty() && !receive();
}

std::string BlockingClient::until(std::string_view mark) {
    size_t at;
    while ((at = bytes_.find(mark)) == std::string::npos)
        if (!receive()) throw std::runtime_error("client: the connection ended after \"" + bytes_.substr(0, 500) + '"');
    return exactly(at + mark.size());
}

std::string BlockingClient::exactly(size_t size) {
    while (bytes_.size() < size)
        if (!receive()) throw std::runtime_error("client: the connection ended early");
    auto text = bytes_.substr(0, size);
    bytes_.erase(0, size);
    return text;
}

std::string BlockingClient::rest() {
    while (receive()) continue;
    return std::exchange(bytes_, {});
}

ClientReply BlockingClient::reply(bool toHead) {
    ClientReply reply;
    do {
        reply.head = until("\r\n\r\n");
        if (reply.head.size() < 12 || !reply.head.starts_with("HTTP/1.")) throw std::runtime_error("client: no reply: " + reply.head);
        reply.status = std::stoi(reply.head.substr(9, 3));
    } while (reply.status == 100);
    if (toHead || reply.status == 101 || reply.status == 204 || reply.status == 304) return reply;
    if (reply.field("Transfer-Encoding") == "chunked") {
        for (;;) {
            const auto size = std::stoul(until("\r\n"), nullptr, 16);
            reply.body += exactly(size);
            if (exactly(2) != "\r\n") throw std::runtime_error("client: a chunk does not end");
            if (size == 0) return reply;
        }
    }
    const auto length = reply.field("Content-Length");
    reply.body = length.empty() ? rest() : exactly(std::stoul(length));
    return reply;
}

ClientReply BlockingClient::get(std::string_view target, std::string_view fields) {
    send("GET " + std::string(target) + " HTTP/1.1\r\nHost: localhost\r\n" + std::string(fields) + "\r\n");
    return reply();
}

ClientReply BlockingClient::upgrade(std::string_view target, std::string_view fields) {
    return get(target, "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n" + std::string(fields));
}

std::string maskedFrame(int opcode, std::string_view payload, bool final) {
    std::string bytes(1, static_cast<char>((final ? 0x80 : 0) | opcode));
    if (payload.size() < 126) bytes += static_cast<char>(0x80 | payload.size());
    else if (payload.size() < 65536) bytes += '\xfe' + bigEndian(payload.size(), 2);
    else bytes += '\xff' + bigEndian(payload.size(), 8);
    constexpr std::string_view mask = "\x37\xfa\x21\x3d";
    bytes += mask;
    for (size_t i = 0; i < payload.size(); ++i) bytes += static_cast<char>(payload[i] ^ mask[i % 4]);
    return bytes;
}

void BlockingClient::frame(int opcode, std::string_view payload, bool final) { send(maskedFrame(opcode, payload, final)); }

void BlockingClient::closeFrame(int code, std::string_view reason) {
    frame(8, bigEndian(static_cast<uint64_t>(code), 2) + std::string(reason));
}

ClientFrame BlockingClient::next() {
    const auto start = exactly(2);
    ClientFrame frame;
    frame.opcode = start[0] & 15;
    frame.final = (start[0] & 0x80) != 0;
    uint64_t size = start[1] & 0x7f;
    if (size == 126) size = readBigEndian(exactly(2));
    else if (size == 127) size = readBigEndian(exactly(8));
    frame.payload = exactly(size);
    return frame;
}

}
