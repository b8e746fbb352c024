// floor http|websocket [WORKERS]: the least a server can do for a request or a message, as the measure for one that does it
// right. One receive, one send, a share of one epoll_wait; nothing is parsed beyond what tells messages apart, nothing is
// checked or allowed to fail. All requests of a connection are as long as its first one; messages are up to 1 MiB. Workers are
// threads, each with a listening socket and an epoll of its own.

#include "bench/Floor.h"

#include <algorithm>
#include <cerrno>
#include <memory>
#include <thread>
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
constexpr size_t mostReplies = 64;  // with one send
constexpr size_t capacity = 2 << 20;

std::string repeatedReply() {
    std::string replies;
    for (size_t i = 0; i < mostReplies; ++i) replies += reply;
    return replies;
}

void send(int fd, const char* data, size_t size) {
    if (::send(fd, data, size, MSG_NOSIGNAL) != static_cast<ssize_t>(size)) std::perror("send");
}

struct Line {
    bool isOpen = false;                     // its handshake is over
    size_t request = 0;                      // the length of a request
    std::unique_ptr<char[]> bytes = nullptr; // a buffer, while something is unfinished
    size_t out = 0, outEnd = 0;              // there: what the socket did not take yet
    size_t in = 0, inEnd = 0;                // there: what has not come whole; of requests, counted only
};

class Worker {
public:
    Worker(bool websocket, int listener) : websocket_(websocket), listener_(listener) { epoll_.add(listener, EPOLLIN); }

    [[noreturn]] void run() {
        for (;;) epoll_.wait(-1, [this](int fd) { fd == listener_ ? accept() : receive(fd); });
    }

private:
    void accept() {
        const int fd = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK);
        if (fd < 0) return;
        setNoDelay(fd);
        if (lines_.size() <= static_cast<size_t>(fd)) lines_.resize(static_cast<size_t>(fd) + 1);
        lines_[static_cast<size_t>(fd)] = {};
        epoll_.add(fd, EPOLLIN | EPOLLOUT | EPOLLET);
    }

    void receive(int fd) {
        auto& line = lines_[static_cast<size_t>(fd)];
        if (line.outEnd > 0 && !flush(fd, line)) return;
        if (!line.bytes) std::swap(line.bytes, spare_);
        if (!line.bytes) line.bytes.reset(new char[capacity]);
        char* const bytes = line.bytes.get();
        const size_t before = line.inEnd;  // 0 for requests
        const auto received = ::recv(fd, bytes + before, capacity - before, 0);
        const auto size = before + static_cast<size_t>(std::max<ssize_t>(received, 0));
        if (received == 0 || (received < 0 && errno != EAGAIN)) ::close(fd), line = {};
        else if (received > 0 && !websocket_) answer(fd, line, {bytes, size});
        else if (received > 0 && line.isOpen) echo(fd, line, size);
        else if (received > 0) shakeHands(fd, line, {bytes, size});
        if (!websocket_ || line.outEnd + line.inEnd == 0) std::swap(line.bytes, spare_);
    }

    void answer(int fd, Line& line, std::string_view bytes) {
        if (line.request == 0) line.request = bytes.find("\r\n\r\n") + 4;
        if (line.in == 0 && bytes.size() == line.request) return send(fd, reply.data(), reply.size());
        line.in += bytes.size();
        auto count = line.in / line.request;
        line.in %= line.request;
        for (; count > mostReplies; count -= mostReplies) send(fd, replies_.data(), replies_.size());
        send(fd, replies_.data(), count * reply.size());
    }

    void shakeHands(int fd, Line& line, std::string_view request) {
        line.isOpen = true;
        const auto answer = switchingProtocols(request);
        send(fd, answer.data(), answer.size());
    }

    void echo(int fd, Line& line, size_t size) {
        const auto [in, outEnd] = echoFrames(line.bytes.get(), size);
        line.in = in, line.inEnd = size;
        line.out = Echoed::start, line.outEnd = outEnd;
        flush(fd, line);
    }

    // False: the socket has no room. Else what has not come whole is at the start of the buffer.
    static bool flush(int fd, Line& line) {
        while (line.out < line.outEnd) {
            const auto sent = ::send(fd, line.bytes.get() + line.out, line.outEnd - line.out, MSG_NOSIGNAL);
            if (sent < 0) return false;
            line.out += static_cast<size_t>(sent);
        }
        line.out = line.outEnd = 0;
        line.inEnd -= line.in;
        if (line.inEnd > 0 && line.in > 0) std::memmove(line.bytes.get(), line.bytes.get() + line.in, line.inEnd);
        line.in = 0;
        return true;
    }

    const bool websocket_;
    const int listener_;
    Epoll epoll_;
    const std::string replies_ = repeatedReply();
    std::unique_ptr<char[]> spare_;
    std::vector<Line> lines_;
};

}

int main(int count, char** arguments) {
    const bool websocket = count > 1 && std::string_view(arguments[1]) == "websocket";
    std::vector<int> listeners(count > 2 ? std::stoul(arguments[2]) : 1);
    raiseDescriptorLimit();
    uint16_t port = 0;
    for (int& listener : listeners) port = listenOn(port, SOCK_NONBLOCK, listener);
    sayWhere(port);
    for (size_t i = 1; i < listeners.size(); ++i)
        std::thread([websocket, listener = listeners[i]] { Worker(websocket, listener).run(); }).detach();
    Worker(websocket, listeners.front()).run();
}
