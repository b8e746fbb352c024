// Postern's own client.

#include "Peer.h"

#include "postern/client/ConnectWebSocket.h"
#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"

using namespace postern;
using namespace interop;

namespace {

constexpr auto patience = std::chrono::seconds(60);

ClientOptions optionsFor(const std::string& mode, const Script& script) {
    ClientOptions options;
    options.timeout = patience;
    options.socket.maxMessage = 20 * mebi;
    options.socket.maxFragments = 64 * 1024;
    options.socket.closeTimeout = patience;
    constexpr size_t fragmentSizes[] = {0, 1000, 16 * 1024};
    options.socket.fragmentSize = fragmentSizes[script.bytes() > mebi ? 0 : script.steps.size() % 3];
    if (mode == "off") return options;
    auto& deflate = options.socket.deflate.emplace();
    deflate.contextTakeover = deflate.peerContextTakeover = mode != "on";
    deflate.threshold = 16;
    if (mode == "window") deflate.windowBits = 11, deflate.peerWindowBits = 10;
    return options;
}

void say(WebSocket& socket, const Step& step) {
    if (step.kind == Kind::ping) return socket.ping(step.data);
    if (step.cuts.empty()) return step.kind == Kind::text ? socket.send(step.data) : socket.send(asBytes(step.data));
    auto writer = socket.sendStream(step.kind == Kind::text ? WebSocketOpcode::text : WebSocketOpcode::binary);
    const auto fragments = step.fragments();
    for (const auto fragment : fragments) {
        writer.write(fragment);
        if (fragment.data() != fragments.back().data()) writer.flush();
    }
    writer.finish();
}

void hear(WebSocket& socket, const Step& step, Told& told) {
    if (step.kind == Kind::ping) return;
    const auto message = socket.recv(patience);
    if (!message) throw std::runtime_error("closed with " + std::to_string(socket.closeCode()) + ' ' + std::string(socket.closeReason()));
    told.heard(step, message.isText(), asText(message.data()));
}

void converse(const std::string& mode, const std::string& url, const Script& script, Told& told) {
    auto socket = connectWebSocket(url, optionsFor(mode, script));
    told.extension = socket.compresses() ? "permessage-deflate" : "-";
    std::vector<std::string> pongs;
    socket.onpong([&](std::string_view payload) { pongs.emplace_back(payload); });
    if (script.pipelined) {
        FiberGroup speaker;
        speaker.spawn([&] {
            for (const auto& step : script.steps) say(socket, step);
        });
        for (const auto& step : script.steps) hear(socket, step, told);
        speaker.wait();
    } else {
        for (const auto& step : script.steps) {
            say(socket, step);
            hear(socket, step, told);
        }
    }
    told.heardPongs(script, pongs, false);
    const uint16_t code = script.code ? script.code : 1000;
    socket.close(code, script.reason);
    told.heardClose(code, socket.closeCode());
    if (!socket.wasClean()) told.differs("not closed cleanly");
}

}

int main(int count, char** arguments) {
    Peer peer;
    peer.version = POSTERN_VERSION;
    peer.converse = [](const std::string& mode, const Address& address, const Script& script, Told& told) {
        postern::run([&] { converse(mode, "ws://" + address.host + ':' + address.port + address.path, script, told); });
    };
    return interop::run(peer, count, arguments);
}
