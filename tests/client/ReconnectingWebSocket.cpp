#include "postern/client/ReconnectingWebSocket.h"

#include "postern/fiber/Run.h"
#include "postern/io/Pipe.h"
#include "support/Catch.h"
#include "support/OwnTime.h"
#include "support/SlowNames.h"
#include "support/WebSocketClient.h"

#include <algorithm>
#include <deque>
#include <numeric>
#include <stdexcept>
#include <variant>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

TimePoint now() { return Loop::current().now(); }

// What becomes of an attempt: an exception, or a connection with this at its other end.
using Serve = std::function<void(WebSocket&)>;
using Answer = std::variant<std::exception_ptr, Serve>;

template <typename Error>
Answer fails(Error error) {
    return std::make_exception_ptr(error);
}

Answer unreachable() { return fails(Disconnected("cannot connect")); }
Answer closes(uint16_t code, Duration after = {}) {
    return [=](WebSocket& socket) {
        if (after > Duration::zero()) sleepFor(after);
        socket.close(code, "bye");
    };
}
Answer says(std::string text) {
    return [text](WebSocket& socket) {
        socket.send(text);
        socket.recv();
    };
}
// Notes what comes, up to the close.
Answer notes(std::vector<std::string>& lines) {
    return [&lines](WebSocket& socket) {
        while (auto message = socket.recv()) lines.push_back(describe(message));
        lines.push_back("close " + std::to_string(socket.closeCode()) + " " + std::string(socket.closeReason()));
    };
}

// A server without a network: each attempt meets the next of its answers, the last one again and again.
class World {
public:
    explicit World(std::deque<Answer> answers) : answers_(std::move(answers)) {
        options.connect = [this] { return connect(); };
        options.client.socket.pingInterval = 0s;
        options.onDisconnect = [this](const CloseEvent& event) { ends.push_back(event.code); };
    }

    std::vector<Duration> pauses() const {
        std::vector<Duration> all;
        for (size_t i = 1; i < attempts.size(); ++i) all.push_back(attempts[i] - attempts[i - 1]);
        return all;
    }

    ReconnectOptions options;
    std::vector<TimePoint> attempts;
    std::vector<int> ends;

private:
    WebSocket connect() {
        attempts.push_back(now());
        const auto answer = answers_.front();
        if (answers_.size() > 1) answers_.pop_front();
        if (const auto* error = std::get_if<std::exception_ptr>(&answer)) std::rethrow_exception(*error);
        auto [ours, theirs] = Pipe::make(Loop::current());
        auto other = WebSocket::overStream(std::move(theirs), options.client.socket);
        servers_.spawn([serve = std::get<Serve>(answer), socket = std::move(other)]() mutable { serve(socket); });
        Established established;
        established.isClient = true;
        return WebSocket::overStream(std::move(ours), options.client.socket, std::move(established));
    }

    std::deque<Answer> answers_;
    FiberGroup servers_;
};

constexpr const char* anyUrl = "ws://example/";

}

TEST_CASE("recv() goes on with the next connection", "[client]") {
    runInOwnTime([] {
        World world({says("one"), closes(1001), unreachable(), says("two")});
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK(describe(socket.recv()) == "text one");
        CHECK_THROWS_AS(socket.recv(1h), TimedOut);
        CHECK(world.attempts.size() == 1);
        CHECK(socket.isConnected());
    });
    runInOwnTime([] {
        World world({closes(1001), unreachable(), fails(TimedOut("no answer")), closes(1012), says("two")});
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK_FALSE(socket.isConnected());
        CHECK(describe(socket.recv()) == "text two");
        CHECK(world.attempts.size() == 5);
        CHECK(world.ends == std::vector<int>{1001, 1012});
    });
}

TEST_CASE("messages before a close are received before the next connection's", "[client]") {
    runInOwnTime([] {
        const Answer talks = [](WebSocket& socket) {
            socket.send("a");
            socket.send(asBytes("b"));
            socket.close(1001);
        };
        World world({talks, says("c")});
        ReconnectingWebSocket socket(anyUrl, world.options);
        sleepFor(1min);  // of the loop's own time: both connections would be there by now
        CHECK(world.attempts.size() == 1);
        CHECK(describe(socket.recv()) == "text a");
        CHECK(describe(socket.recv()) == "binary b");
        CHECK(describe(socket.recv()) == "text c");
    });
}

TEST_CASE("pauses are drawn evenly under a limit that grows up to the longest", "[client]") {
    runInOwnTime([] {
        World world({unreachable()});
        world.options.minDelay = 1s;
        world.options.maxDelay = 8s;
        world.options.maxAttempts = 404;
        std::vector<Duration> told;
        world.options.onFailure = [&](const std::exception& problem, Duration next) {
            CHECK(std::string(problem.what()) == "cannot connect");
            told.push_back(next);
        };
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK_THROWS_AS(socket.recv(), Disconnected);
        auto pauses = world.pauses();
        REQUIRE(pauses.size() == 403);
        REQUIRE(told.size() == 403);
        for (size_t i = 0; i < pauses.size(); ++i) REQUIRE(std::max(told[i], Duration(1)) == pauses[i]);
        CHECK(pauses[0] <= 1s);
        CHECK(pauses[1] <= 2s);
        CHECK(pauses[2] <= 4s);
        pauses.erase(pauses.begin(), pauses.begin() + 3);
        CHECK(*std::max_element(pauses.begin(), pauses.end()) <= 8s);
        CHECK(*std::max_element(pauses.begin(), pauses.end()) > 7s);
        CHECK(*std::min_element(pauses.begin(), pauses.end()) < 1s);
        const auto mean = std::accumulate(pauses.begin(), pauses.end(), Duration()) / pauses.size();
        CHECK(mean > 3s);
        CHECK(mean < 5s);
    });
}

TEST_CASE("a connection that lived for a while ends the row of attempts, a short one does not", "[client]") {
    runInOwnTime([] {
        World world({closes(1001, 9s)});
        world.options.maxAttempts = 3;
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK(describe(socket.recv()) == "close 1001 bye");
        CHECK(world.attempts.size() == 3);
    });
    runInOwnTime([] {
        World world({closes(1001, 11s), closes(1001, 11s), closes(1001, 11s), closes(1001, 11s), unreachable(), unreachable(), says("x")});
        world.options.maxAttempts = 3;
        world.options.minDelay = 1s;
        world.options.factor = 1000;
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK(describe(socket.recv()) == "text x");
        const auto pauses = world.pauses();
        for (size_t i = 0; i < 5; ++i) CHECK(pauses[i] <= 12s);
    });
}

TEST_CASE("after the last attempt recv() and send() throw why", "[client]") {
    runInOwnTime([] {
        World world({unreachable(), fails(HandshakeError("the server answered 503", 503))});
        world.options.maxAttempts = 2;
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK_THROWS_AS(socket.recv(), HandshakeError);
        CHECK_THROWS_AS(socket.recv(), HandshakeError);
        CHECK_THROWS_AS(socket.send("x"), HandshakeError);
        CHECK(socket.hasEnded());
        CHECK(world.attempts.size() == 2);
        socket.close();
    });
}

TEST_CASE("failures that would only repeat themselves are final", "[client]") {
    const auto attemptsFor = [](Answer answer) {
        size_t attempts = 0;
        runInOwnTime([&] {
            World world({answer});
            world.options.maxAttempts = 3;
            ReconnectingWebSocket socket(anyUrl, world.options);
            CHECK_THROWS(socket.recv());
            attempts = world.attempts.size();
        });
        return attempts;
    };
    for (const int status : {101, 200, 301, 308, 400, 401, 403, 404, 410, 426, 499}) {
        CAPTURE(status);
        CHECK(attemptsFor(fails(HandshakeError("no", status))) == 1);
    }
    for (const int status : {0, 408, 425, 429, 500, 502, 503, 504}) {
        CAPTURE(status);
        CHECK(attemptsFor(fails(HandshakeError("not now", status))) == 3);
    }
    CHECK(attemptsFor(fails(Unauthorized("who?", 401))) == 1);
    CHECK(attemptsFor(fails(RedirectRefused("elsewhere", 302))) == 1);
    CHECK(attemptsFor(fails(TlsError("self-signed certificate"))) == 1);
    CHECK(attemptsFor(fails(std::runtime_error("a bug"))) == 1);
    CHECK(attemptsFor(unreachable()) == 3);
    CHECK(attemptsFor(fails(TimedOut("no answer"))) == 3);
}

TEST_CASE("a refusal's Retry-After is waited for, within reason", "[client]") {
    runInOwnTime([] {
        const auto busy = [](int status, const char* field) { return fails(HandshakeError("busy", status, {{"Retry-After", field}})); };
        World world({busy(429, "120"), busy(503, "7200"), busy(503, "soon"), says("x")});
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK(describe(socket.recv()) == "text x");
        const auto pauses = world.pauses();
        CHECK(pauses[0] == 120s);
        CHECK(pauses[1] == 1h);
        CHECK(pauses[2] <= 2s);
    });
}

TEST_CASE("a close that the peer means for good is the end", "[client]") {
    const auto ends = [](int code, std::function<bool(const CloseEvent&)> isFinal = nullptr) {
        bool final = false;
        runInOwnTime([&] {
            World world({closes(static_cast<uint16_t>(code)), says("again")});
            world.options.isFinal = isFinal;
            ReconnectingWebSocket socket(anyUrl, world.options);
            final = !socket.recv();
            if (!final) return;
            const auto again = socket.recv();
            CHECK(again.closeCode() == code);
            CHECK(again.closeReason() == "bye");
            CHECK_THROWS_AS(socket.send("x"), WebSocketClosed);
            CHECK_FALSE(socket.trySend("x"));
            CHECK(world.attempts.size() == 1);
        });
        return final;
    };
    for (const int code : {1008, 4000, 4001, 4999}) CHECK(ends(code));
    for (const int code : {1000, 1001, 1003, 1009, 1011, 1012, 1013, 3000, 3999}) CHECK_FALSE(ends(code));
    CHECK(ends(1000, [](const CloseEvent& event) { return event.wasClean && event.code == 1000 && event.reason == "bye"; }));
    CHECK_FALSE(ends(1008, [](const CloseEvent&) { return false; }));
}

TEST_CASE("what onConnect sends comes first on every connection", "[client]") {
    runInOwnTime([] {
        std::vector<std::string> lines;
        const Answer serve = [&](WebSocket& socket) {
            for (int i = 0; i < 3; ++i) lines.push_back(describe(socket.recv()));
            socket.close(1001);
        };
        World world({serve, serve, says("done")});
        world.options.onConnect = [](WebSocket& socket) {
            yield();
            socket.send("subscribe");
        };
        ReconnectingWebSocket socket(anyUrl, world.options);
        FiberGroup sending;
        sending.spawn([&] {
            for (int i = 0; i < 4; ++i) {
                if (i == 2) sleepFor(1min);
                socket.send(std::to_string(i));
            }
        });
        CHECK(describe(socket.recv()) == "text done");
        CHECK(lines == std::vector<std::string>{"text subscribe", "text 0", "text 1", "text subscribe", "text 2", "text 3"});
    });
}

TEST_CASE("onConnect may wait for answers, which recv() does not see", "[client]") {
    runInOwnTime([] {
        const Answer serve = [](WebSocket& socket) {
            const auto token = socket.recv();
            socket.send("welcome " + token.toString());
            socket.send("news");
            socket.recv();
        };
        World world({serve});
        std::string answer;
        world.options.onConnect = [&](WebSocket& socket) {
            socket.send("token");
            answer = socket.receiveText();
        };
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK(describe(socket.recv()) == "text news");
        CHECK(answer == "welcome token");
    });
}

TEST_CASE("a line that breaks in onConnect costs one connection, another exception ends everything", "[client]") {
    runInOwnTime([] {
        World world({closes(1001), says("x")});
        world.options.onConnect = [&](WebSocket& socket) {
            if (world.attempts.size() == 1) socket.receiveText();
        };
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK(describe(socket.recv()) == "text x");
    });
    runInOwnTime([] {
        std::vector<std::string> lines;
        World world({notes(lines), says("x")});
        world.options.onConnect = [&](WebSocket& socket) {
            if (world.attempts.size() == 1) socket.receiveText(Loop::current().in(3s));
        };
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK(describe(socket.recv()) == "text x");
        CHECK(lines == std::vector<std::string>{"close 1000 "});
    });
    runInOwnTime([] {
        std::vector<std::string> lines;
        World world({notes(lines)});
        world.options.onConnect = [](WebSocket&) { throw std::domain_error("a bug"); };
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK_THROWS_AS(socket.recv(), std::domain_error);
        CHECK_THROWS_AS(socket.send("x"), std::domain_error);
        sleepFor(1s);
        CHECK(lines == std::vector<std::string>{"close 1011 "});
    });
}

TEST_CASE("send() waits for a connection, no longer than to its deadline", "[client]") {
    runInOwnTime([] {
        std::vector<std::string> lines;
        World world({unreachable(), unreachable(), notes(lines)});
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK_FALSE(socket.trySend("lost"));
        CHECK_FALSE(socket.trySend(asBytes("lost")));
        socket.send("text");
        socket.send(asBytes("bytes"));
        CHECK(socket.trySend("more"));
        CHECK(socket.trySend(asBytes("bytes")));
        socket.close();
        sleepFor(1s);
        CHECK(lines == std::vector<std::string>{"text text", "binary bytes", "text more", "binary bytes", "close 1000 "});
    });
    runInOwnTime([] {
        std::vector<std::string> lines;
        World world({fails(HandshakeError("busy", 503, {{"Retry-After", "60"}})), notes(lines)});
        ReconnectingWebSocket socket(anyUrl, world.options);
        const auto begun = now();
        CHECK_THROWS_AS(socket.send("late", Loop::current().in(59s)), TimedOut);
        CHECK(now() - begun == 59s);
        socket.waitForConnection();
        CHECK(now() - begun == 60s);
        socket.close();
        sleepFor(1s);
        CHECK(lines == std::vector<std::string>{"close 1000 "});
    });
}

TEST_CASE("close() says goodbye to the peer, and nothing connects again", "[client]") {
    runInOwnTime([] {
        std::vector<std::string> lines;
        World world({notes(lines)});
        ReconnectingWebSocket socket(anyUrl, world.options);
        socket.waitForConnection();
        CHECK_THROWS_AS(socket.close(1005), std::invalid_argument);
        CHECK(socket.isConnected());
        socket.close(4001, "enough");
        CHECK(socket.hasEnded());
        sleepFor(1s);
        CHECK(lines == std::vector<std::string>{"close 4001 enough"});
        CHECK(describe(socket.recv()) == "close 4001");
        CHECK_THROWS_AS(socket.send("x"), WebSocketClosed);
        socket.close();
        sleepFor(1h);
        CHECK(world.attempts.size() == 1);
        CHECK(world.ends == std::vector<int>{4001});
    });
}

TEST_CASE("close() ends it in every state", "[client]") {
    SECTION("before the first attempt") {
        runInOwnTime([] {
            World world({unreachable()});
            ReconnectingWebSocket socket(anyUrl, world.options);
            socket.close();
            CHECK(socket.recv().closeCode() == 1006);
            CHECK(world.attempts.empty());
        });
    }
    SECTION("while it connects") {
        runInOwnTime([] {
            World world({unreachable()});
            world.options.connect = []() -> WebSocket {
                sleepUntil(Deadline::never());
                return {};
            };
            ReconnectingWebSocket socket(anyUrl, world.options);
            yield();
            socket.close();
            CHECK(socket.recv().closeCode() == 1006);
        });
    }
    SECTION("between two attempts") {
        runInOwnTime([] {
            World world({fails(HandshakeError("busy", 503, {{"Retry-After", "60"}}))});
            ReconnectingWebSocket socket(anyUrl, world.options);
            sleepFor(1s);
            const auto begun = now();
            socket.close();
            CHECK(now() - begun < 1s);
            CHECK(socket.recv().closeCode() == 1006);
            CHECK(world.attempts.size() == 1);
        });
    }
    SECTION("while onConnect waits") {
        runInOwnTime([] {
            std::vector<std::string> lines;
            World world({notes(lines)});
            world.options.onConnect = [](WebSocket& socket) { socket.recv(); };
            ReconnectingWebSocket socket(anyUrl, world.options);
            sleepFor(1s);
            socket.close(3001, "enough");
            sleepFor(1s);
            CHECK(lines == std::vector<std::string>{"close 3001 enough"});
            CHECK(socket.recv().closeCode() == 3001);
        });
    }
    SECTION("with a message that nobody received") {
        runInOwnTime([] {
            World world({says("unread")});
            ReconnectingWebSocket socket(anyUrl, world.options);
            sleepFor(1s);
            socket.close(3001);
            CHECK(describe(socket.recv()) == "close 3001");
        });
    }
    SECTION("in a hook") {
        runInOwnTime([] {
            std::vector<std::string> lines;
            World world({notes(lines)});
            ReconnectingWebSocket* self = nullptr;
            world.options.onConnect = [&](WebSocket&) { self->close(3001, "at once"); };
            ReconnectingWebSocket socket(anyUrl, world.options);
            self = &socket;
            CHECK(socket.recv().closeCode() == 3001);
            sleepFor(1s);
            CHECK(lines == std::vector<std::string>{"close 3001 at once"});
            CHECK(world.attempts.size() == 1);
        });
        runInOwnTime([] {
            World world({closes(1001)});
            ReconnectingWebSocket* self = nullptr;
            world.options.onDisconnect = [&](const CloseEvent&) { self->close(); };
            ReconnectingWebSocket socket(anyUrl, world.options);
            self = &socket;
            CHECK(socket.recv().closeCode() == 1001);
            CHECK(world.attempts.size() == 1);
        });
    }
    SECTION("twice at once") {
        runInOwnTime([] {
            std::vector<std::string> lines;
            World world({notes(lines)});
            ReconnectingWebSocket socket(anyUrl, world.options);
            socket.waitForConnection();
            FiberGroup other;
            other.spawn([&] { socket.close(3001); });
            socket.close(3002);
            other.wait();
            CHECK(socket.recv().closeCode() == 3002);
            CHECK(world.ends == std::vector<int>{3002});
        });
    }
}

TEST_CASE("close() does not wait for the look-up of a name", "[client]") {
    run([] {
        const SlowNames names;
        ReconnectingWebSocket socket("ws://slow.example/");
        while (names.begun() == 0) yield();
        socket.close();
        CHECK(socket.hasEnded());
        CHECK(names.ended() == 0);
    });
}

TEST_CASE("the destructor ends it in every state", "[client]") {
    runInOwnTime([] {
        std::vector<std::string> lines;
        World world({notes(lines), says("unread")});
        {
            ReconnectingWebSocket notStarted(anyUrl, world.options);
        }
        CHECK(world.attempts.empty());
        {
            ReconnectingWebSocket connected(anyUrl, world.options);
            connected.waitForConnection();
        }
        sleepFor(1s);
        CHECK(lines == std::vector<std::string>{"close 1000 "});
        {
            ReconnectingWebSocket unread(anyUrl, world.options);
            sleepFor(1s);
        }
        sleepFor(1h);
        CHECK(world.attempts.size() == 2);
    });
    runInOwnTime([] {
        World world({unreachable()});
        size_t attempts;
        {
            ReconnectingWebSocket pausing(anyUrl, world.options);
            sleepFor(1min);
            attempts = world.attempts.size();
        }
        sleepFor(1h);
        CHECK(world.attempts.size() == attempts);
    });
}

TEST_CASE("a message may be kept longer than its connection, and than the socket", "[client]") {
    runInOwnTime([] {
        std::optional<Message> kept;
        World world({says("first"), says("second")});
        {
            ReconnectingWebSocket socket(anyUrl, world.options);
            kept.emplace(socket.recv());
        }
        sleepFor(1min);
        CHECK(kept->textData() == "first");
    });
}

TEST_CASE("calls that are cancelled or out of time lose nothing", "[client]") {
    runInOwnTime([] {
        const Answer late = [](WebSocket& socket) {
            sleepFor(10s);
            socket.send("late");
            socket.recv();
        };
        World world({late});
        ReconnectingWebSocket socket(anyUrl, world.options);
        bool cancelled = false;
        {
            FiberGroup receiving;
            receiving.spawn([&] {
                try {
                    socket.recv();
                } catch (const Cancelled&) {
                    cancelled = true;
                    throw;
                }
            });
            sleepFor(1s);
        }
        CHECK(cancelled);
        CHECK_THROWS_AS(socket.recv(2s), TimedOut);
        CHECK(describe(socket.recv()) == "text late");
    });
    runInOwnTime([] {
        std::vector<std::string> lines;
        World world({fails(HandshakeError("busy", 503, {{"Retry-After", "60"}})), notes(lines)});
        ReconnectingWebSocket socket(anyUrl, world.options);
        {
            FiberGroup group;
            group.spawn([&] { socket.send("cancelled"); });
            group.spawn([&] { socket.close(); });
            group.cancel();
        }
        socket.close();
        CHECK(lines.empty());
        CHECK(socket.hasEnded());
    });
}

TEST_CASE("a line without a sign of life is given up for a new one", "[client]") {
    runInOwnTime([] {
        std::vector<std::unique_ptr<Pipe>> silent;
        World world({says("alive")});
        auto real = world.options.connect;
        world.options.client.socket.pingInterval = 25s;
        world.options.connect = [&, real]() -> WebSocket {
            if (!silent.empty()) return real();
            auto [ours, theirs] = Pipe::make(Loop::current());
            silent.push_back(std::move(theirs));
            Established established;
            established.isClient = true;
            return WebSocket::overStream(std::move(ours), world.options.client.socket, std::move(established));
        };
        ReconnectingWebSocket socket(anyUrl, world.options);
        const auto begun = now();
        CHECK(describe(socket.recv()) == "text alive");
        CHECK(now() - begun >= 45s);
        CHECK(now() - begun <= 46s);
        CHECK(world.ends == std::vector<int>{1006});
    });
}

TEST_CASE("a loop that is being drained makes no new connections", "[client]") {
    struct Busy : Drainable {
        Busy() : Drainable([](Drainable&, How) {}) {}
    };
    runInOwnTime([] {
        Busy busy;
        Loop::current().add(busy);
        World world({says("x")});
        ReconnectingWebSocket socket(anyUrl, world.options);
        CHECK(describe(socket.recv()) == "text x");
        Loop::current().drain(5s);
        CHECK(socket.recv().closeCode() == 1001);
        CHECK(socket.hasEnded());
        CHECK(world.attempts.size() == 1);
    });
}

TEST_CASE("a reconnecting socket refuses a bad URL and contradicting options at once", "[client]") {
    runInOwnTime([] {
        CHECK_THROWS_AS(ReconnectingWebSocket("http://example/"), std::invalid_argument);
        const auto refuses = [](auto change) {
            ReconnectOptions options;
            change(options);
            return throws<std::invalid_argument>([&] { ReconnectingWebSocket socket(anyUrl, options); });
        };
        CHECK(refuses([](auto& options) { options.minDelay = 0s; }));
        CHECK(refuses([](auto& options) { options.minDelay = 31s; }));
        CHECK(refuses([](auto& options) { options.maxDelay = 24h * 400; }));
        CHECK(refuses([](auto& options) { options.factor = 0.5; }));
        CHECK(refuses([](auto& options) { options.factor = std::numeric_limits<double>::quiet_NaN(); }));
        CHECK(refuses([](auto& options) { options.steadyAfter = -1s; }));
        CHECK(refuses([](auto& options) { options.maxRetryAfter = -1s; }));
        CHECK(refuses([](auto& options) { options.client.socket.closeTimeout = 0s; }));
    });
}

TEST_CASE("a reconnecting socket finds a real server again", "[client]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        const auto message = socket.recv();
        here.note(describe(message));
        socket.send(message.textData());
        if (message.textData() == "cut") socket.abort();
        socket.recv();
    });
    run([&] {
        ReconnectOptions options;
        options.minDelay = options.maxDelay = 1ms;
        ReconnectingWebSocket socket("ws://" + server.http().host() + "/", options);
        for (int i = 0; i < 3; ++i) {
            socket.send("cut");
            while (socket.isConnected()) yield();
        }
        socket.send("hello");
        while (describe(socket.recv(testPatience)) != "text hello") {}
        socket.close();
    });
    CHECK(server.noted("text cut", 3));
}
