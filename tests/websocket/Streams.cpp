#include "support/AllocatedBytes.h"
#include "support/Catch.h"
#include "support/SocketPair.h"
#include "support/WebSocketClient.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"

using namespace postern;
using namespace std::chrono_literals;

namespace {

std::string readAll(MessageReader& reader) {
    std::string all;
    for (auto piece = reader.readSome(); !piece.empty(); piece = reader.readSome()) all += piece;
    return all;
}

// An end of a line that is read frame by frame.
struct Listening {
    explicit Listening(const WebSocketOptions& options = {}, std::optional<DeflateAgreement> deflate = {}) {
        auto [near, other] = Pipe::make(Loop::current(), 1 << 20);
        Established established;
        established.deflate = deflate;
        socket = WebSocket::overStream(std::move(near), options, established);
        far = std::move(other);
    }
    // "text+ 5; continuation 3": kinds and sizes of the frames that were sent.
    std::string frames() {
        settle();
        std::string said;
        if (far->unread().empty() && !far->canReceive()) return said;
        if (far->unread().empty()) far->receive();
        settle();
        while (!far->unread().empty()) {
            const auto read = readFrameHeader(far->unreadText());
            const auto* header = std::get_if<FrameHeader>(&read);
            if (!header) break;
            constexpr const char* names[] = {"continuation", "text", "binary", "", "", "", "", "", "close", "ping", "pong"};
            said += (said.empty() ? "" : "; ") + std::string(names[static_cast<size_t>(header->opcode)]) +
                    (header->rsv1 ? "*" : "") + (header->fin ? " " : "+ ") + std::to_string(header->payloadLength);
            far->consume(header->size() + static_cast<size_t>(header->payloadLength));
        }
        return said;
    }

    WebSocket socket;
    std::unique_ptr<Pipe> far;
};

}

TEST_CASE("a message can be read as a stream, however it was sent", "[websocket][streams]") {
    run([] {
        SocketPair pair;
        pair.client.send("short");
        pair.client.send(asBytes("bytes"));
        pair.client.send("");
        auto reader = pair.server.recvStream();
        CHECK(reader);
        CHECK(reader.isText());
        CHECK_FALSE(reader.atEnd());
        char two[2];
        CHECK(reader.read(two) == 2);
        CHECK(std::string_view(two, 2) == "sh");
        CHECK(readAll(reader) == "ort");
        CHECK(reader.atEnd());
        CHECK(reader.read(two) == 0);
        reader = pair.server.recvStream();
        CHECK(reader.isBinary());
        CHECK(readAll(reader) == "bytes");
        reader = pair.server.recvStream();
        CHECK(reader);
        CHECK(readAll(reader).empty());
        reader = {};
        pair.client.send("as a whole again");
        CHECK(pair.server.recv().textData() == "as a whole again");
        pair.client.close();
        CHECK_FALSE(pair.server.recvStream());
        CHECK_FALSE(pair.server.recvStream());
        CHECK(pair.server.closeCode() == 1000);
    });
}

TEST_CASE("a large message is read in pieces while it comes", "[websocket][streams]") {
    WebSocketOptions options;
    options.maxMessage = 64 << 20;
    for (const bool compressed : {false, true}) {
        run([&] {
            auto sending = compressed ? deflating() : WebSocketOptions();
            sending.fragmentSize = 100'000;
            options.deflate = sending.deflate;
            SocketPair pair(options, sending, compressed ? std::optional(DeflateAgreement()) : std::nullopt);
            const size_t size = 20 << 20;
            FiberGroup group;
            group.spawn([&] {
                std::string part;
                for (int i = 0; part.size() < 50'000; ++i) part += std::to_string(i * 7919);
                auto writer = pair.client.sendStream(WebSocketOpcode::binary);
                for (size_t sent = 0; sent < size; sent += 50'000) writer.write(std::string_view(part).substr(0, 50'000));
                writer.finish();
                pair.client.send("behind it");
            });
            auto reader = pair.server.recvStream();
            size_t read = 0, largest = 0;
            const auto before = allocatedBytes();
            size_t peak = 0;
            for (auto piece = reader.readSome(); !piece.empty(); piece = reader.readSome()) {
                read += piece.size();
                largest = std::max(largest, piece.size());
                peak = std::max(peak, allocatedBytes());
            }
            CHECK(read == (size + 49'999) / 50'000 * 50'000);
            CHECK(largest <= 64 * 1024);
            CHECK(peak <= before + (4 << 20));
            reader = {};
            CHECK(pair.server.recv().textData() == "behind it");
            group.wait();
        });
    }
}

TEST_CASE("a message that nobody reads waits at the sender, but for a piece", "[websocket][streams]") {
    run([] {
        WebSocketOptions options;
        options.maxMessage = 64 << 20;
        SocketPair pair(options);
        FiberGroup group;
        bool sent = false;
        group.spawn([&] {
            auto writer = pair.client.sendStream(WebSocketOpcode::text);
            for (int i = 0; i < 1000; ++i) writer.write(std::string(10'000, 'x'));
            writer.finish();
            sent = true;
        });
        settle();
        sleepFor(5ms);
        CHECK_FALSE(sent);
        CHECK(pair.server.recv().textData().size() == 10'000'000);
        group.wait();
        CHECK(sent);
    });
}

TEST_CASE("the rest of a message can be skipped, or left to the reader's end", "[websocket][streams]") {
    for (const bool explicitly : {true, false}) {
        run([&] {
            SocketPair pair;
            FiberGroup group;
            group.spawn([&] {
                pair.client.send(std::string(900'000, 'x'));
                pair.client.send("next");
            });
            {
                auto reader = pair.server.recvStream();
                CHECK(reader.readSome().size() > 0);
                if (explicitly) reader.skip();
                CHECK(reader.atEnd() == explicitly);
            }
            CHECK(pair.server.recv().textData() == "next");
            pair.client.send("short");
            pair.client.send("last");
            pair.server.recvStream().skip();
            CHECK(pair.server.recv().textData() == "last");
            group.wait();
        });
    }
}

TEST_CASE("limits, UTF-8 and the end of the line hold in a stream too", "[websocket][streams]") {
    const auto failure = [](const WebSocketOptions& options, std::string_view bytes, bool thenCut) {
        std::string seen;
        run([&] {
            auto [near, far] = Pipe::make(Loop::current());
            auto socket = WebSocket::overStream(std::move(near), options);
            far->write(bytes);
            far->flush();
            auto reader = socket.recvStream();
            try {
                if (thenCut) {
                    seen += reader.readSome();
                    far.reset();
                }
                for (auto piece = reader.readSome(); !piece.empty(); piece = reader.readSome()) seen += piece;
                seen += " complete";
            } catch (const WebSocketClosed&) {
                seen += " " + std::to_string(socket.closeCode());
            }
            CHECK(reader.atEnd());
            CHECK(describe(socket.recv()).starts_with("close"));
        });
        return seen;
    };
    WebSocketOptions limited;
    limited.maxMessage = 10;
    const auto half = ClientBytes{1, "12345", false}.bytes();
    CHECK(failure(limited, half + ClientBytes{0, "67890"}.bytes() + ClientBytes{8, closePayload(1000)}.bytes(), false) ==
          "1234567890 complete");
    CHECK(failure(limited, half + ClientBytes{0, "678901"}.bytes(), false) == "12345 1009");
    CHECK(failure({}, ClientBytes{1, "a\xc3", false}.bytes() + ClientBytes{0, "\xa4z"}.bytes() + ClientBytes{8, {}}.bytes(), false) ==
          "a\xc3\xa4z complete");
    CHECK(failure({}, half + ClientBytes{0, "ab\xff", false}.bytes(), false).ends_with(" 1007"));
    CHECK(failure({}, half, true) == "12345 1006");
    CHECK(failure({}, half + ClientBytes{1, "new"}.bytes(), false) == "12345 1002");
    CHECK(failure({}, half + ClientBytes{8, closePayload(4001)}.bytes(), false) == "12345 4001");
}

TEST_CASE("pings are answered while a message is read as a stream, and a reader can wait with a time", "[websocket][streams]") {
    run([] {
        auto [near, far] = Pipe::make(Loop::current());
        auto socket = WebSocket::overStream(std::move(near), {});
        far->write(ClientBytes{1, "begin", false}.bytes());
        far->flush();
        auto reader = socket.recvStream();
        CHECK(reader.readSome() == "begin");
        CHECK_THROWS_AS(reader.readSome(Loop::current().in(1ms)), TimedOut);
        far->write(ClientBytes{9, "now"}.bytes());
        far->flush();
        CHECK_THROWS_AS(reader.readSome(Loop::current().in(1ms)), TimedOut);
        far->receive();
        CHECK(far->unreadText() == "\x8a\x03now");
        far->write(ClientBytes{0, "end"}.bytes());
        far->flush();
        CHECK(readAll(reader) == "end");
    });
}

TEST_CASE("a message is not received while another is read", "[websocket][streams]") {
    run([] {
        SocketPair pair;
        pair.client.send(std::string(500, 'a'));
        auto reader = pair.server.recvStream();
        CHECK_THROWS_AS(pair.server.recv(), std::logic_error);
        CHECK_THROWS_AS(pair.server.recvStream(), std::logic_error);
        CHECK(readAll(reader).size() == 500);
        pair.client.send("b");
        CHECK(pair.server.recv().textData() == "b");
    });
}

TEST_CASE("each flush of a writer is one frame, and so is each full fragment", "[websocket][streams]") {
    run([] {
        WebSocketOptions options;
        options.fragmentSize = 10;
        Listening line(options);
        {
            auto writer = line.socket.sendStream();
            writer.write("abc");
            CHECK(line.frames().empty());
            writer.flush();
            CHECK(line.frames() == "text+ 3");
            writer.flush();
            CHECK(line.frames().empty());
            writer.write("0123456789abc");
            CHECK(line.frames() == "continuation+ 10");
            writer.write(std::string(27, 'x'));
            CHECK(line.frames() == "continuation+ 10; continuation+ 10; continuation+ 10");
            writer.finish();
            CHECK(line.frames() == "continuation 0");
            writer.finish();
            CHECK_THROWS_AS(writer.write("more"), std::logic_error);
            CHECK_THROWS_AS(writer.flush(), std::logic_error);
        }
        CHECK(line.frames().empty());
        line.socket.sendStream(WebSocketOpcode::binary).write("whole");
        CHECK(line.frames() == "binary 5");
        line.socket.sendStream();
        CHECK(line.frames() == "text 0");
        line.socket.send(std::string(25, 'y'));
        CHECK(line.frames() == "text+ 10; continuation+ 10; continuation 5");
        CHECK(line.socket.trySend(std::string(11, 'y')));
        CHECK(line.frames() == "text+ 10; continuation 1");
        line.socket.send(std::string(10, 'y'));
        CHECK(line.frames() == "text 10");
        CHECK_THROWS_AS(line.socket.sendStream(WebSocketOpcode::ping), std::invalid_argument);
    });
}

TEST_CASE("messages wait while one is streamed, pings do not", "[websocket][streams]") {
    run([] {
        Listening line;
        FiberGroup group;
        auto writer = line.socket.sendStream();
        writer.write("a");
        writer.flush();
        bool sent = false;
        group.spawn([&] {
            line.socket.send("between");
            sent = true;
        });
        CHECK(line.frames() == "text+ 1");
        CHECK_FALSE(line.socket.trySend("no"));
        line.socket.sender().send("from a thread");
        line.socket.ping("p");
        CHECK(line.frames() == "ping 1");
        CHECK_FALSE(sent);
        writer.finish();
        CHECK(line.frames() == "continuation 0; text 7; text 13");
        group.wait();
    });
}

TEST_CASE("a writer that an exception ends leaves no half message that looks whole", "[websocket][streams]") {
    run([] {
        for (const bool sent : {true, false}) {
            Listening line;
            try {
                auto writer = line.socket.sendStream();
                writer.write("half");
                if (sent) writer.flush();
                throw std::runtime_error("no more");
            } catch (const std::runtime_error&) {
            }
            CHECK(line.socket.isOpen() == !sent);
            if (!sent) line.socket.send("another");
            CHECK(line.frames() == (sent ? "text+ 4; close 2" : "text 7"));
        }
    });
}

TEST_CASE("a streamed message that is compressed is one message, flushed or not", "[websocket][streams]") {
    run([] {
        Listening line(deflating(), DeflateAgreement());
        auto writer = line.socket.sendStream();
        writer.write("some text, some text, some text");
        writer.flush();
        writer.write("and more of it, and more of it");
        writer.finish();
        const auto frames = line.frames();
        CHECK(frames.starts_with("text*+ "));
        CHECK(frames.find("; continuation ") != std::string::npos);
        auto plain = line.socket.sendStream(WebSocketOpcode::text, false);
        plain.write("as it is");
        plain.finish();
        CHECK(line.frames() == "text 8");
    });
    run([] {
        SocketPair pair(deflating(), deflating(), DeflateAgreement());
        for (int round = 0; round < 3; ++round) {
            auto writer = pair.server.sendStream();
            for (int i = 0; i < 100; ++i) {
                writer.write("line " + std::to_string(i) + "\n");
                if (i % 10 == 0) writer.flush();
            }
            writer.finish();
            const auto message = pair.client.recv();
            CHECK(message.textData().ends_with("line 99\n"));
            CHECK(message.textData().size() == 790);
        }
    });
}

TEST_CASE("closing releases a writer and those who wait for it", "[websocket][streams]") {
    run([] {
        SocketPair pair;
        FiberGroup group;
        auto writer = pair.server.sendStream();
        bool released = false;
        group.spawn([&] {
            CHECK_THROWS_AS(pair.server.send("waits"), WebSocketClosed);
            released = true;
        });
        settle();
        pair.client.close(4000);
        settle();
        CHECK(released);
        CHECK_THROWS_AS(writer.write(std::string(100'000, 'x')), WebSocketClosed);
        CHECK_THROWS_AS(writer.finish(), WebSocketClosed);
        CHECK_THROWS_AS(pair.server.sendStream(), WebSocketClosed);
    });
}

TEST_CASE("a writer that was cancelled never makes its message look whole", "[websocket][streams]") {
    for (const bool compressed : {false, true}) {
        CAPTURE(compressed);
        run([&] {
            auto options = compressed ? deflating() : WebSocketOptions();
            options.highWater = 1000;
            options.fragmentSize = 1000;
            SocketPair pair({}, options, compressed ? std::optional(DeflateAgreement()) : std::nullopt, 2000);
            Event cancelled, read;
            auto& fiber = Loop::current().spawn([&] {
                auto writer = pair.client.sendStream(WebSocketOpcode::binary);
                try {
                    for (;;) writer.write(std::to_string(Loop::current().poller().now().time_since_epoch().count()));
                } catch (const Cancelled&) {
                }
                // Its end is no longer that of the exception.
                const Fiber::Shield shield;
                cancelled.set();
                read.wait();
            });
            settle();
            fiber.cancel();
            cancelled.wait();
            while (!pair.server.isMessageBuffered() && pair.server.isOpen()) yield();
            read.set();
            settle();  // the writer is gone, too
            CHECK(pair.server.recv().closeCode() == 1011);
        });
    }
}
