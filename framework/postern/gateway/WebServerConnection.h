#pragma once
// One connection from a web server. The variables of a request are read on the loop; once they are complete a fiber
// serves it. SCGI and uwsgi end with one request, FastCGI may go on.
//
//     awaiting ──variables complete──▶ serving ──FastCGI, kept──▶ awaiting
//        │ time-out, violation            │ end    └─upgrade─▶ the stream goes to the WebSocket; gone when the fiber ends
//        └────────▶ Linger ◀──────────────┘

#include "postern/gateway/FastCgiRequest.h"
#include "postern/gateway/WebServerGateway.h"

namespace postern {

class WebServerConnection final : private Drainable, public ListNode<WebServerGateway::ConnectionTag> {
public:
    WebServerConnection(WebServerGateway& gateway, std::unique_ptr<ByteStream> wire, Endpoint peer);

    void awaitRequest();

private:
    friend class WebServerGateway;
    enum class State : uint8_t { awaiting, serving };
    enum class HeadResult { incomplete, complete, over };

    bool isFastCgi() const { return gateway_.protocol_ == CgiProtocol::fastCgi; }
    void readRequest();
    HeadResult readFastCgi();
    HeadResult readPacket();
    Outcome<size_t> packetSize() const;
    std::optional<Violation> readVariables();
    bool isAtRest() const;
    void armTimer();
    HeadResult refuse(const Violation& violation);
    void serve();
    bool serveRequest();
    void callHandler(CgiExchange& exchange);
    bool isSaid(const CgiExchange& exchange, ByteStream* stream) const;
    bool endFastCgi(std::unique_ptr<ByteStream> stream);
    bool discardInput();
    void deadlinePassed();
    void drainNow(How how);
    void cancelWork();
    void end();
    void gone() { delete this; }
    std::string describePeer() const;

    WebServerGateway& gateway_;
    std::unique_ptr<ByteStream> wire_;   // none after an upgrade
    Endpoint peer_;
    State state_ = State::awaiting;
    bool idle_ = false;                  // timer_ waits for a request, not for the rest of one
    std::shared_ptr<FastCgiRequest> request_;  // FastCGI only
    std::string packet_;                 // SCGI, uwsgi: what came of the variables
    FieldViews variables_;               // of packet_
    Fiber* fiber_ = nullptr;
    CgiExchange* exchange_ = nullptr;    // while the handler has it
    bool cut_ = false;                   // no request is served any more
    Timer timer_;
};

}
