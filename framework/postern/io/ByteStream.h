#pragma once
// Bytes both ways, whatever carries them.
//
// Receiving lends: the bytes stay in the loop's memory until they are consumed, and an idle stream owns none.
// Sending corks: what is written is queued and goes to the kernel in one call when the running fiber next waits. What
// sending needs is borrowed from the loop while something is queued.
//
// One fiber receives at a time; any fiber of the loop may write. Nothing here is for other threads.

#include "postern/fiber/Loop.h"
#include "postern/fiber/Sync.h"

#include <cassert>
#include <initializer_list>
#include <memory>
#include <span>
#include <string_view>

namespace postern {

struct StreamLimits {
    size_t highWater = 64 * 1024;   ///< bytes queued above which write() waits
    Duration sendTimeout = std::chrono::seconds(30);  ///< without any progress, then the stream breaks
};

/// What startReceive() calls, with its owner.
struct StreamReceiver {
    void (*notify)(void* owner);
    void (*expect)(void* owner, unsigned ahead) = nullptr;  ///< as Completion::expected
};

/// For owners who will look by themselves.
inline constexpr StreamReceiver noReceiver{[](void*) {}};

/// Is told when a stream that it was given to goes.
struct StreamHolder {
    virtual void streamGone() = 0;

protected:
    ~StreamHolder() = default;
};

class ByteStream : private Deferred {
public:
    explicit ByteStream(Loop& loop);
    ByteStream(const ByteStream&) = delete;
    ByteStream& operator=(const ByteStream&) = delete;
    /// Closes at once; derived classes have cancelled their operations before.
    virtual ~ByteStream();

    // ── Receiving ──

    /// All bytes that arrived and were not consumed, writable (frames are unmasked in place). Valid until the next
    /// receive or consume.
    std::span<char> unread() { return in_.unread(); }
    std::string_view unreadText() {
        const auto bytes = in_.unread();
        return {bytes.data(), bytes.size()};
    }
    void consume(size_t size) { in_.consume(size); }
    /// Consumes them but leaves them where they are, in memory that is the caller's now.
    Memory detach(size_t size) { return in_.detach(size); }

    /// Waits until there are more bytes than before. False: the peer sent its last byte. Throws Disconnected when the
    /// line broke, TimedOut, Cancelled; nothing is lost by the latter two.
    bool receive(Deadline deadline = Deadline::never());

    /// For owners without a fiber: `receiver.notify(owner)` is called once, on the loop, when bytes, the end or a failure
    /// came. True: that is so already, and it will not be called. `receiver` is not copied.
    [[nodiscard]] bool startReceive(const StreamReceiver& receiver, void* owner);
    void stopReceive();
    bool isReceiving() const { return receiving_.pending; }

    bool ended() const { return ended_; }           ///< the peer's last byte was received
    bool broken() const { return error_ != 0; }
    int error() const { return error_; }            ///< errno of the break, or 0
    /// A receive would probably not wait; user-space buffers count, and so do an end and a break.
    bool canReceive() const { return ended_ || broken() || hasArrived(); }
    /// When bytes last arrived (the start of that turn of the loop).
    TimePoint lastReceived() const { return lastReceived_; }

    // ── Sending ──

    /// A piece of so many bytes is not copied: making a fiber wait for it costs less.
    static constexpr size_t largePiece = 16 * 1024;

    /// Queues the pieces, in order and with nothing between them. Waits while more than the high-water mark is queued.
    /// Large pieces are not copied but sent from where they are; it returns when they are gone. Throws Disconnected,
    /// Cancelled.
    void write(std::span<const std::string_view> pieces);
    void write(std::initializer_list<std::string_view> pieces) { write(std::span(pieces.begin(), pieces.size())); }
    void write(std::string_view text) { write({text}); }
    /// Queues without ever waiting; allowed outside fibers. Nothing happens on a broken stream.
    void queue(std::span<const std::string_view> pieces);
    void queue(std::initializer_list<std::string_view> pieces) { queue(std::span(pieces.begin(), pieces.size())); }
    /// Queues `size` bytes that the caller puts there before he does anything else. Null: they are too many to lie in one
    /// piece, or nothing can be sent; the others above know what to do then.
    char* place(size_t size);
    /// Sends what is queued and waits until the kernel has all of it. Throws Disconnected, TimedOut, Cancelled.
    virtual void flush(Deadline deadline = Deadline::never());
    /// Waits while more than the high-water mark is queued. Throws Disconnected, Cancelled.
    void waitForRoom() {
        if (isAboveHighWater()) waitUntilQueued(highWater_);
    }
    /// Waits until the peer has taken something, or for releaseWriters(). Throws Disconnected, Cancelled.
    void waitForProgress();
    /// Lets everybody who waits for the peer go on; what write() had not to copy so far is copied now.
    void releaseWriters();
    size_t queuedBytes() const { return out_ ? queuedInOutbox() : 0; }
    bool isAboveHighWater() const { return queuedBytes() > highWater_; }
    virtual void setLimits(const StreamLimits& limits);
    StreamLimits limits() const { return {highWater_, sendTimeout_}; }

    /// After the queue is sent, tells the peer that nothing more comes. Writing later is an error.
    void finishSending();
    bool isSendingFinished() const { return finished_ && queuedBytes() == 0 && isShutDown(); }
    /// Drops the queue and breaks the line with this errno: whoever waits on it gets Disconnected.
    void breakOff(int error);
    /// Calls `notify(owner)` once, on the loop, when the kernel has all that is queued, and finishSending() has been
    /// carried out if it was called, or when the stream breaks while nobody waits on it. Null forgets it. The owner is
    /// the one who receives.
    void onSent(void (*notify)(void* owner), void* owner) {
        progress_ = notify;
        if (notify) owner_ = owner;
        cork();
    }

    /// Tells `holder`, which lives that long, when this stream goes: a place among the connections that are counted is free,
    /// say.
    void hold(StreamHolder& holder) {
        assert(!holder_);
        holder_ = &holder;
    }

    Loop& loop() const { return loop_; }

protected:
    virtual bool submitReceive(Operation& operation) = 0;
    virtual void cancelReceive(Operation& operation) = 0;
    virtual bool submitSend(Operation& operation) = 0;
    virtual void cancelSend(Operation& operation) = 0;
    virtual void shutdownSend() = 0;
    /// For streams on top of others: what shutdownSend() began is done. They cork() when it is.
    virtual bool isShutDown() const { return true; }
    virtual bool hasArrived() const = 0;
    /// For destructors of derived classes: nothing is under way afterwards.
    void cancelAll();
    void cork() { loop_.defer(*this); }

private:
    struct Chunk;
    struct Outbox;
    class OutboxPool;

    Outbox& outbox();
    size_t queuedInOutbox() const;
    void giveBackOutbox();
    void finishReceive();
    void runDeferred() override;
    void sendQueued();
    void sendQueuedNow();
    void sent(int64_t result);
    void dropSent(size_t size);
    void dropQueue();
    void writeLarge(std::span<const std::string_view> pieces);
    bool copyWaitedFor(Chunk& chunk);
    void append(Chunk& chunk);
    void copyAll(std::span<const std::string_view> pieces);
    void copyToQueue(std::string_view piece);
    void waitUntilQueued(size_t atMost);
    void throwIfBroken() const;
    static const Completion startedReceive;
    static size_t gather(Operation& operation, iovec* pieces, size_t limit);

    Loop& loop_;
    StreamHolder* holder_ = nullptr;
    ReceiveBuffer in_;
    Operation receiving_;
    Outbox* out_ = nullptr;    // while something is queued, or somebody waits for it
    TimePoint lastReceived_;
    const StreamReceiver* receiver_ = nullptr;
    void (*progress_)(void*) = nullptr;
    void* owner_ = nullptr;    // whom they tell
    uint32_t highWater_;
    std::chrono::duration<uint32_t, std::milli> sendTimeout_;
    int error_ = 0;
    bool ended_ = false;
    bool finished_ = false;    // nothing more will be written
    bool shutdownSent_ = false;
    bool wakeWriters_ = false;
};

}
