// The files of docs/deploy that are not about proxies: CGI, what only a newer lighttpd can run, and systemd's units.

#include "support/Catch.h"
#include "support/GatewaySuite.h"

#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include <cstring>
#include <sstream>

using namespace postern;

namespace {

// The value of a line "NAME=VALUE", without the name.
std::string setting(const std::string& text, const std::string& name) {
    const auto at = text.find('\n' + name + '=');
    if (at == std::string::npos) throw std::runtime_error("no " + name);
    const auto begin = at + name.size() + 2;
    return text.substr(begin, text.find('\n', begin) - begin);
}

int boundSocket(const std::string& path, int type) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strncpy(address.sun_path, path.c_str(), sizeof address.sun_path - 1);
    const int fd = ::socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    REQUIRE(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0);
    return fd;
}

Deployment::Options asCgi() {
    Deployment::Options options;
    options.cgi = true;
    return options;
}

}

TEST_CASE("lighttpd.conf: echo as a CGI program holds the whole conversation", "[gateways][deploy]") {
    Deployment echo(FrontKind::lighttpd, checkedApp("echo"), asCgi());
    auto cgi = wayIn(echo, FrontKind::lighttpd, 8006, "/echo");
    cgi.program = nullptr;
    checkEchoPage(cgi);
    checkConversation(cgi);
    checkProgramCloses(cgi);
    checkOrigins(cgi, "localhost:" + std::to_string(echo.port(8006)));
}

TEST_CASE("apache.conf: echo as a CGI program serves its page and refuses WebSockets, with the remedy in the log", "[gateways][deploy]") {
    Deployment echo(FrontKind::apache, checkedApp("echo"), asCgi());
    auto cgi = wayIn(echo, FrontKind::apache, 8006, "/echo");
    cgi.program = nullptr;
    checkEchoPage(cgi);
    checkKeepAlive(cgi);
    checkUpgradeIsRefused(cgi);
    echo.front().waitForLog("use ProxyPass with upgrade=websocket");
}

TEST_CASE("lighttpd-1.4.74.conf: an older lighttpd takes the file, and listens", "[gateways][deploy]") {
    const DeployedFile file(FrontKind::lighttpd, 0, "/nowhere", "lighttpd-1.4.74.conf");
    const Front front(FrontKind::lighttpd, file);
    for (const int number : {8003, 8004, 8005}) CHECK(BlockingClient(file.ports.at(number)).get("/").status == 503);
}

TEST_CASE("echo.service and echo.socket: the command serves on the passed socket and says when it is ready", "[gateways][deploy]") {
    TemporaryDirectory directory;
    const auto path = replaced(setting(deployFile("echo.socket"), "ListenStream"), {{"/run/echo", directory.path()}});
    const auto service = deployFile("echo.service");
    std::istringstream words(setting(service, "ExecStart"));
    std::vector<std::string> command;
    for (std::string word; words >> word;) command.push_back(word);
    REQUIRE(command.front() == "/opt/echo/echo");
    command.front() = checkedApp("echo");

    const int listening = boundSocket(path, SOCK_STREAM), manager = boundSocket(directory / "notify", SOCK_DGRAM);
    REQUIRE(::listen(listening, 16) == 0);
    ProcessOptions options;
    options.passed = {listening};
    options.listenPid = true;
    options.environment = {{"LISTEN_FDS", "1"}, {"NOTIFY_SOCKET", directory / "notify"}};
    Process echo(command, options);
    ::close(listening);
    CHECK(setting(service, "Type") == "notify");
    char said[100];
    const timeval limit{patience.count(), 0};
    ::setsockopt(manager, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    const auto size = ::recv(manager, said, sizeof said, 0);
    ::close(manager);
    REQUIRE(size > 0);
    CHECK(std::string(said, static_cast<size_t>(size)).find("READY=1") != std::string::npos);

    const WayIn socket{"systemd", [&] { return BlockingClient(path); }, "", &echo};
    checkEchoPage(socket);
    checkConversation(socket);
    checkProgramStops(socket);
}
