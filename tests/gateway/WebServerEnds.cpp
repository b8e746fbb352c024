// What becomes of requests when the gateway goes before its loop.
#include "support/Catch.h"
#include "support/WebServerPipe.h"

#include "postern/cgi/Cgi.h"
#include "postern/fiber/Run.h"
#include "postern/fiber/Sync.h"
#include "postern/io/Pipe.h"

using namespace postern;

namespace {

std::string request() {
    std::string variables;
    for (const auto& [name, value] : {std::pair{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/"}, {"SERVER_PROTOCOL", "HTTP/1.1"}})
        variables += fastCgiPair(name, value);
    return fastCgiRecord(1, 1, std::string_view("\0\1\1\0\0\0\0\0", 8)) + fastCgiRecord(4, 1, variables) +
           fastCgiRecord(4, 1, {}) + fastCgiRecord(5, 1, {});
}

}

TEST_CASE("a gateway that goes while a pipelined request is about to be served serves it no more", "[gateway][fastcgi]") {
    int served = 0;
    run([&] {
        auto& loop = Loop::current();
        const WebServerSettings settings;
        const HandlerSettings handling;
        Event begun;
        const ExchangeHandler handler = [&](Exchange& exchange) {
            serveExchange(exchange, handling, [](Cgi& cgi) { cgi.write("x", true); });
            ++served;
            begun.set();
        };
        auto [near, far] = Pipe::make(loop, 1 << 20);
        near->queue({request() + request() + request()});
        {
            WebServerGateway gateway(loop, -1, CgiProtocol::fastCgi, settings, handler);
            gateway.serve(std::move(far), {});
            begun.wait();
        }
        Event behind;  // whatever was ready before
        loop.spawn([&] { behind.set(); });
        behind.wait();
    });
    CHECK(served == 1);
}
