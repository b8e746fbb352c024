#include "postern/main/Log.h"

#include "support/BlockingClient.h"
#include "support/Catch.h"
#include "support/Process.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <filesystem>
#include <optional>

using namespace postern;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// A program on a socket of ours, so that nothing needs to be read from it.
class Silent {
public:
    Silent(std::vector<std::string> arguments, ProcessOptions options, const char* app = "hello") {
        const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (::bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd, 100) != 0) throw std::runtime_error("no socket");
        ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
        options.passed = {fd};
        arguments.insert(arguments.begin(), {checkedApp(app), "--listen", "fd:3"});
        process_.emplace(arguments, options);
        ::close(fd);
    }
    uint16_t port() const { return port_; }
    Process& process() { return *process_; }
    bool answers() { return BlockingClient(port_).get("/").body == "Hello, world!\n"; }

private:
    uint16_t port_ = 0;
    std::optional<Process> process_;
};

// One quoted value of a line, its escapes undone; `rest` begins behind it.
std::string takeQuoted(std::string_view& rest) {
    REQUIRE(rest.starts_with('"'));
    std::string value;
    size_t i = 1;
    for (; i < rest.size() && rest[i] != '"'; ++i) {
        if (rest[i] == '\\' && rest.substr(i, 2) == "\\x") {
            value += static_cast<char>(std::stoi(std::string(rest.substr(i + 2, 2)), nullptr, 16));
            i += 3;
        } else {
            if (rest[i] == '\\') ++i;
            value += rest[i];
        }
    }
    REQUIRE(i < rest.size());
    rest.remove_prefix(i + 1);
    return value;
}

std::string takeUntil(std::string_view& rest, std::string_view mark) {
    const auto at = rest.find(mark);
    REQUIRE(at != std::string_view::npos);
    const std::string value(rest.substr(0, at));
    rest.remove_prefix(at + mark.size());
    return value;
}

const std::string evilAgent = "a\" 200 5 \"b\\\" \t \xff\\";
const std::string evilTarget = "/x\"y\\z%0a?q='\"{}";

// What the access log says of one request that tries to forge a line.
std::string lineFor(const char* format) {
    Served served(checkedApp("hello"), {"--access-log", format});
    served.process().waitForOutput("to stop.\n");
    const auto before = served.process().output().size();
    BlockingClient client(served.port());
    client.send("GET " + evilTarget + " HTTP/1.1\r\nHost: h\r\nReferer: http://r/\r\nUser-Agent: " + evilAgent + "\r\n\r\n");
    CHECK(client.reply().status == 404);
    client.close();
    CHECK(served.stop() == 0);
    const auto text = served.process().output().substr(before);
    REQUIRE(text.ends_with('\n'));
    REQUIRE(text.find('\n') == text.size() - 1);
    for (const char c : text.substr(0, text.size() - 1)) CHECK((c >= ' ' && c < 127));
    return text.substr(0, text.size() - 1);
}

void checkCommon(std::string_view& rest) {
    CHECK(takeUntil(rest, " - - [") == "127.0.0.1");
    const auto time = takeUntil(rest, "] ");
    CHECK(time.size() == std::string_view("21/Nov/2026:04:00:00 +0000").size());
    CHECK(takeQuoted(rest) == "GET " + evilTarget + " HTTP/1.1");
    const bool sized = rest.starts_with(" 404 14");
    CHECK(sized);
    rest.remove_prefix(7);
}

}

TEST_CASE("a line in the common format has its seven parts, whatever the request tries", "[main]") {
    const auto line = lineFor("common");
    CAPTURE(line);
    std::string_view rest = line;
    checkCommon(rest);
    CHECK(rest.empty());
}

TEST_CASE("a line in the combined format has its nine parts, whatever the request tries", "[main]") {
    const auto line = lineFor("combined");
    CAPTURE(line);
    std::string_view rest = line;
    checkCommon(rest);
    rest.remove_prefix(1);
    CHECK(takeQuoted(rest) == "http://r/");
    rest.remove_prefix(1);
    CHECK(takeQuoted(rest) == evilAgent);
    CHECK(rest.empty());
}

TEST_CASE("a line in the JSON format is an object that says the same, whatever the request tries", "[main]") {
    const auto line = lineFor("json");
    const auto read = runToEnd({requiredVariable("POSTERN_PYTHON"), "-c",
                                "import json, sys\n"
                                "o = json.loads(sys.stdin.read())\n"
                                "print(o['remote'], o['method'], o['status'], o['bytes'], o['host'], o['referrer'])\n"
                                "print(o['uri']); print(o['userAgent'].encode('latin-1').hex())\n"
                                "assert o['time'] > 1e9 and 0 <= o['seconds'] < 60\n"},
                               {}, line);
    CAPTURE(line, read.errors);
    CHECK(read.code == 0);
    std::string hex;
    for (const char c : evilAgent) {
        const char* digits = "0123456789abcdef";
        hex += digits[static_cast<unsigned char>(c) >> 4];
        hex += digits[static_cast<unsigned char>(c) & 15];
    }
    CHECK(read.output == "127.0.0.1 GET 404 14 h http://r/\n" + evilTarget + "\n" + hex + "\n");
}

TEST_CASE("every line of a JSON log is an object", "[main]") {
    Served served(checkedApp("echo"), {"--log-format", "json"});
    BlockingClient client(served.port());
    CHECK(client.upgrade("/echo", "Origin: http://\"evil\\\"\r\n").status == 403);
    client.close();
    CHECK(served.stop() == 0);
    const auto read = runToEnd({requiredVariable("POSTERN_PYTHON"), "-c",
                                "import json, sys\n"
                                "lines = [json.loads(line) for line in sys.stdin]\n"
                                "assert all(set(o) == {'time', 'level', 'message'} for o in lines)\n"
                                "assert any('refused a WebSocket' in o['message'] for o in lines)\n"},
                               {}, served.process().errors());
    CAPTURE(served.process().errors(), read.errors);
    CHECK(read.code == 0);
}

TEST_CASE("--log-level leaves out what matters less", "[main]") {
    Served loud(checkedApp("hello"));
    loud.process().waitForErrors("serving what --listen names");
    Served quiet(checkedApp("hello"), {"--log-level", "error"});
    CHECK(BlockingClient(quiet.port()).get("/").status == 200);
    CHECK(quiet.stop() == 0);
    CHECK(quiet.process().errors().empty());
}

TEST_CASE("HUP opens the log files anew and cuts no connection", "[main]") {
    TemporaryDirectory directory;
    const auto log = directory / "log", access = directory / "access";
    Served served(checkedApp("hello"), {"--log-file", log, "--access-log", "common", "--access-log-file", access});
    BlockingClient client(served.port());
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!contains(readFile(access), "GET /before ") && std::chrono::steady_clock::now() < until)
        CHECK(client.get("/before").status == 404);
    std::filesystem::rename(log, log + ".1");
    std::filesystem::rename(access, access + ".1");
    served.process().signal(SIGHUP);
    while (!std::filesystem::exists(access) && std::chrono::steady_clock::now() < until) CHECK(client.get("/during").status == 404);
    CHECK(client.get("/after").status == 404);
    client.close();
    CHECK(served.stop() == 0);
    const auto old = readFile(access + ".1"), fresh = readFile(access);
    CHECK(contains(old, "GET /before "));
    CHECK(contains(fresh, "GET /after "));
    CHECK(std::filesystem::exists(log));
    CHECK(contains(readFile(log + ".1"), "serving"));
    CHECK(served.process().errors().empty());
}

TEST_CASE("a log file that cannot be opened is an error at the start", "[main]") {
    const auto result = runToEnd({checkedApp("hello"), "--port", "0", "--log-file", "/dev/null/log"});
    CHECK(result.code == 1);
    CHECK(contains(result.errors, "/dev/null/log"));
}

TEST_CASE("a full disk costs log lines and nothing else", "[main]") {
    Served served(checkedApp("hello"), {"--log-file", "/dev/full", "--access-log", "common", "--access-log-file", "/dev/full"});
    for (int i = 0; i < 20; ++i) CHECK(BlockingClient(served.port()).get("/").status == 200);
    served.process().waitForErrors("log lines are lost");
    CHECK(BlockingClient(served.port()).get("/").status == 200);
    CHECK(served.stop() == 0);
}

TEST_CASE("a server whose standard descriptors are full, closed or closed at the other end goes on", "[main]") {
    const std::vector<std::string> logging{"--access-log", "combined", "--log-level", "debug"};
    const auto goesOn = [](Silent& server) {
        for (int i = 0; i < 20; ++i) CHECK(server.answers());
        server.process().signal(SIGTERM);
        CHECK(server.process().wait() == 0);
    };
    SECTION("closed at the start") {
        ProcessOptions options;
        options.closed = {0, 1, 2};
        Silent server(logging, options);
        goesOn(server);
    }
    SECTION("full") {
        const int full = ::open("/dev/full", O_WRONLY | O_CLOEXEC);
        REQUIRE(full >= 0);
        ProcessOptions options;
        options.output = options.errors = full;
        Silent server(logging, options);
        goesOn(server);
        ::close(full);
    }
    SECTION("a pipe whose reader goes") {
        int fds[2];
        REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
        ProcessOptions options;
        options.output = options.errors = fds[1];
        Silent server(logging, options);
        ::close(fds[1]);
        CHECK(server.answers());
        ::close(fds[0]);
        goesOn(server);
    }
    SECTION("a pipe whose reader has stopped") {
        int fds[2];
        REQUIRE(::pipe2(fds, O_CLOEXEC) == 0);
        ProcessOptions options;
        options.output = options.errors = fds[1];
        Silent server(logging, options);
        ::close(fds[1]);
        BlockingClient client(server.port());
        const std::string target = '/' + std::string(4000, 'x');
        for (int i = 0; i < 100; ++i) CHECK(client.get(target).status == 404);  // some 400 kB of log, the pipe takes 64
        client.close();
        goesOn(server);
        ::close(fds[0]);
    }
}
