#include "support/TestGateway.h"

#include "postern/io/Listener.h"

namespace postern {

TestGateway::TestGateway(CgiProtocol protocol, Handler handler, WebServerSettings settings)
    : protocol_(protocol),
      handler_(std::move(handler)),
      settings_(std::move(settings)),
      handle_([this](Exchange& exchange) { serveExchange(exchange, handling_, handler_); }) {
    const int fd = ListenSocket::tcp("127.0.0.1", 0, false);
    port_ = ListenSocket::portOf(fd);
    thread_ = std::thread([this, fd] { work(fd); });
    gate_ = running_.get_future().get();
}

TestGateway::~TestGateway() {
    gate_->post([] { Loop::current().stop(); });
    thread_.join();
}

void TestGateway::work(int fd) {
    LoopOptions options;
    options.log = log_.function();
    Loop loop(options);
    WebServerGateway gateway(loop, fd, protocol_, settings_, handle_);
    gateway.start();
    running_.set_value(loop.gate());
    loop.run();
    loop.endFibers();
}

}
