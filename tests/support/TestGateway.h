#pragma once
// A gateway for FastCGI, SCGI or uwsgi in a thread of the test program, on a port of loopback.

#include "support/TestServer.h"

#include "postern/gateway/WebServerGateway.h"

#include <future>
#include <memory>
#include <thread>

namespace postern {

class TestGateway {
public:
    TestGateway(CgiProtocol protocol, Handler handler, WebServerSettings settings = {});
    ~TestGateway();
    TestGateway(const TestGateway&) = delete;
    TestGateway& operator=(const TestGateway&) = delete;

    uint16_t port() const { return port_; }
    LogLines& log() { return log_; }

private:
    void work(int fd);

    const CgiProtocol protocol_;
    const Handler handler_;
    const WebServerSettings settings_;
    const HandlerSettings handling_;
    const ExchangeHandler handle_;
    uint16_t port_ = 0;
    LogLines log_;
    std::promise<std::shared_ptr<LoopGate>> running_;
    std::shared_ptr<LoopGate> gate_;
    std::thread thread_;
};

}
