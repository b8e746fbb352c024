#pragma once
// HTTP/1.1 and 1.0 (RFC 9112) over any byte stream: the built-in server.

#include "postern/gateway/ConnectionCount.h"
#include "postern/gateway/Gateway.h"
#include "postern/gateway/HeadPool.h"
#include "postern/io/Linger.h"
#include "postern/io/Listener.h"
#include "postern/io/TlsContext.h"
#include "postern/protocol/Forwarded.h"
#include "postern/protocol/HttpDate.h"

#include <memory>
#include <string>
#include <vector>

namespace postern {

struct HttpSettings {
    RequestLimits limits;
    Duration headTimeout = std::chrono::seconds(10);    ///< from the first byte of a head to its last, then 408
    Duration idleTimeout = std::chrono::seconds(75);    ///< without a request, then the connection is closed
    Duration sendTimeout = std::chrono::seconds(30);    ///< without the client taking a byte, then it is cut
    Duration lingerTimeout = std::chrono::seconds(2);   ///< to let the client read our last reply before the close
    Duration drainGrace = std::chrono::milliseconds(250);  ///< an idle connection waits that long for a last request
    size_t maxConnections = 0;                          ///< on this loop, WebSockets included; 0: no limit
    std::string scheme = "http";
    std::shared_ptr<const TlsSource> tls;               ///< none: connections are not encrypted
    Duration tlsHandshakeTimeout = std::chrono::seconds(10);  ///< from the first byte it may have to its end, then the line is cut
    std::vector<AddressRange> trustedProxies;           ///< peers whose Forwarded and X-Forwarded-* fields count
    bool proxyProtocol = false;                         ///< those peers begin with a header of protocol/ProxyProtocol.h
    std::string mount;                                  ///< path prefix the program is served under; becomes SCRIPT_NAME
    bool websocket = true;                              ///< false: requests for one are refused
    AccessFunction access;                              ///< none: no access log
};

class HttpConnection;
struct IdleTag;

/// It takes part in the loop's drain for its connections: none of them has a place in the loop's list of its own.
class HttpGateway final : public Gateway, private Drainable {
public:
    /// `listenFd` -1: connections come through serve() only. Settings and handler outlive the gateway.
    HttpGateway(Loop& loop, int listenFd, const HttpSettings& settings, const ExchangeHandler& handler);
    ~HttpGateway() override;

    void start() override;
    /// Speaks HTTP on this stream until it ends. `port` is the one the client called.
    void serve(std::unique_ptr<ByteStream> stream, Endpoint peer, uint16_t port);

private:
    friend class HttpConnection;
    friend class HttpExchange;

    struct ConnectionTag;

    void endWork();
    void drainNow(How how);
    void joinDrain();
    void accepted(int fd, const sockaddr_storage& peer);
    void remove(HttpConnection& connection);
    std::string_view date();
    /// Most replies begin as the one before.
    std::string_view statusAndDate(int status, std::string_view reason) {
        const bool isSame = reason.empty() && status == replyStatus_ && loop_.now() < dateGoodUntil_;
        return isSame ? replyStart_ : writeStatusAndDate(status, reason);
    }
    std::string_view writeStatusAndDate(int status, std::string_view reason);

    Loop& loop_;
    bool finishing_ = false;               // the loop is to wait for no others than these connections
    const HttpSettings& settings_;
    const ExchangeHandler& handler_;
    std::unique_ptr<Listener> listener_;
    uint16_t port_ = 0;
    ConnectionCount::OfGateway count_;     // upgraded streams may outlive us
    Linger linger_;
    List<HttpConnection, ConnectionTag> connections_;
    List<HttpConnection, IdleTag> idle_;   // the one that waits longest first
    HeadPool heads_;
    std::string replyStart_;               // status line and Date as they were sent last
    int replyStatus_ = 0;                  // of it; 0: nothing it could be used for again
    std::array<char, httpDateSize> date_{};
    TimePoint dateGoodUntil_{};
};

}
