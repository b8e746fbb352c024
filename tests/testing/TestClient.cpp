#include "support/Catch.h"
#include "support/LeftoverCheck.h"

#include "postern/fiber/Blocking.h"
#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Sync.h"
#include "postern/protocol/HttpDate.h"
#include "postern/testing/TestClient.h"
#include "postern/websocket/ThreadWebSocket.h"

#include <map>
#include <thread>

using namespace postern;
using namespace std::chrono_literals;

namespace {

std::string describe(const Message& message) {
    if (message.isClose()) {
        auto text = "close " + std::to_string(message.closeCode());
        if (!message.closeReason().empty()) text.append(" ").append(message.closeReason());
        return text;
    }
    return (message.isText() ? "text " : "binary ") + message.toString();
}

void say(Cgi& cgi) {
    cgi.setResponseContentType("text/plain; charset=utf-8");
    cgi.write(std::string(cgi.requestMethod()) + " " + std::string(cgi.requestUri()), true);
}

void echo(Cgi& cgi) {
    auto socket = cgi.acceptWebsocket();
    while (const auto message = socket.recv()) {
        if (message.isText()) socket.send(message.textData());
        else socket.send(message.data());
    }
}

TestClientOptions impatient() {
    TestClientOptions options;
    options.patience = 20ms;
    return options;
}

}

// ── Requests ──

TEST_CASE("a test client gets what a handler answers", "[testing]") {
    TestClient client([](Cgi& cgi) {
        cgi.setResponseStatus("404 Not Here");
        cgi.header("X-Two", "1");
        cgi.header("X-Two", "2");
        say(cgi);
    });
    const auto reply = client.get("/where?is=it");
    CHECK(reply.status == 404);
    CHECK(reply.reason == "Not Here");
    CHECK(reply.header("content-type") == "text/plain; charset=utf-8");
    CHECK(reply.header("X-Two") == "2");
    CHECK(reply.headerArray("x-two") == std::vector<std::string>{"1", "2"});
    CHECK(reply.hasHeader("Date"));
    CHECK(!reply.hasHeader("X-Three"));
    CHECK(reply.header("X-Three").empty());
    CHECK(reply.body == "GET /where?is=it");

    CHECK(client.head("/").body.empty());
    CHECK(client.head("/").header("Content-Length") == "6");
    CHECK(client.request("DELETE", "/thing").body == "DELETE /thing");
}

TEST_CASE("a test client sends bodies, forms and fields", "[testing]") {
    TestClient client([](Cgi& cgi) {
        std::string seen;
        for (const auto& field : cgi.requestHeaders()) seen.append(field.name).append("=").append(field.value).append(";");
        if (cgi.pathInfo() == "/form") seen = std::string(cgi.post("name")) + "," + std::string(cgi.postArray("tag").at(1));
        else seen += cgi.postBody();
        cgi.write(seen, true);
    });
    CHECK(client.post("/", "{}", "application/json").body == "Host=localhost;Content-Type=application/json;Content-Length=2;{}");
    CHECK(client.post("/", "").body == "Host=localhost;Content-Type=text/plain; charset=utf-8;Content-Length=0;");
    CHECK(client.postForm("/form", {{"name", "Ann & Bob"}, {"tag", "x"}, {"tag", "\xc3\xa4"}}).body == "Ann & Bob,\xc3\xa4");
    client.setHeader("Accept", "text/html");
    client.setHeader("accept", "text/plain");
    client.setHeader("X-Key", "k");
    CHECK(client.get("/").body == "Host=localhost;accept=text/plain;X-Key=k;");
    CHECK(client.request("GET", "/", {{"Accept", "*/*"}, {"Host", "other.example"}}).body == "X-Key=k;Accept=*/*;Host=other.example;");
    client.setHeader("Accept", "");
    CHECK(client.request("PUT", "/", {}, "body").body == "Host=localhost;X-Key=k;Content-Length=4;body");
    CHECK_THROWS_AS(client.request("GET", "/", {{"Content-Length", "3"}}), std::invalid_argument);
    CHECK_THROWS_AS(client.request("GET", "/", {{"X", "a\r\nY: b"}}), std::invalid_argument);
    CHECK_THROWS_AS(client.request("GET IT", "/"), std::invalid_argument);
    CHECK_THROWS_AS(client.get("/a b"), std::invalid_argument);
    CHECK_THROWS_AS(client.get(""), std::invalid_argument);
    CHECK_THROWS_AS(client.setHeader("No name", "x"), std::invalid_argument);
}

TEST_CASE("an upload larger than every buffer arrives whole, and a reply as large comes back", "[testing]") {
    TestClient client([](Cgi& cgi) {
        cgi.setMaxBody(32 << 20);
        std::string all;
        for (auto piece = cgi.readBody(); !piece.empty(); piece = cgi.readBody()) all += piece;
        cgi.setResponseContentType("application/octet-stream");
        cgi.write(all, cgi.pathInfo() == "/whole");
    });
    std::string large;
    for (int i = 0; large.size() < (5u << 20); ++i) large += std::to_string(i);
    CHECK(client.post("/whole", large).body == large);
    const auto streamed = client.post("/streamed", large);
    CHECK(streamed.body == large);
    CHECK(streamed.header("Transfer-Encoding") == "chunked");
}

TEST_CASE("an upload over the limit gets its 413, and the client goes on", "[testing]") {
    TestClientOptions options;
    options.http.limits.bodyBytes = 1000;
    TestClient client([](Cgi& cgi) { cgi.write(std::to_string(cgi.postBody().size()), true); }, options);
    CHECK(client.post("/", std::string(1000, 'x')).body == "1000");
    CHECK(client.post("/", std::string(3'000'000, 'x')).status == 413);
    CHECK(client.post("/", "abc").body == "3");
}

TEST_CASE("a test client's connection is used again until the server closes it", "[testing]") {
    TestClient client([&](Cgi& cgi) { cgi.write(cgi.environment()["REMOTE_PORT"], true); });
    const auto first = client.get("/").body;
    CHECK(!first.empty());
    CHECK(client.post("/", "x").body == first);
    CHECK(client.head("/").status == 200);
    const auto closing = client.request("GET", "/", {{"Connection", "close"}});
    CHECK(closing.body == first);
    CHECK(closing.header("Connection") == "close");
    const auto second = client.get("/").body;
    CHECK(second != first);
    CHECK(client.get("/").body == second);
    client.advance(80s);  // past the idle time-out
    CHECK(client.get("/").body != second);
}

TEST_CASE("a test client's handler is told where it stands", "[testing]") {
    TestClientOptions options;
    options.https = true;
    options.host = "shop.example";
    options.remoteAddress = "192.0.2.7";
    options.http.mount = "/app";
    TestClient client(
        [](Cgi& cgi) {
            cgi.write(std::string(cgi.host()) + " " + std::string(cgi.remoteAddress()) + (cgi.https() ? " https " : " http ") +
                          std::string(cgi.scriptName()) + " " + std::string(cgi.pathInfo()) + " " + std::to_string(cgi.port()),
                      true);
        },
        options);
    CHECK(client.get("/app/x").body == "shop.example 192.0.2.7 https /app /x 443");
}

TEST_CASE("a handler that throws behaves as in production: 500, its own status, a cut", "[testing]") {
    TestClient client([](Cgi& cgi) {
        if (cgi.pathInfo() == "/teapot") throw HttpError(418, "short and stout");
        if (cgi.pathInfo() == "/late") {
            cgi.write("the beginning");
            cgi.flush();
        }
        throw std::runtime_error("a secret");
    });
    const auto reply = client.get("/");
    CHECK(reply.status == 500);
    CHECK(reply.body.find("secret") == std::string::npos);
    CHECK(client.logged("a secret"));
    CHECK(!client.logged("teapot"));
    CHECK(client.get("/teapot").status == 418);
    try {
        client.get("/late");
        FAIL("a cut reply is no reply");
    } catch (const IncompleteReply& cut) {
        CHECK(std::string(cut.what()).starts_with("GET /late: "));
        CHECK(cut.reply().status == 200);
        CHECK(cut.reply().body == "the beginning");
    }
    CHECK(client.get("/teapot").status == 418);
    CHECK(client.log().size() >= 2);
    CHECK(client.log()[0].level == LogLevel::error);

    TestClientOptions options;
    options.handling.dev = true;
    TestClient dev([](Cgi&) { throw std::runtime_error("no secret"); }, options);
    CHECK(dev.get("/").body.find("no secret") != std::string::npos);
}

TEST_CASE("a handler that never answers: the call names the request and the time", "[testing]") {
    bool cancelled = false;
    {
        TestClient client(
            [&](Cgi& cgi) {
                if (cgi.pathInfo() == "/now") return say(cgi);
                try {
                    Event().wait();
                } catch (const Cancelled&) {
                    cancelled = true;
                    throw;
                }
            },
            impatient());
        CHECK_THROWS_MATCHES(client.get("/never?x"), TimedOut, Catch::Matchers::Message("GET /never?x: nothing came within 0.02 s"));
        CHECK(client.get("/now").body == "GET /now");
        CHECK(!cancelled);
    }
    CHECK(cancelled);
}

TEST_CASE("redirects are shown, not followed", "[testing]") {
    TestClient client([](Cgi& cgi) { cgi.setResponseLocation("/elsewhere"); });
    const auto reply = client.get("/");
    CHECK(reply.status == 302);
    CHECK(reply.header("Location") == "/elsewhere");
}

// ── Cookies ──

TEST_CASE("cookies that a handler sets are sent back, where and as long as they are valid", "[testing]") {
    TestClient client([](Cgi& cgi) {
        if (cgi.pathInfo() == "/login") {
            cgi.setCookie("session", "abc");
            CookieOptions options;
            options.maxAge = 10s;
            cgi.setCookie("short", "1", options);
            options = {};
            options.path = "/a/b";
            cgi.setCookie("deep", "2", options);
            options = {};
            options.secure = true;
            cgi.setCookie("tls", "3", options);
        }
        if (cgi.pathInfo() == "/logout") cgi.clearCookie("session");
        cgi.write(cgi.requestHeader("Cookie"), true);
    });
    const auto login = client.get("/login");
    CHECK(login.body.empty());
    CHECK(login.cookie("session") == "abc");
    CHECK(login.cookie("other").empty());
    CHECK(client.cookie("session") == "abc");
    CHECK(client.get("/").body == "session=abc; short=1");
    CHECK(client.get("/a/b/c?d").body == "deep=2; session=abc; short=1");
    CHECK(client.get("/a/bc").body == "session=abc; short=1");
    client.advance(11s);
    CHECK(client.get("/").body == "session=abc");
    CHECK(!client.cookie("short"));
    client.get("/logout");
    CHECK(client.get("/").body.empty());
    client.setCookie("own", "x");
    CHECK(client.get("/").body == "own=x");
    CHECK(client.request("GET", "/", {{"Cookie", "only=this"}}).body == "only=this");
    client.clearCookies();
    CHECK(client.get("/").body.empty());
}

TEST_CASE("Expires and odd Set-Cookie fields are read as browsers read them", "[testing]") {
    TestClient client([](Cgi& cgi) {
        if (cgi.pathInfo() == "/set/x") {
            const auto hour = writeHttpDate(std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now()) + 1h);
            cgi.header("Set-Cookie", "hour=1; path=/; expires=" + std::string(hour.data(), hour.size()));
            cgi.header("Set-Cookie", "past=1; Path=/; Expires=Sun, 06 Nov 1994 08:49:37 GMT");
            cgi.header("Set-Cookie", "both=1; Path=/; Expires=Sun, 06 Nov 1994 08:49:37 GMT; Max-Age=60");
            cgi.header("Set-Cookie", "odd=1; Path=/; Expires=tomorrow; Max-Age=soon; Domain=localhost; SameSite=Strict");
            cgi.header("Set-Cookie", "negative=1; Path=/; Max-Age=-1");
            cgi.header("Set-Cookie", "here=1");
            cgi.header("Set-Cookie", "no pair");
            cgi.header("Set-Cookie", "=1");
        }
        cgi.write(cgi.requestHeader("Cookie"), true);
    });
    client.get("/set/x");
    CHECK(client.get("/").body == "hour=1; both=1; odd=1");
    CHECK(client.get("/set/y").body == "here=1; hour=1; both=1; odd=1");
    CHECK(client.get("/sets").body == "hour=1; both=1; odd=1");
    client.advance(61s);
    CHECK(client.get("/").body == "hour=1; odd=1");
    client.advance(1h);
    CHECK(client.get("/").body == "odd=1");
}

// ── Replies that take their time ──

TEST_CASE("a reply that comes bit by bit can be read as it comes", "[testing]") {
    TestClient client([](Cgi& cgi) {
        cgi.setResponseContentType("text/event-stream");
        for (int i = 1; i <= 3; ++i) {
            cgi.write("data: " + std::to_string(i) + "\n\n");
            cgi.flush();
            sleepFor(10s);
        }
    });
    auto events = client.start("GET", "/events");
    CHECK(events.hasBegun());
    CHECK(events.head().status == 200);
    CHECK(events.head().header("Content-Type") == "text/event-stream");
    CHECK(events.readUntil("\n\n") == "data: 1\n\n");
    client.advance(10s);
    CHECK(events.read() == "data: 2\n\n");
    client.advance(20s);
    CHECK(events.readUntil(": ") == "data: ");
    CHECK(events.reply().body == "3\n\n");
    CHECK_THROWS_AS(events.readUntil("4"), IncompleteReply);
}

TEST_CASE("a request waits for what other requests do", "[testing]") {
    std::vector<std::string> news;
    Event some;
    TestClient client([&](Cgi& cgi) {
        if (cgi.requestMethod() == "POST") {
            news.push_back(cgi.postBody());
            some.set();
            return cgi.write("ok", true);
        }
        some.wait();
        cgi.write(news.back(), true);
    });
    auto first = client.start("GET", "/news"), second = client.start("GET", "/news");
    CHECK(!first.hasBegun());
    CHECK(!second.hasBegun());
    CHECK(client.post("/news", "hello").body == "ok");
    CHECK(second.hasBegun());
    CHECK(first.reply().body == "hello");
    CHECK(second.reply().body == "hello");
    CHECK(second.reply().body == "hello");
}

TEST_CASE("a client that goes away is noticed by the handler that writes to it", "[testing]") {
    bool noticed = false;
    TestClient client([&](Cgi& cgi) {
        if (cgi.pathInfo() == "/x") return say(cgi);
        try {
            for (;;) {
                cgi.write(std::string(1000, 'x'));
                cgi.flush();
            }
        } catch (const Disconnected&) {
            noticed = true;
            throw;
        }
    });
    {
        auto endless = client.start("GET", "/");
        CHECK(endless.read().starts_with("xxx"));
        CHECK(!noticed);
    }
    CHECK(noticed);
    CHECK(client.get("/x").body == "GET /x");
}

TEST_CASE("time passes without waiting, from one sleep to the next", "[testing]") {
    std::vector<int> woken;
    TestClient client([&](Cgi& cgi) {
        FiberGroup fibers;
        for (const int seconds : {30, 10, 20})
            fibers.spawn([&woken, seconds] {
                sleepFor(std::chrono::seconds(seconds));
                woken.push_back(seconds);
            });
        fibers.wait();
        say(cgi);
    });
    const auto begin = Clock::now();
    auto late = client.start("GET", "/");
    client.advance(9s);
    CHECK(woken.empty());
    client.advance(12s);
    CHECK(woken == std::vector<int>{10, 20});
    CHECK(!late.hasBegun());
    client.advance(1h);
    CHECK(woken == std::vector<int>{10, 20, 30});
    CHECK(late.reply().body == "GET /");
    CHECK(Clock::now() - begin < 5s);
}

TEST_CASE("a call waits for what other threads do for the handler", "[testing]") {
    TestClient client([](Cgi& cgi) { cgi.write(runBlocking([] { return std::string("from a thread"); }), true); });
    CHECK(client.get("/").body == "from a thread");
}

// ── WebSockets ──

TEST_CASE("a test client's WebSocket talks with the handler", "[testing][websocket]") {
    TestClient client(echo);
    auto socket = client.websocket("/echo");
    CHECK(socket.isOpen());
    CHECK(!socket.hasMessage());
    socket.send("x");
    CHECK(socket.hasMessage());
    CHECK(describe(socket.recv()) == "text x");
    socket.send(asBytes("\x01\x02"));
    CHECK(socket.receiveBinary() == "\x01\x02");
    socket.send(42);
    CHECK(socket.receiveText() == "42");
    const std::string large(700'000, 'l');
    socket.send(large);
    CHECK(socket.hasMessage());
    CHECK(socket.receiveText() == large);
    CHECK(socket.roundTrip() >= 0s);
    socket.ping("p");
    CHECK(!socket.hasMessage());
    socket.close(4000, "enough");
    CHECK(socket.readyState() == ReadyState::closed);
    CHECK(socket.closeCode() == 4000);
    CHECK(socket.wasClean());
    CHECK(describe(socket.recv()) == "close 4000");
    CHECK(!socket.hasMessage());
    CHECK_THROWS_AS(socket.send("late"), WebSocketClosed);
}

TEST_CASE("a test client's handler that pushes first is heard before anything is sent", "[testing][websocket]") {
    TestClient client([](Cgi& cgi) {
        auto socket = cgi.acceptWebsocket();
        socket.send("welcome");
        socket.send("again");
        socket.close(4001, "that was all");
    });
    auto socket = client.websocket("/");
    CHECK(socket.receiveText() == "welcome");
    CHECK(socket.receiveText() == "again");
    CHECK(describe(socket.recv()) == "close 4001 that was all");
    CHECK(socket.closeReason() == "that was all");
    CHECK_THROWS_AS(socket.receiveText(), WebSocketClosed);
}

TEST_CASE("a WebSocket that hears nothing: the call names it and the time", "[testing][websocket]") {
    TestClient client(echo, impatient());
    auto socket = client.websocket("/echo");
    CHECK_THROWS_MATCHES(socket.recv(), TimedOut, Catch::Matchers::Message("WebSocket /echo, recv: nothing came within 0.02 s"));
    socket.send("still there");
    CHECK(socket.receiveText() == "still there");
}

TEST_CASE("a test client asks for subprotocols, compression, origin and fields", "[testing][websocket]") {
    TestClientOptions settings;
    settings.host = "shop.example";
    settings.https = true;
    TestClient client(
        [](Cgi& cgi) {
            WebSocketOptions options;
            options.protocols = {"v2", "v1"};
            options.deflate.emplace();
            auto socket = cgi.acceptWebsocket(options);
            const auto& request = socket.request();
            socket.send(std::string(request.host()) + " " + std::string(request.header("X-Key")) + " " + request.cookie("a") + " " +
                        request.cookie("b") + " " + std::string(request.header("Origin")) + " " + request.get("q"));
            socket.recv();
        },
        settings);
    client.setHeader("X-Key", "k");
    client.setCookie("a", "1");
    ClientOptions options;
    options.socket.protocols = {"v1", "v3"};
    options.socket.deflate.emplace();
    options.origin = "https://shop.example";
    options.cookies = {{"b", "2"}};
    auto socket = client.websocket("/x?q=z", options);
    CHECK(socket.protocol() == "v1");
    CHECK(socket.compresses());
    CHECK(socket.receiveText() == "shop.example k 1 2 https://shop.example z");
    client.setHeader("Origin", "https://evil.example");
    client.setHeader("Host", "other.example");
    try {
        client.websocket("/");
        FAIL("another origin is refused");
    } catch (const HandshakeError& refusal) {
        CHECK(refusal.status() == 403);
    }
    client.setHeader("Origin", "https://other.example");
    CHECK(client.websocket("/").receiveText() == "other.example k 1  https://other.example ");
}

TEST_CASE("a handler that refuses a WebSocket is heard as it speaks", "[testing][websocket]") {
    TestClient client([](Cgi& cgi) {
        if (cgi.pathInfo() == "/login") {
            cgi.setResponseStatus(401);
            cgi.header("WWW-Authenticate", "Basic realm=x");
            cgi.setCookie("seen", "1");
            return cgi.write("who are you?", true);
        }
        if (cgi.pathInfo() == "/moved") return cgi.setResponseLocation("/new");
        if (cgi.pathInfo() == "/page") return say(cgi);
        throw std::runtime_error("broken");
    });
    try {
        client.websocket("/login");
        FAIL("401");
    } catch (const Unauthorized& refusal) {
        CHECK(refusal.challenge() == "Basic realm=x");
        CHECK(refusal.body() == "who are you?");
    }
    CHECK(client.cookie("seen") == "1");
    CHECK_THROWS_AS(client.websocket("/moved"), RedirectRefused);
    try {
        client.websocket("/page");
        FAIL("200");
    } catch (const HandshakeError& refusal) {
        CHECK(refusal.status() == 200);
        CHECK(refusal.body() == "GET /page");
    }
    CHECK_THROWS_AS(client.websocket("/"), HandshakeError);
    CHECK(client.logged("broken"));
    CHECK_THROWS_AS(client.websocket("no slash"), std::invalid_argument);
}

TEST_CASE("an event-style socket answers a test client", "[testing][websocket]") {
    std::vector<std::string> heard;
    TestClient client([&](Cgi& cgi) {
        auto socket = cgi.acceptWebsocket();
        socket.onopen([](WebSocket& here) { here.send("open"); });
        socket.onmessage([&](WebSocket& here, std::string_view text) {
            heard.emplace_back(text);
            here.send("heard " + std::string(text));
        });
        socket.onclose([&](const CloseEvent& event) { heard.push_back("close " + std::to_string(event.code)); });
    });
    auto socket = client.websocket("/");
    CHECK(socket.receiveText() == "open");
    socket.send("a");
    CHECK(heard == std::vector<std::string>{"a"});
    CHECK(socket.receiveText() == "heard a");
    { const auto gone = std::move(socket); }
    CHECK(heard == std::vector<std::string>{"a", "close 1000"});
}

TEST_CASE("callbacks of a test client's own socket are called during its calls", "[testing][websocket]") {
    TestClient client([](Cgi& cgi) {
        auto socket = cgi.acceptWebsocket();
        while (const auto message = socket.recv()) socket.send(message.textData());
    });
    std::vector<std::string> heard;
    auto socket = client.websocket("/");
    socket.socket().ontextmessage([&](std::string_view text) { heard.emplace_back(text); });
    socket.send("one");
    CHECK(heard == std::vector<std::string>{"one"});
}

TEST_CASE("pings are answered while a handler that took a message waits for something else", "[testing][websocket]") {
    TestClient client(
        [](Cgi& cgi) {
            WebSocketOptions options;
            options.pingInterval = 0s;
            auto socket = cgi.acceptWebsocket(options);
            socket.recv();
            Event().wait();
        },
        impatient());
    auto socket = client.websocket("/");
    socket.send("x");
    CHECK_NOTHROW(socket.roundTrip());
}

TEST_CASE("several sockets of a test client chat with each other", "[testing][websocket]") {
    std::map<std::string, WebSocket*> room;
    TestClient client([&](Cgi& cgi) {
        auto socket = cgi.acceptWebsocket();
        const std::string name(cgi.get("name"));
        room[name] = &socket;
        while (const auto message = socket.recv())
            for (auto& [other, there] : room)
                if (other != name) there->send(name + ": " + message.toString());
        room.erase(name);
    });
    auto ann = client.websocket("/chat?name=ann"), bob = client.websocket("/chat?name=bob"), eve = client.websocket("/chat?name=eve");
    CHECK(room.size() == 3);
    ann.send("hello");
    CHECK(bob.receiveText() == "ann: hello");
    CHECK(eve.receiveText() == "ann: hello");
    CHECK(!ann.hasMessage());
    eve.abort();
    CHECK(room.size() == 2);
    bob.send("hi");
    CHECK(ann.receiveText() == "bob: hi");
    ann = TestWebSocket();
    CHECK(room.size() == 1);
    CHECK(client.get("/").status == 426);
}

TEST_CASE("a heartbeat can be seen without waiting for it", "[testing][websocket]") {
    bool ended = false;
    TestClient client([&](Cgi& cgi) {
        WebSocketOptions options;
        options.pingInterval = 25s;
        options.pingMessage = "beat";
        auto socket = cgi.acceptWebsocket(options);
        CHECK_THROWS_AS(socket.recv(60s), TimedOut);
        socket.send("one minute has passed");
        while (socket.recv()) continue;
        ended = true;
    });
    int beats = 0;
    ClientOptions quiet;
    quiet.socket.pingInterval = 0s;
    auto socket = client.websocket("/", quiet);
    socket.socket().onping([&](std::string_view payload) { beats += payload == "beat"; });
    client.advance(24s);
    CHECK(!socket.hasMessage());
    CHECK(beats == 0);
    client.advance(35s);
    CHECK(!socket.hasMessage());
    CHECK(beats == 2);
    client.advance(2s);
    CHECK(socket.hasMessage());
    CHECK(socket.receiveText() == "one minute has passed");
    client.advance(300s);  // nobody calls recv() on the client's end: it answers all the same
    CHECK(socket.isOpen());
    CHECK(!ended);
}

TEST_CASE("a thread that was handed a socket is heard by the test client", "[testing][websocket][threads]") {
    std::thread thread;
    {
        TestClient client([&](Cgi& cgi) {
            thread = std::thread([remote = ThreadWebSocket(cgi.acceptWebsocket())]() mutable {
                while (const auto message = remote.recv()) remote.send("thread " + message.toString());
            });
        });
        auto socket = client.websocket("/");
        socket.send("a");
        CHECK(socket.receiveText() == "thread a");
    }
    thread.join();
}

// ── The end ──

TEST_CASE("a test client's end cancels what runs and leaves nothing", "[testing]") {
    const LeftoverCheck leftovers;
    int ended = 0;
    TestWebSocket kept;
    std::unique_ptr<TestExchange> exchange;
    {
        TestClient client([&](Cgi& cgi) {
            struct Ended {
                int& count;
                ~Ended() { ++count; }
            } const onEnd{ended};
            if (cgi.websocketRequested()) {
                auto socket = cgi.acceptWebsocket();
                if (cgi.pathInfo() == "/events") {
                    socket.onclose([&](const CloseEvent&) { ++ended; });
                    return;
                }
                while (socket.recv()) continue;
            } else {
                cgi.write("begin");
                cgi.flush();
                sleepFor(24h);
            }
        });
        kept = client.websocket("/");
        const auto other = client.websocket("/events");
        exchange = std::make_unique<TestExchange>(client.start("GET", "/"));
        CHECK(exchange->read() == "begin");
        CHECK(ended == 1);
    }
    CHECK(ended == 4);
    CHECK(leftovers.find().empty());
    CHECK(!kept.isOpen());
    CHECK(!kept.hasMessage());
    CHECK_THROWS_AS(kept.send("x"), WebSocketClosed);
    CHECK_THROWS_AS(exchange->read(), std::logic_error);
}

TEST_CASE("a test client refuses to be called by its own handler", "[testing]") {
    TestClient* self = nullptr;
    TestClient client([&](Cgi& cgi) {
        CHECK_THROWS_AS(self->get("/"), std::logic_error);
        CHECK_THROWS_AS(self->advance(1s), std::logic_error);
        say(cgi);
    });
    self = &client;
    CHECK(client.get("/").body == "GET /");
    CHECK_THROWS_AS(client.run([&] { client.settle(); }), std::logic_error);
}

TEST_CASE("several test clients live side by side, and one handler may use another's", "[testing]") {
    TestClient outer([](Cgi& cgi) {
        CHECK(Loop::currentOrNull() != nullptr);
        sleepFor(1ms);
        say(cgi);
    });
    {
        TestClient inner([&](Cgi& cgi) {
            sleepFor(1ms);
            cgi.write(outer.get(cgi.requestUri()).body + " inside", true);
        });
        CHECK(outer.get("/outer").body == "GET /outer");
        CHECK(inner.get("/inner").body == "GET /inner inside");
        CHECK(outer.get("/again").body == "GET /again");
    }
    CHECK(outer.get("/after").body == "GET /after");
}

TEST_CASE("run() lets a test wait on a fiber, and throws what it throws", "[testing]") {
    TestClient client(echo, impatient());
    auto socket = client.websocket("/");
    int sum = 0;
    client.run([&] {
        FiberGroup both;
        both.spawn([&] {
            for (int i = 1; i <= 10; ++i) socket.socket().send(i);
        });
        both.spawn([&] {
            for (int i = 1; i <= 10; ++i) sum += std::stoi(socket.socket().recv().toString());
        });
        both.wait();
    });
    CHECK(sum == 55);
    CHECK_THROWS_AS(client.run([] { throw std::out_of_range("mine"); }), std::out_of_range);
    CHECK_THROWS_AS(client.run([] { Event().wait(); }), TimedOut);
}
