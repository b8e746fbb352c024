#include "postern/fiber/EpollPoller.h"

#include <sys/eventfd.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <ctime>
#include <new>
#include <span>
#include <system_error>
#include <utility>

namespace postern {

namespace {

constexpr size_t maxPieces = 64;

int checked(int result, const char* what) {
    if (result < 0) throw std::system_error(errno, std::system_category(), what);
    return result;
}

// Runs a system call again while signals interrupt it; a failure is its negative errno.
template <typename Call>
int64_t call(Call&& attempt) {
    for (;;) {
        const auto result = attempt();
        if (result >= 0) return result;
        if (errno != EINTR) return -errno;
    }
}

// Without the C library's, which are points where a thread can be cancelled and pay for that in each call.
ssize_t recvNow(int fd, void* data, size_t size) {
    return ::syscall(SYS_recvfrom, fd, data, size, MSG_DONTWAIT, nullptr, nullptr);
}
ssize_t sendNow(int fd, const void* data, size_t size) {
    return ::syscall(SYS_sendto, fd, data, size, MSG_DONTWAIT | MSG_NOSIGNAL, nullptr, 0);
}

std::span<char> roomIn(ReceiveBuffer& buffer) {
    try {
        return buffer.room();
    } catch (const std::bad_alloc&) {
        return {};
    }
}

inline int64_t receive(Descriptor& descriptor, ReceiveBuffer& buffer) {
    const auto room = roomIn(buffer);
    if (room.empty() && buffer.empty()) return -ENOMEM;
    assert(!room.empty());
    const auto result = call([&] {
        return descriptor.isSocket ? recvNow(descriptor.fd, room.data(), room.size()) : ::read(descriptor.fd, room.data(), room.size());
    });
    if (result > 0) buffer.grow(static_cast<size_t>(result));
    else buffer.releaseIfEmpty();
    // A short read of a stream means that it is drained (epoll(7)); the end of one is no event of its own.
    if (result != static_cast<int64_t>(room.size()) && !descriptor.hungUp && descriptor.polled) descriptor.readable = false;
    return result;
}

[[gnu::noinline]] int64_t sendPieces(Operation& operation) {
    iovec pieces[maxPieces];
    const auto& descriptor = *operation.descriptor;
    msghdr message{};
    message.msg_iov = pieces;
    message.msg_iovlen = operation.gather(operation, pieces, maxPieces);
    return call([&] {
        return descriptor.isSocket ? ::sendmsg(descriptor.fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL)
                                   : ::writev(descriptor.fd, pieces, static_cast<int>(message.msg_iovlen));
    });
}

// One piece is the usual case, and send() copies less than sendmsg() does.
inline int64_t send(Operation& operation) {
    auto& descriptor = *operation.descriptor;
    iovec pieces[2];
    const bool isOne = descriptor.isSocket && operation.gather(operation, pieces, 2) == 1;
    const auto result = isOne ? call([&] { return sendNow(descriptor.fd, pieces[0].iov_base, pieces[0].iov_len); }) : sendPieces(operation);
    if (result == -EAGAIN) descriptor.writable = false;
    return result;
}

int64_t accept(Operation& operation) {
    auto& descriptor = *operation.descriptor;
    const auto result = call([&] {
        operation.addressSize = operation.address ? sizeof *operation.address : 0;
        return ::accept4(descriptor.fd, reinterpret_cast<sockaddr*>(operation.address),
                         operation.address ? &operation.addressSize : nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC);
    });
    if (result == -EAGAIN) descriptor.readable = false;
    return result;
}

// The first call starts it and finds it in progress; when the socket is writable its error says how it went.
int64_t connect(Operation& operation) {
    auto& descriptor = *operation.descriptor;
    if (operation.address) {
        const auto* address = reinterpret_cast<const sockaddr*>(operation.address);
        operation.address = nullptr;
        const auto result = call([&] { return ::connect(descriptor.fd, address, operation.addressSize); });
        if (result != -EINPROGRESS) return result;
        descriptor.writable = false;
        return -EAGAIN;
    }
    int error = 0;
    socklen_t size = sizeof error;
    ::getsockopt(descriptor.fd, SOL_SOCKET, SO_ERROR, &error, &size);
    return -error;
}

bool isReading(const Operation& operation) {
    return operation.kind == Operation::Kind::receive || operation.kind == Operation::Kind::accept;
}

bool isReady(const Operation& operation) {
    const auto& descriptor = *operation.descriptor;
    if (operation.kind == Operation::Kind::connect && operation.address) return true;
    return isReading(operation) ? descriptor.readable : descriptor.writable;
}

Operation*& slotOf(Operation& operation) {
    return isReading(operation) ? operation.descriptor->reading : operation.descriptor->writing;
}

// Makes the system call. False: it would block, the operation stays. Inline, as send() and receive() are: a system call costs less
// the fewer functions it returns through.
[[gnu::always_inline]] inline bool perform(Operation& operation) {
    switch (operation.kind) {
    case Operation::Kind::receive: operation.result = receive(*operation.descriptor, *operation.buffer); break;
    case Operation::Kind::send: operation.result = send(operation); break;
    case Operation::Kind::accept: operation.result = accept(operation); break;
    case Operation::Kind::connect: operation.result = connect(operation); break;
    }
    return operation.result != -EAGAIN;
}

void complete(Operation& operation) {
    slotOf(operation) = nullptr;
    operation.pending = false;
    operation.complete();
}

}

EpollPoller::EpollPoller()
    : epoll_(checked(::epoll_create1(EPOLL_CLOEXEC), "epoll_create1")),
      wakeUp_(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
    epoll_event event{EPOLLIN | EPOLLET, {nullptr}};
    if (wakeUp_ < 0 || ::epoll_ctl(epoll_, EPOLL_CTL_ADD, wakeUp_, &event) < 0) {
        const int error = errno;
        if (wakeUp_ >= 0) ::close(wakeUp_);
        ::close(epoll_);
        throw std::system_error(error, std::system_category(), "eventfd");
    }
}

EpollPoller::~EpollPoller() {
    ::close(wakeUp_);
    ::close(epoll_);
}

// The clock of steady_clock, as it was at the last tick.
TimePoint EpollPoller::roughly() {
    timespec time{};
    ::clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    return TimePoint(std::chrono::seconds(time.tv_sec) + std::chrono::nanoseconds(time.tv_nsec));
}

// What is readable already is registered when somebody first has to wait: a connection that comes with its request and is
// closed after the reply never is.
void EpollPoller::attach(Descriptor& descriptor) {
    if (!descriptor.readable) add(descriptor);
}

void EpollPoller::add(Descriptor& descriptor) {
    epoll_event event{EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, {&descriptor}};
    descriptor.registered = ::epoll_ctl(epoll_, EPOLL_CTL_ADD, descriptor.fd, &event) == 0;
    if (descriptor.registered) return;
    if (errno != EPERM) throw std::system_error(errno, std::system_category(), "epoll_ctl");
    descriptor.polled = false;
    descriptor.readable = descriptor.writable = true;
}

void EpollPoller::close(Descriptor& descriptor, bool reset) {
    assert(!descriptor.reading && !descriptor.writing);
    if (!descriptor.isOpen()) return;
    // Events of this turn that still name it are stale.
    for (int i = 0; i < eventCount_; ++i)
        if (events_[static_cast<size_t>(i)].data.ptr == &descriptor) events_[static_cast<size_t>(i)].events = 0;
    if (reset && descriptor.isSocket) {
        const linger now{1, 0};
        ::setsockopt(descriptor.fd, SOL_SOCKET, SO_LINGER, &now, sizeof now);
    }
    // A descriptor that somebody duplicated (a child, a test) would stay registered after close().
    if (descriptor.registered) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, descriptor.fd, nullptr);
    ::close(descriptor.fd);
    descriptor.fd = -1;
    descriptor.registered = false;
}

void EpollPoller::shutdownSend(Descriptor& descriptor) {
    if (descriptor.isSocket) ::shutdown(descriptor.fd, SHUT_WR);
}

bool EpollPoller::mayRunInline(Descriptor& descriptor) {
    if (descriptor.turn != turn_) {
        descriptor.turn = turn_;
        descriptor.inlineCount = 0;
    }
    return descriptor.inlineCount++ < inlineLimit;
}

bool EpollPoller::submit(Operation& operation) {
    assert(!operation.pending && !slotOf(operation));
    if (isReady(operation)) {
        if (!mayRunInline(*operation.descriptor)) deferred_.push_back(&operation);
        else if (perform(operation)) return true;
    }
    slotOf(operation) = &operation;
    operation.pending = true;
    if (operation.descriptor->registered || !operation.descriptor->polled) return false;
    try {
        add(*operation.descriptor);
        return false;
    } catch (const std::system_error& problem) {
        cancel(operation);
        operation.result = -problem.code().value();
        return true;
    }
}

void EpollPoller::cancel(Operation& operation) {
    if (!operation.pending) return;
    slotOf(operation) = nullptr;
    operation.pending = false;
    forget(operation);
}

void EpollPoller::forget(Operation& operation) {
    if (!deferred_.empty()) std::erase(deferred_, &operation);
    if (!running_.empty()) std::replace(running_.begin(), running_.end(), &operation, static_cast<Operation*>(nullptr));
}

void EpollPoller::wait(TimePoint until) {
    using namespace std::chrono;
    if (nextEvent_ < eventCount_) return;  // from within one of the last turn: an edge is told only once
    int timeout = -1;
    if (!deferred_.empty()) {
        timeout = 0;
    } else if (until != TimePoint::max()) {
        // Rounded up: waking a moment early would only turn the loop once more for nothing.
        const auto now = Clock::now();
        const auto left = until <= now ? 0 : ceil<milliseconds>(until - now).count();
        timeout = static_cast<int>(std::min<int64_t>(left, 60'000));
    }
    eventCount_ = ::epoll_wait(epoll_, events_.data(), static_cast<int>(events_.size()), timeout);
    ++turn_;
    nextEvent_ = 0;
    eventsHandled_ = false;
}

bool EpollPoller::handleNext() {
    if (nextEvent_ >= eventCount_) return handlePutOff();
    for (unsigned ahead = 0; ahead <= farthest; ++ahead) expect(nextEvent_ + static_cast<int>(ahead), ahead);
    handle(events_[static_cast<size_t>(nextEvent_++)]);
    return true;
}

// Of a thousand connections each has left the processor's caches when its turn comes. So while the kernel works for one,
// what the next ones need is on its way: first the descriptor, then the operation that waits for it, then its owners.
void EpollPoller::expect(int event, unsigned ahead) {
    if (event >= eventCount_) return;
    const auto& expected = events_[static_cast<size_t>(event)];
    const auto* descriptor = static_cast<const Descriptor*>(expected.data.ptr);
    if (!descriptor || expected.events == 0) return;
    if (ahead == farthest) return fetch(descriptor, sizeof *descriptor);
    auto* operation = descriptor->reading;
    if (!operation) return;
    constexpr size_t around = 64;  // an operation is a part of its owner
    if (ahead == farthest - 1) fetch(reinterpret_cast<const char*>(operation) - around, around + sizeof *operation + 128);
    else operation->expect(ahead);
}

void EpollPoller::handle(epoll_event& event) {
    auto* descriptor = static_cast<Descriptor*>(event.data.ptr);
    if (!descriptor) {
        uint64_t count;
        [[maybe_unused]] const auto ignored = ::read(wakeUp_, &count, sizeof count);
        return;
    }
    constexpr uint32_t gone = EPOLLRDHUP | EPOLLHUP | EPOLLERR;
    if (event.events == 0) return;
    if (event.events & (EPOLLIN | gone)) descriptor->readable = true;
    if (event.events & gone) descriptor->hungUp = true;
    if (event.events & (EPOLLOUT | EPOLLHUP | EPOLLERR)) descriptor->writable = true;

    const auto tryNow = [this](Operation* operation) {
        if (!operation || !isReady(*operation) || !perform(*operation)) return;
        forget(*operation);  // it was to be tried later in this turn
        complete(*operation);
    };
    const auto turn = turn_;
    tryNow(descriptor->reading);
    // Completing may have closed the descriptor: close() has cleared the event then, unless there was a turn within this one.
    if (turn == turn_ && event.events != 0) tryNow(descriptor->writing);
}

// Once the events are handled: what was put off until then, including by them.
bool EpollPoller::handlePutOff() {
    if (nextRunning_ == running_.size() && !std::exchange(eventsHandled_, true)) {
        eventCount_ = nextEvent_ = 0;
        running_.clear();
        nextRunning_ = 0;
        running_.swap(deferred_);
    }
    while (nextRunning_ < running_.size()) {
        auto* operation = running_[nextRunning_++];
        if (!operation || !operation->pending || !isReady(*operation) || !perform(*operation)) continue;
        complete(*operation);
        return true;
    }
    running_.clear();
    nextRunning_ = 0;
    return false;
}

void EpollPoller::wake() {
    const uint64_t one = 1;
    [[maybe_unused]] const auto ignored = ::write(wakeUp_, &one, sizeof one);
}

}
