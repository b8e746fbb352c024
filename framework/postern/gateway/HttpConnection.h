#pragma once
// One client of the built-in server, from the first byte to the close.
//
// While it waits for a request it has no fiber: heads are read on the loop, so a slow or idle client costs this object
// and the bytes it sent. A complete head starts a fiber, which serves this request and those pipelined behind it.
//
//     awaiting ──complete head──▶ serving ──keep-alive──▶ awaiting
//        │ time-out, violation       │ close    └─upgrade─▶ the stream goes to the WebSocket; gone when the fiber ends
//        └────────────▶ Linger ◀─────┘

#include "postern/gateway/HttpGateway.h"

namespace postern {

class HttpConnection final : public ListNode<HttpGateway::ConnectionTag>, public ListNode<IdleTag> {
public:
    HttpConnection(HttpGateway& gateway, std::unique_ptr<ByteStream> stream, Endpoint peer, uint16_t port);
    ~HttpConnection();

    void awaitRequest();

private:
    friend class HttpExchange;
    friend class HttpGateway;
    enum class State : uint8_t { awaiting, serving };
    enum class HeadResult { incomplete, complete, refused };

    void readRequest();
    HeadResult readHead();
    HeadResult readProxy();
    void startTls();
    std::optional<Violation> completeHead();
    void refuse(const Violation& violation);
    void rejectProxy(const char* reason);
    std::string peerName() const;
    void serve();
    HeadResult serveAll();
    void serveOne();
    void letOthersGo();
    void end();
    void deadlinePassed();
    void drainNow(Drainable::How how);
    void cancelWork();
    void gone() { gateway_.remove(*this); }

    HttpGateway& gateway_;
    std::unique_ptr<ByteStream> stream_;  // none after an upgrade or the end
    std::string peerAddress_;             // as Endpoint's; in pieces, so that they take 8 bytes less
    uint16_t peerPort_;
    uint16_t port_;
    State state_ = State::awaiting;
    bool closeAfter_ = false;             // no request after this one
    bool proxyDue_;                       // a PROXY protocol header comes before the first request
    bool tlsDue_;                         // and then a TLS handshake
    HeadScanner scanner_;
    std::unique_ptr<RequestHead> head_;   // while serving
    Fiber* fiber_ = nullptr;
    Timer timer_;
};

}
