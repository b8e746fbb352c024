#include "support/WebServerPipe.h"

#include "postern/cgi/Cgi.h"
#include "postern/io/Pipe.h"

namespace postern {

namespace {

constexpr int turnsToSettle = 6;
constexpr int turnsToEnd = 64;

// Says what it was asked, or echoes messages.
void answer(Cgi& cgi) {
    if (cgi.websocketRequested()) {
        auto websocket = cgi.acceptWebsocket();
        while (auto message = websocket.recv()) websocket.send(message.data());
        return;
    }
    cgi.setGzip(false);
    if (cgi.pathInfo() == "/deaf") return cgi.write("nobody read the body\n", true);
    const std::string said = std::string(cgi.requestMethod()) + ' ' + std::string(cgi.pathInfo()) + ' ' + cgi.postBody() + '\n';
    cgi.write(said, cgi.pathInfo() != "/parts");
}

}

WebServerAnswer answerTo(CgiProtocol protocol, std::string_view bytes, size_t pieceSize) {
    WebServerAnswer result;
    LoopOptions options;
    options.log = [&](LogLevel, std::string_view line) { result.log.append(line).append("\n"); };
    Loop loop(options);
    WebServerSettings settings;
    settings.cgi.websocket = WebsocketOver::yes;
    const HandlerSettings handling;
    const ExchangeHandler handler = [&](Exchange& exchange) { serveExchange(exchange, handling, answer); };
    WebServerGateway gateway(loop, -1, protocol, settings, handler);
    auto ends = Pipe::make(loop, 1 << 20);
    auto& near = ends.first;
    gateway.serve(std::move(ends.second), {});

    const auto turn = [&](int times) {
        for (int i = 0; i < times; ++i) {
            loop.turn(TimePoint::min());
            while (!near->ended() && !near->broken() && !near->isReceiving() && near->startReceive(noReceiver, nullptr)) continue;
            const auto arrived = near->unreadText();
            result.bytes += arrived;
            near->consume(arrived.size());
        }
    };
    for (; !bytes.empty(); bytes.remove_prefix(std::min(pieceSize, bytes.size()))) {
        near->queue({bytes.substr(0, pieceSize)});
        turn(pieceSize < 64 ? 2 : turnsToSettle);
    }
    turn(turnsToSettle);
    result.ended = near->ended();
    near->finishSending();
    turn(turnsToEnd);
    near->stopReceive();
    return result;
}

std::string fastCgiRecord(int type, int id, std::string_view content, size_t padding) {
    std::string record{1, static_cast<char>(type), static_cast<char>(id >> 8), static_cast<char>(id),
                       static_cast<char>(content.size() >> 8), static_cast<char>(content.size()), static_cast<char>(padding), 0};
    return record.append(content).append(padding, '\x5a');
}

std::string fastCgiPair(std::string_view name, std::string_view value) {
    std::string pair;
    for (const auto size : {name.size(), value.size()}) {
        if (size < 128) {
            pair += static_cast<char>(size);
            continue;
        }
        for (int shift = 24; shift >= 0; shift -= 8) pair += static_cast<char>(size >> shift | (shift == 24 ? 0x80 : 0));
    }
    return pair.append(name).append(value);
}

}
