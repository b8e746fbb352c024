// The half of WebSocketCore that receives: messages, whole or in pieces.

#include "postern/websocket/WebSocket.h"
#include "postern/websocket/WebSocketCore.h"

#include <new>
#include <stdexcept>

namespace postern {

namespace {

// So much of a message is gathered before somebody asks for all of it.
constexpr size_t pieceSize = 64 * 1024;

// Counted while it lives.
class Count {
public:
    explicit Count(unsigned& counter) : counter_(counter) { ++counter_; }
    Count(const Count&) = delete;
    Count& operator=(const Count&) = delete;
    ~Count() { --counter_; }

private:
    unsigned& counter_;
};

}

// ── Receiving ──

// What is worth to be gathered of a message before it goes on.
size_t WebSocketCore::hold() const {
    if (closeSent_ || reading_ != Reading::whole) return pieceSize;
    const bool isWanted = waitingForWhole_ > 0 || (tellsMessages() && !telling_);
    return isWanted ? SIZE_MAX : pieceSize;
}

// Handles what has arrived, up to the next data message, or to a piece of one that is enough for now.
WebSocketCore::Arrived WebSocketCore::advance() {
    if (isEnded()) return Arrived::end;
    if (ready_) return Arrived::message;
    if (lentBytes_ > 0) returnLent();
    if (stream_->unread().empty() && !held_ && !pong_ && !hasControls()) return Arrived::nothing;
    const auto arrived = takeIn();
    if (pong_) answerPing();
    if (isEnded()) return Arrived::end;
    return ready_ ? Arrived::message : arrived;
}

WebSocketCore::Arrived WebSocketCore::takeIn() {
    while (!isEnded() && !ready_) {
        if (!closeSent_ && areControlsFull()) return Arrived::piece;
        const bool dropping = closeSent_ || reading_ == Reading::skipping;
        if (held_ && !dropping && assembler_.gathered() >= hold()) return Arrived::piece;
        if (!held_ && stream_->unread().empty()) break;
        const auto step = assembler_.next(stream_->unread(), hold());
        const auto* const frame = std::get_if<Incoming>(&step.result);
        if (frame && !isControl(frame->opcode) && !dropping) {
            ready_ = *frame;
            lentBytes_ = step.consumed;
            held_ = false;
            if (frame->assembled) stream_->consume(std::exchange(lentBytes_, 0));
            break;
        }
        held_ = std::holds_alternative<Held>(step.result);
        if (held_ || std::holds_alternative<NeedMore>(step.result)) {
            stream_->consume(step.consumed);
            if (dropping) assembler_.takePiece();
            if (!held_) break;
            continue;
        }
        if (const auto* error = std::get_if<FrameError>(&step.result)) {
            fail(error->code, error->reason);
            break;
        }
        if (isControl(frame->opcode)) {
            handleControl(*frame);
            if (stream_) stream_->consume(step.consumed);
        } else {
            if (frame->assembled) assembler_.takeMessage();
            stream_->consume(step.consumed);
            reading_ = Reading::whole;
        }
    }
    return Arrived::nothing;
}

// Gives the memory of the last message back, or to the Message that still looks at it.
void WebSocketCore::returnLent() {
    if (lentBytes_ == 0 || !stream_) return;
    const auto size = std::exchange(lentBytes_, 0);
    if (lent_) lent_->keep(stream_->detach(size));
    else stream_->consume(size);
}

// Whoever waits goes on when the running fiber, or what the loop does now, is done: waking them here could bring the
// end of this object while its own functions still run.
void WebSocketCore::wakeWaiters() {
    waitersToWake_ = true;
    loop_.defer(*this);
}

void WebSocketCore::runDeferred() {
    if (std::exchange(waitersToWake_, false)) changed_.notifyAll();
    if (eventsDue()) startEvents();
    pump();
}

// Keeps receiving, without a fiber, while there is a use for it.
void WebSocketCore::pump() {
    try {
        receiveAll();
    } catch (const std::bad_alloc&) {
        abort();
    }
}

void WebSocketCore::receiveAll() {
    static constexpr StreamReceiver receiver{
        [](void* self) { static_cast<WebSocketCore*>(self)->pump(); },
        [](void* self, unsigned ahead) { static_cast<WebSocketCore*>(self)->expectMessage(ahead); }};
    while (stream_ && !gone_ && !stream_->isReceiving()) {
        if (finishing_) {
            returnLent();
            stream_->consume(stream_->unread().size());
            if (stream_->broken() || (stream_->ended() && stream_->isSendingFinished())) return lineGone();
            if (stream_->ended()) {
                stream_->finishSending();
                return stream_->onSent([](void* self) { static_cast<WebSocketCore*>(self)->pump(); }, this);
            }
        } else {
            const auto arrived = advance();
            if (arrived == Arrived::message || arrived == Arrived::piece) {
                if (eventsDue()) return startEvents();
                return changed_.notifyAll();
            }
            if (finishing_) continue;
            // Without a close frame: 1006. Who only ended his side still gets what was said to him.
            failed_ = stream_->ended() || stream_->broken();
            if (stream_->broken()) return lineGone();
            if (failed_) {
                finishLine();
                continue;
            }
            if (waitingForPiece_ > 0 && assembler_.insideMessage()) wakeWaiters();
        }
        if (!stream_->startReceive(receiver, this)) return;
    }
}

// As Completion::expected: this object comes first, then the fiber that will go on.
void WebSocketCore::expectMessage(unsigned ahead) {
    if (ahead > 1) return fetch(this, sizeof *this);
    if (const auto* waiting = changed_.first()) waiting->expect(ahead);
}

// Inline: see EpollPoller's perform().
[[gnu::always_inline]] inline bool WebSocketCore::awaitMessage(Deadline deadline) {
    if (reading_ == Reading::pieces) throw std::logic_error("a message is being read as a stream");
    pulling_ = pulling_ || !telling_;
    const Count waiting(waitingForWhole_);
    for (;;) {
        if (tells_) tellWaiting();
        if (ready_ && hadItsShare()) yield();
        if (ready_ || isEnded()) return true;
        pump();
        if (ready_ || isEnded() || hasControls()) continue;
        takenInARow_ = 0;
        if (!waitersToWake_ && !tells_) Deferred::unlink();  // pump() has just done what it would
        const auto wake = changed_.wait(deadline);
        if (wake == Wake::timedOut && !ready_ && !isEnded()) return false;
        if (wake == Wake::cancelled) {
            loop_.defer(*this);  // what came meanwhile is for the callbacks again
            throw Cancelled();
        }
    }
}

bool WebSocketCore::waitForMessage(Deadline deadline) { return awaitMessage(deadline); }

Message WebSocketCore::recv(Deadline deadline) {
    const bool inTime = awaitMessage(deadline);
    return ready_ && !tells_ ? takeReady() : takeAndTell(inTime);
}

// Apart from recv(), whose frame every socket that waits keeps on its fiber's stack.
[[gnu::noinline]] Message WebSocketCore::takeAndTell(bool inTime) {
    if (!inTime) throw TimedOut("no WebSocket message in time");
    if (!ready_) {
        tellEnd();
        return Message(peerCode_, std::string(closeReason()));
    }
    Message message = takeReady();
    tellMessage(message);
    return message;
}

Message WebSocketCore::takeReady() {
    const auto [opcode, assembled, payload] = *ready_;
    ready_.reset();
    ++takenInARow_;
    loop_.defer(*this);  // what comes behind it is heard though nobody calls recv() again
    if (assembled) return Message(opcode, assembler_.takeMessage());
    return Message(opcode, {payload.data(), payload.size()}, *this);
}

bool WebSocketCore::isBuffered() {
    if (pulling_) tellWaiting();
    loop_.defer(*this);  // who asks again and again has to find more one day
    const Count waiting(waitingForWhole_);
    const auto arrived = advance();
    return arrived == Arrived::message || arrived == Arrived::end;
}

bool WebSocketCore::wouldBlock() {
    if (isBuffered()) return false;
    const Count waiting(waitingForWhole_);
    pump();
    return !ready_ && !isEnded();
}

// ── Receiving in pieces ──

std::optional<WebSocketOpcode> WebSocketCore::beginReading(Deadline deadline) {
    if (reading_ == Reading::pieces) throw std::logic_error("a message is being read as a stream");
    pulling_ = pulling_ || !telling_;
    const auto begun = [this] { return ready_ || (reading_ == Reading::whole && assembler_.insideMessage()); };
    const Count waiting(waitingForPiece_);
    for (;;) {
        tellWaiting();
        if (begun()) break;
        if (isEnded()) {
            tellEnd();
            return {};
        }
        pump();
        if (!begun() && !isEnded()) throwUnlessReady(changed_.wait(deadline));
    }
    reading_ = Reading::pieces;
    return ready_ ? ready_->opcode : assembler_.openOpcode();
}

std::string WebSocketCore::readPiece(Deadline deadline, bool& last) {
    const Count waiting(waitingForPiece_);
    for (;;) {
        tellWaiting();
        if (ready_ || isPiece()) break;
        if (isEnded()) {
            reading_ = Reading::whole;
            throw WebSocketClosed("the WebSocket closed within a message");
        }
        pump();
        if (!ready_ && !isPiece() && !isEnded()) throwUnlessReady(changed_.wait(deadline));
    }
    loop_.defer(*this);  // there is room for more
    last = ready_.has_value();
    if (!last) return assembler_.takePiece();
    reading_ = Reading::whole;
    const Message message = takeReady();
    return message.toString();
}

void WebSocketCore::skipRest() {
    if (reading_ != Reading::pieces) return;
    reading_ = ready_ ? Reading::whole : Reading::skipping;
    forgetMessage();
    loop_.defer(*this);
}

// What was not taken yet is not wanted any more.
void WebSocketCore::forgetMessage() {
    assembler_.takePiece();
    if (!std::exchange(ready_, std::nullopt)) return;
    if (!lent_) returnLent();
}

}
