#include "support/Catch.h"
#include "support/Conversation.h"
#include "support/WebSocketClient.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/io/Pipe.h"

#include <random>

using namespace postern;
using namespace std::chrono_literals;

namespace {

using Random = std::mt19937;

size_t below(Random& random, size_t limit) { return std::uniform_int_distribution<size_t>(0, limit - 1)(random); }

std::string randomText(Random& random) {
    constexpr std::string_view pieces[] = {"a", "hello ", "\xc3\xa4", "\xe2\x82\xac", "\xf0\x9f\x98\x80", "0123456789"};
    std::string text;
    for (size_t i = below(random, below(random, 8) == 0 ? 4000 : 30); i > 0; --i) text += pieces[below(random, std::size(pieces))];
    return text;
}

// Mostly good frames, a close at the end, and sometimes something wrong.
std::string randomTalk(Random& random) {
    std::string bytes;
    bool open = false;
    for (size_t frames = 1 + below(random, 20); frames > 0; --frames) {
        const auto kind = below(random, 24);
        const auto text = randomText(random);
        if (kind < 5) {
            bytes += ClientBytes{kind < 3 ? 9 : 10, std::string_view(text).substr(0, below(random, 126))}.bytes();
        } else if (kind < 23) {
            const bool fin = below(random, 3) != 0;
            bytes += ClientBytes{open ? 0 : kind % 2 ? 1 : 2, text, fin}.bytes();
            open = !fin;
        } else if (below(random, 3) == 0) {
            bytes += ClientBytes{static_cast<int>(below(random, 16)), text, below(random, 2) == 0, below(random, 4) != 0,
                                 static_cast<int>(below(random, 8) ? 0 : below(random, 8))}
                         .bytes();
        }
    }
    return bytes + ClientBytes{8, closePayload(1000, "end of talk")}.bytes();
}

// What the handler is to receive: the data messages of the model, then the close.
std::string dataOf(const Conversation& model) {
    std::string said;
    std::string_view rest = model.said;
    while (!rest.empty()) {
        const auto event = rest.substr(0, rest.find("; "));
        rest.remove_prefix(std::min(rest.size(), event.size() + 2));
        if (event.starts_with("ping") || event.starts_with("pong")) continue;
        if (event.starts_with("close")) return said + "close 1000 end of talk";
        if (event.starts_with("10")) return said + "close " + std::string(event.substr(0, 4));
        said.append(event).append("; ");
    }
    return said + "close 1006";
}

std::string heardBy(WebSocket& socket, Random& random) {
    std::string heard;
    for (;;) {
        switch (below(random, 4)) {
        case 0: yield(); break;
        case 1: socket.waitForNextMessageWouldBlock(); break;
        case 2: socket.isMessageBuffered(); break;
        default: break;
        }
        const auto message = socket.recv();
        heard += describe(message).substr(0, message.isClose() && message.closeCode() != 1000 ? 10 : std::string::npos);
        if (!message) return heard;
        heard += "; ";
    }
}

}

TEST_CASE("random conversations in random pieces are heard as a slow model reads them", "[websocket]") {
    WebSocketOptions options;
    options.maxMessage = 5000;
    options.maxFragments = 6;
    for (unsigned seed = 0; seed < 300; ++seed) {
        INFO("seed " << seed);
        Random random(seed);
        const auto talk = randomTalk(random);
        const auto expected = dataOf(slowConversation(Role::server, {options.maxMessage, options.maxFragments}, talk));
        run([&] {
            auto [near, far] = Pipe::make(Loop::current(), 1 + below(random, 10'000));
            auto socket = WebSocket::overStream(std::move(near), options);
            FiberGroup fibers;
            fibers.spawn([&, end = far.get()] {
                Random cuts(seed + 1000);
                try {
                    for (std::string_view rest = talk; !rest.empty();) {
                        const auto piece = rest.substr(0, 1 + below(cuts, below(cuts, 2) ? 7 : 3000));
                        end->write(piece);
                        end->flush();
                        rest.remove_prefix(piece.size());
                        if (below(cuts, 3) == 0) yield();
                    }
                } catch (const Disconnected&) {
                    // Refused already.
                }
            });
            fibers.spawn([&, end = far.get()] {
                try {
                    while (end->receive()) end->consume(end->unread().size());
                } catch (const Disconnected&) {
                }
            });
            CHECK(heardBy(socket, random) == expected);
        });
    }
}
