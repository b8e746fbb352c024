#include "postern/gateway/WebServerConnection.h"

#include "postern/base/Errors.h"
#include "postern/gateway/FastCgiStream.h"
#include "postern/protocol/ScgiHead.h"
#include "postern/protocol/UwsgiPacket.h"

#include <algorithm>
#include <cerrno>
#include <new>

namespace postern {

namespace {

// A body nobody wanted is read to its end if that is cheaper than a new connection.
constexpr size_t worthReading = 256 * 1024;
constexpr Violation late{408, "the variables of a request were not complete in time"};

}

WebServerConnection::WebServerConnection(WebServerGateway& gateway, std::unique_ptr<ByteStream> wire, Endpoint peer)
    : Drainable([](Drainable& self, How how) { static_cast<WebServerConnection&>(self).drainNow(how); }),
      gateway_(gateway),
      wire_(std::move(wire)),
      peer_(std::move(peer)),
      timer_(gateway.loop_.timers(),
             [](Timer& timer) { static_cast<WebServerConnection*>(timer.owner())->deadlinePassed(); }, this) {
    if (isFastCgi()) request_ = std::make_shared<FastCgiRequest>(gateway.limits_);
    gateway_.loop_.add(*this);
}

// On the loop or at the end of the fiber: reads variables, waiting without a fiber for bytes that are missing.
void WebServerConnection::awaitRequest() {
    try {
        readRequest();
    } catch (const std::bad_alloc&) {
        gone();
    }
}

void WebServerConnection::readRequest() {
    static constexpr StreamReceiver receiver{[](void* self) { static_cast<WebServerConnection*>(self)->awaitRequest(); }};
    state_ = State::awaiting;
    for (;;) {
        const auto result = isFastCgi() ? readFastCgi() : readPacket();
        if (result == HeadResult::complete) {
            state_ = State::serving;
            timer_.clear();
            return gateway_.loop_.spawnNext([this] { serve(); });
        }
        if (wire_->broken()) return gone();
        if (result == HeadResult::over || wire_->ended()) return end();
        armTimer();
        if (!wire_->startReceive(receiver, this)) return;
    }
}

WebServerConnection::HeadResult WebServerConnection::readFastCgi() {
    if (wire_->unread().empty()) return HeadResult::incomplete;
    if (const auto violation = request_->take(*wire_)) return refuse(*violation);
    const auto& guard = request_->guard();
    if (guard.aborted()) wire_->queue({fastCgiEndRequest(guard.requestId(), 0)});
    if (guard.aborted() || guard.roleRefused()) return HeadResult::over;
    if (!guard.variablesEnded()) return HeadResult::incomplete;
    return request_->begin() ? HeadResult::complete : refuse({400, "libfcgi refused the variables"});
}

// Memory grows with what came, not with what was announced.
WebServerConnection::HeadResult WebServerConnection::readPacket() {
    const auto take = [this](size_t size) {
        const auto piece = wire_->unreadText().substr(0, size);
        packet_ += piece;
        wire_->consume(piece.size());
    };
    for (;;) {
        const auto size = packetSize();
        if (const auto* violation = std::get_if<Violation>(&size)) return refuse(*violation);
        if (wire_->unread().empty() && !std::holds_alternative<size_t>(size)) return HeadResult::incomplete;
        if (std::holds_alternative<NeedMore>(size)) {
            take(1);
            continue;
        }
        take(std::get<size_t>(size) - packet_.size());
        if (packet_.size() < std::get<size_t>(size)) return HeadResult::incomplete;
        const auto violation = readVariables();
        return violation ? refuse(*violation) : HeadResult::complete;
    }
}

Outcome<size_t> WebServerConnection::packetSize() const {
    const auto limit = gateway_.settings_.variableBytes;
    return gateway_.protocol_ == CgiProtocol::scgi ? scgiHeadSize(packet_, limit) : uwsgiPacketSize(packet_, limit);
}

std::optional<Violation> WebServerConnection::readVariables() {
    const CgiVariableBudget budget(gateway_.settings_.variableBytes);
    return gateway_.protocol_ == CgiProtocol::scgi ? readScgiHead(packet_, budget, variables_)
                                                   : readUwsgiPacket(packet_, budget, variables_);
}

bool WebServerConnection::isAtRest() const {
    return wire_->unread().empty() && (isFastCgi() ? request_->guard().atRest() : packet_.empty());
}

void WebServerConnection::armTimer() {
    const bool idle = isAtRest();
    if (timer_.isSet() && idle == idle_) return;
    idle_ = idle;
    const auto& settings = gateway_.settings_;
    const auto patience = !idle                          ? settings.headTimeout
                          : gateway_.loop_.isDraining() ? settings.drainGrace
                                                         : settings.idleTimeout;
    timer_.set(gateway_.loop_.in(patience).at());
}

// What breaks the protocol ends the connection; what is only too much, or too late, can be said to the client.
WebServerConnection::HeadResult WebServerConnection::refuse(const Violation& violation) {
    gateway_.loop_.log(LogLevel::warning, "cut a " + std::string(nameOf(gateway_.protocol_)) + " connection from " +
                                              describePeer() + ": " + violation.reason);
    if (violation.status == 400) return HeadResult::over;
    const auto reply = CgiExchange::refusal(gateway_.protocol_, violation);
    if (!isFastCgi()) {
        wire_->queue({reply});
    } else if (const auto id = request_->guard().requestId(); id != 0) {
        wire_->queue({fastCgiOutputHeader(id, reply.size()), reply, fastCgiOutputHeader(id, 0), fastCgiEndRequest(id, 0)});
    }
    return HeadResult::over;
}

std::string WebServerConnection::describePeer() const { return peer_.address.empty() ? "a local socket" : peer_.address; }

void WebServerConnection::serve() {
    if (cut_) return gone();
    fiber_ = gateway_.loop_.runningFiber();
    bool again = false;
    try {
        again = serveRequest();
    } catch (const std::bad_alloc&) {
        wire_.reset();
    }
    fiber_ = nullptr;
    if (!wire_ || wire_->broken()) return gone();
    if (again && !cut_) awaitRequest();
    else end();
}

// Everything was read and everything sent, so closing at once resets nothing.
bool WebServerConnection::isSaid(const CgiExchange& exchange, ByteStream* stream) const {
    if (isFastCgi() || !stream || !exchange.isInputRead() || stream->queuedBytes() > 0) return false;
    return stream->unread().empty();
}

// True: the connection waits for another request. Without a wire afterwards, it was upgraded or cut.
bool WebServerConnection::serveRequest() {
    const auto protocol = gateway_.protocol_;
    const auto& settings = gateway_.settings_.cgi;
    std::unique_ptr<ByteStream> stream;
    if (isFastCgi()) stream = std::make_unique<FastCgiStream>(std::move(wire_), request_);
    else stream = std::move(wire_);
    const auto& variables = isFastCgi() ? request_->variables() : variables_;
    struct Borrowed {
        HeadPool& pool;
        std::unique_ptr<RequestHead> head = pool.take();
        ~Borrowed() { pool.giveBack(std::move(head)); }
    } borrowed{gateway_.heads_};
    auto& head = *borrowed.head;
    try {
        if (const auto violation = CgiExchange::readHead(protocol, variables, settings, head)) {
            gateway_.loop_.log(LogLevel::warning, "refused a " + std::string(nameOf(protocol)) + " request: " + violation->reason);
            stream->write(CgiExchange::refusal(protocol, *violation));
            stream->flush();
        } else {
            const auto tunnel = [](ByteStream& handedOver) { static_cast<FastCgiStream&>(handedOver).becomeTunnel(); };
            CgiExchange exchange(protocol, std::move(stream), variables, settings, head,
                                 isFastCgi() ? static_cast<void (*)(ByteStream&)>(tunnel) : nullptr);
            callHandler(exchange);
            stream = exchange.takeStream();
            if (!exchange.isComplete() || isSaid(exchange, stream.get())) return false;
        }
        if (!stream || stream->broken()) return false;
        if (isFastCgi()) return endFastCgi(std::move(stream));
    } catch (const Disconnected&) {
        return false;  // the web server is gone; so is the reason to go on
    } catch (const Cancelled&) {
        return false;
    }
    wire_ = std::move(stream);
    return false;
}

void WebServerConnection::callHandler(CgiExchange& exchange) {
    struct During {
        CgiExchange*& slot;
        ~During() { slot = nullptr; }
    } during{exchange_};
    exchange_ = &exchange;
    gateway_.handler_(exchange);
}

bool WebServerConnection::endFastCgi(std::unique_ptr<ByteStream> stream) {
    wire_ = static_cast<FastCgiStream&>(*stream).endRequest();
    stream.reset();
    if (!request_->guard().keepsConnection() || gateway_.loop_.isDraining() || !discardInput()) return false;
    request_->reset();
    return true;
}

// The next request begins where the input of this one ends.
bool WebServerConnection::discardInput() {
    const auto& settings = gateway_.settings_;
    const auto deadline = gateway_.loop_.in(settings.cgi.limits.bodyTimeout);
    size_t discarded = 0;
    try {
        while (!request_->guard().inputEnded()) {
            const auto before = wire_->unread().size();
            if (request_->take(*wire_) || request_->guard().aborted()) return false;
            const auto taken = before - wire_->unread().size();
            discarded += taken;
            if (discarded > worthReading) return false;
            if (taken == 0 && !wire_->receive(deadline)) return false;
        }
        return true;
    } catch (const std::runtime_error&) {
        return false;  // too slow, or gone
    }
}

void WebServerConnection::end() {
    if (wire_ && !wire_->broken()) {
        try {
            gateway_.linger_.close(std::move(wire_));
        } catch (const std::bad_alloc&) {
            // Cut, then.
        }
    }
    gone();
}

void WebServerConnection::deadlinePassed() {
    wire_->stopReceive();
    try {
        if (!idle_) refuse(late);
    } catch (const std::bad_alloc&) {
        return gone();
    }
    end();
}

void WebServerConnection::drainNow(How how) {
    if (how == How::abort) return cancelWork();
    if (state_ == State::awaiting && idle_) timer_.set(gateway_.loop_.in(gateway_.settings_.drainGrace).at());
}

void WebServerConnection::cancelWork() {
    if (state_ == State::awaiting) return gone();
    cut_ = true;
    if (!fiber_) return;  // it is about to start, and to see that
    if (wire_) wire_->breakOff(ECONNABORTED);
    if (exchange_) exchange_->abandon();  // a large piece of a reply is waited for in spite of the cancel
    fiber_->cancel();
}

}
