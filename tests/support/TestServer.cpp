#include "support/TestServer.h"

#include "postern/io/Pipe.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <stdexcept>

namespace postern {

// ── Log lines ──

LogFunction LogLines::function() {
    return [this](LogLevel, std::string_view line) {
        const std::lock_guard lock(mutex_);
        lines_.emplace_back(line);
        changed_.notify_all();
    };
}

std::vector<std::string> LogLines::all() const {
    const std::lock_guard lock(mutex_);
    return lines_;
}

namespace {

size_t countLines(const std::vector<std::string>& lines, std::string_view part) {
    return static_cast<size_t>(std::count_if(
        lines.begin(), lines.end(), [&](const std::string& line) { return line.find(part) != std::string::npos; }));
}

} // namespace

size_t LogLines::count(std::string_view part) const { return countLines(all(), part); }

bool LogLines::wait(std::string_view part, size_t lines) const {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, std::chrono::system_clock::now() + testPatience,
                               [&] { return countLines(lines_, part) >= lines; });
}

// ── Server ──

TestServer::TestServer(Handler handler, HttpSettings settings, HandlerSettings handling)
    : handler_(std::move(handler)), settings_(std::move(settings)), handling_(std::move(handling)),
      handle_([this](Exchange& exchange) { serveExchange(exchange, handling_, handler_); }) {
    const int fd = ListenSocket::tcp("127.0.0.1", 0, false);
    port_ = ListenSocket::portOf(fd);
    thread_ = std::thread([this, fd] { work(fd); });
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return loop_ != nullptr; });
}

TestServer::~TestServer() {
    withLoop([](Loop& loop) { loop.stop(); });
    thread_.join();
}

void TestServer::work(int fd) {
    LoopOptions options;
    options.log = log_.function();
    Loop loop(options);
    HttpGateway gateway(loop, fd, settings_, handle_);
    gateway.start();
    const auto publish = [&](Loop* running, bool ended) {
        const std::lock_guard lock(mutex_);
        loop_ = running;
        ended_ = ended;
        changed_.notify_all();
    };
    publish(&loop, false);
    loop.run();
    publish(nullptr, false);
    loop.endFibers();
    publish(nullptr, true);
}

void TestServer::withLoop(const std::function<void(Loop&)>& action) {
    const std::lock_guard lock(mutex_);
    if (loop_) action(*loop_);
}

void TestServer::onLoop(const std::function<void()>& task) {
    std::mutex mutex;
    std::condition_variable changed;
    bool done = false;
    withLoop([&](Loop& loop) {
        loop.post([&] {
            task();
            const std::lock_guard lock(mutex);
            done = true;
            changed.notify_all();
        });
    });
    std::unique_lock lock(mutex);
    if (!changed.wait_until(lock, std::chrono::system_clock::now() + testPatience, [&] { return done; }))
        throw std::runtime_error("the server's loop does not run");
}

void TestServer::drain(Duration limit) {
    withLoop([limit](Loop& loop) { loop.drain(limit); });
}

bool TestServer::waitForEnd() {
    std::unique_lock lock(mutex_);
    return changed_.wait_until(lock, std::chrono::system_clock::now() + testPatience, [&] { return ended_; });
}

// ── Reply ──

std::vector<std::string> RawReply::all(std::string_view name) const {
    std::vector<std::string> values;
    for (const auto& [key, value] : fields)
        if (equalsIgnoringCase(key, name)) values.push_back(value);
    return values;
}

std::string RawReply::field(std::string_view name) const {
    const auto values = all(name);
    return values.empty() ? std::string() : values.back();
}

namespace {

[[noreturn]] void noReply(const std::string& why) { throw std::runtime_error("this is no HTTP reply: " + why); }

void readHead(RawReply& reply) {
    const auto& head = reply.head;
    if (!head.starts_with("HTTP/1.1 ") || head.size() < 13 || head[12] != ' ') noReply(head.substr(0, 60));
    reply.status = std::stoi(head.substr(9, 3));
    auto at = head.find("\r\n") + 2;
    for (; head.compare(at, 2, "\r\n") != 0;) {
        const auto end = head.find("\r\n", at);
        const auto line = head.substr(at, end - at);
        const auto colon = line.find(": ");
        if (colon == std::string::npos || line.find_first_of("\r\n") != std::string::npos ||
            !isToken(line.substr(0, colon)))
            noReply("the line " + line);
        reply.fields.emplace_back(line.substr(0, colon), line.substr(colon + 2));
        at = end + 2;
    }
}

// The size of the whole chunked body, 0 if more must come.
size_t readChunks(std::string_view bytes, std::string& body) {
    for (size_t at = 0;;) {
        const auto end = bytes.find("\r\n", at);
        if (end == std::string_view::npos) return 0;
        size_t digits = 0;
        const auto size = std::stoull(std::string(bytes.substr(at, end - at)), &digits, 16);
        if (digits != end - at) noReply("the chunk size " + std::string(bytes.substr(at, end - at)));
        at = end + 2;
        if (bytes.size() < at + size + 2) return 0;
        body += bytes.substr(at, size);
        at += size;
        if (bytes.compare(at, 2, "\r\n") != 0) noReply("a chunk longer than its size");
        at += 2;
        if (size == 0) return at;
    }
}

} // namespace

namespace {

// The size of the reply at the front of `bytes`, 0 if more must come.
size_t readReply(std::string_view bytes, std::string_view method, bool ended, RawReply& reply) {
    reply = {};
    const auto end = bytes.find("\r\n\r\n");
    if (end == std::string::npos) return 0;
    reply.head = bytes.substr(0, end + 4);
    readHead(reply);
    const auto rest = bytes.substr(end + 4);
    const auto length = reply.field("Content-Length");
    reply.chunked = reply.has("Transfer-Encoding");
    if (reply.chunked && (!length.empty() || reply.field("Transfer-Encoding") != "chunked"))
        noReply("its framing:\n" + reply.head);
    size_t size = 0;
    if (method == "HEAD" || reply.status < 200 || reply.status == 204 || reply.status == 304) {
        size = 0;
    } else if (reply.chunked) {
        size = readChunks(rest, reply.body);
        if (size == 0) return 0;
    } else if (!length.empty()) {
        size = std::stoull(length);
        if (rest.size() < size) return 0;
        reply.body = rest.substr(0, size);
    } else {
        if (!ended) return 0;
        size = rest.size();
        reply.body = rest;
    }
    return end + 4 + size;
}

} // namespace

bool RawReply::take(std::string& bytes, std::string_view method, bool ended, RawReply& reply) {
    const auto size = readReply(bytes, method, ended, reply);
    bytes.erase(0, size);
    return size > 0;
}

std::vector<RawReply> RawReply::takeAll(std::string_view bytes, const std::vector<std::string>& methods) {
    std::vector<RawReply> replies;
    while (!bytes.empty()) {
        RawReply reply;
        const auto size = readReply(bytes, methods[std::min(replies.size(), methods.size() - 1)], true, reply);
        if (size == 0) throw std::runtime_error("an incomplete reply: " + std::string(bytes.substr(0, 200)));
        bytes.remove_prefix(size);
        replies.push_back(std::move(reply));
    }
    return replies;
}

// ── Client ──

RawClient::RawClient(uint16_t port, int receiveBuffer) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    if (receiveBuffer > 0) ::setsockopt(fd_, SOL_SOCKET, SO_RCVBUF, &receiveBuffer, sizeof receiveBuffer);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (::connect(fd_, reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
        const int error = errno;
        ::close(fd_);
        throw std::system_error(error, std::system_category(), "cannot connect to the test server");
    }
    const int on = 1;
    ::setsockopt(fd_, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
}

RawClient::~RawClient() {
    if (fd_ >= 0) ::close(fd_);
}

void RawClient::waitFor(short events, const char* what) {
    pollfd ready{fd_, events, 0};
    const auto milliseconds = std::chrono::milliseconds(testPatience).count();
    if (::poll(&ready, 1, static_cast<int>(milliseconds)) == 0) throw std::runtime_error(what);
}

bool RawClient::trySend(std::string_view bytes) {
    while (!bytes.empty()) {
        waitFor(POLLOUT, "the server reads nothing");
        const auto sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent >= 0)
            bytes.remove_prefix(static_cast<size_t>(sent));
        else if (errno != EAGAIN && errno != EINTR)
            return false;
    }
    return true;
}

void RawClient::send(std::string_view bytes) {
    if (!trySend(bytes)) throw std::runtime_error("the server has cut the connection");
}

void RawClient::finishSending() { ::shutdown(fd_, SHUT_WR); }

void RawClient::reset() {
    const linger hard{1, 0};
    ::setsockopt(fd_, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
    ::close(std::exchange(fd_, -1));
}

RawClient::More RawClient::receiveMore() {
    waitFor(POLLIN, "the server sends nothing");
    char buffer[16 * 1024];
    const auto size = ::recv(fd_, buffer, sizeof buffer, 0);
    if (size < 0) return More::reset;
    bytes_.append(buffer, static_cast<size_t>(size));
    return size == 0 ? More::end : More::bytes;
}

std::string RawClient::receive(size_t size) {
    while (bytes_.size() < size && receiveMore() == More::bytes) continue;
    auto taken = bytes_.substr(0, size);
    bytes_.erase(0, taken.size());
    return taken;
}

std::string RawClient::receiveAll() {
    while (receiveMore() == More::bytes) continue;
    return std::exchange(bytes_, {});
}

RawReply RawClient::receiveReply(std::string_view method) {
    RawReply reply;
    bool ended = false;
    while (!RawReply::take(bytes_, method, ended, reply)) {
        if (ended)
            throw std::runtime_error("the connection ended before a whole reply had come: " + bytes_.substr(0, 200));
        ended = receiveMore() != More::bytes;
    }
    return reply;
}

RawReply RawClient::request(std::string_view bytes, std::string_view method) {
    send(bytes);
    return receiveReply(method);
}

RawClient::End RawClient::waitForEnd() {
    for (;;) {
        switch (receiveMore()) {
        case More::bytes: break;
        case More::end: return End::closed;
        case More::reset: return End::reset;
        }
    }
}

bool RawClient::hasArrived(std::chrono::milliseconds within) {
    pollfd ready{fd_, POLLIN, 0};
    return !bytes_.empty() || ::poll(&ready, 1, static_cast<int>(within.count())) > 0;
}

std::string rawRequest(std::string_view method, std::string_view target, std::string_view lines,
                       std::string_view body) {
    std::string text;
    text.append(method).append(" ").append(target).append(" HTTP/1.1\r\nHost: test\r\n");
    return text.append(lines).append("\r\n").append(body);
}

// ── In memory ──

MemoryServer::MemoryServer(Handler handler, HttpSettings settings, HandlerSettings handling)
    : handler_(std::move(handler)), settings_(std::move(settings)), handling_(std::move(handling)),
      handle_([this](Exchange& exchange) { serveExchange(exchange, handling_, handler_); }), loop_([] {
          LoopOptions options;
          options.log = [](LogLevel, std::string_view) {};
          return options;
      }()) {}

std::string MemoryServer::answer(const Fragments& pieces) {
    std::string answered;
    std::exception_ptr failure;
    loop_.spawn([&] {
        try {
            HttpGateway gateway(loop_, -1, settings_, handle_);
            auto ends = Pipe::make(loop_);
            auto& client = *ends.second;
            gateway.serve(std::move(ends.first), {"127.0.0.1", 1}, 80);
            for (const auto piece : pieces) {
                client.write(piece);
                client.flush();
                yield();
            }
            client.finishSending();
            while (client.receive(loop_.in(testPatience))) {
                answered += client.unreadText();
                client.consume(client.unread().size());
            }
        } catch (const Disconnected&) {
            // The server has cut the connection: what it answered before counts.
        } catch (...) {
            failure = std::current_exception();
        }
        loop_.stop();
    });
    loop_.run();
    if (failure) std::rethrow_exception(failure);
    return answered;
}

} // namespace postern
