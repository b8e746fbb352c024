#include "support/FcgiFront.h"

#include "support/FcgiRecords.h"
#include "support/FrontClient.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <system_error>

namespace postern {

namespace {

constexpr size_t maxHead = 64 * 1024;
constexpr size_t enough = 1024 * 1024;  // waiting to be written; no more is read then

int connectTo(const std::string& program) {
    sockaddr_un local{};
    sockaddr_in loopback{};
    const bool isPath = program.find('/') != std::string::npos;
    local.sun_family = AF_UNIX;
    loopback.sin_family = AF_INET;
    loopback.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (isPath) std::memcpy(local.sun_path, program.data(), std::min(program.size(), sizeof local.sun_path - 1));
    else loopback.sin_port = htons(static_cast<uint16_t>(std::stoi(program)));
    const int fd = ::socket(isPath ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto* address = isPath ? reinterpret_cast<const sockaddr*>(&local) : reinterpret_cast<const sockaddr*>(&loopback);
    if (fd < 0 || ::connect(fd, address, isPath ? sizeof local : sizeof loopback) == 0) return fd;
    ::close(fd);
    return -1;
}

}

// One client, and the program while it answers.
class FcgiFront::Line {
public:
    Line(FcgiFront& front, int client) : front_(front), client_(client, front.stop_, front.options_.idle) {}
    ~Line() { closeBackend(); }

    void run() {
        do {
            request_ = client_.readRequest();
            keepsClient_ = request_.keepsConnection;
            exchange();
        } while (keepsClient_);
    }

private:
    std::string variables() const {
        auto list = frontVariables(request_, front_.options_.mount, front_.options_.software, front_.port_, client_.port());
        for (const auto& variable : front_.options_.variables) {
            std::erase_if(list, [&](const auto& field) { return field.first == variable.first; });
            list.push_back(variable);
        }
        return fcgiPairs(list);
    }

    void exchange() {
        backend_ = connectTo(front_.program_);
        if (backend_ < 0) return client_.refuse("503 Service Unavailable");
        toBackend_ = fcgiBegin() + fcgiRecords(FcgiType::params, variables()) + fcgiRecord(FcgiType::params, {}) +
                     fcgiRecords(FcgiType::in, request_.body);
        relays_ = false;
        if (!request_.upgrade || front_.options_.closesStdin) toBackend_ += fcgiRecord(FcgiType::in, {});
        fromBackend_.clear();
        head_.clear();
        isReplying_ = ended_ = chunked_ = false;
        status_ = 0;
        while (!ended_ || !toClient_.empty()) move();
        closeBackend();
    }

    // Waits, and moves what can be moved.
    void move() {
        const bool readClient = relays_ && !clientEnded_ && toBackend_.size() < enough;
        const bool readBackend = !ended_ && toClient_.size() < enough;
        const auto want = [](bool read, bool write) { return static_cast<short>((read ? POLLIN : 0) | (write ? POLLOUT : 0)); };
        pollfd fds[] = {{client_.fd(), want(readClient, !toClient_.empty()), 0},
                        {backend_, want(readBackend, !ended_ && !toBackend_.empty()), 0},
                        {front_.stop_, POLLIN, 0}};
        for (auto& fd : fds)
            if (fd.events == 0) fd.fd = -1;
        const auto patience = std::chrono::milliseconds(front_.options_.idle).count();
        if (::poll(fds, 3, static_cast<int>(patience)) <= 0 || fds[2].revents) throw LineOver();
        if (fds[0].revents && !toClient_.empty() && !writeSome(client_.fd(), toClient_)) throw LineOver();
        if (fds[0].revents && readClient) {
            std::string bytes;
            if (readSome(client_.fd(), bytes)) toBackend_ += fcgiRecords(FcgiType::in, bytes);
            else clientEnded_ = true;
        }
        // The program may end before it has read everything, and what it said then is still to be read.
        if (fds[1].revents && !toBackend_.empty() && !writeSome(backend_, toBackend_)) toBackend_.clear();
        if (fds[1].revents && readBackend) {
            if (readSome(backend_, fromBackend_)) readRecords();
            else endWithoutRecord();
        }
        // lighttpd lets both sides go when the client has ended, without a word to the program.
        if (clientEnded_ && toBackend_.empty()) throw LineOver();
    }

    void readRecords() {
        FcgiRecord record;
        while (!ended_ && takeFcgiRecord(fromBackend_, record)) {
            if (!record.isOurs) {
                front_.complain("a record of another version or request");
                throw LineOver();
            }
            if (record.type == FcgiType::out) readOutput(record.content);
            else if (record.type == FcgiType::err) note(record.content);
            else if (record.type == FcgiType::end) readEnd(record.content);
            else front_.complain("a record of type " + std::to_string(static_cast<int>(record.type)));
        }
        if (ended_ && !fromBackend_.empty()) front_.complain("something follows END_REQUEST");
    }

    void note(const std::string& text) {
        const std::lock_guard lock(front_.mutex_);
        front_.errors_ += text;
    }

    void readEnd(std::string_view content) {
        if (content.size() != 8) {
            front_.complain("END_REQUEST of another size");
        } else if (content[4] != 0) {
            front_.complain("the request was refused with protocol status " + std::to_string(content[4]));
        } else {
            const std::lock_guard lock(front_.mutex_);
            ++front_.completed_;
        }
        finish();
    }

    void endWithoutRecord() {
        front_.complain("the connection ended without END_REQUEST");
        if (isReplying_) {
            keepsClient_ = chunked_ = false;  // so the client sees that something is missing
            left_ = 0;
        }
        finish();
    }

    void readOutput(std::string_view content) {
        if (isReplying_) return sendBody(content);
        head_ += content;
        auto size = head_.find("\r\n\r\n"), mark = size_t{4};
        if (size == std::string::npos) {
            size = head_.find("\n\n");
            mark = 2;
        }
        if (size == std::string::npos) {
            if (head_.size() <= maxHead) return;
            front_.complain("a head without end");
            throw LineOver();
        }
        const auto body = head_.substr(size + mark);
        head_.resize(size);
        sendHead();
        if (!body.empty()) sendBody(body);
    }

    void sendHead() {
        isReplying_ = true;
        std::string broken;
        const auto fields = readFrontFields(head_, broken);
        if (!broken.empty()) front_.complain("no field: " + broken);
        auto status = frontField(fields, "Status");
        if (status.empty()) status = "200 OK";
        status_ = std::atoi(status.c_str());
        toClient_ += "HTTP/1.1 " + status + "\r\n";
        for (const auto& [name, value] : fields) {
            if (equalIgnoringCase(name, "Transfer-Encoding")) front_.complain("Transfer-Encoding from a CGI program");
            else if (!equalIgnoringCase(name, "Status") && !equalIgnoringCase(name, "Connection"))
                toClient_ += name + ": " + value + "\r\n";
        }
        if (status_ == 101) startRelay(fields);
        else chooseFraming(fields);
        toClient_ += "\r\n";
    }

    void startRelay(const FrontFields& fields) {
        if (!request_.upgrade) front_.complain("101 that nobody asked for");
        if (frontField(fields, "Upgrade").empty()) front_.complain("101 without Upgrade");
        toClient_ += "Connection: upgrade\r\n";
        keepsClient_ = false;
        counted_ = false;
        if (front_.options_.closesStdin) return;
        relays_ = true;
        toBackend_ += fcgiRecords(FcgiType::in, client_.takeRest());
    }

    void chooseFraming(const FrontFields& fields) {
        const auto length = frontField(fields, "Content-Length");
        bodiless_ = request_.method == "HEAD" || status_ == 204 || status_ == 304;
        counted_ = !bodiless_ && !length.empty();
        left_ = counted_ ? std::stoull(length) : 0;
        if (bodiless_ || counted_) return;
        if (request_.version == "HTTP/1.1") {
            chunked_ = true;
            toClient_ += "Transfer-Encoding: chunked\r\n";
        } else {
            keepsClient_ = false;
        }
    }

    void sendBody(std::string_view content) {
        if (status_ == 101) return void(toClient_ += content);
        if (bodiless_ || content.empty()) return;
        if (counted_ && content.size() > left_) {
            front_.complain("more body than Content-Length");
            content = content.substr(0, left_);
        }
        if (counted_) left_ -= content.size();
        if (!chunked_) return void(toClient_ += content);
        std::array<char, 24> size{};
        std::snprintf(size.data(), size.size(), "%zx\r\n", content.size());
        toClient_ += std::string(size.data()) + std::string(content) + "\r\n";
    }

    void finish() {
        ended_ = true;
        if (!isReplying_) {
            front_.complain("no reply: " + head_);
            return client_.refuse("502 Bad Gateway");
        }
        if (chunked_) toClient_ += "0\r\n\r\n";
        if (status_ != 101 && counted_ && left_ > 0) {
            front_.complain("less body than Content-Length");
            keepsClient_ = false;
        }
    }

    void closeBackend() {
        if (backend_ >= 0) ::close(std::exchange(backend_, -1));
    }

    FcgiFront& front_;
    FrontClient client_;
    int backend_ = -1;
    std::string toClient_, fromBackend_, toBackend_;
    FrontRequest request_;
    bool keepsClient_ = false;
    bool relays_ = false;        // after 101: what the client says becomes STDIN
    bool clientEnded_ = false;
    bool isReplying_ = false;    // its head has gone out
    bool ended_ = false;         // the program has said everything
    std::string head_;
    int status_ = 0;
    bool bodiless_ = false, counted_ = false, chunked_ = false;
    unsigned long long left_ = 0;  // of Content-Length
};

FcgiFront::FcgiFront(std::string program, FcgiFrontOptions options) : program_(std::move(program)), options_(std::move(options)) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    stop_ = ::eventfd(0, EFD_CLOEXEC);
    sockaddr_in address{};
    socklen_t size = sizeof address;
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    auto* generic = reinterpret_cast<sockaddr*>(&address);
    if (listener_ < 0 || stop_ < 0 || ::bind(listener_, generic, size) != 0 || ::listen(listener_, 4096) != 0 ||
        ::getsockname(listener_, generic, &size) != 0)
        throw std::system_error(errno, std::system_category(), "FcgiFront");
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { acceptAll(); });
}

FcgiFront::~FcgiFront() {
    ::eventfd_write(stop_, 1);
    acceptor_.join();
    std::unique_lock lock(mutex_);
    lineEnded_.wait(lock, [this] { return lines_ == 0; });
    ::close(listener_);
    ::close(stop_);
}

std::vector<std::string> FcgiFront::complaints() const {
    const std::lock_guard lock(mutex_);
    return complaints_;
}

std::string FcgiFront::errors() const {
    const std::lock_guard lock(mutex_);
    return errors_;
}

size_t FcgiFront::completed() const {
    const std::lock_guard lock(mutex_);
    return completed_;
}

void FcgiFront::complain(const std::string& what) {
    const std::lock_guard lock(mutex_);
    complaints_.push_back(what);
}

void FcgiFront::acceptAll() {
    for (;;) {
        pollfd fds[] = {{listener_, POLLIN, 0}, {stop_, POLLIN, 0}};
        ::poll(fds, 2, -1);
        if (fds[1].revents) return;
        const int client = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC);
        if (client < 0) continue;
        const int on = 1;
        ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        {
            const std::lock_guard lock(mutex_);
            ++lines_;
        }
        std::thread([this, client] { serve(client); }).detach();
    }
}

void FcgiFront::serve(int client) {
    try {
        Line(*this, client).run();
    } catch (const LineOver&) {
    } catch (const std::exception& problem) {
        complain(problem.what());
    }
    ::close(client);
    // Under the lock to its end: the object may go as soon as it is free.
    const std::lock_guard lock(mutex_);
    --lines_;
    lineEnded_.notify_all();
}

}
