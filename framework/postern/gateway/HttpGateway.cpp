#include "postern/gateway/HttpGateway.h"

#include "postern/gateway/HttpConnection.h"
#include "postern/protocol/HttpHead.h"

namespace postern {

HttpGateway::HttpGateway(Loop& loop, int listenFd, const HttpSettings& settings, const ExchangeHandler& handler)
    : Drainable([](Drainable& self, How how) { static_cast<HttpGateway&>(self).drainNow(how); }),
      loop_(loop),
      settings_(settings),
      handler_(handler),
      count_(new ConnectionCount),
      linger_(loop, settings.lingerTimeout) {
    if (listenFd < 0) return;
    port_ = ListenSocket::portOf(listenFd);
    listener_ = std::make_unique<Listener>(
        loop, listenFd, [this](int fd, const sockaddr_storage& peer) { accepted(fd, peer); });
    count_->listener = listener_.get();
    loop.add(*this);
}

HttpGateway::~HttpGateway() {
    count_->listener = nullptr;
    endWork();
    while (!connections_.empty()) remove(connections_.front());
}

void HttpGateway::start() {
    if (listener_) listener_->start();
}

void HttpGateway::accepted(int fd, const sockaddr_storage& peer) {
    serve(Socket::take(loop_, fd), readEndpoint(peer), port_);
    if (settings_.maxConnections == 0 || count_->open < settings_.maxConnections || loop_.isDraining()) return;
    // At the limit whoever has been idle longest makes room for who has come; when all are busy, the next ones wait.
    // One at a time, or the newcomers would drive each other out before their requests are read.
    const bool othersAreIdle = idle_.hasSeveral();
    if (othersAreIdle && count_->open > settings_.maxConnections) remove(idle_.front());
    listener_->pause();
    if (othersAreIdle) listener_->resume();
}

void HttpGateway::serve(std::unique_ptr<ByteStream> stream, Endpoint peer, uint16_t port) {
    stream->setLimits({StreamLimits().highWater, settings_.sendTimeout});
    auto* connection = new HttpConnection(*this, std::move(stream), std::move(peer), port);
    connections_.pushBack(static_cast<ListNode<ConnectionTag>&>(*connection));
    joinDrain();
    ++count_->open;
    connection->awaitRequest();
}

// Nothing outlives its owner: handlers that still run are cancelled and waited for.
void HttpGateway::endWork() {
    if (!loop_.runningFiber()) return loop_.endFibers();
    const Fiber::Shield shield;
    List<HttpConnection, ConnectionTag> busy;
    for (connections_.moveAllTo(busy); !busy.empty();) {
        auto& connection = busy.front();
        if (connection.state_ == HttpConnection::State::serving) {
            connection.cancelWork();
            loop_.park(loop_.in(std::chrono::milliseconds(1)));
        } else {
            remove(connection);
        }
    }
}

void HttpGateway::remove(HttpConnection& connection) {
    delete &connection;
    if (finishing_ && connections_.empty()) Drainable::unlink();
}

// Whoever connected before now is still served; after that there is nothing for the loop to wait for.
void HttpGateway::drainNow(How how) {
    finishing_ = true;
    if (listener_) listener_->finish();
    List<HttpConnection, ConnectionTag> all;
    connections_.moveAllTo(all);
    while (!all.empty()) {
        auto& connection = all.popFront();
        connections_.pushBack(static_cast<ListNode<ConnectionTag>&>(connection));
        connection.drainNow(how);
    }
    if (connections_.empty()) Drainable::unlink();
    else joinDrain();
}

void HttpGateway::joinDrain() {
    if (!Drainable::isLinked()) loop_.add(*this);
}

std::string_view HttpGateway::writeStatusAndDate(int status, std::string_view reason) {
    const bool isStandard = reason.empty();
    replyStatus_ = 0;
    replyStart_.assign("HTTP/1.1 ").append(std::to_string(status)).append(1, ' ');
    replyStart_.append(isStandard ? reasonPhrase(status) : reason).append("\r\nDate: ").append(date()).append("\r\n");
    if (isStandard) replyStatus_ = status;
    return replyStart_;
}

std::string_view HttpGateway::date() {
    if (loop_.now() >= dateGoodUntil_) {
        const auto wall = std::chrono::system_clock::now();
        const auto second = std::chrono::floor<std::chrono::seconds>(wall);
        date_ = writeHttpDate(second);
        dateGoodUntil_ = loop_.now() + std::chrono::duration_cast<Duration>(second + std::chrono::seconds(1) - wall);
    }
    return {date_.data(), date_.size()};
}

}
