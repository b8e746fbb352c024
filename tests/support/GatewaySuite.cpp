#include "support/GatewaySuite.h"

#include "support/Catch.h"

#include <signal.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <stdexcept>
#include <string_view>

namespace postern {

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

std::string noise(size_t size) {
    std::string bytes(size, ' ');
    for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 2654435761u >> 13);
    return bytes;
}

// Without pings: where nothing else shows whether a client's bytes arrive, the program asks for a pong at once.
ClientFrame next(BlockingClient& client) {
    for (;;) {
        auto frame = client.next();
        if (frame.opcode != 9) return frame;
        client.frame(10, frame.payload);
    }
}

BlockingClient open(const WayIn& way, std::string_view path, std::string_view fields = {}) {
    auto client = way.connect();
    const auto head = client.upgrade(way.prefix + std::string(path), fields);
    INFO(head.head << head.body);
    REQUIRE(head.status == 101);
    CHECK(head.field("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    CHECK(head.field("Content-Length").empty());
    CHECK(head.field("Transfer-Encoding").empty());
    return client;
}

std::string post(const WayIn& way, std::string_view path, std::string_view framing) {
    return "POST " + way.prefix + std::string(path) + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: "
           "application/x-www-form-urlencoded\r\n" + std::string(framing) + "\r\n\r\n";
}

std::string chunk(std::string_view bytes) {
    std::string text;
    for (size_t left = bytes.size(); left > 0; left /= 16) text.insert(text.begin(), "0123456789abcdef"[left % 16]);
    return (text.empty() ? "0" : text) + "\r\n" + std::string(bytes) + "\r\n";
}

// The program's access log names the request once it is over.
void waitForEnd(const WayIn& way, std::string_view target) {
    if (way.program) way.program->waitForOutput(std::string(target) + " HTTP/1.");
}

// What the access log must name is new each time, or an older line would do.
std::string newName(std::string_view what) {
    static int last = 0;
    return std::string(what) + std::to_string(++last);
}

// The line ends; a front may cut it as well as close it.
bool lineEnds(BlockingClient& client) {
    try {
        client.rest();
        return true;
    } catch (const std::runtime_error& error) {
        return contains(error.what(), "reset");
    }
}

// "2026-11-21T12:34:56Z"
bool isTime(std::string_view text) { return text.size() == 20 && text.starts_with("20") && text.ends_with('Z'); }

std::string nextEvent(BlockingClient& client) {
    const auto text = client.until("Z\n\n");
    const auto at = text.rfind("data: ");
    return at == std::string::npos ? text : text.substr(at + 6, text.size() - at - 8);
}

}

WayIn wayIn(Deployment& deployment, FrontKind kind, int number, std::string prefix) {
    const auto port = deployment.port(number);
    return {std::string(nameOf(kind)) + ", way " + std::to_string(number), [port] { return BlockingClient(port); }, std::move(prefix),
            &deployment.program()};
}

void checkEchoPage(const WayIn& echo) {
    INFO(echo.name);
    auto client = echo.connect();
    const auto page = client.get(echo.prefix + '/');
    CHECK(page.status == 200);
    CHECK(page.field("Content-Type") == "text/html; charset=utf-8");
    CHECK(contains(page.body, "<h1>Echo</h1>"));
    CHECK(page.body.ends_with("</script>\n"));
    CHECK(client.get(echo.prefix + "/nowhere?a=%2f").status == 404);
    client.send("HEAD " + echo.prefix + "/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    CHECK(client.reply(true).status == 200);
    CHECK(client.hasEnded());
}

void checkKeepAlive(const WayIn& echo) {
    INFO(echo.name);
    auto client = echo.connect();
    for (int i = 0; i < 20; ++i) REQUIRE(client.get(echo.prefix + '/').status == 200);
}

void checkTargetIsUntouched(const WayIn& echo) {
    INFO(echo.name);
    const auto target = echo.prefix + "/a%2fb/%7Ec/x//y;z?q=%2f&r=+" + newName("way");
    CHECK(echo.connect().get(target).status == 404);
    waitForEnd(echo, ' ' + target);
}

void checkForm(const WayIn& form) {
    INFO(form.name);
    auto client = form.connect();
    client.send(post(form, "/show?q=2&q=%26", "Cookie: name=Ada\r\nContent-Length: 9") + "a=1&b=x+y");
    const auto values = client.reply();
    CHECK(values.status == 200);
    CHECK(contains(values.body, "Hello, Ada"));
    CHECK(contains(values.body, "<li>q = 2</li><li>q = &amp;</li>"));
    CHECK(contains(values.body, "<li>a = 1</li><li>b = x y</li>"));

    client.send(post(form, "/", "Content-Length: 8") + "name=Bob");
    const auto remembered = client.reply();
    CHECK(remembered.status == 303);
    CHECK(contains(remembered.field("Set-Cookie"), "name=Bob"));
    const auto place = remembered.field("Location");
    const bool local = place == (form.prefix.empty() ? "/" : form.prefix) || place.ends_with("://localhost" + form.prefix + '/');
    INFO(place);
    CHECK(local);
}

void checkUploads(const WayIn& form, size_t size) {
    INFO(form.name);
    const auto value = std::string(size - 6, 'x');
    const auto page = [](const ClientReply& reply, size_t length) {
        const auto at = reply.body.find("<li>a = ");
        return reply.status == 200 && at != std::string::npos && reply.body.find_first_not_of('x', at + 8) == at + 8 + length &&
               contains(reply.body, "x</li><li>b = 1</li>");
    };
    auto client = form.connect();
    client.send(post(form, "/show", "Content-Length: " + std::to_string(size)) + "a=");
    client.send(value);
    client.send("&b=1");
    const auto whole = client.reply();
    INFO(whole.head << whole.body.substr(0, 300));
    CHECK(page(whole, value.size()));

    auto other = form.connect();
    other.send(post(form, "/show", "Transfer-Encoding: chunked") + chunk("a="));
    constexpr size_t piece = 100'000;
    for (size_t at = 0; at < value.size(); at += piece) other.send(chunk(std::string_view(value).substr(at, piece)));
    other.send(chunk("&b=1") + chunk({}));
    const auto chunked = other.reply();
    INFO(chunked.head << chunked.body.substr(0, 300));
    CHECK(page(chunked, value.size()));
}

void checkPushes(const std::vector<WayIn>& clocks, bool socketsToo) {
    std::vector<BlockingClient> readers, sockets;
    for (const auto& clock : clocks) {
        INFO(clock.name);
        auto& reader = readers.emplace_back(clock.connect());
        reader.send("GET " + clock.prefix + "/events HTTP/1.1\r\nHost: localhost\r\n\r\n");
        CHECK(contains(reader.until("\r\n\r\n"), "text/event-stream"));
        CHECK(isTime(nextEvent(reader)));
        if (!socketsToo) continue;
        auto& socket = sockets.emplace_back(open(clock, "/clock"));
        CHECK(isTime(next(socket).payload));
    }
    for (size_t i = 0; i < clocks.size(); ++i) {
        INFO(clocks[i].name);
        CHECK(isTime(nextEvent(readers[i])));
        if (!socketsToo) continue;
        CHECK(isTime(next(sockets[i]).payload));
        sockets[i].closeFrame(1000);
        auto last = next(sockets[i]);
        if (last.opcode == 1) last = next(sockets[i]);
        CHECK(last.closeCode() == 1000);
        CHECK(lineEnds(sockets[i]));
    }
}

void checkUploadAborts(const WayIn& form) {
    INFO(form.name);
    auto uploader = form.connect();
    uploader.send(post(form, "/show", "Content-Length: 1000000") + noise(200'000));
    uploader.reset();
    CHECK(form.connect().get(form.prefix + "/show?after=it").status == 200);
}

void checkReplyAborts(const std::vector<WayIn>& clocks) {
    const auto name = newName("aborted") + '.';
    for (size_t i = 0; i < clocks.size(); ++i) {
        INFO(clocks[i].name);
        auto reader = clocks[i].connect();
        reader.send("GET " + clocks[i].prefix + "/events?" + name + std::to_string(i) + " HTTP/1.1\r\nHost: localhost\r\n\r\n");
        CHECK(isTime(nextEvent(reader)));
        reader.reset();
    }
    for (size_t i = 0; i < clocks.size(); ++i) {
        INFO(clocks[i].name);
        waitForEnd(clocks[i], "/events?" + name + std::to_string(i));
        CHECK(clocks[i].connect().get(clocks[i].prefix + '/').status == 200);
    }
}

void checkConversation(const WayIn& echo) {
    INFO(echo.name);
    auto client = open(echo, "/echo");
    for (int i = 0; i < 300; ++i) {
        const auto text = "message " + std::to_string(i);
        client.text(text);
        const auto back = next(client);
        REQUIRE(back.opcode == 1);
        REQUIRE(back.payload == text);
    }
    const auto large = noise(1024 * 1024);
    client.frame(2, large);
    const auto back = next(client);
    CHECK(back.opcode == 2);
    CHECK(back.final);
    CHECK(back.payload == large);

    client.frame(1, "one ", false);
    client.frame(9, "ping");
    client.frame(0, "message");
    const auto pong = next(client);
    CHECK(pong.opcode == 10);
    CHECK(pong.payload == "ping");
    CHECK(next(client).payload == "one message");

    client.closeFrame(3001, "bye");
    const auto close = next(client);
    CHECK(close.opcode == 8);
    CHECK(close.closeCode() == 3001);
    CHECK(lineEnds(client));
}

void checkOrigins(const WayIn& echo, const std::string& authority) {
    INFO(echo.name);
    const auto withHost = [&](const std::string& origin) {
        auto client = echo.connect();
        client.send("GET " + echo.prefix + "/echo HTTP/1.1\r\nHost: " + authority + "\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: " + origin + "\r\n\r\n");
        return client.reply().status;
    };
    CHECK(withHost("http://" + authority) == 101);
    CHECK(withHost("http://elsewhere.example") == 403);
}

void checkClientIsNotBelieved(const WayIn& echo) {
    INFO(echo.name);
    const std::string lies = "Forwarded: for=192.0.2.9;proto=https;host=elsewhere.example\r\nX-Forwarded-For: 192.0.2.9\r\n"
                             "X-Forwarded-Proto: https\r\nX-Forwarded-Host: elsewhere.example\r\nX-Real-IP: 192.0.2.9\r\n";
    const auto liar = newName("/echo?liar");
    CHECK(echo.connect().upgrade(echo.prefix + liar, lies + "Origin: http://localhost\r\n").status == 101);
    CHECK(echo.connect().upgrade(echo.prefix + "/echo", lies + "Origin: https://elsewhere.example\r\n").status == 403);
    waitForEnd(echo, liar);
    CHECK(contains('\n' + echo.program->output(), "\n127.0.0.1 - "));
    CHECK(!contains(echo.program->output(), "192.0.2.9"));
}

void checkProgramCloses(const WayIn& echo) {
    INFO(echo.name);
    auto client = open(echo, "/echo");
    client.text("\xc3\x28");
    const auto close = next(client);
    CHECK(close.opcode == 8);
    CHECK(close.closeCode() == 1007);
    try {
        client.closeFrame(1007);
    } catch (const std::runtime_error&) {
        // After an error the program waits for no answer, and a front may have cut the line by now.
    }
    CHECK(lineEnds(client));
}

void checkClientDrops(const WayIn& echo) {
    INFO(echo.name);
    const auto closed = newName("/echo?closed"), reset = newName("/echo?reset");
    {
        auto client = open(echo, closed);
        client.text("hello");
        CHECK(next(client).payload == "hello");
    }
    {
        auto client = open(echo, reset);
        client.text("hello");
        CHECK(next(client).payload == "hello");
        client.send(maskedFrame(1, "half").substr(0, 4));
        client.reset();
    }
    waitForEnd(echo, closed);
    waitForEnd(echo, reset);
}

void checkProgramStops(const WayIn& echo) {
    INFO(echo.name);
    auto client = open(echo, "/echo");
    client.text("hello");
    CHECK(next(client).payload == "hello");
    echo.program->signal(SIGTERM);
    const auto close = next(client);
    CHECK(close.opcode == 8);
    CHECK(close.closeCode() == 1001);
    client.closeFrame(1001);
    CHECK(lineEnds(client));
    client.close();
    CHECK(echo.program->wait() == 0);
}

void checkProgramDrops(const WayIn& echo) {
    INFO(echo.name);
    auto client = open(echo, "/echo");
    client.text("hello");
    CHECK(next(client).payload == "hello");
    echo.program->signal(SIGKILL);
    CHECK(lineEnds(client));
}

void serveWithHeartbeat(Cgi& cgi) {
    WebSocketOptions options;
    options.pingInterval = std::chrono::milliseconds(500);
    auto socket = cgi.acceptWebsocket(options);
    while (auto message = socket.recv()) {
        if (message.textData() == "quiet") socket.setHeartbeat({});
        socket.send(message.textData());
    }
}

void checkHeartbeat(const std::vector<std::function<BlockingClient()>>& fronts) {
    struct Pair {
        BlockingClient kept, quiet;
    };
    const auto connect = [](const std::function<BlockingClient()>& front, std::string_view word) {
        auto client = front();
        REQUIRE(client.upgrade("/").status == 101);
        client.text(word);
        REQUIRE(next(client).payload == word);
        return client;
    };
    const auto hasEnded = [](const Pair& pair) {
        char byte;
        const auto got = ::recv(pair.quiet.fd(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
        return got == 0 || (got < 0 && errno == ECONNRESET);
    };
    std::vector<Pair> pairs;
    for (const auto& front : fronts) pairs.push_back({connect(front, "kept"), connect(front, "quiet")});
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!std::all_of(pairs.begin(), pairs.end(), hasEnded) && std::chrono::steady_clock::now() < until)
        for (auto& pair : pairs) {
            const auto ping = pair.kept.next();
            REQUIRE(ping.opcode == 9);
            pair.kept.frame(10, ping.payload);
        }
    CHECK(std::all_of(pairs.begin(), pairs.end(), hasEnded));
    for (auto& pair : pairs) {
        pair.kept.text("still here");
        auto frame = pair.kept.next();
        while (frame.opcode == 9) frame = pair.kept.next();
        CHECK(frame.payload == "still here");
    }
}

void checkUpgradeIsRefused(const WayIn& echo) {
    INFO(echo.name);
    CHECK(echo.connect().upgrade(echo.prefix + "/echo").status == 501);
    CHECK(echo.connect().get(echo.prefix + '/').status == 200);
}

}
