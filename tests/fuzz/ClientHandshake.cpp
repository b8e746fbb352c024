// The first byte chooses what the client asks for, the second how the rest is cut; the rest is what the server answers,
// "Sec-WebSocket-Accept: KEY" in it being replaced by what fits the client's key.
#include "postern/client/ConnectWebSocket.h"
#include "postern/protocol/Handshake.h"
#include "postern/protocol/WebSocketUrl.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/io/Pipe.h"
#include "support/Require.h"

#include <algorithm>

using namespace postern;

namespace {

ClientOptions optionsOf(uint8_t choice) {
    ClientOptions options;
    if (choice & 1) options.socket.protocols = {"chat", "talk"};
    if (choice & 2) options.socket.requireProtocol = (choice & 1) != 0;
    if (choice & 4) options.socket.deflate.emplace();
    if (choice & 8) {
        auto& deflate = options.socket.deflate.emplace();
        deflate.contextTakeover = deflate.peerContextTakeover = true;
    }
    options.maxHead = 1024;
    options.timeout = std::chrono::hours(1);
    return options;
}

std::string withAccept(std::string_view answer, std::string_view key) {
    constexpr std::string_view line = "\r\nSec-WebSocket-Accept: KEY\r\n";
    std::string text(answer);
    if (const auto at = text.find(line); at != std::string::npos) text.replace(at + line.size() - 5, 3, acceptKey(key));
    return text;
}

// What comes of it: the socket's protocol and how it ended, or the error.
std::string outcome(const ClientOptions& options, std::string_view answer, size_t pieceSize) {
    std::string said;
    LoopOptions quiet;
    quiet.log = [](LogLevel, std::string_view) {};
    run(
        [&] {
            auto [near, far] = Pipe::make(Loop::current());
            FiberGroup group;
            group.spawn([&answer, pieceSize, server = std::move(far)]() mutable {
                try {
                    while (server->unreadText().find("\r\n\r\n") == std::string_view::npos && server->receive()) {}
                    const auto request = server->unreadText();
                    const auto at = request.find("Sec-WebSocket-Key: ");
                    require(at != std::string_view::npos, "a request has a key");
                    const auto text = withAccept(answer, request.substr(at + 19, 24));
                    for (std::string_view rest = text; !rest.empty(); rest.remove_prefix(std::min(rest.size(), pieceSize))) {
                        server->write(rest.substr(0, pieceSize));
                        server->flush();
                    }
                    server->finishSending();
                    while (server->receive()) server->consume(server->unread().size());
                } catch (const Disconnected&) {
                }
            });
            try {
                auto socket = connectWebSocketOver(std::move(near), "ws://server.example/", options);
                require(socket.protocol().empty() || (!options.socket.protocols.empty() && (socket.protocol() == "chat" || socket.protocol() == "talk")),
                        "a subprotocol is one that was asked for");
                require(!options.socket.requireProtocol || !socket.protocol().empty(), "a subprotocol is there if it must be");
                require(!socket.compresses() || options.socket.deflate, "compression is there only if it was asked for");
                said = "socket " + std::string(socket.protocol()) + (socket.compresses() ? " deflate" : "");
                while (const auto message = socket.recv()) said += " " + std::to_string(message.data().size());
                said += " " + std::to_string(socket.closeCode());
            } catch (const HandshakeError& error) {
                require(error.body().size() <= 4096, "an error's body is bounded");
                said = std::string("refused: ") + error.what();
            } catch (const Disconnected& error) {
                said = "broken";
            }
            group.cancel();
        },
        quiet, std::chrono::milliseconds(0));
    return said;
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2 || size > 2048) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);
    const auto url = parseWebSocketUrl(bytes.substr(0, bytes.find('\n')));
    if (const auto* good = std::get_if<WebSocketUrl>(&url)) {
        require(!good->host.empty() && good->port != 0 && good->target.starts_with('/'), "a good URL says where it leads");
        require(good->socketPath.empty() || good->socketPath.starts_with('/'), "a socket has a whole path");
    }
    const auto options = optionsOf(data[0]);
    const auto whole = outcome(options, bytes, SIZE_MAX);
    require(!whole.empty(), "every answer has an outcome");
    require(outcome(options, bytes, size_t{1} + data[1] % 97) == whole, "the same, however the answer arrives");
    return 0;
}
