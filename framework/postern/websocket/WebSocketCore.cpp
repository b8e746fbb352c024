#include "postern/websocket/WebSocketCore.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <new>

namespace postern {

WebSocketCore::WebSocketCore(std::unique_ptr<ByteStream> stream, const WebSocketOptions& options, Established established)
    : Drainable([](Drainable& self, How how) { static_cast<WebSocketCore&>(self).drainNow(how); }),
      loop_(stream->loop()),
      stream_(std::move(stream)),
      deflate_(established.deflate ? std::make_unique<PerMessageDeflate>(*established.deflate,
                                                                        options.deflate.value_or(DeflateOptions()), !established.isClient,
                                                                        loop_.local<DeflatePool>())
                                   : nullptr),
      assembler_(established.isClient ? Assembler::Role::client : Assembler::Role::server,
                 {options.maxMessage ? options.maxMessage : defaultMaxMessage,
                  options.maxFragments ? options.maxFragments : defaultMaxFragments},
                 deflate_.get()),
      terms_(loop_.local<TermsPool>().share({loop_.gate(), options.pingInterval, options.pingGrace, options.closeTimeout,
                                             options.pingMessage, options.fragmentSize, options.maxQueued, options.overflow,
                                             options.overflowCode})),
      isClient_(established.isClient),
      lastPing_(loop_.now()),
      timer_(loop_.timers(), [](Timer& timer) { static_cast<WebSocketCore*>(timer.owner())->timePassed(); }, this),
      request_(std::move(established.request)) {
    if (!established.protocol.empty()) extra().protocol = std::move(established.protocol);
    stream_->setLimits({options.highWater, options.sendTimeout});
    loop_.add(*this);
    armHeartbeat();
    loop_.defer(*this);  // pings are answered and a close is heard though nobody calls recv()
    if (loop_.isDraining()) startClose(static_cast<uint16_t>(CloseCode::goingAway), {});
}

WebSocketCore::~WebSocketCore() {
    returnLent();
    if (!extra_ || !extra_->link) return;
    const std::lock_guard lock(extra_->link->mutex);
    extra_->link->gate = nullptr;
    extra_->link->core = nullptr;
}

WebSocketCore::Extra& WebSocketCore::extra() {
    if (!extra_) extra_ = std::make_unique<Extra>();
    return *extra_;
}

void WebSocketCore::release(CloseCode code) {
    if (Loop::currentOrNull() != &loop_) {
        if (terms_->gate->post([this, code] { release(code); })) return;
        tells_ = false;  // the loop is gone: there is no stream either, and nobody to tell
    }
    if (--handles_ > 0) return;
    if (code == CloseCode::normal && isOpen() && livesForEvents()) return loop_.defer(*this);
    returnLent();
    try {
        if (!closeSent_ && stream_) startClose(static_cast<uint16_t>(code), code == CloseCode::normal ? "" : "internal error");
    } catch (const std::bad_alloc&) {
        ready_.reset();
        if (!gone_) return abort();  // which may be the end of us
    }
    if (eventsDue()) return loop_.defer(*this);
    dropStreamWhenUnused();
    deleteWhenUnused();
}

bool WebSocketCore::deleteWhenUnused() {
    if (stream_ || handles_ > 0 || writers_ > 0 || eventsDue()) return false;
    delete this;
    return true;
}

// ── Control frames ──

void WebSocketCore::handleControl(const Incoming& frame) {
    const std::string_view payload(frame.payload.data(), frame.payload.size());
    if (frame.opcode == WebSocketOpcode::close) return handleClose(payload);
    if (frame.opcode == WebSocketOpcode::pong) return handlePong(payload);
    if (pong_) pong_->assign(payload);
    else pong_ = std::make_unique<std::string>(payload);
    noteControl(Callback::ping, payload);
}

// Of several pings that arrived together the last is answered (RFC 6455 §5.5.3), and none before the peer reads again.
void WebSocketCore::answerPing() {
    if (!stream_ || closeSent_) return;
    if (stream_->isAboveHighWater()) return answerPingLater();
    queueControl(WebSocketOpcode::pong, *std::exchange(pong_, nullptr));
}

void WebSocketCore::answerPingLater() {
    if (pongFiberRuns_) return;
    loop_.spawn([this] {
        try {
            const bool isRoom = waitForRoom();
            pongFiberRuns_ = false;
            if (isRoom && pong_) answerPing();
        } catch (const Disconnected&) {
            // The pump has noticed, or will.
        } catch (const Cancelled&) {
        }
        endWriting();
    });
    pongFiberRuns_ = true;  // it starts when we are done here
    ++writers_;
}

// A pong answers the ping whose bytes it carries, and all before it; others are a sign of life and nothing else.
void WebSocketCore::handlePong(std::string_view payload) {
    if (heartbeats_ > 0 && payload == heartbeatMessage()) {
        --heartbeats_;
        return;
    }
    if (!extra_) return;
    auto& pings = extra_->pings;
    const auto answered = std::find_if(pings.begin(), pings.end(), [&](const auto& ping) { return ping.payload == payload; });
    if (answered == pings.end()) return;
    heartbeats_ = 0;
    const bool own = answered->own;
    extra_->lastAnswered = answered->number;
    pings.erase(pings.begin(), answered + 1);
    if (pings.empty()) pings = {};
    wakeWaiters();
    if (own) noteControl(Callback::pong, payload);
}

void WebSocketCore::handleClose(std::string_view payload) {
    const auto close = readClose(payload);
    if (close.error) return fail(*close.error, "malformed close frame");
    closeReceived_ = true;
    peerCode_ = close.reason.code;
    if (!close.reason.text.empty()) extra().peerReason = close.reason.text;
    if (!closeSent_) {
        closeSent_ = true;
        queueControl(WebSocketOpcode::close, writeClose(peerCode_, {}));
    }
    finishLine();
}

// The peer broke a rule: it is told so, and the line is closed without waiting for its answer (RFC 6455 §7.1.7).
void WebSocketCore::fail(CloseCode code, const char* reason) {
    failed_ = true;
    peerCode_ = static_cast<uint16_t>(code);
    extra().peerReason = reason;
    if (!closeSent_) {
        closeSent_ = true;
        queueControl(WebSocketOpcode::close, writeClose(peerCode_, reason));
    }
    finishLine();
}

// ── The end ──

void WebSocketCore::startClose(uint16_t code, std::string_view reason) {
    if (closeSent_ || !stream_) return;
    closeSent_ = true;
    queueControl(WebSocketOpcode::close, writeClose(code, reason));
    stream_->releaseWriters();
    timer_.set(loop_.in(terms_->closeTimeout).at());
    forgetMessage();
    wakeWaiters();
}

void WebSocketCore::close(uint16_t code, std::string_view reason) {
    startClose(code, reason);
    if (isEnded()) return;
    const auto patience = loop_.in(terms_->closeTimeout);
    while (!isEnded()) {
        pump();
        if (isEnded()) break;
        const auto wake = changed_.wait(patience);
        if (wake == Wake::cancelled) throw Cancelled();
        if (wake == Wake::timedOut) break;
    }
}

void WebSocketCore::abort() {
    if (!stream_) return;
    stream_->breakOff(ECONNABORTED);
    failed_ = true;
    lineGone();
}

// The last frame is queued. The server ends its side first and reads on, so that a reset does not eat that frame; a client
// waits for that (RFC 6455 §7.1.1), unless it has nothing to expect from its peer any more.
void WebSocketCore::finishLine() {
    finishing_ = true;
    timer_.set(loop_.in(terms_->closeTimeout).at());
    if (!isClient_ || failed_) stream_->finishSending();
    stream_->releaseWriters();
    wakeWaiters();
}

void WebSocketCore::lineGone() {
    if (!stream_ || std::exchange(gone_, true)) return;
    timer_.clear();
    stream_->stopReceive();
    if (stream_->queuedBytes() > 0) stream_->breakOff(ECONNABORTED);
    finishing_ = true;
    failed_ = failed_ || !closeReceived_;
    wakeWaiters();
    dropStreamWhenUnused();
    deleteWhenUnused();
}

// Closes the line once it is over and no fiber is inside one of its calls.
void WebSocketCore::dropStreamWhenUnused() {
    if (!stream_ || writers_ > 0 || !finishing_ || eventsDue()) return;
    const bool bothEnded = stream_->ended() && stream_->isSendingFinished();
    const bool over = gone_ || stream_->broken() || bothEnded || !timer_.isSet();
    if (!over || stream_->isReceiving()) return;
    ready_.reset();  // its bytes go with the stream
    returnLent();
    stream_.reset();
    assembler_ = Assembler(Assembler::Role::server, {});
    deflate_.reset();
    timer_.remove();
    Drainable::unlink();
}

void WebSocketCore::timePassed() {
    try {
        if (!closeSent_ && !finishing_) return beat();
    } catch (const std::bad_alloc&) {
        return abort();
    }
    // What was sent before the close is still on its way: as long as the peer takes it, it gets it (the stream's own
    // time-out ends the wait for one that does not).
    const bool ends = finishing_ && (!isClient_ || failed_);
    if (stream_->queuedBytes() > 0 || (ends && !stream_->isSendingFinished())) return timer_.set(loop_.in(terms_->closeTimeout).at());
    lineGone();
}

void WebSocketCore::armHeartbeat() {
    if (closeSent_ || !stream_) return;
    auto next = TimePoint::max();
    const auto interval = pingInterval();
    if (interval > Duration::zero())
        next = std::min(lastPing_ + interval, stream_->lastReceived() + interval + terms_->pingGrace);
    if (extra_ && extra_->demand) next = std::min(next, extra_->demand->until);
    if (next == TimePoint::max()) timer_.clear();
    else timer_.set(next);
}

Duration WebSocketCore::pingInterval() const {
    return extra_ && extra_->heartbeat ? extra_->heartbeat->interval : terms_->pingInterval;
}

const std::string& WebSocketCore::heartbeatMessage() const {
    return extra_ && extra_->heartbeat ? extra_->heartbeat->message : terms_->pingMessage;
}

void WebSocketCore::sendHeartbeat() { sendPing(heartbeatMessage(), false); }

// The line may lead nowhere: some gateways answer 101 but pass nothing on. A client answers a ping.
void WebSocketCore::demandSignOfLife(Duration within, std::string why) {
    if (!isOpen() || !stream_->unread().empty()) return;
    extra().demand = std::make_unique<Demand>(Demand{loop_.now(), loop_.in(within).at(), std::move(why)});
    sendHeartbeat();
    armHeartbeat();
}

// True: nothing was heard in time, and the line is gone.
bool WebSocketCore::demandFailed() {
    if (!extra_ || !extra_->demand) return false;
    const bool heard = stream_->lastReceived() > extra_->demand->since || stream_->canReceive();
    if (!heard && loop_.now() < extra_->demand->until) return false;
    const auto demand = std::move(extra_->demand);
    if (heard) return false;
    loop_.log(LogLevel::error, "cut a WebSocket: nothing came from the client after the 101; " + demand->why);
    extra_->peerReason = "no sign of life";
    abort();
    return true;
}

void WebSocketCore::beat() {
    if (stream_->broken()) return;  // what arrived before can be received; then the end is told
    if (demandFailed()) return;
    const auto interval = pingInterval();
    if (interval == Duration::zero()) return armHeartbeat();
    const auto now = loop_.now();
    // Bytes that wait in the kernel while the handler is busy are a sign of life too.
    const bool silent = now - stream_->lastReceived() >= interval + terms_->pingGrace;
    if (silent && (stream_->isReceiving() || !stream_->canReceive())) {
        extra().peerReason = "no sign of life";
        stream_->breakOff(ETIMEDOUT);
        if (ready_) return;
        failed_ = true;
        return lineGone();
    }
    if (now >= lastPing_ + interval) {
        lastPing_ = now;
        if (deflate_ && !std::exchange(sentSinceBeat_, false)) deflate_->rest();
        if (!stream_->isAboveHighWater()) sendHeartbeat();
    }
    if (silent) timer_.set(now + interval);
    else armHeartbeat();
    loop_.defer(*this);
}

void WebSocketCore::setHeartbeat(Duration interval, std::string message) {
    extra().heartbeat = Heartbeat{interval, std::move(message)};
    lastPing_ = loop_.now();
    armHeartbeat();
}

void WebSocketCore::drainNow(How how) {
    if (how == How::finish) return startClose(static_cast<uint16_t>(CloseCode::goingAway), "going away");
    Fiber* const teller = teller_;  // as long as it runs, we stay
    abort();
    if (teller) teller->cancel();
}

std::shared_ptr<SenderLink> WebSocketCore::link() {
    auto& link = extra().link;
    if (!link) {
        link = std::make_shared<SenderLink>();
        link->gate = terms_->gate;
        link->core = this;
    }
    return link;
}

}
