#include "postern/gateway/WebServerGateway.h"

#include "postern/gateway/WebServerConnection.h"

namespace postern {

namespace {

bool isLocal(const std::string& address) {
    static const std::vector<AddressRange> ranges{*AddressRange::parse("127.0.0.0/8"), *AddressRange::parse("::1")};
    return anyContains(ranges, address);
}

}

WebServerGateway::WebServerGateway(Loop& loop, int listenFd, CgiProtocol protocol, const WebServerSettings& settings,
                                   const ExchangeHandler& handler)
    : Drainable([](Drainable& self, How) {
          // Whoever connected before now is still served; after that there is nothing for the loop to wait for.
          auto& gateway = static_cast<WebServerGateway&>(self);
          gateway.listener_->finish();
          gateway.Drainable::unlink();
      }),
      loop_(loop),
      protocol_(protocol),
      settings_(settings),
      limits_{settings.variableBytes, settings.maxConnections == 0 ? 65535 : settings.maxConnections},
      handler_(handler),
      linger_(loop, settings.lingerTimeout) {
    if (protocol == CgiProtocol::fastCgi) checkFastCgiLibrary();
    if (listenFd < 0) return;
    listener_ = std::make_unique<Listener>(
        loop, listenFd, [this](int fd, const sockaddr_storage& peer) { accepted(fd, peer); });
    count_->listener = listener_.get();
    loop.add(*this);
}

WebServerGateway::~WebServerGateway() {
    count_->listener = nullptr;
    endWork();
    while (!connections_.empty()) connections_.front().gone();
}

void WebServerGateway::start() {
    if (listener_) listener_->start();
}

void WebServerGateway::accepted(int fd, const sockaddr_storage& peer) {
    auto socket = Socket::take(loop_, fd, true);
    auto endpoint = readEndpoint(peer);
    if (!mayConnect(endpoint)) {
        loop_.log(LogLevel::warning, "refused a " + std::string(nameOf(protocol_)) + " connection from " + endpoint.address +
                                         ": only web servers named by --allow-gateway may connect");
        return;
    }
    serve(std::move(socket), std::move(endpoint));
    if (settings_.maxConnections != 0 && count_->open >= settings_.maxConnections) listener_->pause();
}

bool WebServerGateway::mayConnect(const Endpoint& peer) const {
    if (peer.address.empty()) return true;
    if (settings_.only) return anyContains(*settings_.only, peer.address);
    return isLocal(peer.address) || anyContains(settings_.allowed, peer.address);
}

void WebServerGateway::serve(std::unique_ptr<ByteStream> stream, Endpoint peer) {
    stream->setLimits({StreamLimits().highWater, settings_.cgi.sendTimeout});
    ++count_->open;
    stream->hold(*count_);
    auto* connection = new WebServerConnection(*this, std::move(stream), std::move(peer));
    connections_.pushBack(*connection);
    connection->awaitRequest();
}

// Nothing outlives its owner: handlers that still run are cancelled and waited for.
void WebServerGateway::endWork() {
    if (!loop_.runningFiber()) return loop_.endFibers();
    const Fiber::Shield shield;
    List<WebServerConnection, ConnectionTag> busy;
    for (connections_.moveAllTo(busy); !busy.empty();) {
        auto& connection = busy.front();
        const bool waits = connection.state_ == WebServerConnection::State::awaiting;
        connection.cancelWork();
        if (!waits) loop_.park(loop_.in(std::chrono::milliseconds(1)));
    }
}

}
