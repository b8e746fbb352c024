#include "postern/main/Signals.h"

#include "postern/fiber/Loop.h"

#include <poll.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace postern {

namespace {

constexpr size_t alternateStackSize = 64 * 1024;

sigset_t ourSignals() {
    sigset_t set;
    sigemptyset(&set);
    for (const int signal : {SIGTERM, SIGINT, SIGHUP}) sigaddset(&set, signal);
    return set;
}

// Async-signal-safe: looks at memory and writes.
void reportOverflow(int signal, siginfo_t* info, void*) {
    if (auto* loop = Loop::currentOrNull(); loop && loop->runningFiber()) {
        const auto address = static_cast<const char*>(info->si_addr);
        const auto& stack = loop->runningFiber()->stack();
        if (address < stack.bottom && address >= stack.bottom - StackPool::pageSize) {
            constexpr char text[] = "A fiber's stack overflowed: raise --stack-size, or move large locals to the heap.\n";
            [[maybe_unused]] const auto ignored = ::write(2, text, sizeof text - 1);
        }
    }
    ::signal(signal, SIG_DFL);
    ::raise(signal);
}

}

Signals::Signals() {
    ::signal(SIGPIPE, SIG_IGN);
    const auto set = ourSignals();
    ::pthread_sigmask(SIG_BLOCK, &set, nullptr);
    signals_ = ::signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
    notified_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (signals_ < 0 || notified_ < 0) throw std::system_error(errno, std::system_category(), "signalfd");
}

Signals::~Signals() {
    ::close(signals_);
    ::close(notified_);
}

Signals::What Signals::next(std::chrono::steady_clock::time_point until) {
    using namespace std::chrono;
    for (;;) {
        signalfd_siginfo signal{};
        if (::read(signals_, &signal, sizeof signal) == sizeof signal)
            return signal.ssi_signo == SIGHUP ? What::reload : What::terminate;
        uint64_t count;
        if (::read(notified_, &count, sizeof count) == sizeof count) return What::notified;
        pollfd both[] = {{signals_, POLLIN, 0}, {notified_, POLLIN, 0}};
        int timeout = -1;
        if (until != steady_clock::time_point::max()) {
            const auto now = steady_clock::now();
            if (now >= until) return What::timeIsUp;
            timeout = static_cast<int>(std::min<int64_t>(ceil<milliseconds>(until - now).count(), 60'000));
        }
        ::poll(both, 2, timeout);
    }
}

void Signals::notify() {
    const uint64_t one = 1;
    [[maybe_unused]] const auto ignored = ::write(notified_, &one, sizeof one);
}

StackOverflowReport::StackOverflowReport() : stack_(new char[alternateStackSize]) {
    stack_t alternate{};
    alternate.ss_sp = stack_;
    alternate.ss_size = alternateStackSize;
    ::sigaltstack(&alternate, nullptr);
    struct sigaction action{};
    action.sa_sigaction = reportOverflow;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK;
    ::sigaction(SIGSEGV, &action, nullptr);
}

StackOverflowReport::~StackOverflowReport() {
    stack_t none{};
    none.ss_flags = SS_DISABLE;
    ::sigaltstack(&none, nullptr);
    delete[] stack_;
}

}
