#include "support/BlockingClient.h"
#include "support/Catch.h"
#include "support/Process.h"

using namespace postern;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Finished request(const char* app, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), checkedApp(app));
    return runToEnd(arguments);
}

std::string bodyOf(const Finished& result) { return result.output.substr(result.output.find("\r\n\r\n") + 4); }

ClientReply post(BlockingClient& client, const std::string& target, const std::string& form, const std::string& fields = {}) {
    client.send("POST " + target + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n" + fields +
                "Content-Length: " + std::to_string(form.size()) + "\r\n\r\n" + form);
    return client.reply();
}

// 2026-11-21T04:00:00Z
bool isTime(std::string_view text) {
    constexpr std::string_view pattern = "dddd-dd-ddTdd:dd:ddZ";
    if (text.size() != pattern.size()) return false;
    for (size_t i = 0; i < text.size(); ++i)
        if (pattern[i] == 'd' ? text[i] < '0' || text[i] > '9' : text[i] != pattern[i]) return false;
    return true;
}

}

TEST_CASE("hello says hello at / and nothing elsewhere", "[apps]") {
    Served served(checkedApp("hello"));
    BlockingClient client(served.port());
    const auto reply = client.get("/");
    CHECK(reply.status == 200);
    CHECK(reply.body == "Hello, world!\n");
    CHECK(reply.field("Content-Type") == "text/plain; charset=utf-8");
    CHECK(client.get("/else").status == 404);
    client.close();
    CHECK(served.stop() == 0);

    CHECK(bodyOf(request("hello", {"GET", "/"})) == reply.body);
    CHECK(request("hello", {"GET", "/else"}).output.starts_with("HTTP/1.1 404 "));
}

TEST_CASE("the page of echo needs nothing from anywhere else", "[apps]") {
    Served served(checkedApp("echo"));
    const auto reply = BlockingClient(served.port()).get("/");
    CHECK(reply.status == 200);
    CHECK(reply.field("Content-Type") == "text/html; charset=utf-8");
    for (const char* outside : {"src=", "<link", "@import", "http://", "https://", "//cdn", "url(", "fetch("}) {
        CAPTURE(outside);
        CHECK(!contains(reply.body, outside));
    }
    CHECK(contains(reply.body, "<script>"));
    CHECK(bodyOf(request("echo", {"GET", "/"})) == reply.body);
    CHECK(request("echo", {"GET", "/else"}).output.starts_with("HTTP/1.1 404 "));
}

TEST_CASE("echo echoes, and only for pages of its own host", "[apps]") {
    Served served(checkedApp("echo"));
    BlockingClient client(served.port());
    REQUIRE(client.upgrade("/echo", "Origin: http://localhost\r\n").status == 101);
    client.text("text");
    const auto text = client.next();
    CHECK(text.opcode == 1);
    CHECK(text.payload == "text");
    client.frame(2, std::string("\0\xff", 2));
    const auto bytes = client.next();
    CHECK(bytes.opcode == 2);
    CHECK(bytes.payload == std::string("\0\xff", 2));
    client.closeFrame(1000);
    CHECK(client.next().closeCode() == 1000);
    CHECK(client.hasEnded());
    client.close();

    CHECK(BlockingClient(served.port()).upgrade("/echo", "Origin: http://localhost:81\r\n").status == 403);
    CHECK(BlockingClient(served.port()).upgrade("/else").status == 404);
    const auto plain = BlockingClient(served.port()).get("/echo");
    CHECK(plain.status == 426);
    CHECK(plain.field("Sec-WebSocket-Version") == "13");
    CHECK(served.stop() == 0);

    Served open(checkedApp("echo"), {"--allowed-origin", "any", "--max-message", "10"});
    BlockingClient stranger(open.port());
    REQUIRE(stranger.upgrade("/echo", "Origin: https://evil.example\r\n").status == 101);
    stranger.text("0123456789");
    CHECK(stranger.next().payload == "0123456789");
    stranger.text("0123456789a");
    CHECK(stranger.next().closeCode() == 1009);
}

TEST_CASE("clock pushes the time as an event stream", "[apps]") {
    Served served(checkedApp("clock"));
    BlockingClient client(served.port());
    client.send("GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
    const auto head = client.until("\r\n\r\n");
    CHECK(contains(head, "\r\nContent-Type: text/event-stream\r\n"));
    CHECK(contains(head, "\r\nCache-Control: no-store\r\n"));
    CHECK(contains(head, "\r\nTransfer-Encoding: chunked\r\n"));
    for (int i = 0; i < 2; ++i) {
        client.until("data: ");
        const auto line = client.until("\n\n");
        CHECK(isTime(std::string_view(line).substr(0, line.size() - 2)));
    }
    client.close();
    const auto page = BlockingClient(served.port()).get("/");
    CHECK(contains(page.body, "new EventSource('events')"));
    CHECK(BlockingClient(served.port()).get("/else").status == 404);
    CHECK(served.stop() == 0);
}

TEST_CASE("clock pushes the time over a WebSocket until the client closes", "[apps]") {
    Served served(checkedApp("clock"));
    BlockingClient client(served.port());
    REQUIRE(client.upgrade("/clock").status == 101);
    CHECK(isTime(client.next().payload));
    client.text("ignored");
    CHECK(isTime(client.next().payload));
    client.closeFrame(1000);
    auto frame = client.next();
    while (frame.opcode == 1) frame = client.next();
    CHECK(frame.closeCode() == 1000);
    CHECK(client.hasEnded());
    client.close();
    CHECK(served.stop() == 0);

    Process terminal({checkedApp("clock"), "WS", "/clock"});
    CHECK(isTime(terminal.line()));
    terminal.closeInput();
    CHECK(terminal.wait() == 0);
}

TEST_CASE("form shows what a query, a form and cookies hold, escaped", "[apps]") {
    Served served(checkedApp("form"));
    BlockingClient client(served.port());
    const auto shown = post(client, "/show?a=1&a=2&b=%3Cscript%3E", "c=x+y&d=%26", "Cookie: name=Ada; other=%3C\r\n");
    CHECK(shown.status == 200);
    CHECK(contains(shown.body, "<h1>Hello, Ada</h1>"));
    CHECK(contains(shown.body, "<h2>get</h2><ul><li>a = 1</li><li>a = 2</li><li>b = &lt;script&gt;</li></ul>"));
    CHECK(contains(shown.body, "<h2>post</h2><ul><li>c = x y</li><li>d = &amp;</li></ul>"));
    CHECK(contains(shown.body, "<h2>cookies</h2><ul><li>name = Ada</li><li>other = %3C</li></ul>"));
    CHECK(contains(client.get("/").body, "<h1>Hello, stranger</h1>"));
    CHECK(client.get("/else").status == 404);

    const auto terminal = request("form", {"POST", "/show?a=1&a=2&b=%3Cscript%3E", "c=x y", "d=&", "--cookie", "name=Ada", "--cookie", "other=%3C"});
    CHECK(bodyOf(terminal) == shown.body);
}

TEST_CASE("form remembers a name in a cookie and forgets it", "[apps]") {
    Served served(checkedApp("form"));
    BlockingClient client(served.port());
    const auto remembered = post(client, "/", "name=Ada");
    CHECK(remembered.status == 303);
    CHECK(remembered.field("Location") == "/");
    CHECK(remembered.body.empty());
    const auto cookie = remembered.field("Set-Cookie");
    CHECK(cookie.starts_with("name=Ada"));
    CHECK(contains(client.get("/", "Cookie: " + cookie.substr(0, cookie.find(';')) + "\r\n").body, "<h1>Hello, Ada</h1>"));

    const auto forgotten = client.get("/forget", "Cookie: name=Ada\r\n");
    CHECK(forgotten.status == 303);
    CHECK(forgotten.field("Location") == "/");
    CHECK(contains(forgotten.field("Set-Cookie"), "Max-Age=0"));

    CHECK(post(client, "/", "name=a%0d%0aSet-Cookie:b").status == 400);
    CHECK(request("form", {"POST", "/", "name=Ada"}).output.starts_with("HTTP/1.1 303 "));
    client.close();
    CHECK(served.stop() == 0);
}
