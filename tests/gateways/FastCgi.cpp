// FastCGI without a web server of Debian's choice: a front that carries upgrades, libfcgi at the other end of either side, and
// programs that somebody else started.

#include "support/Catch.h"
#include "support/FcgiFront.h"
#include "support/GatewaySuite.h"
#include "support/TestGateway.h"

#include <signal.h>

#include <filesystem>

using namespace postern;

namespace {

using Variables = std::vector<std::pair<std::string, std::string>>;

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// A program behind a front that upgrades as lighttpd 1.4.74 does.
class Upgrading {
public:
    explicit Upgrading(const char* app, FcgiFrontOptions options = {})
        : served_(checkedApp(app), {"--access-log", "common", "--listen", "fcgi+unix:" + directory_ / "fcgi.sock"}) {
        served_.process().waitForOutput("to stop.\n");
        front_.emplace(directory_ / "fcgi.sock", std::move(options));
    }
    WayIn way() {
        return {"an upgrading front", [this] { return BlockingClient(front_->port()); }, {}, &served_.process()};
    }
    FcgiFront& front() { return *front_; }
    Process& program() { return served_.process(); }

private:
    TemporaryDirectory directory_;
    Served served_;
    std::optional<FcgiFront> front_;
};

// The responder that libfcgi's own half for the operating system serves, on a Unix socket.
class Responder {
public:
    Responder() : process_({optimisedApp("peers/fcgienv"), socket()}) { process_.waitForOutput("ready\n"); }
    std::string socket() const { return directory_ / "peer.sock"; }

private:
    TemporaryDirectory directory_;
    Process process_;
};

// A request by libfcgi's own client, which takes it from its environment as a CGI program does.
class LibfcgiClient {
public:
    explicit LibfcgiClient(const char* app)
        : served_(checkedApp(app), {"--listen", "fcgi://127.0.0.1:" + std::to_string(port_)}) {
        served_.process().waitForOutput("to stop.\n");
    }
    Finished ask(const Variables& variables, std::string_view body = {}) {
        auto options = serverOptions();
        const Variables always{{"GATEWAY_INTERFACE", "CGI/1.1"}, {"SERVER_PROTOCOL", "HTTP/1.1"}, {"HTTP_HOST", "localhost"},
                               {"REMOTE_ADDR", "192.0.2.7"},     {"CONTENT_LENGTH", std::to_string(body.size())}};
        options.environment.insert(options.environment.end(), always.begin(), always.end());
        options.environment.insert(options.environment.end(), variables.begin(), variables.end());
        return runToEnd({serverProgram("cgi-fcgi"), "-bind", "-connect", "127.0.0.1:" + std::to_string(port_)}, options, body);
    }
    Process& program() { return served_.process(); }

private:
    FreePort port_;
    Served served_;
};

const Variables handshake{{"REQUEST_METHOD", "GET"},         {"REQUEST_URI", "/echo"},
                          {"HTTP_UPGRADE", "websocket"},     {"HTTP_CONNECTION", "Upgrade"},
                          {"HTTP_SEC_WEBSOCKET_VERSION", "13"}, {"HTTP_SEC_WEBSOCKET_KEY", "dGhlIHNhbXBsZSBub25jZQ=="}};

}

TEST_CASE("FastCGI with an upgrading front: pages, forms and uploads", "[gateways][fastcgi]") {
    Upgrading echo("echo"), form("form");
    checkEchoPage(echo.way());
    checkKeepAlive(echo.way());
    checkTargetIsUntouched(echo.way());
    checkForm(form.way());
    checkUploads(form.way(), 1'000'000);
    CHECK(echo.front().complaints().empty());
    CHECK(form.front().complaints().empty());
}

TEST_CASE("FastCGI with an upgrading front: a WebSocket holds its whole conversation, and either side may close it", "[gateways][fastcgi]") {
    Upgrading echo("echo");
    checkConversation(echo.way());
    checkProgramCloses(echo.way());
    checkOrigins(echo.way(), "localhost:8080");
    checkClientIsNotBelieved(echo.way());
    CHECK(echo.front().complaints().empty());
    checkProgramStops(echo.way());
}

TEST_CASE("FastCGI with an upgrading front: what a program sends by itself arrives at once", "[gateways][fastcgi]") {
    Upgrading clock("clock");
    checkPushes({clock.way()});
    checkReplyAborts({clock.way()});
}

TEST_CASE("FastCGI with an upgrading front: a drop on either side of a WebSocket ends the other", "[gateways][fastcgi]") {
    Upgrading echo("echo");
    checkClientDrops(echo.way());
    checkProgramDrops(echo.way());
}

TEST_CASE("FastCGI with an upgrading front: the heartbeat keeps an idle WebSocket open", "[gateways][fastcgi]") {
    const TestGateway gateway(CgiProtocol::fastCgi, serveWithHeartbeat);
    FcgiFrontOptions options;
    options.idle = std::chrono::seconds(2);
    const FcgiFront front(std::to_string(gateway.port()), options);
    checkHeartbeat({[&] { return BlockingClient(front.port()); }});
}

TEST_CASE("FastCGI with a front that ends our input at once: 501, and the log says what would carry a WebSocket", "[gateways][fastcgi]") {
    FcgiFrontOptions options;
    options.closesStdin = true;
    Upgrading echo("echo", options);
    checkUpgradeIsRefused(echo.way());
    echo.program().waitForErrors("lighttpd/1.4.79's FastCGI does not carry a WebSocket: set \"upgrade\" => \"enable\" in fastcgi.server");
    CHECK(echo.front().complaints().empty());
}

TEST_CASE("the upgrading front speaks to libfcgi's own responder: variables, bodies, and both ways after a 101", "[gateways][fastcgi]") {
    const Responder responder;
    FcgiFront front(responder.socket());
    BlockingClient client(front.port());
    const auto page = client.get("/a%2fb?x=y", "X-Some: thing\r\n");
    CHECK(page.status == 200);
    CHECK(contains('\n' + page.body, "\nREQUEST_METHOD=GET\n"));
    CHECK(contains('\n' + page.body, "\nREQUEST_URI=/a%2fb?x=y\n"));
    CHECK(contains('\n' + page.body, "\nHTTP_X_SOME=thing\n"));

    const std::string body(100'000, 'b');
    client.send("POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n186a0\r\n" + body + "\r\n0\r\n\r\n");
    const auto posted = client.reply();
    CHECK(contains('\n' + posted.body, "\nCONTENT_LENGTH=100000\n"));
    CHECK(posted.body.ends_with("\n\n" + body));
    CHECK(front.completed() == 2);
    CHECK(contains(front.errors(), "100000 bytes\n"));

    BlockingClient upgraded(front.port());
    REQUIRE(upgraded.upgrade("/upgrade").status == 101);
    for (const auto& said : {std::string("a"), std::string(70'000, 'c'), std::string("z")}) {
        upgraded.send(said);
        CHECK(upgraded.exactly(said.size()) == said);
    }
    CHECK(front.complaints().empty());
}

TEST_CASE("the front that ends our input at once ends that of libfcgi's own responder, also after a 101", "[gateways][fastcgi]") {
    const Responder responder;
    FcgiFrontOptions options;
    options.closesStdin = true;
    FcgiFront front(responder.socket(), options);
    BlockingClient client(front.port());
    REQUIRE(client.upgrade("/upgrade").status == 101);
    CHECK(client.rest().empty());
}

TEST_CASE("libfcgi's own client gets pages, posts forms, and a 501 for a WebSocket", "[gateways][fastcgi]") {
    LibfcgiClient echo("echo"), form("form");
    const auto page = echo.ask({{"REQUEST_METHOD", "GET"}, {"REQUEST_URI", "/"}});
    CHECK(page.code == 0);
    CHECK(contains(page.output, "Status: 200 OK\r\n"));
    CHECK(page.output.ends_with("</script>\n"));

    const auto posted = form.ask({{"REQUEST_METHOD", "POST"}, {"REQUEST_URI", "/show?q=2"}, {"QUERY_STRING", "q=2"},
                                  {"CONTENT_TYPE", "application/x-www-form-urlencoded"}}, "a=1&b=x+y");
    CHECK(contains(posted.output, "Status: 200 OK\r\n"));
    CHECK(contains(posted.output, "<li>q = 2</li>"));
    CHECK(contains(posted.output, "<li>a = 1</li><li>b = x y</li>"));

    const auto refused = echo.ask(handshake);
    CHECK(contains(refused.output, "Status: 501 "));
    echo.program().waitForErrors("this FastCGI gateway does not carry a WebSocket");
}

TEST_CASE("spawn-fcgi starts a program on a listening descriptor 0, and it speaks FastCGI there", "[gateways][fastcgi]") {
    const TemporaryDirectory directory;
    const auto socket = directory / "spawned.sock";
    Process program({serverProgram("spawn-fcgi"), "-n", "-s", socket, "--", checkedApp("echo")}, serverOptions());
    program.waitForErrors("FastCGI");
    const FcgiFront front(socket);
    const WayIn way{"spawn-fcgi", [&] { return BlockingClient(front.port()); }, {}, &program};
    checkEchoPage(way);
    checkConversation(way);
    checkProgramStops(way);
}

TEST_CASE("lighttpd starts a program on a listening descriptor 0, and ends it", "[gateways][fastcgi]") {
    const TemporaryDirectory directory;
    const FreePort port;
    Front lighttpd(FrontKind::lighttpd,
                   "server.modules += ( \"mod_fastcgi\" )\n"
                   "$SERVER[\"socket\"] == \"127.0.0.1:" + std::to_string(port) + "\" {\n"
                   "fastcgi.server = ( \"/\" => (( \"bin-path\" => \"" + checkedApp("form") + "\", \"socket\" => \"" +
                   directory / "form.sock" + "\", \"max-procs\" => 1, \"check-local\" => \"disable\",\n"
                   "    \"fix-root-scriptname\" => \"enable\" )) )\n}\n",
                   {port});
    const WayIn way{"lighttpd's bin-path", [&] { return BlockingClient(port); }, {}, nullptr};
    checkForm(way);
    checkUploads(way, 100'000);
}

TEST_CASE("apache.conf: mod_fcgid starts a program on a listening descriptor 0, and a WebSocket is a 501 with the remedy in the log",
          "[gateways][fastcgi][deploy]") {
    Deployment::Options options;
    options.cgi = true;
    options.arguments = {"--max-body", "64m"};
    {
        Deployment echo(FrontKind::apache, checkedApp("echo"), options);
        auto way = wayIn(echo, FrontKind::apache, 8007, "/echo");
        way.program = nullptr;
        checkEchoPage(way);
        checkKeepAlive(way);
        checkUpgradeIsRefused(way);
        echo.front().waitForLog("use ProxyPass with upgrade=websocket");
    }
    Deployment form(FrontKind::apache, optimisedApp("form"), options);
    auto way = wayIn(form, FrontKind::apache, 8007, "/echo");
    way.program = nullptr;
    checkForm(way);
    checkUploads(way, 100'000);
    checkUploadAborts(way);
}
