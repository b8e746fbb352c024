#include "postern/websocket/WebSocketCore.h"

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <new>

namespace postern {

WebSocketCore::WebSocketCore(std::unique_ptr<ByteStream> stream, const WebSocketOptions& options, Established established)
    : Drainable([](Drainable& self, How how) { static_cast<WebSocketCore&>(self).drainNow(how); }),
      Deferred([](Deferred& self) { static_cast<WebSocketCore&>(self).settle(); }),
      loop_(stream->loop()),
      gate_(loop_.gate()),
      stream_(std::move(stream)),
      isClient_(established.isClient),
      deflate_(established.deflate ? std::make_unique<PerMessageDeflate>(*established.deflate,
                                                                        options.deflate.value_or(DeflateOptions()), !isClient_,
                                                                        loop_.local<DeflatePool>())
                                   : nullptr),
      assembler_(isClient_ ? Assembler::Role::client : Assembler::Role::server,
                 {options.maxMessage ? options.maxMessage : defaultMaxMessage,
                  options.maxFragments ? options.maxFragments : defaultMaxFragments},
                 deflate_.get()),
      timer_(loop_.timers(), [](Timer& timer) { static_cast<WebSocketCore*>(timer.owner())->timePassed(); }, this),
      pingInterval_(options.pingInterval),
      pingGrace_(options.pingGrace),
      closeTimeout_(options.closeTimeout),
      pingMessage_(options.pingMessage),
      lastPing_(loop_.now()),
      request_(std::move(established.request)),
      protocol_(std::move(established.protocol)),
      fragmentSize_(options.fragmentSize),
      overflow_(options.overflow),
      overflowCode_(options.overflowCode),
      maxQueued_(options.maxQueued) {
    stream_->setLimits({options.highWater, options.sendTimeout});
    loop_.add(*this);
    armHeartbeat();
    loop_.defer(*this);  // pings are answered and a close is heard though nobody calls recv()
    if (loop_.isDraining()) startClose(static_cast<uint16_t>(CloseCode::goingAway), {});
}

WebSocketCore::~WebSocketCore() {
    returnLent();
    if (!link_) return;
    const std::lock_guard lock(link_->mutex);
    link_->gate = nullptr;
    link_->core = nullptr;
}

void WebSocketCore::release(CloseCode code) {
    if (Loop::currentOrNull() != &loop_) {
        if (gate_->post([this, code] { release(code); })) return;
        events_.reset();  // the loop is gone: there is no stream either, and nobody to tell
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
    pong_.assign(payload);
    pingWaits_ = true;
    noteControl(true, payload);
}

// Of several pings that arrived together the last is answered (RFC 6455 §5.5.3), and none before the peer reads again.
void WebSocketCore::answerPing() {
    if (!stream_ || closeSent_) return;
    if (stream_->isAboveHighWater()) return answerPingLater();
    pingWaits_ = false;
    queueControl(WebSocketOpcode::pong, pong_);
}

void WebSocketCore::answerPingLater() {
    if (pongFiberRuns_) return;
    loop_.spawn([this] {
        try {
            const bool isRoom = waitForRoom();
            pongFiberRuns_ = false;
            if (isRoom && pingWaits_) answerPing();
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
    const auto answered = std::find_if(pings_.begin(), pings_.end(), [&](const auto& ping) { return ping.payload == payload; });
    if (answered == pings_.end()) return;
    const bool own = answered->own;
    lastAnswered_ = answered->number;
    pings_.erase(pings_.begin(), answered + 1);
    if (pings_.empty()) pings_ = {};
    if (!own) return;
    wakeWaiters();
    noteControl(false, payload);
}

void WebSocketCore::handleClose(std::string_view payload) {
    const auto close = readClose(payload);
    if (close.error) return fail(*close.error, "malformed close frame");
    closeReceived_ = true;
    peerCode_ = close.reason.code;
    peerReason_ = close.reason.text;
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
    peerReason_ = reason;
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
    timer_.set(loop_.in(closeTimeout_).at());
    forgetMessage();
    wakeWaiters();
}

void WebSocketCore::close(uint16_t code, std::string_view reason) {
    startClose(code, reason);
    if (isEnded()) return;
    const auto patience = loop_.in(closeTimeout_);
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
    timer_.set(loop_.in(closeTimeout_).at());
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
    if (stream_->queuedBytes() > 0 || (ends && !stream_->isSendingFinished())) return timer_.set(loop_.in(closeTimeout_).at());
    lineGone();
}

void WebSocketCore::armHeartbeat() {
    if (closeSent_ || !stream_) return;
    auto next = TimePoint::max();
    if (pingInterval_ > Duration::zero())
        next = std::min(lastPing_ + pingInterval_, stream_->lastReceived() + pingInterval_ + pingGrace_);
    if (demand_) next = std::min(next, demand_->until);
    if (next == TimePoint::max()) timer_.clear();
    else timer_.set(next);
}

// The line may lead nowhere: some gateways answer 101 but pass nothing on. A client answers a ping.
void WebSocketCore::demandSignOfLife(Duration within, std::string why) {
    if (!isOpen() || !stream_->unread().empty()) return;
    demand_ = std::make_unique<Demand>(Demand{loop_.now(), loop_.in(within).at(), std::move(why)});
    sendPing(pingMessage_, false);
    armHeartbeat();
}

// True: nothing was heard in time, and the line is gone.
bool WebSocketCore::demandFailed() {
    if (!demand_) return false;
    const bool heard = stream_->lastReceived() > demand_->since || stream_->canReceive();
    if (!heard && loop_.now() < demand_->until) return false;
    const auto demand = std::move(demand_);
    if (heard) return false;
    loop_.log(LogLevel::error, "cut a WebSocket: nothing came from the client after the 101; " + demand->why);
    peerReason_ = "no sign of life";
    abort();
    return true;
}

void WebSocketCore::beat() {
    if (demandFailed()) return;
    if (pingInterval_ == Duration::zero()) return armHeartbeat();
    const auto now = loop_.now();
    // Bytes that wait in the kernel while the handler is busy are a sign of life too.
    const bool silent = now - stream_->lastReceived() >= pingInterval_ + pingGrace_;
    if (silent && (stream_->isReceiving() || !stream_->canReceive())) {
        stream_->breakOff(ETIMEDOUT);
        failed_ = true;
        peerReason_ = "no sign of life";
        return lineGone();
    }
    if (now >= lastPing_ + pingInterval_) {
        lastPing_ = now;
        if (deflate_ && !std::exchange(sentSinceBeat_, false)) deflate_->rest();
        if (!stream_->isAboveHighWater()) sendPing(pingMessage_, false);
    }
    if (silent) timer_.set(now + pingInterval_);
    else armHeartbeat();
    loop_.defer(*this);
}

void WebSocketCore::setHeartbeat(Duration interval, std::string message) {
    pingInterval_ = interval;
    pingMessage_ = std::move(message);
    lastPing_ = loop_.now();
    armHeartbeat();
}

void WebSocketCore::drainNow(How how) {
    if (how == How::finish) return startClose(static_cast<uint16_t>(CloseCode::goingAway), "going away");
    Fiber* const teller = events_ ? events_->fiber : nullptr;  // as long as it runs, we stay
    abort();
    if (teller) teller->cancel();
}

std::shared_ptr<SenderLink> WebSocketCore::link() {
    if (!link_) {
        link_ = std::make_shared<SenderLink>();
        link_->gate = gate_;
        link_->core = this;
    }
    return link_;
}

}
