// How a WebSocket over FastCGI ends: the last frame, the end of the request and the end of the connection, in that order.
#include "support/Catch.h"
#include "support/WebServerPipe.h"

#include "postern/cgi/Cgi.h"
#include "postern/io/Pipe.h"
#include "postern/protocol/FastCgiGuard.h"

using namespace postern;

namespace {

void echo(Cgi& cgi) {
    auto websocket = cgi.acceptWebsocket();
    while (auto message = websocket.recv()) websocket.send(message.textData());
}

std::string upgradeRequest() {
    std::string variables;
    for (const auto& [name, value] : {std::pair{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/"}, {"SERVER_PROTOCOL", "HTTP/1.1"},
                                      {"HTTP_UPGRADE", "websocket"}, {"HTTP_CONNECTION", "Upgrade"},
                                      {"HTTP_SEC_WEBSOCKET_VERSION", "13"},
                                      {"HTTP_SEC_WEBSOCKET_KEY", "dGhlIHNhbXBsZSBub25jZQ=="}})
        variables += fastCgiPair(name, value);
    return fastCgiRecord(1, 1, std::string_view("\0\1\0\0\0\0\0\0", 8)) + fastCgiRecord(4, 1, variables) + fastCgiRecord(4, 1, {});
}

// What the gateway sends to a web server that says all this, and ends, before anything is answered. Over a pipe that
// holds `pipeSize` bytes and is emptied once a turn, `turns` times.
struct Reply {
    std::string bytes;
    bool broken = false;
};
Reply replyTo(std::string_view bytes, size_t pipeSize = 1 << 20) {
    Loop loop;
    WebServerSettings settings;
    settings.cgi.websocket = WebsocketOver::yes;
    const HandlerSettings handling;
    const ExchangeHandler handler = [&](Exchange& exchange) { serveExchange(exchange, handling, echo); };
    WebServerGateway gateway(loop, -1, CgiProtocol::fastCgi, settings, handler);
    auto [near, far] = Pipe::make(loop, pipeSize);
    near->queue({bytes});
    near->finishSending();
    gateway.serve(std::move(far), {});
    Reply reply;
    for (int turn = 0; turn < 200 && !near->ended() && !near->broken(); ++turn) {
        loop.turn(TimePoint::min());
        while (!near->ended() && !near->broken() && !near->isReceiving() && near->startReceive(noReceiver, nullptr)) continue;
        const auto arrived = near->unreadText();
        reply.bytes += arrived;
        near->consume(arrived.size());
    }
    near->stopReceive();
    reply.broken = near->broken() || !near->ended();
    return reply;
}

const std::string hello("\x81\x82\0\0\0\0hi", 8), goodbye("\x88\x82\0\0\0\0\x03\xe8", 8);
const std::string answered = std::string("\x81\x02hi\x88\x02\x03\xe8", 8);

std::string lastWords() { return fastCgiOutputHeader(1, 0) + fastCgiEndRequest(1, 0); }

}

TEST_CASE("a client that closes and ends in one go gets its answers, the end of the request, and no reset", "[gateway][fastcgi]") {
    const auto frames = fastCgiRecord(5, 1, hello + goodbye);
    for (const auto& end : {std::string(), fastCgiRecord(5, 1, {})}) {
        INFO("STDIN ended by " << (end.empty() ? "the connection" : "a record"));
        const auto reply = replyTo(upgradeRequest() + frames + end);
        CHECK_FALSE(reply.broken);
        CHECK(reply.bytes.find(answered) != std::string::npos);
        CHECK(reply.bytes.ends_with(lastWords()));
    }
}

TEST_CASE("the end of a FastCGI WebSocket waits for a web server that takes a few bytes at a time", "[gateway][fastcgi]") {
    const auto reply = replyTo(upgradeRequest() + fastCgiRecord(5, 1, hello + goodbye) + fastCgiRecord(5, 1, {}), 16);
    CHECK_FALSE(reply.broken);
    CHECK(reply.bytes.ends_with(lastWords()));
}
