// The half of WebSocketCore that sends: data, pings, and what Senders leave.

#include "postern/base/Crypto.h"
#include "postern/websocket/WebSocket.h"
#include "postern/websocket/WebSocketCore.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <new>

namespace postern {

namespace {

constexpr size_t maxPingsRemembered = 16;

// Random bytes are cheap by the hundred.
class MaskKeys {
public:
    MaskKey next() {
        if (used_ == random_.size()) {
            fillRandom(random_);
            used_ = 0;
        }
        MaskKey key;
        std::copy_n(random_.begin() + static_cast<ptrdiff_t>(used_), key.size(), key.begin());
        used_ += key.size();
        return key;
    }

private:
    std::array<char, 512> random_;
    size_t used_ = random_.size();
};

}

// A fiber inside one of the stream's calls that wait: the stream stays until it has left.
class WebSocketCore::Writing {
public:
    explicit Writing(WebSocketCore& core) : core_(core) { ++core_.writers_; }
    Writing(const Writing&) = delete;
    Writing& operator=(const Writing&) = delete;
    ~Writing() { core_.endWriting(); }

private:
    WebSocketCore& core_;
};

void WebSocketCore::endWriting() {
    --writers_;
    dropStreamWhenUnused();
    deleteWhenUnused();
}

// False: the socket closed, and nothing follows a close frame.
bool WebSocketCore::waitForRoom() {
    while (isOpen() && stream_->isAboveHighWater()) stream_->waitForProgress();
    return isOpen();
}

// As waitForRoom(), and nobody is in the middle of a message.
bool WebSocketCore::waitForTurn() {
    while (waitForRoom() && messageOpen_) throwUnlessReady(changed_.wait());
    return isOpen();
}

void WebSocketCore::throwUnlessOpen() const {
    if (!isOpen()) throw WebSocketClosed("the WebSocket is closed");
}

// ── Frames ──

void WebSocketCore::queueControl(WebSocketOpcode opcode, std::string_view payload) {
    putFrame({true, false, opcode, {}, payload.size()}, payload, Way::queue);
}

void WebSocketCore::putFrame(FrameHeader header, std::string_view payload, Way way) {
    // A key of its own for each frame, that nobody can predict (RFC 6455 §5.3, §10.3).
    if (isClient_) header.mask = loop_.local<MaskKeys>().next();
    const auto size = header.size() + payload.size();
    char* const place = size < ByteStream::largePiece ? stream_->place(size) : nullptr;
    if (!place) return putInPieces(header, payload, way);
    const std::span<char> copy(place + writeFrameHeader(header, place), payload.size());
    std::copy(payload.begin(), payload.end(), copy.begin());
    if (header.mask) applyMask(copy, *header.mask);
}

void WebSocketCore::putInPieces(const FrameHeader& header, std::string_view payload, Way way) {
    std::array<char, maxFrameHeader> bytes;
    const std::string_view head(bytes.data(), writeFrameHeader(header, bytes.data()));
    std::string masked;
    if (header.mask) {
        masked = payload;
        applyMask(masked, *header.mask);
        payload = masked;
    }
    if (way == Way::write) stream_->write({head, payload});
    else stream_->queue({head, payload});
}

bool WebSocketCore::compresses(std::string_view payload, Compress compress) const {
    if (!deflate_ || compress == Compress::no) return false;
    constexpr size_t tiny = 8;  // nothing so short gets shorter
    return compress == Compress::yes ? payload.size() > tiny : deflate_->pays(payload.size());
}

// One message; the caller has seen to it that it is our turn.
void WebSocketCore::putMessage(WebSocketOpcode opcode, std::string_view payload, Compress compress, Way way) {
    sentSinceBeat_ = true;
    if (compresses(payload, compress)) return putCompressed(opcode, payload, way);
    putInFrames({opcode, false, false}, payload, way);
}

void WebSocketCore::putCompressed(WebSocketOpcode opcode, std::string_view payload, Way way) {
    try {
        std::string packed;
        deflate_->compress(payload, PerMessageDeflate::Piece::last, packed);
        const bool pays = packed.size() < payload.size() || deflate_->keepsContext();
        putInFrames({opcode, pays, false}, pays ? std::string_view(packed) : payload, way);
    } catch (...) {
        if (deflate_) deflate_->forget();  // the next message must not refer to what was never sent
        throw;
    }
}

void WebSocketCore::putInFrames(const Fragment& first, std::string_view payload, Way way) {
    if (fragmentSize() != 0 && payload.size() > fragmentSize()) return sendInFragments(first, payload, way);
    putFrame({true, first.compressed, first.opcode, {}, payload.size()}, payload, way);
}

void WebSocketCore::sendInFragments(Fragment fragment, std::string_view payload, Way way) {
    messageOpen_ = true;
    try {
        while (!fragment.last) {
            const auto piece = payload.substr(0, fragmentSize());
            payload.remove_prefix(piece.size());
            fragment.last = payload.empty();
            if (way == Way::write && !waitForRoom()) throwUnlessOpen();
            putFrame({fragment.last, fragment.compressed, fragment.opcode, {}, piece.size()}, piece, way);
            fragment = {WebSocketOpcode::continuation, false, fragment.last};
        }
    } catch (...) {
        // Half a message: nothing can follow it.
        startClose(static_cast<uint16_t>(CloseCode::internalError), {});
        endMessage();
        throw;
    }
    endMessage();
}

// ── Messages ──

void WebSocketCore::send(WebSocketOpcode opcode, std::string_view payload, Compress compress) {
    if (payload.size() < ByteStream::largePiece && trySend(opcode, payload, compress)) return;
    throwUnlessOpen();
    const Writing writing(*this);
    if (!waitForTurn()) throwUnlessOpen();
    putMessage(opcode, payload, compress, Way::write);
    loop_.defer(*this);  // whoever only sends still hears pings and the close
}

bool WebSocketCore::trySend(WebSocketOpcode opcode, std::string_view payload, Compress compress) {
    if (!isOpen() || messageOpen_ || stream_->isAboveHighWater() || stream_->broken()) return false;
    putMessage(opcode, payload, compress, Way::queue);
    loop_.defer(*this);
    return true;
}

void WebSocketCore::beginMessage() {
    throwUnlessOpen();
    const Writing writing(*this);
    if (!waitForTurn()) throwUnlessOpen();
    messageOpen_ = true;
}

void WebSocketCore::sendFragment(const Fragment& fragment, std::string_view payload) {
    throwUnlessOpen();
    const Writing writing(*this);
    if (!waitForRoom()) throwUnlessOpen();
    sentSinceBeat_ = true;
    putFrame({fragment.last, fragment.compressed, fragment.opcode, {}, payload.size()}, payload, Way::write);
    loop_.defer(*this);
}

void WebSocketCore::endMessage() {
    messageOpen_ = false;
    if (!changed_.empty()) wakeWaiters();
}

// On the loop, never waiting: what the peer does not take yet is queued here, up to the limit of the options.
void WebSocketCore::sendFromSender(WebSocketOpcode opcode, std::string payload) {
    if (!isOpen()) return;
    auto& waiting = extra().senderQueue;
    if (!waiting && trySend(opcode, payload)) return;
    if (!waiting) waiting = std::make_unique<SenderQueue>();
    auto& queue = *waiting;
    queue.bytes += payload.size();
    queue.messages.emplace_back(opcode, std::move(payload));
    while (queue.bytes > terms_->maxQueued) {
        if (terms_->overflow == Overflow::close) {
            queue.messages.clear();
            queue.bytes = 0;
            return startClose(static_cast<uint16_t>(terms_->overflowCode), "too slow");
        }
        queue.bytes -= queue.messages.front().second.size();
        queue.messages.pop_front();
    }
    if (std::exchange(queue.running, true)) return;
    ++writers_;  // this core stays until the fiber has ended
    try {
        loop_.spawnNext([this] { runSenderQueue(); });
    } catch (const std::bad_alloc&) {
        --writers_;
        waiting.reset();
        abort();
    }
}

void WebSocketCore::runSenderQueue() {
    try {
        auto& queue = *extra_->senderQueue;
        while (waitForTurn() && !queue.messages.empty()) {
            const auto [opcode, payload] = std::move(queue.messages.front());
            queue.messages.pop_front();
            queue.bytes -= payload.size();
            putMessage(opcode, payload, Compress::automatic, Way::write);
        }
    } catch (const Disconnected&) {
        // The pump has noticed, or will.
    } catch (const Cancelled&) {
    }
    extra_->senderQueue.reset();
    endWriting();
}

// A heartbeat is remembered only where its pong may answer pings of the application's before it.
void WebSocketCore::sendPing(std::string_view payload, bool own) {
    if (own || (extra_ && !extra_->pings.empty())) {
        auto& pings = extra().pings;
        if (pings.size() == maxPingsRemembered) pings.erase(pings.begin());
        pings.push_back({std::string(payload), ++extra_->lastPinged, own});
    } else {
        ++heartbeats_;
    }
    queueControl(WebSocketOpcode::ping, payload);
    loop_.defer(*this);
}

void WebSocketCore::ping(std::string_view payload) {
    if (!isOpen()) return;
    const Writing writing(*this);
    if (waitForRoom()) sendPing(payload, true);
}

void WebSocketCore::pong(std::string_view payload) {
    if (!isOpen()) return;
    const Writing writing(*this);
    if (!waitForRoom()) return;
    queueControl(WebSocketOpcode::pong, payload);
    loop_.defer(*this);
}

Duration WebSocketCore::measureRoundTrip(Deadline deadline) {
    throwUnlessOpen();
    char random[8];
    fillRandom(random);
    const auto start = loop_.poller().now();
    sendPing({random, sizeof random}, true);
    const auto isWaiting = [this, number = extra_->lastPinged] { return extra_->lastAnswered < number; };
    while (isWaiting() && !isEnded()) {
        pump();
        if (!isWaiting() || isEnded()) break;
        throwUnlessReady(changed_.wait(deadline));
    }
    if (isWaiting()) throw WebSocketClosed("the WebSocket closed before the pong");
    return loop_.poller().now() - start;
}

}
