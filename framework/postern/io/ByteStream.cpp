#include "postern/io/ByteStream.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <system_error>

namespace postern {

namespace {

// Copying this much costs less than making a fiber wait for it.
constexpr size_t largePiece = 16 * 1024;
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
        chunk->data = block + sizeof(Chunk);
        chunk->end = block + BufferPool::blockSize;
        return chunk;
    }
    size_t room() const { return end ? static_cast<size_t>(end - (data + size)) : 0; }
    void release(BufferPool& pool) {
        if (waitedFor) --*waitedFor;
        else pool.giveBack(reinterpret_cast<char*>(this));
    }
};

ByteStream::ByteStream(Loop& loop)
    : Deferred([](Deferred& self) { static_cast<ByteStream&>(self).uncork(); }),
      loop_(loop),
      in_(loop.buffers()),
      stall_(loop.timers(), [](Timer& timer) { static_cast<ByteStream*>(timer.owner())->breakOff(ETIMEDOUT); }, this),
      lastReceived_(loop.now()) {
    receiving_.kind = Operation::Kind::receive;
    receiving_.buffer = &in_;
    sending_.kind = Operation::Kind::send;
    sending_.gather = gather;
    sending_.owner = this;
    sending_.completed = [](Operation& operation) {
        auto& stream = *static_cast<ByteStream*>(operation.owner);
        stream.sent(operation.result);
        stream.sendQueued();
    };
}

ByteStream::~ByteStream() {
    assert(!receiving_.pending && !sending_.pending && writers_.empty());
    dropQueue();
}

void ByteStream::cancelAll() {
    cancelReceive(receiving_);
    cancelSend(sending_);
}

bool ByteStream::receive(Deadline deadline) {
    assert(!receiving_.pending);
    if (ended_) return false;
    throwIfBroken();
    receiving_.owner = loop_.runningFiber();
    receiving_.completed = [](Operation& operation) {
        auto& fiber = *static_cast<Fiber*>(operation.owner);
        fiber.loop().wake(fiber);
    };
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

bool ByteStream::startReceive(void (*notify)(void*), void* owner) {
    assert(!receiving_.pending);
    if (ended_ || broken()) return true;
    notify_ = notify;
    notifyOwner_ = owner;
    receiving_.owner = this;
    receiving_.completed = [](Operation& operation) {
        auto& stream = *static_cast<ByteStream*>(operation.owner);
        stream.finishReceive();
        stream.notify_(stream.notifyOwner_);
    };
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
    for (const auto piece : pieces) copyToQueue(piece);
    cork();
}

void ByteStream::writeLarge(std::span<const std::string_view> pieces) {
    std::array<Chunk, maxLargePieces> large;
    size_t largeCount = 0, waitedFor = 0;
    for (const auto piece : pieces) {
        if (piece.size() < largePiece || largeCount == large.size()) {
            copyToQueue(piece);
            continue;
        }
        auto& chunk = large[largeCount++];
        chunk.data = piece.data();
        chunk.size = piece.size();
        chunk.waitedFor = &waitedFor;
        ++waitedFor;
        append(chunk);
        queued_ += piece.size();
    }
    sendQueued();
    // The queue refers to the caller's memory until it is sent; the stall timer bounds how long that may take.
    const Fiber::Shield shield;
    while (waitedFor > 0) writers_.wait();
    throwIfBroken();
}

void ByteStream::queue(std::span<const std::string_view> pieces) {
    if (broken() || finished_) return;
    for (const auto piece : pieces) copyToQueue(piece);
    cork();
}

void ByteStream::copyToQueue(std::string_view piece) {
    queued_ += piece.size();
    while (!piece.empty()) {
        if (!last_ || last_->room() == 0) {
            append(*Chunk::makeBlock(loop_.buffers()));
        }
        const auto size = std::min(piece.size(), last_->room());
        std::memcpy(const_cast<char*>(last_->data) + last_->size, piece.data(), size);
        last_->size += size;
        piece.remove_prefix(size);
    }
}

void ByteStream::append(Chunk& chunk) {
    (last_ ? last_->next : first_) = &chunk;
    last_ = &chunk;
}

void ByteStream::flush(Deadline deadline) {
    throwIfBroken();
    sendQueued();
    while (queued_ > 0 && !broken()) throwUnlessReady(writers_.wait(deadline));
    throwIfBroken();
}

void ByteStream::waitUntilQueued(size_t atMost) {
    sendQueued();
    while (queued_ > atMost && !broken()) throwUnlessReady(writers_.wait());
    throwIfBroken();
}

void ByteStream::waitForProgress() {
    sendQueued();
    if (queued_ > 0 && !broken()) throwUnlessReady(writers_.wait());
    throwIfBroken();
}

void ByteStream::releaseWriters() {
    auto* chunk = std::exchange(first_, nullptr);
    last_ = nullptr;
    while (chunk) {
        auto* next = std::exchange(chunk->next, nullptr);
        if (chunk->waitedFor) {
            queued_ -= chunk->size;
            copyToQueue({chunk->data, chunk->size});
            chunk->release(loop_.buffers());
        } else {
            append(*chunk);
        }
        chunk = next;
    }
    wakeWriters_ = true;
    cork();
}

size_t ByteStream::gather(Operation& operation, iovec* pieces, size_t limit) {
    size_t count = 0;
    for (auto* chunk = static_cast<ByteStream*>(operation.owner)->first_; chunk && count < limit; chunk = chunk->next)
        if (chunk->size > 0) pieces[count++] = {const_cast<char*>(chunk->data), chunk->size};
    return count;
}

// Runs on the loop when the fiber that wrote waits. Others are woken from here only, as the last thing, because they
// may destroy the stream.
void ByteStream::uncork() {
    sendQueued();
    if (std::exchange(wakeWriters_, false)) writers_.notifyAll();
    if (broken() && receiving_.pending) {
        // Whoever waits for bytes learns of the break as if the kernel had said so.
        cancelReceive(receiving_);
        receiving_.result = -error_;
        return receiving_.completed(receiving_);
    }
    if (progress_ && (broken() || (queued_ == 0 && finished_ == shutdownSent_ && (!finished_ || isShutDown())))) {
        auto* notify = std::exchange(progress_, nullptr);
        notify(progressOwner_);
    }
}

void ByteStream::sendQueued() {
    while (queued_ > 0 && !sending_.pending && !broken()) {
        if (!submitSend(sending_)) {
            stall_.set(loop_.in(limits_.sendTimeout).at());
            return;
        }
        sent(sending_.result);
    }
    if (queued_ == 0 && finished_ && !shutdownSent_ && !broken()) {
        shutdownSent_ = true;
        shutdownSend();
        cork();
    }
}

void ByteStream::sent(int64_t result) {
    if (result < 0) return breakOff(static_cast<int>(-result));
    dropSent(static_cast<size_t>(result));
    if (queued_ == 0) stall_.clear();
    else if (stall_.isSet()) stall_.set(loop_.in(limits_.sendTimeout).at());
    if (writers_.empty() && !progress_) return;
    wakeWriters_ = true;
    cork();
}

void ByteStream::dropSent(size_t size) {
    queued_ -= size;
    while (first_ && size >= first_->size) {
        size -= first_->size;
        auto* done = first_;
        first_ = done->next;
        if (!first_) last_ = nullptr;
        done->release(loop_.buffers());
    }
    if (size == 0) return;
    first_->data += size;
    first_->size -= size;
}

void ByteStream::dropQueue() {
    while (first_) {
        auto* chunk = first_;
        first_ = chunk->next;
        chunk->release(loop_.buffers());
    }
    last_ = nullptr;
    queued_ = 0;
}

void ByteStream::finishSending() {
    if (finished_ || broken()) return;
    finished_ = true;
    cork();
}

void ByteStream::breakOff(int error) {
    if (broken()) return;
    error_ = error;
    stall_.clear();
    cancelSend(sending_);
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
