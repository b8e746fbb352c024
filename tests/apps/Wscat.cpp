#include "support/Catch.h"
#include "support/Certificates.h"
#include "support/Process.h"
#include "support/WebSocketClient.h"

#include <csignal>

using namespace postern;
using namespace std::chrono_literals;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Finished wscat(std::vector<std::string> arguments, std::string_view input = {}) {
    arguments.insert(arguments.begin(), checkedApp("wscat"));
    return runToEnd(arguments, {}, input);
}

// The real echo.
class Echo {
public:
    explicit Echo(const std::vector<std::string>& arguments = {}) : served_(checkedApp("echo"), arguments) {}
    std::string url(std::string_view path = "/echo") const { return "ws" + served_.url().substr(4) + std::string(path); }
    Served& served() { return served_; }

private:
    Served served_;
};

std::string urlOf(const TestServer& server, std::string_view target = "/") { return "ws://" + server.host() + std::string(target); }

// Says on its socket what came with the request, and closes.
void tellRequest(Cgi& cgi) {
    WebSocketOptions options;
    options.protocols = {"soap", "chat"};
    options.origin.emplace();
    options.origin->any = true;
    auto socket = cgi.acceptWebsocket(options);
    for (const char* name : {"X-One", "X-Two", "Cookie", "Origin", "Authorization", "Sec-WebSocket-Protocol"})
        socket.send(std::string(name) + "=" + std::string(cgi.requestHeader(name)));
}


}

TEST_CASE("wscat sends lines and prints what comes, up to the last answer", "[apps]") {
    Echo echo;
    const auto result = wscat({echo.url()}, "one\nGr\u00fc\u00dfe\r\n\n//slash\nlast without an end");
    CHECK(result.code == 0);
    CHECK(result.output == "one\nGr\u00fc\u00dfe\n\n/slash\nlast without an end\n");
    CHECK(result.errors.empty());
    CHECK(wscat({echo.url()}).output.empty());
}

TEST_CASE("wscat prints messages while it waits for lines", "[apps]") {
    Echo echo;
    Process talk({checkedApp("wscat"), echo.url()});
    talk.write("first\n");
    CHECK(talk.line() == "first");
    talk.write("sec");
    talk.write("ond\n");
    CHECK(talk.line() == "second");
    talk.write("/ping\n");
    talk.waitForErrors("pong after ");
    talk.closeInput();
    CHECK(talk.wait() == 0);
}

TEST_CASE("wscat sends the bytes of a file as one message", "[apps]") {
    Echo echo;
    TemporaryDirectory directory;
    writeFile(directory / "small", std::string("\0\x01\xff", 3));
    writeFile(directory / "empty", "");
    writeFile(directory / "large", std::string(200'000, 'z'));
    const auto result = wscat({echo.url()}, "/binary " + directory / "small" + "\n/binary " + directory / "empty" + "\n/binary " +
                                                directory / "large" + "\n/binary " + directory / "none" + "\n/binary " +
                                                directory.path() + "\nstill here\n");
    CHECK(result.code == 0);
    std::string z;
    for (int i = 0; i < 32; ++i) z += " 7a";
    CHECK(result.output == "binary, 3 bytes: 00 01 ff\nbinary, 0 bytes:\nbinary, 200000 bytes:" + z + " ...\nstill here\n");
    CHECK(contains(result.errors, "cannot read the file '" + directory / "none" + "'"));
    CHECK(contains(result.errors, "cannot read the file '" + directory.path() + "'"));
}

TEST_CASE("wscat closes with the code and reason it is told", "[apps]") {
    WebSocketServer server(echo);
    const auto url = urlOf(server);
    const auto result = wscat({url, "--verbose"}, "hello\n/close 77\n/close 1006\n/close 4001 so long\n");
    CHECK(result.code == 0);
    CHECK(result.output == "hello\n");
    CHECK(contains(result.errors, "connected to " + url));
    CHECK(contains(result.errors, "a close code is 1000-1003, 1007-1014 or 3000-4999, not '77'"));
    CHECK(contains(result.errors, "not '1006'"));
    CHECK(contains(result.errors, "closed: 4001"));
    CHECK(server.noted("close 4001 so long clean"));
    CHECK(wscat({url}, "/close\n").code == 0);
    CHECK(server.noted("close 1000 clean"));
    CHECK(wscat({url}, "").code == 0);
    CHECK(server.noted("close 1000 clean", 2));
}

TEST_CASE("wscat tells how the server closed, and fails unless that was in good order", "[apps]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer&) {
        const auto order = socket.recv();
        if (order.textData() == "cut") return socket.abort();
        socket.close(static_cast<uint16_t>(std::stoi(order.toString())), "because");
    });
    const auto closedWith = [&](std::string line) { return wscat({urlOf(server), "--keep-open"}, line + "\n"); };
    const auto normal = closedWith("1000");
    CHECK(normal.code == 0);
    CHECK(normal.errors.empty());
    const auto odd = closedWith("4321");
    CHECK(odd.code == 1);
    CHECK(odd.errors == "closed: 4321 because\n");
    const auto cut = closedWith("cut");
    CHECK(cut.code == 1);
    CHECK(contains(cut.errors, "closed: 1006 "));
}

TEST_CASE("wscat waits for a pong no longer than it is told", "[apps]") {
    // A ping behind a message that nobody takes is not heard.
    WebSocketServer server([](WebSocket&, WebSocketServer&) { Event().wait(); });
    Process talk({checkedApp("wscat"), urlOf(server), "--timeout", "50ms"});
    talk.write("nobody takes this\n/ping\n");
    talk.waitForErrors("no pong in time; --timeout waits longer");
}

TEST_CASE("wscat tells that the server has gone", "[apps]") {
    Echo echo;
    Process talk({checkedApp("wscat"), echo.url()});
    talk.write("hello\n");
    CHECK(talk.line() == "hello");
    echo.served().process().signal(SIGKILL);
    CHECK(talk.wait() == 1);
    CHECK(contains(talk.errors(), "closed: 1006 "));

    const auto after = wscat({echo.url()});
    CHECK(after.code == 1);
    CHECK(contains(after.errors, "wscat: " + echo.url() + ": cannot connect to 127.0.0.1: Connection refused\nis a server running there"));
}

TEST_CASE("wscat asks with headers, cookies, an origin, credentials and subprotocols", "[apps]") {
    TestServer server(tellRequest);
    const auto result = wscat({urlOf(server), "-H", "X-One: 1", "--header", "X-Two:a: b ", "--cookie", "a=1", "--cookie", "b=x=y", "--origin",
                               "https://a.example", "--user", "ann:secret", "-s", "chat", "--subprotocol", "other", "--verbose", "-k"});
    CHECK(result.code == 0);
    CHECK(result.output == "X-One=1\nX-Two=a: b\nCookie=a=1; b=x=y\nOrigin=https://a.example\nAuthorization=Basic YW5uOnNlY3JldA==\n"
                           "Sec-WebSocket-Protocol=chat, other\n");
    CHECK(contains(result.errors, ", subprotocol chat\n"));
}

TEST_CASE("wscat offers compression only when told so", "[apps]") {
    Echo echo({"--websocket-deflate", "on"});
    const std::string line(5000, 'x');
    const auto with = wscat({echo.url(), "--deflate", "--verbose"}, line);
    CHECK(contains(with.errors, ", with permessage-deflate\n"));
    CHECK(with.output == line + "\n");
    CHECK_FALSE(contains(wscat({echo.url(), "--verbose"}, line).errors, "deflate"));
}

TEST_CASE("wscat --execute sends, prints one answer and ends", "[apps]") {
    WebSocketServer server([](WebSocket& socket, WebSocketServer& here) {
        const auto message = socket.recv();
        if (message.textData() == "go") return;
        if (message.textData() == "wait") return void(socket.recv());
        socket.send("you said " + message.toString());
        socket.send("and more");
        echo(socket, here);
    });
    const auto result = wscat({urlOf(server), "--execute", "/hello"});
    CHECK(result.code == 0);
    CHECK(result.output == "you said /hello\n");
    CHECK(server.noted("close 1000 clean"));
    const auto without = wscat({urlOf(server), "-x", "go"});
    CHECK(without.code == 1);
    CHECK(contains(without.errors, "closed: 1000"));
    const auto never = wscat({urlOf(server), "-x", "wait", "--timeout", "10ms"});
    CHECK(never.code == 1);
    CHECK(contains(never.errors, "no answer in time\n--timeout gives the server longer"));
}

TEST_CASE("wscat explains answers that are no WebSocket", "[apps]") {
    TestServer server([](Cgi& cgi) {
        const auto status = std::stoi(std::string(cgi.get("status")));
        cgi.setResponseStatus(status);
        if (status == 401) cgi.header("WWW-Authenticate", "Basic realm=\"x\"");
        if (status == 302) cgi.header("Location", "https://elsewhere.example/ws");
        cgi.write("no\n", true);
    });
    const auto answered = [&](int status) {
        const auto result = wscat({urlOf(server, "/?status=" + std::to_string(status))});
        CHECK(result.code == 1);
        CHECK(contains(result.errors, "wscat: the server answered " + std::to_string(status)));
        return result.errors;
    };
    CHECK(contains(answered(401), "give --user NAME:PASSWORD, or what it wants (Basic realm=\"x\") by --header"));
    CHECK(contains(answered(302), "it leads to https://elsewhere.example/ws instead: give that address"));
    CHECK(contains(answered(403), "--origin"));
    CHECK(contains(answered(404), "is the path right?"));
    CHECK(contains(answered(200), "is the path right?"));
    CHECK(contains(answered(503), "has a problem"));
}

TEST_CASE("wscat does not let a server steer the terminal", "[apps]") {
    TestServer server([](Cgi& cgi) { cgi.acceptWebsocket().close(4000, "a\x1b[2Jb\xc2\x9b" "2Jc\xc2\x9d" "0;d\xc2\xa0\xc3\xa4"); });
    const auto result = wscat({urlOf(server)});
    CHECK(contains(result.errors, "a\\x1b[2Jb\\xc2\\x9b2Jc\\xc2\\x9d0;d\xc2\xa0\xc3\xa4"));
    CHECK_FALSE(contains(result.errors, "\xc2\x9b"));
}

TEST_CASE("wscat says what is wrong with its arguments", "[apps]") {
    const auto refused = [](std::vector<std::string> arguments, std::string_view why) {
        const auto result = wscat(std::move(arguments));
        CAPTURE(result.errors);
        CHECK(result.code == 2);
        CHECK(result.output.empty());
        CHECK(contains(result.errors, why));
    };
    refused({}, "URL is required");
    refused({"http://localhost/"}, "it begins with ws://, wss:// or ws+unix:");
    refused({"ws://localhost/#a"}, "it has a fragment");
    refused({"ws://localhost:0/"}, "malformed");
    refused({"ws://127.0.0.1:1/", "-H", "Nothing"}, "'Nothing' has no ':'");
    refused({"ws://127.0.0.1:1/", "--cookie", "Nothing"}, "'Nothing' has no '='");
    refused({"ws://127.0.0.1:1/", "--timeout", "soon"}, "'soon' is none");
    refused({"ws://127.0.0.1:1/", "--size", "5"}, "--size requires --bench");
    refused({"ws://127.0.0.1:1/", "--bench", "--execute", "x"}, "excludes");
    refused({"ws://127.0.0.1:1/", "--bench", "--connections", "0"}, "--connections");
    refused({"ws://127.0.0.1:1/", "--unknown"}, "--unknown");
    const auto help = wscat({"--help"});
    CHECK(help.code == 0);
    for (const char* word : {"--header", "--subprotocol", "--deflate", "--bench", "/binary FILE", "/close [CODE [REASON]]"})
        CHECK(contains(help.output, word));
}

TEST_CASE("wscat does not let a server trust itself, unless it is told to", "[apps]") {
    Authority authority;
    const auto certificate = authority.issue({"localhost", {"DNS:localhost", "IP:127.0.0.1"}});
    Process server({checkedApp("echo"), "--listen", "https://127.0.0.1:0", "--tls-cert", certificate.certificateFile, "--tls-key",
                    certificate.keyFile});
    const auto url = "wss" + server.line().substr(5) + "/echo";
    const auto result = wscat({url}, "x\n");
    CHECK(result.code == 1);
    CHECK(contains(result.errors, "--ca FILE trusts a certificate or its issuer, --insecure anybody"));
    CHECK(wscat({url, "--ca", authority.file()}, "x\n").output == "x\n");
    CHECK(wscat({url, "--insecure"}, "x\n").output == "x\n");
    const auto noFile = wscat({url, "--ca", "/nonexistent.pem"}, "x\n");
    CHECK(noFile.code == 1);
    CHECK(contains(noFile.errors, "/nonexistent.pem"));
}

TEST_CASE("wscat --bench measures a server that echoes, and only such a one", "[apps]") {
    Echo echo;
    for (const auto& more : {std::vector<std::string>{}, {"--connections", "3", "--in-flight", "5", "--size", "100k"}, {"--size", "0"}}) {
        std::vector<std::string> arguments{echo.url(), "--bench", "--time", "200ms"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        const auto result = wscat(arguments);
        CAPTURE(result.output, result.errors);
        CHECK(result.code == 0);
        CHECK(std::stoi(result.output) > 0);
        for (const char* word : {" messages in ", "/s, ", "latency: p50 ", " us, p99 ", "CPU of the client: "})
            CHECK(contains(result.output, word));
    }
    WebSocketServer eager([](WebSocket& socket, WebSocketServer&) {
        socket.recv();
        for (int i = 0; i < 3; ++i) socket.send("unasked");
        socket.recv();
    });
    const auto unasked = wscat({urlOf(eager), "--bench"});
    CHECK(unasked.code == 1);
    CHECK(contains(unasked.errors, "the server sends unasked: --bench needs one that echoes"));
    WebSocketServer closing([](WebSocket& socket, WebSocketServer&) { socket.recv(); });
    const auto closed = wscat({urlOf(closing), "--bench"});
    CHECK(closed.code == 1);
    CHECK(contains(closed.errors, "the server closed: 1000"));
}
