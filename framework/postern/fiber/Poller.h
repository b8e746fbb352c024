#pragma once
// The kernel's half of a loop: it performs operations on descriptors and tells the time. Shaped by completion: an
// operation is submitted, later it is complete. Every system call on a connection goes through here, so a test can play
// the kernel to the whole server.

#include "postern/base/List.h"
#include "postern/base/Time.h"
#include "postern/fiber/Buffers.h"

#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <cstdint>

namespace postern {

struct Operation;

/// Brings `size` bytes of memory nearer to the processor, which goes on meanwhile.
inline void fetch(const void* memory, size_t size) {
    constexpr size_t line = 64;
    const auto* at = static_cast<const char*>(memory);
    for (size_t i = 0; i < size + line - 1; i += line) __builtin_prefetch(at + std::min(i, size - 1));
    asm volatile("");  // g++ takes a function that does nothing else for one without an effect, and leaves it out
}

/// One open file as its poller knows it. Attached before the first operation; must not move while attached.
struct Descriptor {
    int fd = -1;
    bool isSocket = true;
    bool readable = false;     ///< a receive may well complete without waiting
    bool writable = true;
    bool hungUp = false;       ///< the peer ended or broke the line: reading finds the end without another event
    bool polled = true;        ///< false for plain files, which are always ready
    bool registered = false;   ///< the kernel tells of its events
    uint8_t inlineCount = 0;   ///< operations completed within submit() in this turn
    uint32_t turn = 0;
    Operation* reading = nullptr;
    Operation* writing = nullptr;

    bool isOpen() const { return fd >= 0; }
};

/// What follows an operation, on the loop's thread.
struct Completion {
    void (*completed)(Operation&);
    /// Called when the operation will probably be complete after `ahead` others, 2, 1 and then 0: time to fetch() what
    /// completed() will touch. What is fetched at 2 can be looked at when 1 is called.
    void (*expected)(Operation&, unsigned ahead) = nullptr;
};

struct Operation {
    enum class Kind : uint8_t { receive, send, accept, connect };

    Kind kind = Kind::receive;
    bool pending = false;
    socklen_t addressSize = 0;
    Descriptor* descriptor = nullptr;
    union {
        ReceiveBuffer* buffer = nullptr;  ///< receive: where arriving bytes go
        /// send: fills `pieces` with at most `limit` pieces of what is to be sent; asked at the moment of sending.
        size_t (*gather)(Operation&, iovec* pieces, size_t limit);
        sockaddr_storage* address;        ///< accept: the peer's (may be null); connect: whom to call
    };

    /// Bytes moved (0 received: the end), the new descriptor of an accept, or a negative errno.
    int64_t result = 0;
    const Completion* completion = nullptr;
    void* owner = nullptr;

    /// For pollers: the operation is complete, later than submit(). It may be destroyed by that.
    void complete() { completion->completed(*this); }
    /// For pollers: see Completion::expected.
    void expect(unsigned ahead) {
        if (completion->expected) completion->expected(*this, ahead);
    }
};

class Poller {
public:
    virtual ~Poller() = default;

    virtual TimePoint now() = 0;
    /// The same to some milliseconds, for next to nothing.
    virtual TimePoint roughly() { return now(); }
    /// Begins to watch `descriptor.fd`, which the caller opened. Of a socket he may say that it is readable.
    virtual void attach(Descriptor& descriptor) = 0;
    /// Closes it; its operations must be complete or cancelled. `reset` drops unsent data and tells the peer so (RST).
    virtual void close(Descriptor& descriptor, bool reset = false) = 0;
    /// Tells the peer that nothing more comes.
    virtual void shutdownSend(Descriptor& descriptor) = 0;

    /// True: complete at once, `result` is set and completed() is not called. False: completed() will be called.
    [[nodiscard]] virtual bool submit(Operation& operation) = 0;
    /// Forgets a pending operation; afterwards it may be destroyed. Nothing if it is not pending.
    virtual void cancel(Operation& operation) = 0;

    /// Waits for events until that moment (or not at all if it is past). It may complete what they allow at once, or leave that
    /// to handleNext().
    virtual void wait(TimePoint until) = 0;
    /// Completes what the next event allows that wait() found. False: none is left.
    virtual bool handleNext() { return false; }
    /// Ends a wait() from any thread.
    virtual void wake() = 0;
};

}
