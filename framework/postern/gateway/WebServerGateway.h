#pragma once
// The way in from a web server that speaks FastCGI (FastCGI Specification 1.0), SCGI or uwsgi to its programs.

#include "postern/gateway/CgiExchange.h"
#include "postern/gateway/ConnectionCount.h"
#include "postern/gateway/HeadPool.h"
#include "postern/io/Linger.h"
#include "postern/io/Listener.h"
#include "postern/protocol/FastCgiGuard.h"
#include "postern/protocol/Forwarded.h"

#include <memory>
#include <optional>
#include <vector>

namespace postern {

struct WebServerSettings {
    CgiSettings cgi;
    size_t variableBytes = 256 * 1024;                  ///< of one request's variables, see CgiVariableBudget; more is a 431
    Duration headTimeout = std::chrono::seconds(10);    ///< from the first byte of the variables to their last
    Duration idleTimeout = std::chrono::seconds(75);    ///< without a request, then the connection is closed
    Duration lingerTimeout = std::chrono::seconds(2);   ///< to let the web server read our last words before the close
    Duration drainGrace = std::chrono::milliseconds(250);  ///< an idle connection waits that long for a last request
    size_t maxConnections = 0;                          ///< of this listener, WebSockets included; 0: no limit
    std::vector<AddressRange> allowed;                  ///< who may connect beside local sockets and loopback: they can
                                                        ///< say of every request whatever they like
    std::optional<std::vector<AddressRange>> only;      ///< nobody else by TCP, not even loopback (FCGI_WEB_SERVER_ADDRS)
};

class WebServerConnection;

class WebServerGateway final : public Gateway, private Drainable {
public:
    /// `protocol` is any but cgi. `listenFd` -1: connections come through serve() only. Settings and handler outlive the
    /// gateway. Throws std::runtime_error if FastCGI is asked for and libfcgi does not work (checkFastCgiLibrary()).
    WebServerGateway(Loop& loop, int listenFd, CgiProtocol protocol, const WebServerSettings& settings,
                     const ExchangeHandler& handler);
    ~WebServerGateway() override;

    void start() override;
    /// Speaks the protocol on this stream until it ends.
    void serve(std::unique_ptr<ByteStream> stream, Endpoint peer);

private:
    friend class WebServerConnection;
    struct ConnectionTag;

    void accepted(int fd, const sockaddr_storage& peer);
    bool mayConnect(const Endpoint& peer) const;
    void endWork();

    Loop& loop_;
    const CgiProtocol protocol_;
    const WebServerSettings& settings_;
    const FastCgiLimits limits_;
    const ExchangeHandler& handler_;
    std::unique_ptr<Listener> listener_;
    ConnectionCount::OfGateway count_{new ConnectionCount};  // streams may outlive us
    Linger linger_;
    HeadPool heads_;
    List<WebServerConnection, ConnectionTag> connections_;
};

}
