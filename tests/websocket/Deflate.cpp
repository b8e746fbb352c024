#include "support/AllocatedBytes.h"
#include "support/Catch.h"
#include "support/OwnTime.h"
#include "support/RawDeflate.h"
#include "support/SocketPair.h"
#include "support/WebSocketClient.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"

#include <random>

using namespace postern;

namespace {

std::string frame(int opcode, std::string_view payload, bool fin = true, bool compressed = true) {
    return ClientBytes{opcode, payload, fin, true, compressed ? 4 : 0}.bytes();
}

// What an echo with that agreement says to bytes of a client.
std::string echoed(std::string_view bytes, const WebSocketOptions& options = deflating(), DeflateAgreement agreement = {}) {
    std::string said;
    run([&] {
        auto [near, far] = Pipe::make(Loop::current(), 1 << 20);
        Established established;
        established.deflate = agreement;
        auto socket = WebSocket::overStream(std::move(near), options, established);
        FiberGroup group;
        group.spawn([&] {
            while (const auto message = socket.recv()) said += (said.empty() ? "" : "; ") + describe(message);
            said += (said.empty() ? "" : "; ") + std::to_string(socket.closeCode());
        });
        far->write(bytes);
        far->flush();
        group.wait(Loop::current().in(std::chrono::seconds(5)));
    });
    return said;
}

const std::string bye = ClientBytes{8, closePayload(1000)}.bytes();

}

TEST_CASE("both ends agree on permessage-deflate, and compressed messages look like others", "[websocket][deflate]") {
    WebSocketServer server(
        [](WebSocket& socket, WebSocketServer& here) {
            HANDLER_CHECK(here, socket.compresses());
            echo(socket, here);
        },
        deflating());
    WebSocketClient client(server, "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n");
    client.expectCompression();
    RawDeflater deflater;
    RawInflater inflater;
    for (int i = 0; i < 10; ++i) {
        const std::string text = "a message, a message, a message " + std::to_string(i);
        client.send(frame(1, deflater.message(text)));
        const auto answer = client.read();
        REQUIRE(answer);
        CHECK(answer->payload.size() < text.size());
        CHECK(inflater.message(answer->payload) == text);
    }
    client.send(frame(1, "plain", true, false));
    CHECK(client.read());
}

TEST_CASE("compressed and plain messages mix, in fragments, with control frames between", "[websocket][deflate]") {
    RawDeflater deflater;
    const auto text = deflater.message("one two three");
    CHECK(echoed(frame(1, text) + bye) == "text one two three; 1000");
    RawDeflater second;
    const auto split = second.message("one two three");
    CHECK(echoed(frame(1, split.substr(0, 3), false) + ClientBytes{9, "p"}.bytes() + frame(0, split.substr(3, 2), false, false) +
                 frame(0, split.substr(5), true, false) + frame(2, "plain", true, false) + bye) ==
          "text one two three; binary plain; 1000");
    CHECK(echoed(frame(1, std::string("\0", 1)) + bye) == "text; 1000");
    CHECK(echoed(frame(1, "", false) + frame(0, std::string("\0", 1), true, false) + bye) == "text; 1000");
}

TEST_CASE("RSV1 stands on the first frame of a message only, and only if it was agreed on", "[websocket][deflate]") {
    CHECK(echoed(frame(1, rawDeflated("x"), false) + frame(0, "")) == "1002");
    CHECK(echoed(ClientBytes{9, "", true, true, 4}.bytes()) == "1002");
    CHECK(echoed(ClientBytes{8, "", true, true, 4}.bytes()) == "1002");
    CHECK(echoed(ClientBytes{1, "x", true, true, 6}.bytes()) == "1002");
    CHECK(echoed(frame(1, "not deflate")) == "1007");
    CHECK(echoed(frame(1, "")) == "1007");
    CHECK(echoed(frame(1, rawDeflated("\xff\xfe"))) == "1007");
}

TEST_CASE("the limit of a message holds for what was compressed in it, to the byte", "[websocket][deflate]") {
    auto options = deflating();
    options.maxMessage = 1000;
    const std::string exact(1000, 'x'), over(1001, 'x');
    CHECK(echoed(frame(1, rawDeflated(exact)) + bye, options) == "text " + exact + "; 1000");
    CHECK(echoed(frame(1, rawDeflated(over)), options) == "1009");
    const auto fragments = rawDeflated(over);
    CHECK(echoed(frame(1, fragments.substr(0, 2), false) + frame(0, fragments.substr(2), true, false), options) == "1009");
    // What cannot be compressed is longer than what it stands for.
    CHECK(echoed(frame(1, rawDeflated(exact, 15, RawDeflater::Codes::stored)) + bye, options) == "text " + exact + "; 1000");
    CHECK(echoed(frame(1, std::string(1206, 'x')), options) == "1009");
    CHECK(echoed(frame(1, std::string(1205, 'x')), options) == "1007");
    // The fixed codes of the bytes from 144 on have nine bits.
    std::string nineBits;
    std::minstd_rand random;
    const auto following = [&] { return static_cast<char>(0x90 + random() % 0x30); };
    for (int i = 0; i < 250; ++i) nineBits.append({'\xf1', following(), following(), following()});
    const auto fixed = rawDeflated(nineBits, 15, RawDeflater::Codes::fixed);
    REQUIRE(fixed.size() > 1000);
    CHECK(echoed(frame(1, fixed) + bye, options) == "text " + nineBits + "; 1000");
    // Each byte flushed is longer than the byte.
    RawDeflater bytewise;
    std::string flushed;
    for (int i = 0; i < 999; ++i) flushed += frame(i ? 0 : 1, bytewise.flush("x"), false, i == 0);
    CHECK(echoed(flushed + frame(0, bytewise.message("x"), true, false) + bye, options) == "text " + exact + "; 1000");
}

TEST_CASE("a bomb of ten thousand times its size costs twice the limit at most", "[websocket][deflate]") {
    auto options = deflating();
    options.maxMessage = 1 << 20;
    // Ten blocks of a megabyte for each kilobyte, over and over: 10 MiB that stand for 10 GiB.
    const auto part = [] {
        RawDeflater deflater;
        return deflater.flush(std::string(16 << 20, '\0'));
    }();
    std::string bomb;
    while (bomb.size() < (10u << 20)) bomb += part;
    bomb = bomb.substr(0, 10 << 20);
    run([&] {
        auto [near, far] = Pipe::make(Loop::current());
        Established established;
        established.deflate.emplace();
        WebSocketOptions generous = options;
        auto socket = WebSocket::overStream(std::move(near), generous, established);
        FiberGroup group;
        const auto fragment = frame(2, bomb.substr(0, 1 << 20), false) + frame(0, bomb.substr(1 << 20, 1 << 20), false, false);
        const auto before = allocatedBytes();
        group.spawn([&] {
            try {
                far->write(fragment);
            } catch (const Disconnected&) {
            }
        });
        size_t peak = 0;
        group.spawn([&] {
            while (socket.isOpen()) {
                peak = std::max(peak, allocatedBytes());
                yield();
            }
        });
        CHECK(socket.recv().closeCode() == 1009);
        CHECK(peak <= before + (2u << 20));
        far->breakOff(ECONNABORTED);
        group.cancel();
    });
}

TEST_CASE("a compressor that keeps its context goes when nothing was sent between two heartbeats", "[websocket][deflate]") {
    runInOwnTime([] {
        auto options = deflating(0, true);
        options.pingInterval = std::chrono::seconds(10);
        SocketPair pair(options, options, DeflateAgreement());
        const std::string text(1000, 'x');
        pair.server.send(text);
        CHECK(pair.client.receiveText() == text);
        const auto busy = allocatedBytes();
        sleepFor(std::chrono::seconds(5));
        CHECK(allocatedBytes() + 64 * 1024 > busy);
        sleepFor(std::chrono::seconds(20));
        CHECK(allocatedBytes() + 64 * 1024 < busy);
        pair.server.send(text);
        CHECK(pair.client.receiveText() == text);
    });
}

TEST_CASE("short messages are sent as they are, and each message may say otherwise", "[websocket][deflate]") {
    run([] {
        auto [near, far] = Pipe::make(Loop::current(), 1 << 20);
        Established established;
        established.deflate.emplace();
        auto socket = WebSocket::overStream(std::move(near), deflating(100), established);
        const auto sent = [&, &line = *far] {
            settle();
            line.receive();
            std::string bits;
            while (!line.unread().empty()) {
                const auto header = std::get<FrameHeader>(readFrameHeader(line.unreadText()));
                bits += header.rsv1 ? '*' : '-';
                line.consume(header.size() + static_cast<size_t>(header.payloadLength));
            }
            return bits;
        };
        const std::string below(99, 'a'), at(100, 'a');
        socket.send(below);
        socket.send(at);
        socket.send(asBytes(below));
        socket.send(asBytes(at));
        CHECK(sent() == "-*-*");
        socket.send(at, false);
        socket.send(below, true);
        socket.send(asBytes(at), false);
        socket.send("tiny", true);
        socket.send(7);
        CHECK(sent() == "-*---");
        CHECK(socket.trySend(at));
        CHECK(socket.sender().send(at));
        CHECK(sent() == "**");
    });
}

TEST_CASE("what does not get smaller is sent as it is, where no context is kept", "[websocket][deflate]") {
    std::mt19937 random(7);
    std::string noise(5000, ' ');
    for (auto& c : noise) c = static_cast<char>(random());
    for (const bool takeover : {false, true}) {
        run([&] {
            const DeflateAgreement agreement{!takeover, !takeover, 15, 15};
            SocketPair pair(deflating(0, takeover), deflating(0, takeover), agreement);
            for (int i = 0; i < 3; ++i) {
                pair.server.send(asBytes(noise));
                pair.server.send("text text text text text");
                CHECK(asText(pair.client.recv().data()) == noise);
                CHECK(pair.client.recv().textData() == "text text text text text");
            }
        });
    }
}

TEST_CASE("what an idle socket with compression costs is little where nothing is kept", "[websocket][deflate]") {
    run([] {
        constexpr size_t count = 50;
        const auto cost = [](bool takeover) {
            std::vector<std::unique_ptr<SocketPair>> pairs;
            const auto before = allocatedBytes();
            for (size_t i = 0; i < count; ++i) {
                pairs.push_back(std::make_unique<SocketPair>(deflating(0, takeover), deflating(0, takeover),
                                                             DeflateAgreement{!takeover, !takeover, 15, 15}));
                pairs.back()->server.send("some text, some text, some text");
                pairs.back()->client.recv();
            }
            return (allocatedBytes() - before) / count;
        };
        cost(false);  // fills the loop's pool
        const auto shared = cost(false), owned = cost(true);
        CHECK(shared < 8 * 1024);
        CHECK(owned > 100 * 1024);
    });
}

TEST_CASE("random conversations with every agreement lose nothing", "[websocket][deflate]") {
    std::mt19937 random(11);
    const auto below = [&](unsigned limit) { return random() % limit; };
    for (int round = 0; round < 30; ++round) {
        const DeflateAgreement agreement{below(2) == 0, below(2) == 0, 8 + static_cast<int>(below(8)), 8 + static_cast<int>(below(8))};
        auto server = deflating(below(100)), client = deflating(below(100));
        server.fragmentSize = below(3) ? 0 : 1 + below(2000);
        client.fragmentSize = below(3) ? 0 : 1 + below(2000);
        server.deflate->level = 1 + static_cast<int>(below(9));
        server.deflate->memoryLevel = 1 + static_cast<int>(below(9));
        std::vector<std::string> messages;
        for (int i = 0; i < 20; ++i) {
            std::string text;
            for (size_t size = below(4) ? below(300) : below(40'000); text.size() < size;)
                text += below(5) ? "word" + std::to_string(below(50)) : std::string(below(200), static_cast<char>('a' + below(26)));
            messages.push_back(text);
        }
        bool same = true;
        run([&] {
            SocketPair pair(server, client, agreement);
            FiberGroup group;
            group.spawn([&] {
                while (const auto message = pair.server.recv()) pair.server.send(message.textData());
            });
            group.spawn([&] {
                for (const auto& message : messages) pair.client.send(message);
            });
            for (const auto& message : messages) same = same && pair.client.recv().textData() == message;
            pair.client.close();
            group.wait();
        });
        INFO("round " << round);
        CHECK(same);
    }
}
