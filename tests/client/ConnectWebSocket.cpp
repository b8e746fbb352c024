#include "postern/client/ConnectWebSocket.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/io/Listener.h"
#include "postern/io/Pipe.h"
#include "postern/protocol/Handshake.h"
#include "postern/protocol/Mask.h"
#include "support/Catch.h"
#include "support/OwnTime.h"
#include "support/Process.h"
#include "support/SlowNames.h"
#include "support/WebSocketClient.h"

#include <netinet/in.h>
#include <unistd.h>

#include <set>

using namespace postern;
using namespace std::chrono_literals;

namespace {

using Serve = std::function<void(ByteStream& line, const std::string& request)>;

std::string readRequest(ByteStream& line) {
    size_t end;
    while ((end = line.unreadText().find("\r\n\r\n")) == std::string::npos)
        if (!line.receive()) return {};
    std::string request(line.unreadText().substr(0, end + 4));
    line.consume(end + 4);
    return request;
}

std::string fieldOf(const std::string& request, const std::string& name) {
    const auto at = request.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    const auto begin = at + name.size() + 4;
    return request.substr(begin, request.find("\r\n", begin) - begin);
}

// `lines` replace those of the same name, up to the first space, and come behind them.
std::string answer(const std::string& request, const std::vector<std::string>& lines = {}, std::string first = "HTTP/1.1 101 Switching Protocols") {
    const std::string usual[] = {"Upgrade: websocket", "Connection: Upgrade",
                                 "Sec-WebSocket-Accept: " + acceptKey(fieldOf(request, "Sec-WebSocket-Key"))};
    std::string text = first + "\r\n";
    for (const auto& line : usual) {
        const auto name = line.substr(0, line.find(' '));
        if (std::none_of(lines.begin(), lines.end(), [&](const auto& other) { return other.starts_with(name); })) text += line + "\r\n";
    }
    for (const auto& line : lines) text += line + "\r\n";
    return text + "\r\n";
}

Serve answers(std::vector<std::string> lines, std::string first = "HTTP/1.1 101 Switching Protocols") {
    return [=](ByteStream& line, const std::string& request) {
        line.write(answer(request, lines, first));
        while (line.receive()) line.consume(line.unread().size());
    };
}
Serve says(std::string text) {
    return [text](ByteStream& line, const std::string&) {
        line.write(text);
        while (line.receive()) line.consume(line.unread().size());
    };
}

// A server at the other end of a pipe, which does one thing.
class World {
public:
    explicit World(Serve serve) : serve_(std::move(serve)) {}

    WebSocket connect(const ClientOptions& options = {}, std::string_view url = "ws://example.com/chat") {
        auto [ours, theirs] = Pipe::make(Loop::current());
        servers_.spawn([this, line = std::move(theirs)] {
            request = readRequest(*line);
            if (request.empty()) return;
            serve_(*line, request);
            line->finishSending();
            line->flush();
        });
        return connectWebSocketOver(std::move(ours), url, options);
    }
    /// What connect() throws; it must throw that.
    template <typename Error>
    Error failure(const ClientOptions& options = {}) {
        try {
            connect(options);
        } catch (const Error& error) {
            return error;
        }
        FAIL("it did not fail");
        throw std::logic_error("unreachable");
    }

    std::string request;

private:
    Serve serve_;
    FiberGroup servers_;
};

HandshakeError refusal(Serve serve, const ClientOptions& options = {}) {
    std::optional<HandshakeError> error;
    runInOwnTime([&] { error = World(std::move(serve)).failure<HandshakeError>(options); });
    return *error;
}

// Reads one frame of a client, which must be masked; unmasked.
struct ClientFrame {
    WebSocketOpcode opcode;
    std::string key, payload;
};
ClientFrame readFrame(ByteStream& line) {
    for (;;) {
        const auto found = readFrameHeader(line.unreadText());
        const auto* header = std::get_if<FrameHeader>(&found);
        if (!header) {
            REQUIRE(line.receive());
            continue;
        }
        REQUIRE(header->mask);
        line.consume(header->size());
        ClientFrame frame{header->opcode, {header->mask->begin(), header->mask->end()}, {}};
        while (frame.payload.size() < header->payloadLength) {
            if (line.unread().empty()) REQUIRE(line.receive());
            const auto piece = line.unreadText().substr(0, static_cast<size_t>(header->payloadLength) - frame.payload.size());
            frame.payload += piece;
            line.consume(piece.size());
        }
        applyMask({frame.payload.data(), frame.payload.size()}, *header->mask);
        return frame;
    }
}

}

TEST_CASE("a client gets its socket from a correct answer", "[client]") {
    runInOwnTime([] {
        World world(answers({}));
        auto socket = world.connect();
        CHECK(socket.isOpen());
        CHECK(socket.protocol().empty());
        CHECK_FALSE(socket.compresses());
        CHECK_THROWS_AS(socket.request(), std::logic_error);
        CHECK(world.request.starts_with("GET /chat HTTP/1.1\r\nHost: example.com\r\n"));
        CHECK(fieldOf(world.request, "Sec-WebSocket-Key").size() == 24);
        socket.abort();
    });
}

TEST_CASE("each handshake has a key of its own", "[client]") {
    std::set<std::string> keys;
    for (int i = 0; i < 20; ++i)
        runInOwnTime([&] {
            World world(answers({}));
            world.connect().abort();
            keys.insert(fieldOf(world.request, "Sec-WebSocket-Key"));
        });
    CHECK(keys.size() == 20);
}

TEST_CASE("a client takes no answer that breaks a rule", "[client]") {
    const std::vector<std::string> wrong[] = {
        {"Upgrade: h2c"},
        {"Connection: close"},
        {"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="},
        {"Upgrade: websocket", "Upgrade: websocket"},
        {"Transfer-Encoding: chunked"},
        {"Content-Length: 4"},
        {"Sec-WebSocket-Protocol: chat"},
        {"Sec-WebSocket-Extensions: permessage-deflate"},
        {"Sec-WebSocket-Extensions: x-other"},
    };
    for (const auto& lines : wrong) {
        CAPTURE(lines);
        const auto error = refusal(answers(lines));
        CHECK((error.status() == 101 || error.status() == 0));
        CHECK(std::string(error.what()).starts_with("the answer "));
    }
    CHECK(refusal(answers({}, "HTTP/1.0 101 Switching Protocols")).status() == 101);
    for (const char* garbage : {"HTTP/2 101 Yes\r\n\r\n", "hello\r\n\r\n", "HTTP/1.1 101\r\nno colon\r\n\r\n", "\r\n\r\n\r\n", "HTTP/1.1 999999 x\r\n\r\n"}) {
        CAPTURE(garbage);
        CHECK(refusal(says(garbage)).status() == 0);
    }
}

TEST_CASE("a client that insists on a subprotocol takes no socket without", "[client]") {
    ClientOptions options;
    options.socket.protocols = {"soap", "chat"};
    runInOwnTime([&] {
        World world(answers({"Sec-WebSocket-Protocol: chat"}));
        auto socket = world.connect(options);
        CHECK(fieldOf(world.request, "Sec-WebSocket-Protocol") == "soap, chat");
        CHECK(socket.protocol() == "chat");
        socket.abort();
    });
    runInOwnTime([&] {
        World world(answers({}));
        auto socket = world.connect(options);
        CHECK(socket.protocol().empty());
        socket.abort();
    });
    options.socket.requireProtocol = true;
    CHECK(std::string(refusal(answers({}), options).what()) == "the server speaks none of the subprotocols");
}

TEST_CASE("redirects and 401 are errors of their own kind", "[client]") {
    runInOwnTime([] {
        const auto redirect = World(says("HTTP/1.1 307 Elsewhere\r\nLocation: wss://b.example/\r\nContent-Length: 0\r\n\r\n")).failure<RedirectRefused>();
        CHECK(redirect.status() == 307);
        CHECK(redirect.location() == "wss://b.example/");
        CHECK(redirect.body().empty());
        const auto login = World(says("HTTP/1.1 401 Who\r\nWWW-Authenticate: Basic realm=\"a\"\r\nContent-Length: 5\r\n\r\nlogin")).failure<Unauthorized>();
        CHECK(login.status() == 401);
        CHECK(login.challenge() == "Basic realm=\"a\"");
        CHECK(login.body() == "login");
    });
}

TEST_CASE("a refusal shows its status, fields and the beginning of its body", "[client]") {
    const auto error = refusal(says("HTTP/1.1 503 Not n\xfcw\r\nRetry-After: 3\r\nX: a\r\nX: b\r\nContent-Length: 9000\r\n\r\n" + std::string(9000, 'b')));
    CHECK(error.status() == 503);
    CHECK(std::string(error.what()) == "the server answered 503 Not n\\xfcw");
    CHECK(error.field("retry-after") == "3");
    CHECK(error.field("x") == "b");
    CHECK(error.field("y").empty());
    CHECK(error.fields().size() == 4);
    CHECK(error.body() == std::string(4096, 'b'));
    CHECK(refusal(says("HTTP/1.1 204 Nothing\r\n\r\n")).status() == 204);
}

TEST_CASE("the body of a refusal is waited for only a moment", "[client]") {
    runInOwnTime([] {
        const auto begun = Loop::current().now();
        const auto error = World(says("HTTP/1.1 500 Oops\r\nContent-Length: 100\r\n\r\nhalf")).failure<HandshakeError>();
        CHECK(error.status() == 500);
        CHECK(error.body() == "half");
        CHECK(Loop::current().now() - begun == 1s);
    });
}

TEST_CASE("interim answers are passed over, but not for ever", "[client]") {
    const auto interim = [](int count) {
        return [count](ByteStream& line, const std::string& request) {
            for (int i = 0; i < count; ++i) line.write(i % 2 ? "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" : "HTTP/1.1 100 Continue\r\n\r\n");
            line.write(answer(request));
            while (line.receive()) line.consume(line.unread().size());
        };
    };
    runInOwnTime([&] {
        World world(interim(8));
        auto socket = world.connect();
        CHECK(socket.isOpen());
        socket.abort();
    });
    CHECK(std::string(refusal(interim(9)).what()) == "too many interim answers");
}

TEST_CASE("an answer's head has a limit", "[client]") {
    ClientOptions options;
    options.maxHead = 2000;
    const auto sized = [](size_t size) {
        return [size](ByteStream& line, const std::string& request) {
            const auto without = answer(request, {"X: "}).size();
            line.write(answer(request, {"X: " + std::string(size - without, 'x')}));
            while (line.receive()) line.consume(line.unread().size());
        };
    };
    runInOwnTime([&] {
        World world(sized(2000));
        auto socket = world.connect(options);
        CHECK(socket.isOpen());
        socket.abort();
    });
    CHECK(std::string(refusal(sized(2001), options).what()).starts_with("the answer cannot be read: "));
    CHECK(refusal(says("HTTP/1.1 101 Switching Protocols\r\nX: " + std::string(5000, 'x')), options).status() == 0);
}

TEST_CASE("a server that does not answer in time is given up", "[client]") {
    runInOwnTime([] {
        World silent([](ByteStream& line, const std::string&) { line.receive(); });
        const auto begun = Loop::current().now();
        CHECK_THROWS_AS(silent.connect(), TimedOut);
        CHECK(Loop::current().now() - begun == 10s);
        World dripping([](ByteStream& line, const std::string& request) {
            for (const char c : answer(request)) {
                line.write({&c, 1});
                sleepFor(1s);
            }
        });
        ClientOptions options;
        options.timeout = 3s;
        const auto again = Loop::current().now();
        CHECK_THROWS_AS(dripping.connect(options), TimedOut);
        CHECK(Loop::current().now() - again >= 3s);
        CHECK(Loop::current().now() - again < 4s);
    });
}

TEST_CASE("a line that ends instead of an answer says so", "[client]") {
    CHECK(std::string(refusal([](ByteStream&, const std::string&) {}).what()) == "the server closed the connection instead of answering");
    CHECK(refusal([](ByteStream& line, const std::string&) { line.write("HTTP/1.1 101 Swi"); }).status() == 0);
}

TEST_CASE("frames right behind the answer are received", "[client]") {
    runInOwnTime([] {
        World world([](ByteStream& line, const std::string& request) {
            line.write(answer(request) + "\x81\x05hello" + "\x82\x01\xff" + "\x89\x02hi" + "\x81\x03");
            CHECK(readFrame(line).payload == "hi");
            line.write("end");
            while (line.receive()) line.consume(line.unread().size());
        });
        auto socket = world.connect();
        CHECK(describe(socket.recv()) == "text hello");
        CHECK(describe(socket.recv()) == "binary \xff");
        CHECK(describe(socket.recv()) == "text end");
        socket.abort();
    });
}

TEST_CASE("a client asks with the origin, fields and cookies it is given, and the modifier has the last word", "[client]") {
    runInOwnTime([] {
        World world(answers({}));
        ClientOptions options;
        options.origin = "https://a.example";
        options.headers = {{"X-One", "1"}, {"Authorization", "Bearer x"}};
        options.cookies = {{"a", "1"}, {"b", "2"}};
        options.modifyRequest = [](ClientRequest& request) {
            CHECK(request.origin == "https://a.example");
            CHECK(request.headers.size() == 3);
            request.target += "?token=t";
            request.headers.push_back({"X-Last", "word"});
        };
        world.connect(options, "wss://b.example:8443/ws").abort();
        CHECK(world.request.starts_with("GET /ws?token=t HTTP/1.1\r\nHost: b.example:8443\r\n"));
        CHECK(fieldOf(world.request, "Origin") == "https://a.example");
        CHECK(fieldOf(world.request, "X-One") == "1");
        CHECK(fieldOf(world.request, "Authorization") == "Bearer x");
        CHECK(fieldOf(world.request, "Cookie") == "a=1; b=2");
        CHECK(fieldOf(world.request, "X-Last") == "word");
    });
}

TEST_CASE("a client's request that could not be right is not sent", "[client]") {
    const auto refused = [](auto change) {
        runInOwnTime([&] {
            World world(answers({}));
            ClientOptions options;
            change(options);
            CHECK_THROWS_AS(world.connect(options), std::invalid_argument);
            CHECK(world.request.empty());
        });
    };
    refused([](auto& options) { options.headers = {{"Host", "x"}}; });
    refused([](auto& options) { options.headers = {{"Sec-WebSocket-Key", "x"}}; });
    refused([](auto& options) { options.headers = {{"X", "a\r\nY: b"}}; });
    refused([](auto& options) { options.cookies = {{"a", "1\r\nY: b"}}; });
    refused([](auto& options) { options.cookies = {{"a", "1; b=2"}}; });
    refused([](auto& options) { options.origin = "a\nb"; });
    refused([](auto& options) { options.socket.protocols = {"a b"}; });
    refused([](auto& options) { options.modifyRequest = [](ClientRequest& request) { request.host = "a\nb"; }; });
    refused([](auto& options) { options.modifyRequest = [](ClientRequest& request) { request.key = "x\r\nInjected: yes"; }; });
    refused([](auto& options) { options.modifyRequest = [](ClientRequest& request) { request.target = "/a b"; }; });
    runInOwnTime([] { CHECK_THROWS_AS(connectWebSocket("http://example.com/"), std::invalid_argument); });
}

TEST_CASE("a client masks every frame, each with a fresh key", "[client]") {
    runInOwnTime([] {
        constexpr int count = 60;
        std::set<std::string> keys;
        std::vector<std::string> came;
        World world([&](ByteStream& line, const std::string& request) {
            line.write(answer(request) + std::string("\x89\x01p", 3));
            for (int i = 0; i < count + 5; ++i) {
                const auto frame = readFrame(line);
                keys.insert(frame.key);
                if (frame.payload != "same") came.push_back(std::to_string(static_cast<int>(frame.opcode)) + " " + std::to_string(frame.payload.size()));
            }
            line.write(std::string("\x88\x02\x03\xe8", 4));
        });
        auto socket = world.connect();
        CHECK_THROWS_AS(socket.recv(1s), TimedOut);  // the pong goes first
        for (int i = 0; i < count; ++i) socket.send("same");
        socket.send(std::string(70'000, 'l'));
        socket.send(asBytes(std::string(1000, 'b')));
        socket.ping("ping");
        socket.close(1000, "bye");
        CHECK(socket.wasClean());
        CHECK(keys.size() == count + 5);
        CHECK(came == std::vector<std::string>{"10 1", "1 70000", "2 1000", "9 4", "8 5"});
    });
}

TEST_CASE("a client lets the server end the line first, no longer than closeTimeout", "[client]") {
    runInOwnTime([] {
        Duration waited{};
        World world([&](ByteStream& line, const std::string& request) {
            line.write(answer(request) + std::string("\x88\x02\x03\xe8", 4));
            CHECK(readFrame(line).opcode == WebSocketOpcode::close);
            CHECK_THROWS_AS(line.receive(Loop::current().in(3s)), TimedOut);
            const auto begun = Loop::current().now();
            line.finishSending();
            while (line.receive()) {}
            waited = Loop::current().now() - begun;
        });
        auto socket = world.connect();
        CHECK_FALSE(socket.recv());
        sleepFor(20s);
        CHECK(waited < 1s);
    });
    runInOwnTime([] {
        Duration waited{};
        World world([&](ByteStream& line, const std::string& request) {
            line.write(answer(request) + std::string("\x88\x02\x03\xe8", 4));
            CHECK(readFrame(line).opcode == WebSocketOpcode::close);
            const auto begun = Loop::current().now();
            try {
                while (line.receive()) {}
            } catch (const Disconnected&) {
            }
            waited = Loop::current().now() - begun;
        });
        auto socket = world.connect();
        CHECK_FALSE(socket.recv());
        sleepFor(20s);
        CHECK(waited >= 4s);
        CHECK(waited <= 6s);
    });
}

TEST_CASE("a connect that is cancelled leaves nothing", "[client]") {
    runInOwnTime([] {
        bool ended = false;
        World world([&](ByteStream& line, const std::string&) {
            try {
                while (line.receive()) {}
            } catch (const Disconnected&) {
            }
            ended = true;
        });
        {
            FiberGroup connecting;
            connecting.spawn([&] { world.connect(); });
            sleepFor(1s);
            CHECK_FALSE(ended);
        }
        sleepFor(1s);
        CHECK(ended);
    });
}

// ── Over the real network ──

TEST_CASE("run() ends when everything that was sent has arrived", "[client]") {
    WebSocketServer server(echo, [] {
        WebSocketOptions options;
        options.maxMessage = 8 << 20;
        return options;
    }());
    run([&] {
        auto socket = connectWebSocket("ws://" + server.http().host() + "/");
        for (int i = 0; i < 100; ++i) socket.send("x");
        for (int i = 0; i < 100; ++i) socket.recv();
        socket.send("one more");
    });
    CHECK(server.noted("close 1000 clean"));

    WebSocketServer counting([](WebSocket& socket, WebSocketServer& here) {
        size_t bytes = 0;
        while (auto message = socket.recv()) bytes += message.data().size();
        here.note(std::to_string(bytes) + " bytes, " + std::to_string(socket.closeCode()));
    });
    run([&] {
        auto socket = connectWebSocket("ws://" + counting.http().host() + "/");
        for (int i = 0; i < 10; ++i) socket.send(asBytes(std::string(1 << 20, 'x')));
        socket.send("the end");
    });
    CHECK(counting.noted("10485767 bytes, 1000"));
}

TEST_CASE("names are looked up, and all their addresses tried", "[client]") {
    WebSocketServer server(echo);
    run([&] {
        auto socket = connectWebSocket("ws://localhost:" + std::to_string(server.http().port()) + "/");
        socket.send("hello");
        CHECK(describe(socket.recv()) == "text hello");
        const std::string noName = std::string(64, 'a') + ".example";
        CHECK_THROWS_WITH(connectWebSocket("ws://" + noName + "/"), Catch::Matchers::Contains("no address for " + noName));
    });
}

TEST_CASE("the time-out begins with the look-up of the name", "[client]") {
    run([] {
        const SlowNames names;
        ClientOptions options;
        options.timeout = 20ms;
        CHECK_THROWS_AS(connectWebSocket("ws://slow.example/", options), TimedOut);
        CHECK(names.begun() == 1);
        CHECK(names.ended() == 0);
    });
}

TEST_CASE("a connect that is cancelled does not wait for the look-up of its name", "[client]") {
    run([] {
        const SlowNames names;
        bool cancelled = false;
        {
            FiberGroup connecting;
            connecting.spawn([&] { cancelled = throws<Cancelled>([] { connectWebSocket("ws://slow.example/"); }); });
            while (names.begun() == 0) yield();
        }
        CHECK(cancelled);
        CHECK(names.ended() == 0);
    });
}

TEST_CASE("ws+unix leads to a Unix socket", "[client]") {
    TemporaryDirectory directory;
    const auto path = directory / "socket";
    run([&] {
        auto& loop = Loop::current();
        FiberGroup servers;
        std::string request;
        Listener listener(loop, ListenSocket::unixPath(path, 0600), [&](int fd, const sockaddr_storage&) {
            loop.spawn([&, line = Socket::take(loop, fd)] {
                request = readRequest(*line);
                line->write(answer(request) + "\x81\x02hi");
                line->finishSending();
                line->flush();
            });
        });
        listener.start();
        auto socket = connectWebSocket("ws+unix:" + path + ":/chat?a=b");
        CHECK(describe(socket.recv()) == "text hi");
        CHECK(request.starts_with("GET /chat?a=b HTTP/1.1\r\nHost: localhost\r\n"));
        CHECK_THROWS_AS(connectWebSocket("ws+unix:" + directory / "none"), Disconnected);
    });
}

TEST_CASE("a server that does not even take the connection is given up in time", "[client]") {
    const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    REQUIRE(::bind(listener, reinterpret_cast<sockaddr*>(&address), size) == 0);
    REQUIRE(::listen(listener, 0) == 0);
    REQUIRE(::getsockname(listener, reinterpret_cast<sockaddr*>(&address), &size) == 0);
    // These fill its queue.
    std::vector<int> callers;
    for (int i = 0; i < 4; ++i) {
        callers.push_back(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
        if (::connect(callers.back(), reinterpret_cast<sockaddr*>(&address), size) != 0) REQUIRE(errno == EINPROGRESS);
    }
    run([&] {
        ClientOptions options;
        options.timeout = 50ms;
        CHECK_THROWS_AS(connectWebSocket("ws://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/", options), TimedOut);
    });
    for (const int fd : callers) ::close(fd);
    ::close(listener);
    run([&] {
        CHECK_THROWS_WITH(connectWebSocket("ws://127.0.0.1:" + std::to_string(ntohs(address.sin_port)) + "/"),
                          Catch::Matchers::Contains("Connection refused"));
    });
}
