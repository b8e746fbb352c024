#include "postern/io/Pipe.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace postern {

std::pair<std::unique_ptr<Pipe>, std::unique_ptr<Pipe>> Pipe::make(Loop& loop, size_t capacity) {
    std::unique_ptr<Pipe> a(new Pipe(loop, capacity)), b(new Pipe(loop, capacity));
    a->peer_ = b.get();
    b->peer_ = a.get();
    return {std::move(a), std::move(b)};
}

Pipe::~Pipe() {
    cancelAll();
    if (!peer_) return;
    Pipe* peer = peer_;
    peer->peer_ = nullptr;
    peer->retry();
}

bool Pipe::tryReceive(Operation& operation) {
    if (arrived_.empty()) {
        operation.result = 0;
        return !peer_ || peerFinished_;
    }
    const auto room = operation.buffer->room();
    const auto size = std::min(room.size(), arrived_.size());
    std::memcpy(room.data(), arrived_.data(), size);
    operation.buffer->grow(size);
    arrived_.erase(0, size);
    operation.result = static_cast<int64_t>(size);
    return true;
}

bool Pipe::trySend(Operation& operation) {
    if (!peer_) {
        operation.result = -EPIPE;
        return true;
    }
    iovec pieces[16];
    const auto count = operation.gather(operation, pieces, std::size(pieces));
    size_t sent = 0;
    for (size_t i = 0; i < count; ++i) {
        const auto size = std::min(pieces[i].iov_len, peer_->capacity_ - std::min(peer_->capacity_, peer_->arrived_.size()));
        peer_->arrived_.append(static_cast<const char*>(pieces[i].iov_base), size);
        sent += size;
        if (size < pieces[i].iov_len) break;
    }
    operation.result = static_cast<int64_t>(sent);
    return sent > 0;
}

bool Pipe::submitReceive(Operation& operation) {
    if (tryReceive(operation)) {
        if (peer_) peer_->retry();  // there is room again
        return true;
    }
    operation.pending = true;
    receiving_ = &operation;
    return false;
}

bool Pipe::submitSend(Operation& operation) {
    if (trySend(operation)) {
        if (peer_) peer_->retry();  // there is something
        return true;
    }
    operation.pending = true;
    sending_ = &operation;
    return false;
}

// The other end changed something. Completed when the running fiber waits, as a kernel would: not inside its call.
void Pipe::retry() {
    if (receiving_ || sending_) loop().defer(retry_);
}

void Pipe::completeReady() {
    if (auto* operation = sending_; operation && trySend(*operation)) {
        forget(*operation, sending_);
        if (peer_) peer_->retry();
        operation->complete();
    }
    if (auto* operation = receiving_; operation && tryReceive(*operation)) {
        forget(*operation, receiving_);
        if (peer_) peer_->retry();
        operation->complete();  // last: the owner may destroy us
    }
}

void Pipe::shutdownSend() {
    if (!peer_) return;
    peer_->peerFinished_ = true;
    peer_->retry();
}

void Pipe::forget(Operation& operation, Operation*& slot) {
    if (!operation.pending) return;
    operation.pending = false;
    slot = nullptr;
}

}
