#include "postern/io/ByteStream.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <new>
#include <system_error>

namespace postern {

namespace {

constexpr size_t maxLargePieces = 2;

}

// A part of the queue: bytes in a block of the pool, or a piece that lives with the writer, who waits for it.
struct ByteStream::Chunk {
    Chunk* next = nullptr;
    const char* data = nullptr;
    size_t size = 0;
    char* end = nullptr;       // of the block, if it is one; bytes are appended at data + size
    size_t* waitedFor = nullptr;  // counts the writer's pieces that are neither sent nor dropped

    static Chunk* makeBlock(BufferPool& pool) {
        char* block = pool.take();
        auto* chunk = new (block) Chunk;
        chunk->empty();
        chunk->end = block + BufferPool::blockSize;
        return chunk;
    }
    size_t room() const { return end ? static_cast<size_t>(end - (data + size)) : 0; }
    bool isBlock() const { return end != nullptr; }
    void empty() {
        data = reinterpret_cast<const char*>(this + 1);
        size = 0;
    }
    void release(BufferPool& pool) {
        if (waitedFor) --*waitedFor;
        else pool.giveBack(reinterpret_cast<char*>(this));
    }
};

// What a stream has to send, and who waits until it is sent. An empty one may keep a block for the next bytes.
struct ByteStream::Outbox {
    explicit Outbox(Loop& loop)
        : blocks(loop.buffers()), stall(loop.timers(), [](Timer& timer) { static_cast<Outbox*>(timer.owner())->stream->breakOff(ETIMEDOUT); }, this) {
        sending.kind = Operation::Kind::send;
        sending.owner = this;
        sending.gather = gather;
        sending.completion = &sentLater;
    }

    Outbox(const Outbox&) = delete;
    Outbox& operator=(const Outbox&) = delete;
    ~Outbox() { clear(); }

    void clear() {
        while (first) {
            auto* chunk = first;
            first = chunk->next;
            chunk->release(blocks);
        }
        last = nullptr;
        queued = 0;
    }
    size_t roomInLast() const { return last ? last->room() : 0; }
    char* place(size_t size) {
        char* at = const_cast<char*>(last->data) + last->size;
        last->size += size;
        queued += size;
        return at;
    }
    void copyToLast(std::string_view piece) { piece.copy(place(piece.size()), piece.size()); }

    static const Completion sentLater;

    BufferPool& blocks;
    ByteStream* stream = nullptr;
    Chunk* first = nullptr;    // of the queue
    Chunk* last = nullptr;
    size_t queued = 0;         // bytes
    WaitQueue writers;
    Operation sending;
    Timer stall;               // set while sending waits for the peer
    std::unique_ptr<Outbox> next;  // in the pool
};

const Completion ByteStream::Outbox::sentLater{[](Operation& operation) {
    auto& sender = *static_cast<Outbox*>(operation.owner)->stream;
    sender.sent(operation.result);
    sender.sendQueued();
}};

// Those of a loop that nobody uses.
class ByteStream::OutboxPool {
public:
    std::unique_ptr<Outbox> take(Loop& loop) {
        if (!free_) return std::make_unique<Outbox>(loop);
        auto outbox = std::move(free_);
        free_ = std::move(outbox->next);
        --count_;
        return outbox;
    }
    void giveBack(std::unique_ptr<Outbox> outbox) noexcept {
        if (count_ == kept) return;
        if (count_ >= keptWithBlock) outbox->clear();
        ++count_;
        outbox->next = std::move(free_);
        free_ = std::move(outbox);
    }

private:
    static constexpr size_t kept = 128, keptWithBlock = 4;
    std::unique_ptr<Outbox> free_;
    size_t count_ = 0;
};

ByteStream::ByteStream(Loop& loop)
    : loop_(loop),
      in_(loop.buffers()),
      lastReceived_(loop.now()) {
    receiving_.kind = Operation::Kind::receive;
    receiving_.buffer = &in_;
    ByteStream::setLimits({});
}

ByteStream::~ByteStream() {
    assert(!receiving_.pending);
    dropQueue();
    assert(!out_);
    if (holder_) holder_->streamGone();
}

void ByteStream::setLimits(const StreamLimits& limits) {
    using namespace std::chrono;
    const auto longest = duration_cast<Duration>(decltype(sendTimeout_)::max());
    highWater_ = static_cast<uint32_t>(std::min<size_t>(limits.highWater, UINT32_MAX));
    sendTimeout_ = ceil<decltype(sendTimeout_)>(std::min(limits.sendTimeout, longest));
}

ByteStream::Outbox& ByteStream::outbox() {
    if (out_) return *out_;
    out_ = loop_.local<OutboxPool>().take(loop_).release();
    out_->stream = this;
    return *out_;
}

size_t ByteStream::queuedInOutbox() const { return out_->queued; }

// Nothing, if it is in use.
void ByteStream::giveBackOutbox() {
    if (out_->queued > 0 || out_->sending.pending || !out_->writers.empty()) return;
    out_->stall.clear();
    loop_.local<OutboxPool>().giveBack(std::unique_ptr<Outbox>(std::exchange(out_, nullptr)));
}

void ByteStream::cancelAll() {
    cancelReceive(receiving_);
    if (out_) cancelSend(out_->sending);
}

bool ByteStream::receive(Deadline deadline) {
    assert(!receiving_.pending);
    if (ended_) return false;
    throwIfBroken();
    receiving_.owner = loop_.runningFiber();
    receiving_.completion = &Loop::wakingOwner;
    if (!submitReceive(receiving_)) {
        in_.shrink();
        const auto wake = loop_.park(deadline);
        if (receiving_.pending) {
            cancelReceive(receiving_);
            throwIfBroken();
            throwUnlessReady(wake);
        }
    }
    finishReceive();
    throwIfBroken();
    return !ended_;
}

const Completion ByteStream::startedReceive{
    [](Operation& operation) {
        auto& stream = *static_cast<ByteStream*>(operation.owner);
        stream.finishReceive();
        stream.receiver_->notify(stream.owner_);
    },
    [](Operation& operation, unsigned ahead) {
        const auto& stream = *static_cast<ByteStream*>(operation.owner);
        if (stream.receiver_->expect) stream.receiver_->expect(stream.owner_, ahead);
    }};

bool ByteStream::startReceive(const StreamReceiver& receiver, void* owner) {
    assert(!receiving_.pending);
    if (ended_ || broken()) return true;
    receiver_ = &receiver;
    owner_ = owner;
    receiving_.owner = this;
    receiving_.completion = &startedReceive;
    if (submitReceive(receiving_)) {
        finishReceive();
        return true;
    }
    in_.shrink();
    return false;
}

void ByteStream::stopReceive() { cancelReceive(receiving_); }

void ByteStream::finishReceive() {
    lastReceived_ = loop_.now();
    if (receiving_.result == 0) ended_ = true;
    else if (receiving_.result < 0 && error_ == 0) breakOff(static_cast<int>(-receiving_.result));
}

void ByteStream::write(std::span<const std::string_view> pieces) {
    assert(!finished_);
    throwIfBroken();
    waitForRoom();
    if (std::any_of(pieces.begin(), pieces.end(), [](auto piece) { return piece.size() >= largePiece; }))
        return writeLarge(pieces);
    copyAll(pieces);
}

void ByteStream::writeLarge(std::span<const std::string_view> pieces) {
    std::array<Chunk, maxLargePieces> large;
    size_t largeCount = 0, waitedFor = 0;
    try {
        for (const auto piece : pieces) {
            if (piece.size() < largePiece || largeCount == large.size()) {
                copyToQueue(piece);
                continue;
            }
            auto& chunk = large[largeCount++];
            chunk.data = piece.data();
            chunk.size = piece.size();
            chunk.waitedFor = &waitedFor;
            append(chunk);
            ++waitedFor;
        }
    } catch (const std::bad_alloc&) {
        breakOff(ENOMEM);  // nothing can follow a part
        throw;
    }
    sendQueued();
    // The queue refers to the caller's memory until it is sent; the stall timer bounds how long that may take.
    const Fiber::Shield shield;
    while (waitedFor > 0) out_->writers.wait();
    throwIfBroken();
}

void ByteStream::queue(std::span<const std::string_view> pieces) {
    if (broken() || finished_) return;
    copyAll(pieces);
}

char* ByteStream::place(size_t size) {
    if (broken() || finished_) return nullptr;
    auto& out = outbox();
    if (!out.last) append(*Chunk::makeBlock(loop_.buffers()));
    if (out.roomInLast() < size) return nullptr;
    cork();
    return out.place(size);
}

void ByteStream::copyAll(std::span<const std::string_view> pieces) {
    size_t size = 0;
    for (const auto piece : pieces) size += piece.size();
    if (size == 0) return;
    if (!outbox().last) append(*Chunk::makeBlock(loop_.buffers()));
    if (size <= outbox().roomInLast()) {
        for (const auto piece : pieces) out_->copyToLast(piece);
        return cork();
    }
    const auto before = queuedBytes();
    try {
        for (const auto piece : pieces) copyToQueue(piece);
    } catch (const std::bad_alloc&) {
        if (queuedBytes() != before) breakOff(ENOMEM);  // nothing can follow a part
        throw;
    }
    cork();
}

void ByteStream::copyToQueue(std::string_view piece) {
    auto& out = outbox();
    while (!piece.empty()) {
        if (out.roomInLast() == 0) append(*Chunk::makeBlock(loop_.buffers()));
        const auto part = piece.substr(0, out.roomInLast());
        out.copyToLast(part);
        piece.remove_prefix(part.size());
    }
}

void ByteStream::append(Chunk& chunk) {
    auto& out = outbox();
    (out.last ? out.last->next : out.first) = &chunk;
    out.last = &chunk;
    out.queued += chunk.size;
}

void ByteStream::flush(Deadline deadline) {
    throwIfBroken();
    sendQueued();
    while (queuedBytes() > 0 && !broken()) throwUnlessReady(out_->writers.wait(deadline));
    throwIfBroken();
}

void ByteStream::waitUntilQueued(size_t atMost) {
    sendQueued();
    while (queuedBytes() > atMost && !broken()) throwUnlessReady(out_->writers.wait());
    throwIfBroken();
}

void ByteStream::waitForProgress() {
    sendQueued();
    if (queuedBytes() > 0 && !broken()) throwUnlessReady(out_->writers.wait());
    throwIfBroken();
}

void ByteStream::releaseWriters() {
    auto* chunk = out_ ? std::exchange(out_->first, nullptr) : nullptr;
    if (out_) {
        out_->last = nullptr;
        out_->queued = 0;
    }
    bool copied = true;
    while (chunk) {
        auto* next = std::exchange(chunk->next, nullptr);
        if (copied && chunk->waitedFor) copied = copyWaitedFor(*chunk);
        else append(*chunk);
        chunk = next;
    }
    if (!copied) breakOff(ENOMEM);
    wakeWriters_ = true;
    cork();
}

// False: there is no memory for it, and it stands in the queue as it was.
bool ByteStream::copyWaitedFor(Chunk& chunk) {
    try {
        copyToQueue({chunk.data, chunk.size});
        chunk.release(loop_.buffers());
        return true;
    } catch (const std::bad_alloc&) {
        append(chunk);
        return false;
    }
}

size_t ByteStream::gather(Operation& operation, iovec* pieces, size_t limit) {
    size_t count = 0;
    for (auto* chunk = static_cast<Outbox*>(operation.owner)->first; chunk && count < limit; chunk = chunk->next)
        if (chunk->size > 0) pieces[count++] = {const_cast<char*>(chunk->data), chunk->size};
    return count;
}

// Inline: see EpollPoller's perform().
[[gnu::always_inline]] inline void ByteStream::sendQueuedNow() {
    while (queuedBytes() > 0 && !out_->sending.pending && !broken()) {
        if (!submitSend(out_->sending)) {
            out_->stall.set(loop_.in(sendTimeout_).at());
            return;
        }
        sent(out_->sending.result);
    }
    if (out_) giveBackOutbox();
    if (queuedBytes() == 0 && finished_ && !shutdownSent_ && !broken()) {
        shutdownSent_ = true;
        shutdownSend();
        cork();
    }
}

void ByteStream::sendQueued() { sendQueuedNow(); }

// Runs on the loop when the fiber that wrote waits. Others are woken from here only, as the last thing, because they
// may destroy the stream.
void ByteStream::runDeferred() {
    sendQueuedNow();
    if (std::exchange(wakeWriters_, false) && out_) out_->writers.notifyAll();
    if (out_) giveBackOutbox();
    if (broken() && receiving_.pending) {
        // Whoever waits for bytes learns of the break as if the kernel had said so.
        cancelReceive(receiving_);
        receiving_.result = -error_;
        return receiving_.complete();
    }
    if (progress_ && (broken() || (!out_ && finished_ == shutdownSent_ && (!finished_ || isShutDown())))) {
        auto* notify = std::exchange(progress_, nullptr);
        notify(owner_);
    }
}

void ByteStream::sent(int64_t result) {
    if (result < 0) return breakOff(static_cast<int>(-result));
    dropSent(static_cast<size_t>(result));
    if (out_->queued == 0) out_->stall.clear();
    else if (out_->stall.isSet()) out_->stall.set(loop_.in(sendTimeout_).at());
    if (out_->writers.empty() && !progress_) return;
    wakeWriters_ = true;
    cork();
}

void ByteStream::dropSent(size_t size) {
    auto& out = *out_;
    if (size == out.queued && out.first == out.last && out.first->isBlock()) {
        out.first->empty();
        out.queued = 0;
        return;
    }
    out.queued -= size;
    while (out.first && size >= out.first->size) {
        size -= out.first->size;
        auto* done = out.first;
        out.first = done->next;
        if (!out.first) out.last = nullptr;
        done->release(loop_.buffers());
    }
    if (size == 0) return;
    out.first->data += size;
    out.first->size -= size;
}

void ByteStream::dropQueue() {
    if (!out_) return;
    out_->clear();
    giveBackOutbox();
}

void ByteStream::finishSending() {
    if (finished_ || broken()) return;
    finished_ = true;
    cork();
}

void ByteStream::breakOff(int error) {
    if (broken()) return;
    error_ = error;
    if (out_) {
        out_->stall.clear();
        cancelSend(out_->sending);
    }
    dropQueue();
    wakeWriters_ = true;
    cork();
}

void ByteStream::throwIfBroken() const {
    if (!broken()) return;
    if (error_ == ETIMEDOUT) throw Disconnected("the peer took nothing for too long");
    throw Disconnected(std::error_code(error_, std::system_category()).message());
}

}
