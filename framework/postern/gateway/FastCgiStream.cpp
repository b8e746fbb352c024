#include "postern/gateway/FastCgiStream.h"

#include <array>
#include <cerrno>
#include <new>

namespace postern {

FastCgiStream::FastCgiStream(std::unique_ptr<ByteStream> wire, std::shared_ptr<FastCgiRequest> request)
    : ByteStream(wire->loop()), wire_(std::move(wire)), request_(std::move(request)) {
    setLimits(wire_->limits());
}

FastCgiStream::~FastCgiStream() {
    cancelAll();
    if (wire_ && broken()) wire_->breakOff(error());
}

void FastCgiStream::setLimits(const StreamLimits& limits) {
    wire_->setLimits(limits);
    ByteStream::setLimits({limits.highWater, Duration::max()});
}

void FastCgiStream::flush(Deadline deadline) {
    ByteStream::flush(deadline);
    wire_->flush(deadline);
}

std::unique_ptr<ByteStream> FastCgiStream::endRequest() {
    ByteStream::flush();
    cancelAll();
    if (!wire_->broken()) request_->end(*wire_);
    return std::move(wire_);
}

bool FastCgiStream::tryReceive(Operation& operation) {
    const auto complete = [&](int64_t result) {
        operation.result = result;
        return true;
    };
    if (!request_->canRead() && !wire_->unread().empty()) {
        if (const auto violation = request_->take(*wire_)) {
            loop().log(LogLevel::warning, "cut a FastCGI connection: " + std::string(violation->reason));
            return complete(-EPROTO);
        }
        if (request_->guard().aborted()) return complete(-ECONNABORTED);
    }
    if (request_->canRead()) {
        const auto size = request_->read(operation.buffer->room());
        if (size == 0 && !request_->guard().inputEnded()) return complete(-EPROTO);
        operation.buffer->grow(size);
        return complete(static_cast<int64_t>(size));
    }
    if (wire_->broken()) return complete(-wire_->error());
    // Without the record that ends the body this was not all of it; a WebSocket says by itself what its end is.
    if (wire_->ended()) return complete(request_->isTunnel() ? 0 : -ECONNRESET);
    return false;
}

bool FastCgiStream::submitReceive(Operation& operation) {
    static constexpr StreamReceiver receiver{[](void* self) { static_cast<FastCgiStream*>(self)->arrived(); }};
    try {
        do {
            if (tryReceive(operation)) return true;
        } while (wire_->startReceive(receiver, this));
    } catch (const std::bad_alloc&) {
        operation.result = -ENOMEM;  // nobody knows how far the guard came
        return true;
    }
    operation.pending = true;
    receiving_ = &operation;
    return false;
}

void FastCgiStream::arrived() {
    auto& operation = *receiving_;
    if (!submitReceive(operation)) return;
    operation.pending = false;
    receiving_ = nullptr;
    operation.complete();
}

void FastCgiStream::cancelReceive(Operation& operation) {
    if (!operation.pending) return;
    operation.pending = false;
    receiving_ = nullptr;
    wire_->stopReceive();
}

bool FastCgiStream::submitSend(Operation& operation) {
    if (wire_->broken()) {
        operation.result = -wire_->error();
        return true;
    }
    if (wire_->isAboveHighWater()) {
        awaitWire(operation);
        return false;
    }
    try {
        return handOver(operation);
    } catch (const std::bad_alloc&) {
        operation.result = -ENOMEM;  // nobody knows how much of it went out
        return true;
    }
}

// What the wire has queued of a reply is its own business, up to its high-water mark: the end of the request goes out with
// it. A WebSocket wants to know what the kernel has, because it ends by itself.
bool FastCgiStream::handOver(Operation& operation) {
    std::array<iovec, 16> pieces;
    const auto count = operation.gather(operation, pieces.data(), pieces.size());
    size_t moved = 0;
    for (size_t i = 0; i < count && moved < limits().highWater; ++i) {
        const auto size = std::min(pieces[i].iov_len, limits().highWater - moved);
        request_->write({static_cast<const char*>(pieces[i].iov_base), size}, *wire_);
        moved += size;
    }
    request_->flush(*wire_);
    operation.result = static_cast<int64_t>(moved);
    if (!request_->isTunnel()) return true;
    handedOver_ = true;
    awaitWire(operation);
    return false;
}

void FastCgiStream::awaitWire(Operation& operation) {
    operation.pending = true;
    sending_ = &operation;
    wire_->onSent([](void* self) { static_cast<FastCgiStream*>(self)->wireSent(); }, this);
}

void FastCgiStream::wireSent() {
    auto& operation = *sending_;
    const bool handedOver = handedOver_;
    cancelSend(operation);
    if (wire_->broken()) operation.result = -wire_->error();
    else if (!handedOver && !submitSend(operation)) return;
    operation.complete();
}

void FastCgiStream::cancelSend(Operation& operation) {
    if (!operation.pending) return;
    operation.pending = false;
    sending_ = nullptr;
    handedOver_ = false;
    if (wire_) wire_->onSent(nullptr, nullptr);
}

void FastCgiStream::shutdownSend() {
    if (wire_->broken()) return;
    request_->end(*wire_);
    wire_->finishSending();
    wire_->onSent([](void* self) { static_cast<FastCgiStream*>(self)->cork(); }, this);
}

bool FastCgiStream::hasArrived() const {
    return request_->canRead() || !wire_->unread().empty() || wire_->canReceive();
}

}
