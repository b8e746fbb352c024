// gatewayload fastcgi|scgi|uwsgi PORT CONNECTIONS SECONDS: sends requests as a gateway does, with the variables of nginx, and
// prints the number of replies and the seconds they took. Each of CONNECTIONS keeps one request in flight: with FastCGI on
// one connection that stays, else on a new one each time.

#include "bench/Net.h"

#include <algorithm>
#include <chrono>
#include <stdexcept>
#include <utility>
#include <vector>

using namespace bench;

namespace {

constexpr std::string_view body = "Hello, world!\n";

// SCGI wants the length first.
constexpr std::pair<std::string_view, std::string_view> variables[] = {
    {"CONTENT_LENGTH", "0"}, {"QUERY_STRING", ""}, {"REQUEST_METHOD", "GET"}, {"CONTENT_TYPE", ""}, {"SCRIPT_NAME", "/"},
    {"REQUEST_URI", "/"}, {"DOCUMENT_URI", "/"}, {"DOCUMENT_ROOT", "/usr/share/nginx/html"}, {"SERVER_PROTOCOL", "HTTP/1.1"},
    {"REQUEST_SCHEME", "http"}, {"GATEWAY_INTERFACE", "CGI/1.1"}, {"SERVER_SOFTWARE", "nginx/1.22.1"},
    {"REMOTE_ADDR", "127.0.0.1"}, {"REMOTE_PORT", "40000"}, {"SERVER_ADDR", "127.0.0.1"}, {"SERVER_PORT", "80"},
    {"SERVER_NAME", "localhost"}, {"REDIRECT_STATUS", "200"}, {"HTTP_HOST", "127.0.0.1"},
};

std::string bigEndian(size_t number) { return {static_cast<char>(number >> 8), static_cast<char>(number)}; }
std::string littleEndian(size_t number) { return {static_cast<char>(number), static_cast<char>(number >> 8)}; }

std::string record(int type, std::string_view content) {
    return std::string{1, static_cast<char>(type), 0, 1} + bigEndian(content.size()) + std::string(2, '\0') + std::string(content);
}

std::string fastCgiRequest() {
    std::string pairs;
    for (const auto& [name, value] : variables)
        pairs += std::string{static_cast<char>(name.size()), static_cast<char>(value.size())}.append(name).append(value);
    constexpr std::string_view responderThatKeepsTheConnection("\0\1\1\0\0\0\0\0", 8);
    return record(1, responderThatKeepsTheConnection) + record(4, pairs) + record(4, "") + record(5, "");
}

std::string scgiRequest() {
    std::string pairs;
    for (const auto& [name, value] : variables) {
        pairs.append(name) += '\0';
        pairs.append(value) += '\0';
        if (name == "CONTENT_LENGTH") pairs += std::string("SCGI\0001\0", 7);
    }
    return std::to_string(pairs.size()) + ':' + pairs + ',';
}

std::string uwsgiRequest() {
    std::string pairs;
    for (const auto& [name, value] : variables)
        (pairs += littleEndian(name.size())).append(name).append(littleEndian(value.size())).append(value);
    return '\0' + littleEndian(pairs.size()) + '\0' + pairs;
}

// The size of a whole FastCGI reply at the start of `bytes`; 0: there is more to come.
size_t fastCgiReply(std::string_view bytes, std::string& text) {
    text.clear();
    for (size_t at = 0; bytes.size() >= at + 8;) {
        const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(bytes[at + i])); };
        const auto type = byte(1), content = byte(4) << 8 | byte(5), end = at + 8 + content + byte(6);
        if (end > bytes.size()) return 0;
        if (type == 6) text += bytes.substr(at + 8, content);
        if (type == 3) return end;
        at = end;
    }
    return 0;
}

class Load {
public:
    Load(std::string_view protocol, uint16_t port)
        : keeps_(protocol == "fastcgi"), address_(loopback(port)),
          request_(keeps_ ? fastCgiRequest() : protocol == "scgi" ? scgiRequest() : uwsgiRequest()) {}

    size_t run(size_t connections, double seconds) {
        for (size_t i = 0; i < connections; ++i) open();
        using Clock = std::chrono::steady_clock;
        const auto start = Clock::now();
        while (inFlight_ > 0) {
            const size_t before = replies_;
            epoll_.wait(5000, [&](int fd) { receive(fd); });
            if (replies_ == before && ++idle_ > 3) throw std::runtime_error("the replies stopped");
            if (replies_ != before) idle_ = 0;
            elapsed = std::chrono::duration<double>(Clock::now() - start).count();
            over_ = over_ || elapsed >= seconds;
        }
        return replies_;
    }

    double elapsed = 0;

private:
    void open() {
        const int fd = checked(::socket(AF_INET, SOCK_STREAM, 0), "socket");
        checked(::connect(fd, reinterpret_cast<const sockaddr*>(&address_), sizeof address_), "connect");
        setNoDelay(fd);
        epoll_.add(fd, EPOLLIN);
        received_.resize(std::max(received_.size(), static_cast<size_t>(fd) + 1));
        received_[static_cast<size_t>(fd)].clear();
        ++inFlight_;
        ask(fd);
    }

    void ask(int fd) {
        if (::send(fd, request_.data(), request_.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(request_.size()))
            throw std::runtime_error("a request was not sent whole");
    }

    void receive(int fd) {
        auto& bytes = received_[static_cast<size_t>(fd)];
        char buffer[4096];
        const auto size = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
        if (size > 0) bytes.append(buffer, static_cast<size_t>(size));
        if (keeps_) {
            if (size == 0) throw std::runtime_error("a connection ended");
            if (fastCgiReply(bytes, text_) == 0) return;
            count(text_);
            bytes.clear();
            if (!over_) return ask(fd);
        } else {
            if (size != 0) return;
            count(bytes);
        }
        ::close(fd);
        --inFlight_;
        if (!over_ && !keeps_) open();
    }

    void count(std::string_view reply) {
        if (!reply.ends_with(body)) throw std::runtime_error("this is no reply: " + std::string(reply));
        ++replies_;
    }

    const bool keeps_;
    const sockaddr_in address_;
    const std::string request_;
    Epoll epoll_;
    std::vector<std::string> received_;  // by descriptor
    std::string text_;
    size_t replies_ = 0, inFlight_ = 0, idle_ = 0;
    bool over_ = false;
};

}

int main(int count, char** arguments) {
    if (count != 5) {
        std::fputs("usage: gatewayload fastcgi|scgi|uwsgi PORT CONNECTIONS SECONDS\n", stderr);
        return 2;
    }
    try {
        raiseDescriptorLimit();
        Load load(arguments[1], static_cast<uint16_t>(std::stoul(arguments[2])));
        const auto replies = load.run(std::stoul(arguments[3]), std::stod(arguments[4]));
        std::printf("%zu %.6f\n", replies, load.elapsed);
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "gatewayload: %s\n", problem.what());
        return 1;
    }
}
