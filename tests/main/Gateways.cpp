// Programs that serve web servers by FastCGI, SCGI and uwsgi.

#include "postern/io/Listener.h"
#include "support/BlockingClient.h"
#include "support/Catch.h"
#include "support/ForkedProgram.h"
#include "support/Process.h"
#include "support/WebServerWire.h"

#include <signal.h>
#include <grp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <map>
#include <vector>

using namespace postern;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

uint16_t portOf(const std::string& url) { return static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1))); }

const std::map<CgiProtocol, std::string> schemes = {{CgiProtocol::fastCgi, "fcgi"}, {CgiProtocol::scgi, "scgi"}, {CgiProtocol::uwsgi, "uwsgi"}};

WireReply ask(CgiProtocol protocol, BlockingClient client, const WireVariables& variables = wireVariables("GET", "/")) {
    client.send(wireRequest(protocol, variables));
    auto bytes = client.rest();
    return takeWireReply(protocol, bytes);
}
bool greets(CgiProtocol protocol, BlockingClient client) { return ask(protocol, std::move(client)).body() == "Hello, world!\n"; }

// A request for a WebSocket of echo, and the status it gets.
int upgradeStatus(CgiProtocol protocol, uint16_t port) {
    BlockingClient client(port);
    client.send(wireHead(protocol, wireUpgrade("/echo")));
    auto bytes = client.until("\r\n\r\n");
    if (protocol == CgiProtocol::fastCgi) bytes.erase(0, 8);
    WireReply reply;
    reply.text = bytes;
    return reply.status(protocol);
}

struct OwnSocket {
    explicit OwnSocket(int number) : fd(number) {}
    OwnSocket(OwnSocket&& other) noexcept : fd(std::exchange(other.fd, -1)) {}
    OwnSocket& operator=(OwnSocket&&) = delete;
    ~OwnSocket() {
        if (fd >= 0) ::close(fd);
    }
    uint16_t port() const { return ListenSocket::portOf(fd); }
    int fd;
};
OwnSocket listening() { return OwnSocket(ListenSocket::tcp("127.0.0.1", 0, false)); }

}

TEST_CASE("several ways in serve at once, in every worker, over one program's state", "[main]") {
    std::atomic<int> served{0};
    const Handler count = [&](Cgi& cgi) { cgi.write(std::to_string(++served), true); };
    TemporaryDirectory directory;
    const auto path = directory / "app.sock";
    ForkedProgram program(count, {"--workers", "2", "--listen", "http://127.0.0.1:0", "--listen", "fcgi://127.0.0.1:0", "--listen", "scgi://127.0.0.1:0",
                                  "--listen", "uwsgi://127.0.0.1:0", "--listen", "fcgi+unix:" + path});
    program.waitForText("press Ctrl+C");
    std::map<std::string, uint16_t> ports;
    for (const std::string scheme : {"http", "fcgi", "scgi", "uwsgi"}) {
        const auto at = program.output.find(scheme + "://127.0.0.1:");
        REQUIRE(at != std::string::npos);
        ports[scheme] = static_cast<uint16_t>(std::stoi(program.output.substr(at + scheme.size() + 13)));
    }
    CHECK(contains(program.output, "fcgi+unix:" + path + "\n"));
    int expected = 0;
    for (int round = 0; round < 10; ++round) {
        CHECK(BlockingClient(ports["http"]).get("/").body == std::to_string(++expected));
        for (const auto& [protocol, scheme] : schemes) CHECK(ask(protocol, BlockingClient(ports[scheme])).body() == std::to_string(++expected));
        CHECK(ask(CgiProtocol::fastCgi, BlockingClient(path)).body() == std::to_string(++expected));
    }
}

TEST_CASE("while a handler computes the other workers go on, and the log names it", "[main]") {
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds busy{20};
    constexpr std::chrono::seconds patience{20};
    std::atomic<int> others{0};
    const Handler handler = [&](Cgi& cgi) {
        if (cgi.pathInfo() == "/end") ::kill(::getpid(), SIGTERM);
        if (cgi.pathInfo() != "/busy") return cgi.write(std::to_string(++others), true);
        const auto begun = Clock::now();
        while (Clock::now() < begun + busy || (others == 0 && Clock::now() < begun + patience)) continue;
        cgi.write(others > 0 ? "not alone" : "alone", true);
    };
    ForkedProgram program(handler, {"--workers", "2", "--listen", "http://127.0.0.1:0", "--busy-warning", "10ms"});
    program.waitForText("press Ctrl+C");
    const auto port = portOf(program.output.substr(0, program.output.find('\n')));
    BlockingClient computes(port);
    computes.send("GET /busy HTTP/1.1\r\nHost: h\r\n\r\n");
    // Some of them meet the worker that is free.
    std::vector<BlockingClient> clients;
    for (int i = 0; i < 30; ++i) clients.emplace_back(port).send("GET /other HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(computes.reply().body == "not alone");
    for (auto& client : clients) CHECK(client.reply().status == 200);
    CHECK(BlockingClient(port).get("/end").status == 200);
    CHECK(program.wait() == 0);
    CHECK(contains(program.errors, "GET /busy ran for "));
}

TEST_CASE("told to stop, a program drains all its ways in", "[main]") {
    Served served(checkedApp("echo"), {"--listen", "fcgi://127.0.0.1:0", "--listen", "scgi://127.0.0.1:0?websocket=yes"});
    const auto fastCgi = portOf(served.process().line()), scgi = portOf(served.process().line());
    BlockingClient idle(fastCgi), socket(scgi);
    idle.send(wireRequest(CgiProtocol::fastCgi, wireVariables("GET", "/"), {}, true));
    idle.until(std::string("\1\3\0\1\0\10\0\0\0\0\0\0\0\0\0\0", 16));  // END_REQUEST
    socket.send(wireHead(CgiProtocol::scgi, wireUpgrade("/echo")));
    socket.until("\r\n\r\n");
    served.process().signal(SIGTERM);
    CHECK(contains(socket.until("\x03\xe9"), "\x88"));
    socket.send(maskedFrame(8, "\x03\xe9"));
    idle.rest();
    idle.close();
    socket.rest();
    socket.close();
    CHECK(served.process().wait() == 0);
}

TEST_CASE("a socket for web servers that others can reach needs --allow-gateway", "[main]") {
    for (const auto& [protocol, scheme] : schemes) {
        CAPTURE(scheme);
        const auto listen = scheme + "://0.0.0.0:0";
        const auto refused = runToEnd({checkedApp("hello"), "--listen", listen});
        CHECK(refused.code == 1);
        CHECK(contains(refused.errors, "--allow-gateway"));
        CHECK(refused.output.empty());
        Served allowed(checkedApp("hello"), {"--listen", listen, "--allow-gateway", "192.0.2.1"});
        const auto url = allowed.process().line();
        CHECK(url.starts_with(scheme + "://0.0.0.0:"));
        CHECK(greets(protocol, BlockingClient(portOf(url))));
        CHECK(allowed.stop() == 0);
    }
}

TEST_CASE("a program started with a listening socket as descriptor 0 speaks FastCGI there, as spawn-fcgi wants", "[main]") {
    TemporaryDirectory directory;
    const auto path = directory / "app.sock";
    const auto tcp = listening();
    const OwnSocket local(ListenSocket::unixPath(path, 0600, ""));
    for (const int fd : {tcp.fd, local.fd}) {
        ProcessOptions options;
        options.input = fd;
        Process process({checkedApp("hello")}, options);
        const auto url = process.line();
        if (fd == tcp.fd) {
            CHECK(url == "fcgi://localhost:" + std::to_string(tcp.port()));
            CHECK(greets(CgiProtocol::fastCgi, BlockingClient(tcp.port())));
        } else {
            CHECK(greets(CgiProtocol::fastCgi, BlockingClient(path)));
        }
        process.signal(SIGTERM);
        CHECK(process.wait() == 0);
    }
    CHECK(std::filesystem::exists(path));  // it is not ours to remove
}

TEST_CASE("--listen wins over a listening socket as descriptor 0", "[main]") {
    const auto given = listening();
    ProcessOptions options;
    options.input = given.fd;
    Process process({checkedApp("hello"), "--listen", "scgi://127.0.0.1:0"}, options);
    const auto url = process.line();
    CHECK(url.starts_with("scgi://127.0.0.1:"));
    CHECK(greets(CgiProtocol::scgi, BlockingClient(portOf(url))));
}

TEST_CASE("sockets passed by number speak what --listen says", "[main]") {
    for (const auto& [protocol, scheme] : schemes) {
        const auto given = listening();
        ProcessOptions options;
        options.passed = {given.fd};
        Process process({checkedApp("hello"), "--listen", scheme + "+fd:3"}, options);
        CHECK(process.line() == scheme + "://localhost:" + std::to_string(given.port()));
        CHECK(greets(protocol, BlockingClient(given.port())));
    }
}

TEST_CASE("sockets from systemd speak what their FileDescriptorName says", "[main]") {
    const OwnSocket sockets[] = {listening(), listening(), listening(), listening(), listening()};
    ProcessOptions options;
    for (const auto& one : sockets) options.passed.push_back(one.fd);
    options.environment = {{"LISTEN_FDS", "5"}, {"LISTEN_FDNAMES", "fcgi:scgi-ws:uwsgi.socket:web:http"}};
    options.listenPid = true;
    Process process({checkedApp("hello")}, options);
    int i = 0;
    for (const std::string scheme : {"fcgi", "scgi", "uwsgi", "http", "http"})
        CHECK(process.line() == scheme + "://localhost:" + std::to_string(sockets[i++].port()));
    i = 0;
    for (const auto protocol : {CgiProtocol::fastCgi, CgiProtocol::scgi, CgiProtocol::uwsgi}) CHECK(greets(protocol, BlockingClient(sockets[i++].port())));
    for (; i < 5; ++i) CHECK(BlockingClient(sockets[i].port()).get("/").body == "Hello, world!\n");
}

TEST_CASE("Unix sockets for web servers have mode 0660 and the group of --socket-group, and replace nothing but dead sockets", "[main]") {
    TemporaryDirectory directory;
    const auto path = directory / "app.sock";
    const auto* group = ::getgrgid(::getegid() == 0 ? 1 : ::getegid());
    REQUIRE(group);
    const std::string name = group->gr_name;
    const auto gid = group->gr_gid;
    for (const auto& [protocol, scheme] : schemes) {
        CAPTURE(scheme);
        const std::vector<std::string> arguments = {"--listen", scheme + "+unix:" + path, "--socket-group", name};
        {
            Served killed(checkedApp("hello"), arguments);
            CHECK(killed.process().line() == scheme + "+unix:" + path);
            struct stat status{};
            REQUIRE(::stat(path.c_str(), &status) == 0);
            CHECK((status.st_mode & 07777) == 0660);
            CHECK(status.st_gid == gid);
            const auto second = runToEnd({checkedApp("hello"), "--listen", scheme + "+unix:" + path});
            CHECK(second.code == 1);
            CHECK(contains(second.errors, "another program listens there"));
            CHECK(greets(protocol, BlockingClient(path)));
            killed.process().signal(SIGKILL);
            killed.process().wait();
        }
        REQUIRE(std::filesystem::exists(path));
        Served served(checkedApp("hello"), arguments);
        served.process().line();
        CHECK(greets(protocol, BlockingClient(path)));
        CHECK(served.stop() == 0);
        CHECK(!std::filesystem::exists(path));
        writeFile(path, "precious");
        CHECK(runToEnd({checkedApp("hello"), "--listen", scheme + "+unix:" + path}).code == 1);
        CHECK(readFile(path) == "precious");
        std::filesystem::remove(path);
    }
}

TEST_CASE("?websocket= of a listener wins over --websocket-over", "[main]") {
    for (const auto& [protocol, scheme] : schemes) {
        CAPTURE(scheme);
        Served served(checkedApp("echo"), {"--websocket-over", "no", "--listen", scheme + "://127.0.0.1:0", "--listen", scheme + "://127.0.0.1:0?websocket=yes",
                                           "--listen", scheme + "://127.0.0.1:0?websocket=auto"});
        CHECK(upgradeStatus(protocol, portOf(served.process().line())) == 501);
        CHECK(upgradeStatus(protocol, portOf(served.process().line())) == 101);
        CHECK(upgradeStatus(protocol, portOf(served.process().line())) == 101);
        served.process().waitForErrors("switched off");
    }
    Served http(checkedApp("echo"), {"--listen", "http://127.0.0.1:0?websocket=no"});
    CHECK(BlockingClient(http.port()).upgrade("/echo").status == 101);
    CHECK(BlockingClient(portOf(http.process().line())).upgrade("/echo").status == 501);
}

TEST_CASE("FCGI_WEB_SERVER_ADDRS names the web servers that may connect by FastCGI", "[main]") {
    const auto serve = [](const char* addresses) {
        ProcessOptions options;
        options.environment = {{"FCGI_WEB_SERVER_ADDRS", addresses}};
        return std::make_unique<Served>(checkedApp("hello"), std::vector<std::string>{"--listen", "fcgi://127.0.0.1:0", "--listen", "scgi://127.0.0.1:0"}, options);
    };
    auto others = serve("192.0.2.1,192.0.2.2");
    const auto port = portOf(others->process().line());
    CHECK_THROWS(ask(CgiProtocol::fastCgi, BlockingClient(port)));
    others->process().waitForErrors("refused a FastCGI connection from 127.0.0.1");
    CHECK(greets(CgiProtocol::scgi, BlockingClient(portOf(others->process().line()))));
    auto us = serve("192.0.2.1, 127.0.0.1");
    CHECK(greets(CgiProtocol::fastCgi, BlockingClient(portOf(us->process().line()))));
    ProcessOptions wrong;
    wrong.environment = {{"FCGI_WEB_SERVER_ADDRS", "127.0.0.1,localhost"}};
    const auto result = runToEnd({checkedApp("hello"), "--listen", "fcgi://127.0.0.1:0"}, wrong);
    CHECK(result.code != 0);
    CHECK(contains(result.errors, "'localhost'"));
}

TEST_CASE("--max-variables holds for FastCGI, SCGI and uwsgi, on both sides", "[main]") {
    for (const auto& [protocol, scheme] : schemes) {
        CAPTURE(scheme);
        Served served(checkedApp("hello"), {"--max-variables", "2k", "--listen", scheme + "://127.0.0.1:0"});
        const auto port = portOf(served.process().line());
        auto variables = wireVariables("GET", "/", {{"CONTENT_LENGTH", "0"}});
        size_t used = 64 + 1;
        for (const auto& [name, value] : variables) used += name.size() + value.size() + 64;
        if (protocol == CgiProtocol::scgi) used += 5 + 64;
        variables.emplace_back("P", std::string(2048 - used, 'p'));
        CHECK(ask(protocol, BlockingClient(port), variables).status(protocol) == 200);
        variables.back().second += 'p';
        CHECK(ask(protocol, BlockingClient(port), variables).status(protocol) == 431);
        served.process().waitForErrors("too many CGI variables");
        CHECK(served.stop() == 0);
    }
}

TEST_CASE("--upgrade-timeout cuts a WebSocket that nobody answers, and no other", "[main]") {
    Served served(checkedApp("echo"), {"--upgrade-timeout", "300ms", "--listen", "scgi://127.0.0.1:0"});
    const auto port = portOf(served.process().line());
    BlockingClient mute(port), alive(port);
    mute.send(wireHead(CgiProtocol::scgi, wireUpgrade("/echo")));
    alive.send(wireHead(CgiProtocol::scgi, wireUpgrade("/echo")) + maskedFrame(10, ""));
    for (auto* client : {&alive, &mute}) client->until("\r\n\r\n");
    served.process().waitForErrors("cut a WebSocket: nothing came from the client after the 101");
    alive.send(maskedFrame(1, "still here"));
    alive.until("still here");
    CHECK(served.process().isRunning());
}
