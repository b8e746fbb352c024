#include "support/BlockingClient.h"
#include "support/Catch.h"
#include "support/Fronts.h"

#include <algorithm>
#include <filesystem>
#include <optional>

using namespace postern;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// lighttpd with our programs as CGI programs under /echo.cgi and /form.cgi.
class Lighttpd {
public:
    explicit Lighttpd(bool upgrade) {
        for (const char* app : {"echo", "form", "hello"})
            std::filesystem::create_symlink(checkedApp(app), programs_ / (std::string(app) + ".cgi"));
        front_.emplace(FrontKind::lighttpd,
                       "server.modules += ( \"mod_cgi\", \"mod_alias\" )\n"
                       "$SERVER[\"socket\"] == \"127.0.0.1:" + std::to_string(port_) + "\" {}\n"
                       "alias.url = ( \"/\" => \"" + programs_ / "" + "\" )\n"
                       "cgi.assign = ( \".cgi\" => \"\" )\n" + (upgrade ? "cgi.upgrade = \"enable\"\n" : ""),
                       std::vector<uint16_t>{port_});
    }
    BlockingClient connect() const { return BlockingClient(port_); }
    /// Of our programs, too.
    void waitForErrors(std::string_view text) { front_->waitForLog(text); }

    // Our programs among its children.
    size_t programs() const {
        const auto pid = std::to_string(front_->pid());
        const auto text = readFile("/proc/" + pid + "/task/" + pid + "/children");
        return static_cast<size_t>(std::count(text.begin(), text.end(), ' '));
    }

private:
    TemporaryDirectory programs_;
    FreePort port_;
    std::optional<Front> front_;
};

}

TEST_CASE("lighttpd: the page and the form are served as by ourselves", "[gateways]") {
    const Lighttpd lighttpd(true);
    auto client = lighttpd.connect();
    const auto page = client.get("/echo.cgi/");
    CHECK(page.status == 200);
    CHECK(contains(page.body, "<h1>Echo</h1>"));
    CHECK(client.get("/echo.cgi/nowhere").status == 404);

    const std::string body = "a=1&b=x+y";
    client.send("POST /form.cgi/show?q=2 HTTP/1.1\r\nHost: localhost\r\nCookie: name=Ada\r\nContent-Type: "
                "application/x-www-form-urlencoded\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
    const auto form = client.reply();
    CHECK(form.status == 200);
    CHECK(contains(form.body, "Hello, Ada"));
    CHECK(contains(form.body, "<li>q = 2</li>"));
    CHECK(contains(form.body, "<li>a = 1</li><li>b = x y</li>"));

    client.send("POST /form.cgi/ HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n"
                "Content-Length: 8\r\n\r\nname=Bob");
    const auto remembered = client.reply();
    CHECK(remembered.status == 303);
    CHECK(remembered.field("Location") == "/form.cgi");
    CHECK(contains(remembered.field("Set-Cookie"), "name=Bob"));
}

TEST_CASE("lighttpd: a WebSocket over CGI echoes 300 messages and a large one", "[gateways]") {
    const Lighttpd lighttpd(true);
    auto client = lighttpd.connect();
    const auto head = client.upgrade("/echo.cgi/echo", "Origin: http://localhost\r\n");
    REQUIRE(head.status == 101);
    CHECK(head.field("Sec-WebSocket-Accept") == "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    for (int i = 0; i < 300; ++i) {
        const auto text = "message " + std::to_string(i);
        client.text(text);
        const auto echo = client.next();
        REQUIRE(echo.opcode == 1);
        REQUIRE(echo.payload == text);
    }
    std::string large(1024 * 1024, ' ');
    for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>(i * 2654435761u >> 13);
    client.frame(2, large);
    const auto echo = client.next();
    CHECK(echo.opcode == 2);
    CHECK(echo.payload == large);
    client.frame(9, "ping");
    CHECK(client.next().opcode == 10);

    client.closeFrame(3001, "bye");
    const auto close = client.next();
    CHECK(close.opcode == 8);
    CHECK(close.closeCode() == 3001);
    CHECK(client.hasEnded());
}

TEST_CASE("lighttpd: a close from our side arrives, and so does a refusal", "[gateways]") {
    const Lighttpd lighttpd(true);
    auto client = lighttpd.connect();
    REQUIRE(client.upgrade("/echo.cgi/echo").status == 101);
    client.text("\xc3\x28");
    const auto close = client.next();
    CHECK(close.opcode == 8);
    CHECK(close.closeCode() == 1007);
    client.closeFrame(1007);
    CHECK(client.hasEnded());
    CHECK(lighttpd.connect().upgrade("/echo.cgi/echo", "Origin: http://evil.example\r\n").status == 403);
}

TEST_CASE("lighttpd: our program ends when the client vanishes", "[gateways]") {
    const Lighttpd lighttpd(true);
    {
        auto client = lighttpd.connect();
        REQUIRE(client.upgrade("/echo.cgi/echo").status == 101);
        client.text("hello");
        REQUIRE(client.next().payload == "hello");
        CHECK(lighttpd.programs() == 1);
        client.send(maskedFrame(1, "half").substr(0, 4));
        client.reset();
    }
    auto probe = lighttpd.connect();
    const auto until = std::chrono::steady_clock::now() + patience;
    while (lighttpd.programs() > 0 && std::chrono::steady_clock::now() < until) probe.get("/none");
    CHECK(lighttpd.programs() == 0);
}

TEST_CASE("lighttpd: without cgi.upgrade a WebSocket is a 501, and the log names the line to add", "[gateways]") {
    Lighttpd lighttpd(false);
    auto client = lighttpd.connect();
    CHECK(client.upgrade("/echo.cgi/echo").status == 501);
    lighttpd.waitForErrors("cgi.upgrade = \"enable\"");
    CHECK(lighttpd.connect().get("/echo.cgi/").status == 200);
}
