// What --print-config prints is run as it is, but for the web server's own port, in front of the program that printed it.

#include "support/Catch.h"
#include "support/GatewaySuite.h"

#include <grp.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <sstream>

using namespace postern;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// The web server runs as www-data where the tests run as root.
std::string webServerGroup() {
    if (::geteuid() == 0) return "www-data";
    const auto* group = ::getgrgid(::getegid());
    return group ? group->gr_name : std::to_string(::getegid());
}

Finished print(const char* server, std::vector<std::string> arguments, const char* app = "echo") {
    arguments.insert(arguments.begin(), optimisedApp(app));
    arguments.insert(arguments.end(), {"--print-config", server});
    return runToEnd(arguments);
}

// The rest of the line that begins so.
std::string lineAfter(const std::string& text, const std::string& begin) {
    const auto at = text.find('\n' + begin);
    if (at == std::string::npos) throw std::runtime_error("no line begins with " + begin + ":\n" + text);
    const auto from = at + 1 + begin.size();
    return text.substr(from, text.find('\n', from) - from);
}

std::vector<std::string> words(const std::string& text) {
    std::istringstream stream(text);
    std::vector<std::string> list;
    for (std::string word; stream >> word;) list.push_back(word);
    return list;
}

// Text for the whole server, and what it says of its own port.
Replacements onPort(FrontKind kind, uint16_t port) {
    const auto place = "127.0.0.1:" + std::to_string(port);
    switch (kind) {
    case FrontKind::nginx: return {{"listen 80;", "listen " + place + ';'}};
    case FrontKind::lighttpd: return {};
    case FrontKind::apache: return {{"<VirtualHost *:80>", "Listen " + place + "\n<VirtualHost " + place + '>'}};
    case FrontKind::caddy: return {{":80 {\n", ':' + std::to_string(port) + " {\n\tbind 127.0.0.1\n"}};
    case FrontKind::haproxy: return {{"bind :80\n", "bind " + place + '\n'}};
    }
    return {};
}

// The program, started by the command that the configuration names, behind the web server.
class Printed {
public:
    // `ways`: protocols of Unix sockets, or "tcp" for HTTP over TCP.
    Printed(FrontKind kind, const std::vector<std::string>& ways, const std::string& mount) {
        if (::geteuid() == 0) std::filesystem::permissions(directory_.path(), std::filesystem::perms(0755));
        std::vector<std::string> arguments{"--socket-group", webServerGroup()};
        for (const auto& way : ways) {
            const auto socket = way + "+unix:" + directory_ / (way + ".sock");
            arguments.insert(arguments.end(), {"--listen", way == "tcp" ? "http://127.0.0.1:" + std::to_string(programPort_) : socket});
        }
        if (!mount.empty()) arguments.insert(arguments.end(), {"--mount", mount});
        const auto printed = print(std::string(nameOf(kind)).c_str(), arguments);
        if (printed.code != 0) throw std::runtime_error(printed.errors);
        text_ = printed.output;
        program_.emplace(words(lineAfter(text_, "# The program: ")));
        program_->waitForOutput("to stop.\n");
        const auto global = kind == FrontKind::lighttpd ? "$SERVER[\"socket\"] == \"127.0.0.1:" + std::to_string(port_) + "\" {}" : "";
        front_.emplace(kind, replaced(text_, onPort(kind, port_)), std::vector<uint16_t>{port_}, global);
        way_ = {std::string(nameOf(kind)) + ' ' + ways.front() + " at " + mount, [this] { return BlockingClient(port_); }, mount, &*program_};
    }
    const WayIn& way() const { return way_; }
    const std::string& text() const { return text_; }
    Process& program() { return *program_; }

private:
    TemporaryDirectory directory_;
    FreePort programPort_, port_;
    std::string text_;
    std::optional<Process> program_;
    std::optional<Front> front_;
    WayIn way_;
};

// What a client that asks for a WebSocket gets.
enum class Upgrade { conversation, refusal };

void checkPrinted(FrontKind kind, const std::vector<std::string>& ways, Upgrade outcome) {
    for (const char* mount : {"", "/app"}) {
        INFO(nameOf(kind) << ' ' << ways.front() << " of " << ways.size() << ' ' << mount);
        Printed printed(kind, ways, mount);
        INFO(printed.text());
        checkEchoPage(printed.way());
        const bool promisesRefusal = contains(printed.text(), "WebSockets get a 501 this way") || contains(printed.text(), "older ones get a 501");
        switch (outcome) {
        case Upgrade::conversation:
            checkConversation(printed.way());
            checkOrigins(printed.way(), "localhost");
            CHECK_FALSE(promisesRefusal);
            break;
        case Upgrade::refusal:
            checkUpgradeIsRefused(printed.way());
            printed.program().waitForErrors(" does not carry a WebSocket: ");
            CHECK(promisesRefusal);
            break;
        }
    }
}

// The settings of a unit's section, without ExecStart.
std::vector<std::string> settings(const std::string& unit, const std::string& section) {
    std::istringstream lines(unit);
    std::vector<std::string> list;
    bool inside = false;
    for (std::string line; std::getline(lines, line);) {
        if (line.starts_with('[')) inside = line == '[' + section + ']';
        else if (inside && !line.empty() && !line.starts_with('#') && !line.starts_with("ExecStart=")) list.push_back(line);
    }
    return list;
}

// Writes each unit to a file of the name that it gives itself; gives their paths.
std::vector<std::string> writeUnits(const TemporaryDirectory& directory, const std::string& text) {
    std::vector<std::string> paths;
    const std::string mark = "# systemd: /etc/systemd/system/";
    for (auto at = text.find(mark); at != std::string::npos;) {
        const auto next = text.find(mark, at + 1);
        const auto name = text.substr(at + mark.size(), text.find('\n', at) - at - mark.size());
        paths.push_back(directory / name);
        writeFile(paths.back(), text.substr(at, next - at));
        at = next;
    }
    return paths;
}

}

TEST_CASE("--print-config nginx: requests and WebSockets pass by whatever the program listens on", "[gateways][printconfig]") {
    for (const std::vector<std::string>& ways :
         {std::vector<std::string>{"fcgi", "scgi"}, {"fcgi", "uwsgi"}, {"fcgi", "http"}, {"fcgi", "tcp"}, {"scgi"}, {"uwsgi"}, {"http"}, {"tcp"}})
        checkPrinted(FrontKind::nginx, ways, Upgrade::conversation);
    checkPrinted(FrontKind::nginx, {"fcgi"}, Upgrade::refusal);
}

TEST_CASE("--print-config lighttpd: requests pass, and WebSockets as its comment promises", "[gateways][printconfig]") {
    for (const char* way : {"http", "tcp"}) checkPrinted(FrontKind::lighttpd, {way}, Upgrade::conversation);
    for (const char* way : {"fcgi", "scgi", "uwsgi"}) checkPrinted(FrontKind::lighttpd, {way}, Upgrade::refusal);
}

TEST_CASE("--print-config apache: requests pass, and WebSockets as its comment promises", "[gateways][printconfig]") {
    for (const std::vector<std::string>& ways : {std::vector<std::string>{"http"}, {"tcp"}, {"fcgi", "http"}, {"scgi", "tcp"}, {"uwsgi", "http"}})
        checkPrinted(FrontKind::apache, ways, Upgrade::conversation);
    for (const char* way : {"fcgi", "scgi", "uwsgi"}) checkPrinted(FrontKind::apache, {way}, Upgrade::refusal);
}

TEST_CASE("--print-config caddy: requests pass, and WebSockets as its comment promises", "[gateways][printconfig]") {
    for (const std::vector<std::string>& ways : {std::vector<std::string>{"http"}, {"tcp"}, {"fcgi", "http"}, {"fcgi", "tcp"}})
        checkPrinted(FrontKind::caddy, ways, Upgrade::conversation);
    checkPrinted(FrontKind::caddy, {"fcgi"}, Upgrade::refusal);
}

TEST_CASE("--print-config haproxy: requests pass, and WebSockets as its comment promises", "[gateways][printconfig]") {
    for (const std::vector<std::string>& ways : {std::vector<std::string>{"http"}, {"tcp"}, {"fcgi", "http"}, {"fcgi", "tcp"}})
        checkPrinted(FrontKind::haproxy, ways, Upgrade::conversation);
    checkPrinted(FrontKind::haproxy, {"fcgi"}, Upgrade::refusal);
}

TEST_CASE("--print-config systemd: units that systemd accepts, as hardened as those of docs/deploy", "[gateways][printconfig]") {
    const TemporaryDirectory directory;
    const auto printed = print("systemd", {"--listen", "http+unix:/run/echo/http.sock", "--listen", "fcgi+unix:/run/echo/fcgi.sock",
                                           "--listen", "scgi://127.0.0.1:4000", "--mount", "/app"});
    REQUIRE(printed.code == 0);
    const auto paths = writeUnits(directory, printed.output);
    std::vector<std::string> names;
    for (const auto& path : paths) names.push_back(std::filesystem::path(path).filename());
    CHECK(names == std::vector<std::string>{"echo.socket", "echo-fcgi.socket", "echo-scgi.socket", "echo.service"});
    CHECK(contains(readFile(directory / "echo-fcgi.socket"), "\nListenStream=/run/echo/fcgi.sock\nFileDescriptorName=fcgi\nService=echo.service\n"));
    CHECK(contains(readFile(directory / "echo-scgi.socket"), "\nListenStream=127.0.0.1:4000\nFileDescriptorName=scgi\n"));

    const auto service = readFile(directory / "echo.service");
    CHECK(lineAfter(service, "ExecStart=") == std::filesystem::canonical(optimisedApp("echo")).string() + " --listen systemd --mount /app --trusted-proxy unix");
    CHECK(settings(service, "Service") == settings(deployFile("echo.service"), "Service"));
    for (const auto& line : settings(deployFile("echo.socket"), "Socket")) {
        INFO(line);
        CHECK(contains(readFile(directory / "echo.socket"), '\n' + line + '\n'));
    }
    if (::access("/usr/bin/systemd-analyze", X_OK) != 0) return;
    std::vector<std::string> verify{"/usr/bin/systemd-analyze", "verify"};
    verify.insert(verify.end(), paths.begin(), paths.end());
    const auto verdict = runToEnd(verify);
    INFO(verdict.output << verdict.errors);
    CHECK(verdict.code == 0);
    CHECK_FALSE(contains(verdict.errors, directory.path()));
}

TEST_CASE("--print-config: a program's name with a hyphen makes no variable of nginx that ends in it", "[gateways][printconfig]") {
    const TemporaryDirectory directory;
    std::filesystem::create_symlink(optimisedApp("echo"), directory / "my-echo");
    const auto printed = runToEnd({directory / "my-echo", "--listen", "http+unix:/nowhere/http.sock", "--print-config", "nginx"});
    const FreePort port;
    const Front nginx(FrontKind::nginx, replaced(printed.output, onPort(FrontKind::nginx, port)), {port});
    CHECK(BlockingClient(port).get("/").status == 502);
}

TEST_CASE("--print-config says what it needs where it cannot print", "[gateways][printconfig]") {
    const auto error = [](const Finished& result) {
        CHECK(result.code == 2);
        CHECK(result.output.empty());
        return result.errors;
    };
    CHECK(contains(error(print("nginx", {"--listen", "http://127.0.0.1:0"})), "needs a port that stays"));
    CHECK(contains(error(print("nginx", {"--listen", "systemd"})), "name them by --listen"));
    for (const char* server : {"caddy", "haproxy"})
        CHECK(contains(error(print(server, {"--listen", "scgi+unix:/run/echo.sock"})), "reaches a program by HTTP and FastCGI: add such a --listen"));
    const auto unknown = error(print("ngin", {}));
    for (const char* server : {"nginx", "lighttpd", "apache", "caddy", "haproxy", "systemd"}) CHECK(contains(unknown, server));
}
