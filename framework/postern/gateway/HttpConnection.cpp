#include "postern/gateway/HttpConnection.h"

#include "postern/gateway/HttpExchange.h"
#include "postern/io/TlsStream.h"
#include "postern/protocol/CgiEnvironment.h"
#include "postern/protocol/ProxyProtocol.h"

#include <cerrno>
#include <new>

namespace postern {

HttpConnection::HttpConnection(HttpGateway& gateway, std::unique_ptr<ByteStream> stream, Endpoint peer, uint16_t port)
    : gateway_(gateway),
      stream_(std::move(stream)),
      peerAddress_(std::move(peer.address)),
      peerPort_(peer.port),
      port_(port),
      proxyDue_(gateway.settings_.proxyProtocol && anyContains(gateway.settings_.trustedProxies, peerAddress_)),
      tlsDue_(gateway.settings_.tls != nullptr),
      timer_(gateway.loop_.timers(),
             [](Timer& timer) { static_cast<HttpConnection*>(timer.owner())->deadlinePassed(); }, this) {}

HttpConnection::~HttpConnection() {
    if (stream_) gateway_.count_->release();
}

// On the loop or at the end of the fiber: reads a head, waiting without a fiber for bytes that are missing.
void HttpConnection::awaitRequest() {
    try {
        readRequest();
    } catch (const std::bad_alloc&) {
        if (stream_) stream_->breakOff(ENOMEM);
        gone();
    }
}

void HttpConnection::readRequest() {
    static constexpr StreamReceiver receiver{[](void* self) { static_cast<HttpConnection*>(self)->awaitRequest(); },
                                             [](void* self, unsigned ahead) {
                                                 if (ahead > 1) fetch(self, sizeof(HttpConnection));
                                             }};
    state_ = State::awaiting;
    for (;;) {
        switch (readHead()) {
        case HeadResult::complete:
            ListNode<IdleTag>::unlink();
            state_ = State::serving;
            timer_.clear();
            return gateway_.loop_.spawnNext([this] { serve(); });
        case HeadResult::refused:
            return end();
        case HeadResult::incomplete:
            break;
        }
        if (stream_->broken()) return gone();
        if (stream_->ended()) return end();
        const bool idle = !proxyDue_ && scanner_.untouched();
        if (idle && !ListNode<IdleTag>::isLinked()) {
            gateway_.idle_.pushBack(static_cast<ListNode<IdleTag>&>(*this));
            if (gateway_.listener_) gateway_.listener_->resume();  // there is somebody who can make room
            const auto& settings = gateway_.settings_;
            const auto patience = gateway_.loop_.isDraining() ? settings.drainGrace : settings.idleTimeout;
            timer_.set(gateway_.loop_.in(patience).at());
        } else if (!idle && ListNode<IdleTag>::isLinked()) {
            ListNode<IdleTag>::unlink();
            timer_.set(gateway_.loop_.in(gateway_.settings_.headTimeout).at());
        } else if (!idle && !timer_.isSet()) {
            const auto& settings = gateway_.settings_;
            const bool brief = proxyDue_ && gateway_.loop_.isDraining();
            timer_.set(gateway_.loop_.in(brief ? settings.drainGrace : settings.headTimeout).at());
        }
        if (!stream_->startReceive(receiver, this)) return;
    }
}

HttpConnection::HeadResult HttpConnection::readHead() {
    if (proxyDue_)
        if (const auto result = readProxy(); result != HeadResult::complete) return result;
    if (tlsDue_) startTls();
    const auto& limits = gateway_.settings_.limits.head;
    const auto bytes = stream_->unreadText();
    if (bytes.empty()) return HeadResult::incomplete;
    const auto found = scanner_.scan(bytes, limits);
    if (std::holds_alternative<NeedMore>(found)) return HeadResult::incomplete;
    auto violation = std::holds_alternative<Violation>(found) ? std::optional(std::get<Violation>(found)) : std::nullopt;
    if (!violation) {
        const auto size = std::get<size_t>(found);
        scanner_.reset();
        head_ = gateway_.heads_.take();
        violation = parseRequestHead(bytes.substr(0, size), limits, *head_);
        stream_->consume(size);
        if (!violation) violation = completeHead();
    }
    if (!violation) return HeadResult::complete;
    refuse(*violation);
    return HeadResult::refused;
}

// What a trusted proxy says before the first request: from then on the client it names is the peer.
HttpConnection::HeadResult HttpConnection::readProxy() {
    auto found = readProxyHeader(stream_->unreadText());
    if (std::holds_alternative<NeedMore>(found)) return HeadResult::incomplete;
    if (const auto* violation = std::get_if<Violation>(&found)) {
        rejectProxy(violation->reason);
        return HeadResult::refused;
    }
    auto& header = std::get<ProxyHeader>(found);
    stream_->consume(header.size);
    if (!header.local) {
        peerAddress_ = std::move(header.address);
        peerPort_ = header.port;
        port_ = header.serverPort;
    }
    proxyDue_ = false;
    timer_.clear();
    return HeadResult::complete;
}

void HttpConnection::startTls() {
    tlsDue_ = false;
    const auto& settings = gateway_.settings_;
    try {
        stream_ = TlsStream::accept(std::move(stream_), settings.tls->current(), settings.tlsHandshakeTimeout, peerName());
    } catch (const std::bad_alloc&) {
        gateway_.count_->release();  // the stream is gone, and with it what tells ~HttpConnection to
        throw;
    }
}

// Adds what the connection knows: who the client is, and how it came here.
std::optional<Violation> HttpConnection::completeHead() {
    auto& head = *head_;
    head.remoteAddress = peerAddress_;
    head.remotePort = peerPort_;
    head.serverPort = port_;
    head.scheme = gateway_.settings_.scheme;
    const auto& trusted = gateway_.settings_.trustedProxies;
    if (!trusted.empty() && anyContains(trusted, peerAddress_)) {
        const auto client = readForwarded(head.fields, trusted);
        if (!client.address.empty()) {
            head.remoteAddress = client.address;
            head.remotePort = 0;
        }
        if (!client.scheme.empty()) head.scheme = client.scheme;
        if (!client.host.empty()) {
            if (!isValidHost(client.host)) return Violation{400, "invalid host in a forwarded field"};
            head.host = client.host;
        }
    }
    splitMount(gateway_.settings_.mount, head);
    head.serverName = head.host.substr(0, head.host.starts_with('[') ? head.host.find(']') + 1 : head.host.find(':'));
    return {};
}

std::string HttpConnection::peerName() const { return peerAddress_.empty() ? "a local socket" : peerAddress_; }

void HttpConnection::rejectProxy(const char* reason) {
    gateway_.loop_.log(LogLevel::warning, "closed a connection from " + peerName() + ": " + reason +
                                              "; with --proxy-protocol each --trusted-proxy sends a PROXY protocol header "
                                              "first (HAProxy: send-proxy-v2)");
}

void HttpConnection::refuse(const Violation& violation) {
    gateway_.loop_.log(LogLevel::info, "refused a request from " + peerName() + ": " + violation.reason + " (" +
                                           std::to_string(violation.status) + ")");
    closeAfter_ = true;
    const std::string status = std::to_string(violation.status) + ' ' + std::string(reasonPhrase(violation.status));
    const std::string body = status + ": " + violation.reason + "\n";
    stream_->queue({"HTTP/1.1 ", status, "\r\nDate: ", gateway_.date(),
                    "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: ",
                    std::to_string(body.size()), "\r\n\r\n", body});
    head_.reset();
}

void HttpConnection::serve() {
    fiber_ = gateway_.loop_.runningFiber();
    auto next = HeadResult::complete;
    try {
        next = serveAll();
    } catch (const std::bad_alloc&) {
        if (stream_) stream_->breakOff(ENOMEM);
    }
    fiber_ = nullptr;
    if (!stream_ || stream_->broken()) return gone();
    if (closeAfter_ || next == HeadResult::refused) return end();
    awaitRequest();
}

HttpConnection::HeadResult HttpConnection::serveAll() {
    constexpr unsigned share = 64;  // requests of a client that has sent more, before others have their turn
    auto next = HeadResult::complete;
    for (unsigned served = 1; next == HeadResult::complete; ++served) {
        serveOne();
        if (!stream_) break;
        gateway_.heads_.giveBack(std::move(head_));
        if (served % share == 0) letOthersGo();
        if (closeAfter_ || stream_->broken()) break;
        next = readHead();
    }
    return next;
}

void HttpConnection::letOthersGo() {
    try {
        yield();
    } catch (const Cancelled&) {
        stream_->breakOff(ECONNABORTED);
    }
}

void HttpConnection::serveOne() {
    try {
        HttpExchange exchange(*this);
        gateway_.handler_(exchange);
    } catch (const Disconnected&) {
        // The client is gone; so is the reason to go on.
    } catch (const Cancelled&) {
        if (stream_) stream_->breakOff(ECONNABORTED);
    }
}

// The last words are queued: the stream is somebody else's now, and so is its place among the connections.
void HttpConnection::end() {
    if (!stream_->broken()) {
        try {
            stream_->hold(*gateway_.count_);
            gateway_.linger_.close(std::move(stream_));
        } catch (const std::bad_alloc&) {
            // Cut, then.
        }
    }
    gone();
}

void HttpConnection::deadlinePassed() {
    stream_->stopReceive();
    try {
        if (proxyDue_ && !gateway_.loop_.isDraining()) rejectProxy("no PROXY protocol header in time");
        if (!scanner_.untouched()) refuse({408, "request head not complete in time"});
    } catch (const std::bad_alloc&) {
        stream_->breakOff(ENOMEM);
    }
    end();
}

// The next reply says that it is the last; one that has begun without saying so is followed by those asked for already.
void HttpConnection::drainNow(Drainable::How how) {
    if (how == Drainable::How::abort) return cancelWork();
    if (state_ == State::awaiting && scanner_.untouched())
        timer_.set(gateway_.loop_.in(gateway_.settings_.drainGrace).at());
}

void HttpConnection::cancelWork() {
    if (!fiber_) return state_ == State::serving ? void() : gone();
    if (stream_) stream_->breakOff(ECONNABORTED);
    fiber_->cancel();
}

}
