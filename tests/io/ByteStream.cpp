#include "postern/io/ByteStream.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/EpollPoller.h"
#include "postern/fiber/Run.h"
#include "postern/io/Pipe.h"
#include "postern/io/Socket.h"
#include "support/Catch.h"
#include "support/FaultyPoller.h"
#include "support/LeftoverCheck.h"

#include <sys/socket.h>
#include <unistd.h>

#include <functional>
#include <string>

using namespace postern;
using namespace std::chrono_literals;

namespace {

using Pair = std::pair<std::unique_ptr<ByteStream>, std::unique_ptr<ByteStream>>;

Pair makePipe() { return Pipe::make(Loop::current()); }

Pair makeSockets() {
    int fds[2];
    REQUIRE(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    auto& loop = Loop::current();
    return {std::make_unique<Socket>(loop, fds[0]), std::make_unique<Socket>(loop, fds[1])};
}

// Runs the test on both kinds of stream.
void onStreams(const std::function<void(ByteStream&, ByteStream&)>& test) {
    const LeftoverCheck leftovers;
    for (auto* make : {makePipe, makeSockets}) {
        CAPTURE(make == makePipe ? "pipe" : "sockets");
        run([&] {
            auto [a, b] = make();
            test(*a, *b);
        });
    }
    CHECK(leftovers.find() == "");
}

std::string receiveAll(ByteStream& stream) {
    std::string all(stream.unreadText());
    stream.consume(all.size());
    while (stream.receive()) {
        all += stream.unreadText();
        stream.consume(stream.unread().size());
    }
    return all;
}

std::string pattern(size_t size) {
    std::string text(size, ' ');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 257);
    return text;
}

void receiveAtLeast(ByteStream& stream, size_t size) {
    while (stream.unread().size() < size) REQUIRE(stream.receive());
}

}

TEST_CASE("what is not consumed stays, and further bytes are put behind it", "[io]") {
    onStreams([](ByteStream& a, ByteStream& b) {
        a.write("one");
        receiveAtLeast(b, 3);
        b.consume(1);
        CHECK(b.unreadText() == "ne");
        a.write({" ", "two"});
        receiveAtLeast(b, 6);
        CHECK(b.unreadText() == "ne two");
        b.unread()[0] = 'N';
        CHECK(b.unreadText() == "Ne two");
        b.consume(6);
        CHECK(b.unread().empty());
    });
}

TEST_CASE("all bytes come, in order, whatever the sizes of writes and reads", "[io]") {
    onStreams([](ByteStream& a, ByteStream& b) {
        const auto all = pattern(600'000);
        FiberGroup group;
        group.spawn([&] {
            size_t at = 0;
            for (size_t i = 0; at < all.size(); ++i) {
                const std::string_view rest = std::string_view(all).substr(at);
                const auto first = rest.substr(0, i * i % 5000), second = rest.substr(first.size(), i * 977 % 40'000);
                a.write({first, second});
                at += first.size() + second.size();
            }
            a.finishSending();
        });
        std::string got;
        for (size_t i = 1; b.receive() || !b.unread().empty(); ++i) {
            const auto piece = b.unreadText().substr(0, i * 131 % 9000 + 1);
            got += piece;
            b.consume(piece.size());
        }
        CHECK(got == all);
        CHECK(b.ended());
        CHECK_FALSE(b.receive());
        group.wait();
    });
}

TEST_CASE("ten writes go out in one send, when the writer waits", "[io]") {
    auto owned = std::make_unique<FaultyPoller>(std::make_unique<EpollPoller>());
    auto& poller = *owned;
    Loop loop({}, std::move(owned));
    loop.spawn([&] {
        auto [a, b] = makeSockets();
        for (int i = 0; i < 10; ++i) a->write("ten times");
        CHECK(poller.count(Operation::Kind::send) == 0);
        CHECK(a->queuedBytes() == 90);
        receiveAtLeast(*b, 90);
        CHECK(poller.count(Operation::Kind::send) == 1);
        CHECK(a->queuedBytes() == 0);
        a->write("now");
        a->flush();
        CHECK(poller.count(Operation::Kind::send) == 2);
        loop.stop();
    });
    loop.run();
}

TEST_CASE("bytes are placed in the queue as long as they fit there in one piece", "[io]") {
    onStreams([](ByteStream& a, ByteStream& b) {
        const auto place = [&](const std::string& text) {
            char* const at = a.place(text.size());
            if (at) text.copy(at, text.size());
            return at != nullptr;
        };
        a.write("first ");
        CHECK(place("second "));
        a.write("third ");
        size_t placed = 0;
        for (const std::string piece(1000, 'x'); place(piece); placed += piece.size()) REQUIRE(placed < BufferPool::blockSize);
        CHECK(placed > BufferPool::blockSize - 3000);
        CHECK(a.place(BufferPool::blockSize) == nullptr);
        a.write("last");
        const std::string all = "first second third " + std::string(placed, 'x') + "last";
        CHECK(a.queuedBytes() == all.size());
        receiveAtLeast(b, all.size());
        CHECK(b.unreadText() == all);
        CHECK(a.queuedBytes() == 0);
        CHECK(place("again"));  // the block is still there, and empty
        b.consume(all.size());
        receiveAtLeast(b, 5);
        CHECK(b.unreadText() == "again");
        a.finishSending();
        CHECK(a.place(1) == nullptr);
        b.breakOff(ECONNABORTED);
        CHECK(b.place(1) == nullptr);
    });
}

TEST_CASE("a writer waits at the high-water mark until the peer takes something", "[io]") {
    onStreams([](ByteStream& a, ByteStream& b) {
        a.setLimits({10'000, 30s});
        size_t written = 0;
        const std::string piece(1000, 'x');
        {
            FiberGroup group;
            group.spawn([&] {
                for (; written < 5000; ++written) a.write(piece);
            });
            for (size_t before = 1; before != written;) {
                before = written;
                for (int i = 0; i < 20; ++i) yield();
            }
            CHECK(written < 5000);
            CHECK(a.isAboveHighWater());
            CHECK(a.queuedBytes() <= 10'000 + piece.size());
            size_t got = 0;
            while (got < 5'000'000) {
                if (b.unread().empty()) REQUIRE(b.receive());
                got += b.unread().size();
                b.consume(b.unread().size());
            }
            group.wait();
        }
        CHECK(written == 5000);
    });
}

TEST_CASE("a large piece is sent from where it is, and the writer returns when it is gone", "[io]") {
    onStreams([](ByteStream& a, ByteStream& b) {
        const auto large = pattern(1'000'000);
        bool returned = false;
        FiberGroup group;
        group.spawn([&] {
            auto copy = large;
            a.write({"head ", copy, " middle ", copy, " tail"});
            returned = true;
            copy.assign(copy.size(), '!');
            a.finishSending();
        });
        yield();
        CHECK_FALSE(returned);
        CHECK(receiveAll(b) == "head " + large + " middle " + large + " tail");
        group.wait();
        CHECK(returned);
    });
}

TEST_CASE("queue() never waits and may be called outside fibers", "[io]") {
    onStreams([](ByteStream& a, ByteStream& b) {
        const auto large = pattern(500'000);
        Loop::current().post([&] {
            a.queue({large, "end"});
            a.finishSending();
        });
        CHECK(receiveAll(b) == large + "end");
    });
}

TEST_CASE("flush() ends at its deadline and loses nothing", "[io]") {
    onStreams([](ByteStream& a, ByteStream& b) {
        const auto large = pattern(2'000'000);
        a.queue({large});
        CHECK_THROWS_AS(a.flush(Loop::current().in(1ms)), TimedOut);
        CHECK(a.queuedBytes() > 0);
        FiberGroup group;
        std::string got;
        group.spawn([&] { got = receiveAll(b); });
        a.flush();
        CHECK(a.queuedBytes() == 0);
        a.finishSending();
        group.wait();
        CHECK(got == large);
    });
}

TEST_CASE("finishSending() tells the peer after the last byte, and the other direction goes on", "[io]") {
    onStreams([](ByteStream& a, ByteStream& b) {
        a.write("question");
        a.finishSending();
        CHECK(receiveAll(b) == "question");
        CHECK(b.ended());
        CHECK(a.isSendingFinished());
        b.write("answer");
        b.finishSending();
        CHECK(receiveAll(a) == "answer");
    });
}

TEST_CASE("breaking a stream off wakes everybody who waits on it", "[io]") {
    onStreams([](ByteStream& a, ByteStream&) {
        int disconnected = 0;
        const std::string large(4'000'000, 'x');
        const auto expect = [&](const std::function<void()>& call) {
            return [&disconnected, call] {
                try {
                    call();
                } catch (const Disconnected&) {
                    ++disconnected;
                }
            };
        };
        FiberGroup group;
        group.spawn(expect([&] { a.receive(); }));
        group.spawn(expect([&] { a.write(large); }));
        group.spawn(expect([&] { a.write("x"); }));
        group.spawn(expect([&] { a.flush(); }));
        for (int i = 0; i < 20; ++i) yield();
        CHECK(disconnected == 0);
        a.breakOff(ECONNABORTED);
        group.wait();
        CHECK(disconnected == 4);
        CHECK(a.broken());
        CHECK(a.error() == ECONNABORTED);
        CHECK(a.queuedBytes() == 0);
        CHECK_THROWS_AS(a.write("more"), Disconnected);
        CHECK_THROWS_AS(a.receive(), Disconnected);
    });
}

TEST_CASE("a peer that takes nothing for the send time-out breaks the stream", "[io]") {
    onStreams([](ByteStream& a, ByteStream&) {
        a.setLimits({1000, 5ms});
        const std::string large(4'000'000, 'x');
        CHECK_THROWS_WITH(a.write(large), Catch::Contains("too long"));
        CHECK(a.error() == ETIMEDOUT);
    });
}

TEST_CASE("a receive that times out or is cancelled loses nothing", "[io]") {
    onStreams([](ByteStream& a, ByteStream& b) {
        a.write("half");
        receiveAtLeast(b, 4);
        CHECK_THROWS_AS(b.receive(Loop::current().in(1ms)), TimedOut);
        CHECK(b.unreadText() == "half");
        {
            FiberGroup group;
            group.spawn([&] { b.receive(); });
            yield();
        }
        a.write(" and half");
        receiveAtLeast(b, 13);
        CHECK(b.unreadText() == "half and half");
    });
}

TEST_CASE("a receiver without a fiber is told once, when bytes, the end or a break came", "[io]") {
    onStreams([](ByteStream& a, ByteStream& b) {
        int told = 0;
        static constexpr StreamReceiver note{[](void* count) { ++*static_cast<int*>(count); }};
        const auto waitFor = [&](int count) {
            for (int i = 0; i < 1000 && told < count; ++i) yield();
            CHECK(told == count);
        };
        REQUIRE_FALSE(b.startReceive(note, &told));
        CHECK(b.isReceiving());
        a.write("hello");
        waitFor(1);
        CHECK(b.unreadText() == "hello");
        b.consume(5);
        REQUIRE_FALSE(b.startReceive(note, &told));
        b.stopReceive();
        CHECK_FALSE(b.isReceiving());
        REQUIRE_FALSE(b.startReceive(note, &told));
        a.finishSending();
        waitFor(2);
        CHECK(b.ended());
        CHECK(b.startReceive(note, &told));
    });
}

TEST_CASE("the peer's going away is an end for the reader and a break for the writer", "[io]") {
    for (auto* make : {makePipe, makeSockets})
        run([&] {
            auto [a, b] = make();
            b.reset();
            CHECK_FALSE(a->receive());
            const auto writeOn = [&stream = *a] {
                for (int i = 0; i < 100; ++i) {
                    stream.write("anybody?");
                    stream.flush();
                }
            };
            CHECK_THROWS_AS(writeOn(), Disconnected);
        });
}

TEST_CASE("a holder is told once when the stream goes", "[io]") {
    struct Holder final : StreamHolder {
        void streamGone() override { ++told; }
        int told = 0;
    };
    run([] {
        Holder holder;
        auto [a, b] = makePipe();
        a->hold(holder);
        CHECK(holder.told == 0);
        a.reset();
        CHECK(holder.told == 1);
        b.reset();
        CHECK(holder.told == 1);
    });
}
