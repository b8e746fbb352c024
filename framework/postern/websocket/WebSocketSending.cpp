// The half of WebSocketCore that sends: data, pings, and what Senders leave.

#include "postern/base/Crypto.h"
#include "postern/websocket/WebSocket.h"
#include "postern/websocket/WebSocketCore.h"

#include <algorithm>
#include <array>
#include <cassert>

namespace postern {

namespace {

constexpr size_t maxPingsRemembered = 16;

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
    if (!stream_ && released_) delete this;
}

// False: the socket closed, and nothing follows a close frame.
bool WebSocketCore::waitForRoom() {
    while (isOpen() && stream_->isAboveHighWater()) stream_->waitForProgress();
    return isOpen();
}

void WebSocketCore::queueControl(WebSocketOpcode opcode, std::string_view payload) {
    std::array<char, maxFrameHeader> header;
    const auto size = writeFrameHeader({true, false, opcode, {}, payload.size()}, header);
    stream_->queue({{header.data(), size}, payload});
}

void WebSocketCore::throwUnlessOpen() const {
    if (!isOpen()) throw WebSocketClosed("the WebSocket is closed");
}

void WebSocketCore::send(WebSocketOpcode opcode, std::string_view payload) {
    throwUnlessOpen();
    const Writing writing(*this);
    if (!waitForRoom()) throwUnlessOpen();
    writeFrame(opcode, payload);
    loop_.defer(*this);  // whoever only sends still hears pings and the close
}

void WebSocketCore::writeFrame(WebSocketOpcode opcode, std::string_view payload) {
    std::array<char, maxFrameHeader> header;
    const auto size = writeFrameHeader({true, false, opcode, {}, payload.size()}, header);
    stream_->write({{header.data(), size}, payload});
}

bool WebSocketCore::trySend(WebSocketOpcode opcode, std::string_view payload) {
    if (!isOpen() || stream_->isAboveHighWater() || stream_->broken()) return false;
    std::array<char, maxFrameHeader> header;
    const auto size = writeFrameHeader({true, false, opcode, {}, payload.size()}, header);
    stream_->queue({{header.data(), size}, payload});
    loop_.defer(*this);
    return true;
}

// On the loop, never waiting: what the peer does not take yet is queued here, up to the limit of the options.
void WebSocketCore::sendFromSender(WebSocketOpcode opcode, std::string payload) {
    if (!isOpen()) return;
    if (!senderQueue_ && trySend(opcode, payload)) return;
    if (!senderQueue_) senderQueue_ = std::make_unique<SenderQueue>();
    auto& queue = *senderQueue_;
    queue.bytes += payload.size();
    queue.messages.emplace_back(opcode, std::move(payload));
    while (queue.bytes > maxQueued_) {
        if (overflow_ == Overflow::close) {
            queue.messages.clear();
            queue.bytes = 0;
            return startClose(static_cast<uint16_t>(overflowCode_), "too slow");
        }
        queue.bytes -= queue.messages.front().second.size();
        queue.messages.pop_front();
    }
    if (std::exchange(queue.running, true)) return;
    ++writers_;  // this core stays until the fiber has ended
    loop_.runNow([this] { runSenderQueue(); });
}

void WebSocketCore::runSenderQueue() {
    try {
        while (waitForRoom() && !senderQueue_->messages.empty()) {
            const auto [opcode, payload] = std::move(senderQueue_->messages.front());
            senderQueue_->messages.pop_front();
            senderQueue_->bytes -= payload.size();
            writeFrame(opcode, payload);
        }
    } catch (const Disconnected&) {
        // The pump has noticed, or will.
    } catch (const Cancelled&) {
    }
    senderQueue_.reset();
    endWriting();
}

void WebSocketCore::sendPing(std::string_view payload, bool own) {
    if (pings_.size() == maxPingsRemembered) pings_.erase(pings_.begin());
    pings_.push_back({std::string(payload), ++lastPinged_, own});
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
    const auto isWaiting = [this, number = lastPinged_] { return lastAnswered_ < number; };
    while (isWaiting() && !isEnded()) {
        pump();
        if (!isWaiting() || isEnded()) break;
        throwUnlessReady(changed_.wait(deadline));
    }
    if (isWaiting()) throw WebSocketClosed("the WebSocket closed before the pong");
    return loop_.poller().now() - start;
}

}
