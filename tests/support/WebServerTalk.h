#pragma once
// A gateway for FastCGI, SCGI or uwsgi in memory that tests talk to step by step. Time stands still unless they let it pass.

#include "postern/cgi/Cgi.h"
#include "postern/gateway/WebServerGateway.h"
#include "postern/io/Pipe.h"
#include "support/WebServerWire.h"

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

class WebServerTalk {
public:
    WebServerTalk(CgiProtocol protocol, Handler handler, WebServerSettings settings = {}, HandlerSettings handling = {});
    ~WebServerTalk();
    WebServerTalk(const WebServerTalk&) = delete;
    WebServerTalk& operator=(const WebServerTalk&) = delete;

    /// The web server's end of one connection. It reads everything at once unless told to stall.
    class Line {
    public:
        void send(std::string_view bytes);       ///< and waits until nothing moves
        void finishSending();
        void drop();                             ///< goes away without a word
        void stall(bool stalls = true) { stalled_ = stalls; }
        bool ended() const;                      ///< the gateway ended it, or cut it
        std::string received;                    ///< and not taken
        WireReply reply() { return takeWireReply(talk_.protocol_, received); }

    private:
        friend class WebServerTalk;
        explicit Line(WebServerTalk& talk) : talk_(talk) {}
        bool receive();

        WebServerTalk& talk_;
        std::unique_ptr<Pipe> end_;
        bool stalled_ = false;
        size_t queued_ = 0;
    };

    /// `capacity`: bytes that may be on the way in each direction.
    Line& connect(size_t capacity = 1 << 20);
    /// connect(), send() and reply().
    WireReply ask(std::string_view bytes);
    void settle();
    void pass(Duration time);
    void destroyGateway() { gateway_.reset(); }
    Loop& loop() { return *loop_; }
    /// Log lines that contain this; "": all.
    size_t logged(std::string_view part) const;
    const std::vector<std::string>& log() const { return log_; }
    CgiProtocol protocol() const { return protocol_; }

private:
    class Kernel;

    const CgiProtocol protocol_;
    const Handler handler_;
    const WebServerSettings settings_;
    const HandlerSettings handling_;
    const ExchangeHandler handle_;
    std::vector<std::string> log_;
    Kernel* kernel_ = nullptr;
    std::unique_ptr<Loop> loop_;
    std::unique_ptr<WebServerGateway> gateway_;
    std::vector<std::unique_ptr<Line>> lines_;
};

}
