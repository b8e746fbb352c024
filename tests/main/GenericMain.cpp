#include "postern/main/GenericMain.h"

#include "support/BlockingClient.h"
#include "support/Catch.h"
#include "support/Process.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>

using namespace postern;

namespace {

using Variables = std::vector<std::pair<std::string, std::string>>;

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Variables cgi(Variables more = {}) {
    Variables all{{"GATEWAY_INTERFACE", "CGI/1.1"}, {"REQUEST_METHOD", "GET"},   {"REQUEST_URI", "/"}, {"SCRIPT_NAME", ""},
                  {"PATH_INFO", "/"},               {"QUERY_STRING", ""},        {"SERVER_NAME", "h"}, {"SERVER_PORT", "80"},
                  {"SERVER_PROTOCOL", "HTTP/1.1"},  {"REMOTE_ADDR", "192.0.2.1"}, {"HTTP_HOST", "h"}};
    for (auto& [name, value] : more) {
        std::erase_if(all, [&name = name](const auto& pair) { return pair.first == name; });
        all.emplace_back(name, value);
    }
    return all;
}

ProcessOptions with(Variables variables) {
    ProcessOptions options;
    options.environment = std::move(variables);
    return options;
}

const Variables handshake{{"HTTP_UPGRADE", "websocket"},
                          {"HTTP_CONNECTION", "Upgrade"},
                          {"HTTP_SEC_WEBSOCKET_VERSION", "13"},
                          {"HTTP_SEC_WEBSOCKET_KEY", "dGhlIHNhbXBsZSBub25jZQ=="},
                          {"REQUEST_URI", "/echo"},
                          {"PATH_INFO", "/echo"}};

// Runs genericMain() with a handler of the test's in a process of its own; gives what it printed.
Finished runMain(std::vector<std::string> arguments, const Variables& variables, const Handler& handler,
                 const ProgramOptions& options = {}) {
    int fds[2];
    REQUIRE(::pipe(fds) == 0);
    const auto pid = ::fork();
    if (pid == 0) {
        ::dup2(fds[1], 1);
        ::close(fds[0]);
        ::close(fds[1]);
        for (const auto& [name, value] : variables) ::setenv(name.c_str(), value.c_str(), 1);
        std::vector<char*> argv;
        for (auto& argument : arguments) argv.push_back(argument.data());
        argv.push_back(nullptr);
        ::_exit(genericMain(static_cast<int>(arguments.size()), argv.data(), handler, options));
    }
    ::close(fds[1]);
    Finished result;
    std::array<char, 4096> bytes;
    for (ssize_t got; (got = ::read(fds[0], bytes.data(), bytes.size())) > 0;)
        result.output.append(bytes.data(), static_cast<size_t>(got));
    ::close(fds[0]);
    int status = 0;
    ::waitpid(pid, &status, 0);
    result.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return result;
}

}

TEST_CASE("GATEWAY_INTERFACE in the environment makes it a CGI program", "[main]") {
    const auto result = runToEnd({checkedApp("hello")}, with(cgi()));
    CAPTURE(result.errors);
    CHECK(result.code == 0);
    CHECK(result.output.starts_with("Status: 200 OK\r\n"));
    CHECK(result.output.ends_with("\r\n\r\nHello, world!\n"));
    CHECK(result.errors.empty());
}

TEST_CASE("a CGI program never reads its arguments: they may be the client's query", "[main]") {
    for (const std::vector<std::string>& arguments :
         {std::vector<std::string>{"--help"}, {"--listen", "http://127.0.0.1:0"}, {"GET", "/nowhere"}, {"--unknown"}, {"-d", "x"}}) {
        auto command = arguments;
        command.insert(command.begin(), checkedApp("hello"));
        const auto result = runToEnd(command, with(cgi()));
        CAPTURE(arguments, result.errors);
        CHECK(result.code == 0);
        CHECK(result.output.ends_with("\r\n\r\nHello, world!\n"));
    }
}

TEST_CASE("a CGI program reads its body and no more", "[main]") {
    const auto result = runToEnd({checkedApp("form")},
                                 with(cgi({{"REQUEST_METHOD", "POST"},
                                           {"PATH_INFO", "/show"},
                                           {"REQUEST_URI", "/show?x=1"},
                                           {"QUERY_STRING", "x=1"},
                                           {"CONTENT_LENGTH", "7"},
                                           {"CONTENT_TYPE", "application/x-www-form-urlencoded"},
                                           {"HTTP_COOKIE", "name=Ada"}})),
                                 "a=1&b=2&c=3");
    CHECK(result.code == 0);
    CHECK(contains(result.output, "<li>x = 1</li>"));
    CHECK(contains(result.output, "<li>a = 1</li><li>b = 2</li></ul>"));
    CHECK(contains(result.output, "Hello, Ada"));
    const auto shorter = runToEnd({checkedApp("form")},
                                  with(cgi({{"REQUEST_METHOD", "POST"},
                                            {"CONTENT_LENGTH", "7"},
                                            {"CONTENT_TYPE", "application/x-www-form-urlencoded"}})),
                                  "a=1");
    CHECK(shorter.output.starts_with("Status: 400 "));
}

TEST_CASE("a malformed CGI environment is refused with a status", "[main]") {
    const auto result = runToEnd({checkedApp("hello")}, with(cgi({{"CONTENT_LENGTH", "1x"}})));
    CHECK(result.output.starts_with("Status: 400 "));
    CHECK(result.code == 1);
}

TEST_CASE("a CGI program talks WebSocket over its standard streams", "[main]") {
    Process process({checkedApp("echo")}, with(cgi(handshake)));
    process.waitForOutput("\r\n\r\n");
    CHECK(process.output().starts_with("Status: 101 Switching Protocols\r\n"));
    CHECK(contains(process.output(), "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    CHECK(contains(process.output(), "Upgrade: websocket\r\n"));
    process.write(maskedFrame(1, "hello"));
    process.waitForOutput("\x81\x05hello");
    process.write(maskedFrame(8, "\x03\xe8"));
    process.closeInput();
    process.waitForOutput("\x88\x02\x03\xe8");
    CHECK(process.wait() == 0);
}

TEST_CASE("a CGI program lives as long as its WebSocket has callbacks", "[main]") {
    auto variables = handshake;
    for (auto& [name, value] : variables)
        if (value == "/echo") value = "/events";
    Process process({checkedApp("echo")}, with(cgi(variables)));
    process.waitForOutput("\r\n\r\n");
    for (const auto* text : {"hello", "again"}) {
        process.write(maskedFrame(1, text));
        process.waitForOutput("\x81\x05" + std::string(text));
    }
    process.write(maskedFrame(8, "\x03\xe8"));
    process.closeInput();
    process.waitForOutput("\x88\x02\x03\xe8");
    CHECK(process.wait() == 0);
}

TEST_CASE("a CGI gateway that ended our input gets 501, and the log names the remedy", "[main]") {
    const std::pair<const char*, const char*> servers[] = {{"lighttpd/1.4.69", "cgi.upgrade = \"enable\""},
                                                           {"Apache/2.4.71", "upgrade=websocket"},
                                                           {"other", "--listen http://"}};
    for (const auto& [server, remedy] : servers) {
        auto variables = handshake;
        variables.emplace_back("SERVER_SOFTWARE", server);
        const auto result = runToEnd({checkedApp("echo")}, with(cgi(variables)));
        CAPTURE(server, result.errors);
        CHECK(result.output.starts_with("Status: 501 "));
        CHECK(contains(result.errors, remedy));
        CHECK(contains(result.errors, server));
    }
}

TEST_CASE("a CGI program takes its settings from the environment", "[main]") {
    auto variables = handshake;
    variables.emplace_back("POSTERN_WEBSOCKET_OVER", "no");
    CHECK(runToEnd({checkedApp("echo")}, with(cgi(variables))).output.starts_with("Status: 501 "));
    if (::geteuid() != 0) return;
    variables.back() = {"POSTERN_USER", "nobody"};
    Process process({optimisedApp("echo")}, with(cgi(variables)));
    process.waitForOutput("\r\n\r\n");
    const auto status = readFile("/proc/" + std::to_string(process.pid()) + "/status");
    CHECK(contains(status, "\nUid:\t65534\t65534\t65534\t65534\n"));
    CHECK(contains(status, "\nGid:\t65534\t65534\t65534\t65534\n"));
    CHECK(contains(status, "\nGroups:\t65534 \n"));
}

TEST_CASE("a program may drop privileges by itself on every way in", "[main]") {
    if (::geteuid() != 0) return;
    ProgramOptions options;
    options.user = "nobody";
    const auto report = [](Cgi& cgi) { cgi.write(std::to_string(::geteuid()) + ' ' + std::to_string(::getegid()) + '\n', true); };
    CHECK(runMain({"app"}, cgi(), report, options).output.ends_with("\r\n\r\n65534 65534\n"));
    CHECK(runMain({"app", "GET", "/"}, {}, report, options).output.ends_with("\r\n\r\n65534 65534\n"));
}

TEST_CASE("HTTP_PROXY, which is a client's header, is gone from a CGI program", "[main]") {
    const auto report = [](Cgi& cgi) {
        std::string text = ::getenv("HTTP_PROXY") ? "set" : "unset";
        for (const auto& [name, value] : cgi.environment())
            if (name == "HTTP_PROXY") text += ", in the environment";
        if (!cgi.requestHeader("Proxy").empty()) text += ", among the fields";
        cgi.write(text + '\n', true);
    };
    CHECK(runMain({"app"}, cgi({{"HTTP_PROXY", "http://evil/"}}), report).output.ends_with("\r\n\r\nunset\n"));
}

TEST_CASE("how a program was started decides what it does, and the log says which rule that was", "[main]") {
    Process http({checkedApp("hello")}, with({{"PORT", "0"}}));
    CHECK(http.line().starts_with("http://"));
    http.waitForErrors("--host and --port");

    Process listen({checkedApp("hello"), "--listen", "http://127.0.0.1:0"});
    CHECK(listen.line().starts_with("http://"));
    listen.waitForErrors("serving what --listen names");

    const auto request = runToEnd({checkedApp("hello"), "GET", "/"}, with({{"POSTERN_LOG_LEVEL", "debug"}}));
    CHECK(contains(request.errors, "a method and a URI were given"));
    const auto gateway = runToEnd({checkedApp("hello")}, with(cgi({{"POSTERN_LOG_LEVEL", "debug"}})));
    CHECK(contains(gateway.errors, "GATEWAY_INTERFACE"));
    // GATEWAY_INTERFACE alone is no request.
    CHECK(contains(runToEnd({checkedApp("hello"), "GET", "/"}, with({{"GATEWAY_INTERFACE", "CGI/1.1"}})).output, "HTTP/1.1 200"));
    // Lower case, and a URI that does not begin with a slash, are no request.
    CHECK(runToEnd({checkedApp("hello"), "get", "/"}).code == 2);
    CHECK(runToEnd({checkedApp("hello"), "GET", "page"}).code == 2);
}

TEST_CASE("a handler that fails on the command line gives 500 and exit code 1", "[main]") {
    const auto failing = [](Cgi&) { throw std::runtime_error("secret"); };
    const auto hidden = runMain({"app", "GET", "/"}, {}, failing);
    CHECK(hidden.code == 1);
    CHECK(contains(hidden.output, "HTTP/1.1 500 "));
    CHECK(!contains(hidden.output, "secret"));
    CHECK(contains(runMain({"app", "GET", "/", "--dev"}, {}, failing).output, "secret"));
}
