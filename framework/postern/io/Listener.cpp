#include "postern/io/Listener.h"

#include <fcntl.h>
#include <grp.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <memory>
#include <system_error>

namespace postern {

namespace {

constexpr int backlog = 4096;  // the kernel cuts it to net.core.somaxconn

[[noreturn]] void fail(int error, const std::string& what) {
    throw std::system_error(error, std::system_category(), what);
}

class OwnedFd {
public:
    explicit OwnedFd(int fd) : fd_(fd) {}
    OwnedFd(const OwnedFd&) = delete;
    OwnedFd& operator=(const OwnedFd&) = delete;
    ~OwnedFd() {
        if (fd_ >= 0) ::close(fd_);
    }
    int get() const { return fd_; }
    int release() { return std::exchange(fd_, -1); }

private:
    int fd_;
};

void set(int fd, int level, int option) {
    const int on = 1;
    ::setsockopt(fd, level, option, &on, sizeof on);
}

using Addresses = std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)>;

Addresses resolve(const std::string& address, uint16_t port) {
    addrinfo hints{};
    hints.ai_family = AF_UNSPEC;
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_PASSIVE | AI_NUMERICSERV;
    addrinfo* found = nullptr;
    const auto service = std::to_string(port);
    const int error = ::getaddrinfo(address.empty() ? nullptr : address.c_str(), service.c_str(), &hints, &found);
    if (error != 0) fail(EADDRNOTAVAIL, "cannot listen on " + address + ": " + ::gai_strerror(error));
    return {found, ::freeaddrinfo};
}

// Does somebody accept connections there?
bool isAlive(const sockaddr_un& address) {
    const OwnedFd probe(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return ::connect(probe.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0 || errno == EAGAIN;
}

void removeStale(const std::string& path, const sockaddr_un& address) {
    struct stat status{};
    if (::lstat(path.c_str(), &status) != 0) return;
    if (!S_ISSOCK(status.st_mode)) fail(EEXIST, "cannot listen on " + path + ": something that is no socket is there");
    if (isAlive(address)) fail(EADDRINUSE, "cannot listen on " + path + ": another program listens there");
    ::unlink(path.c_str());
}

gid_t groupOf(const std::string& name) {
    const auto* entry = ::getgrnam(name.c_str());
    if (!entry) fail(EINVAL, "no group named " + name);
    return entry->gr_gid;
}

}

int ListenSocket::tcp(const std::string& address, uint16_t port, bool shared, bool whenTheySpeak) {
    const auto found = resolve(address, port);
    OwnedFd fd(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd.get() < 0) fail(errno, "no socket");
    set(fd.get(), SOL_SOCKET, SO_REUSEADDR);
    if (shared) set(fd.get(), SOL_SOCKET, SO_REUSEPORT);
    if (whenTheySpeak) set(fd.get(), IPPROTO_TCP, TCP_DEFER_ACCEPT);
    set(fd.get(), IPPROTO_TCP, TCP_NODELAY);  // accepted sockets inherit it, which saves a call for each
    if (::bind(fd.get(), found->ai_addr, found->ai_addrlen) != 0 || ::listen(fd.get(), backlog) != 0) {
        const int error = errno;
        const auto where = "cannot listen on " + address + " port " + std::to_string(port);
        if (error == EADDRINUSE) fail(error, where + ": another program has it; --port 0 takes a free one");
        if (error == EACCES) fail(error, where + ": ports below 1024 need root or CAP_NET_BIND_SERVICE");
        fail(error, where);
    }
    return fd.release();
}

int ListenSocket::unixPath(const std::string& path, unsigned mode, const std::string& group) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    if (path.empty() || path.size() >= sizeof address.sun_path)
        fail(ENAMETOOLONG, "cannot listen on " + path + ": a socket path has 1 to 107 bytes");
    std::memcpy(address.sun_path, path.data(), path.size());
    removeStale(path, address);
    OwnedFd fd(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (fd.get() < 0) fail(errno, "no socket");
    const auto oldMask = ::umask(0177);  // closed to everybody until its mode and group are right
    const int bound = ::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address);
    const int error = errno;
    ::umask(oldMask);
    if (bound != 0) fail(error, "cannot listen on " + path);
    if (!group.empty() && ::chown(path.c_str(), static_cast<uid_t>(-1), groupOf(group)) != 0)
        fail(errno, "cannot give " + path + " to group " + group);
    if (::chmod(path.c_str(), mode) != 0 || ::listen(fd.get(), backlog) != 0) fail(errno, "cannot listen on " + path);
    return fd.release();
}

uint16_t ListenSocket::portOf(int fd) {
    sockaddr_storage address{};
    socklen_t size = sizeof address;
    ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
    return readEndpoint(address).port;
}

bool ListenSocket::isListening(int fd) {
    int listening = 0;
    socklen_t size = sizeof listening;
    return ::getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) == 0 && listening != 0;
}

Listener::Listener(Loop& loop, int fd, Accepted accepted)
    : loop_(loop),
      accepted_(std::move(accepted)),
      retry_(loop.timers(), [](Timer& timer) { static_cast<Listener*>(timer.owner())->retry(); }, this) {
    ::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK);
    descriptor_.fd = fd;
    accepting_.kind = Operation::Kind::accept;
    accepting_.descriptor = &descriptor_;
    accepting_.address = &peer_;
    accepting_.owner = this;
    static constexpr Completion acceptedLater{[](Operation& operation) {
        auto& self = *static_cast<Listener*>(operation.owner);
        if (self.handle(operation.result)) self.acceptAll();
    }};
    accepting_.completion = &acceptedLater;
    loop.poller().attach(descriptor_);
}

Listener::~Listener() {
    loop_.poller().cancel(accepting_);
    loop_.poller().close(descriptor_);
}

void Listener::start() { acceptAll(); }

void Listener::resume() {
    // In a moment: the caller may be in the middle of something that a new connection changes, and what those accepted
    // before have sent is read first.
    if (paused_ && !retry_.isSet()) retry_.set(loop_.now() + std::chrono::milliseconds(1));
}

void Listener::pause() {
    paused_ = true;
    retry_.clear();
}

void Listener::retry() {
    paused_ = false;
    acceptAll();
}

void Listener::acceptAll() {
    while (!paused_ && descriptor_.isOpen() && !accepting_.pending && loop_.poller().submit(accepting_))
        if (!handle(accepting_.result)) return;
}

// False: do not go on now.
bool Listener::handle(int64_t result) {
    if (result >= 0) {
        if (std::exchange(exhausted_, false)) loop_.log(LogLevel::info, "accepting connections again");
        try {
            accepted_(static_cast<int>(result), peer_);
        } catch (const std::exception& problem) {
            loop_.log(LogLevel::error, std::string("a connection was dropped: ") + problem.what());
        }
        return true;
    }
    switch (-result) {
    case EMFILE:
    case ENFILE:
    case ENOBUFS:
    case ENOMEM:
        if (!std::exchange(exhausted_, true))
            loop_.log(LogLevel::error, "out of descriptors or memory: new connections wait (see ulimit -n)");
        retry_.set(loop_.now() + retryWhenExhausted);
        return false;
    case EBADF:
    case EINVAL:
    case ENOTSOCK:
    case EOPNOTSUPP:
        loop_.log(LogLevel::error, "the listening socket is of no use any more: " +
                                       std::error_code(static_cast<int>(-result), std::system_category()).message());
        return false;
    default:
        return true;  // that one connection failed before it was ours (accept(2))
    }
}

void Listener::finish() {
    if (!descriptor_.isOpen()) return;
    loop_.poller().cancel(accepting_);
    descriptor_.readable = true;
    do descriptor_.inlineCount = 0;  // the poller must not put off to its next turn what has none
    while (loop_.poller().submit(accepting_) && handle(accepting_.result));
    loop_.poller().cancel(accepting_);
    retry_.clear();
    loop_.poller().close(descriptor_);
}

}
