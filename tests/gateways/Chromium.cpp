#include "support/Catch.h"
#include "support/Fronts.h"
#include "support/Process.h"

#include <unistd.h>

#include <filesystem>
#include <sstream>

using namespace postern;

namespace {

// Types into the page of echo, and sees that a page of another origin gets no WebSocket.
void checkInBrowser(const std::string& url) {
    ProcessOptions options;
    options.environment = {{"NODE_PATH", requiredVariable("POSTERN_NODE") + "/node_modules"}};
    const auto result = runToEnd({"node", requiredVariable("POSTERN_SOURCE") + "/tests/gateways/Browser.js", url}, options);
    CAPTURE(result.output, result.errors);
    CHECK(result.code == 0);
}

// The words of the line that begins so and contains `part`, from "build/bin/echo" to a pipe.
std::vector<std::string> command(const std::string& document, const std::string& begin, const std::string& part) {
    std::istringstream lines(document);
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with(begin) || line.find(part) == std::string::npos) continue;
        std::istringstream words(line.substr(begin.find("build/")));
        std::vector<std::string> list;
        for (std::string word; words >> word && word != "|";) list.push_back(word);
        return list;
    }
    throw std::runtime_error("no command with " + part);
}

}

TEST_CASE("Chromium: a message typed into the page of echo comes back, and other origins are refused", "[gateways]") {
    Served served(checkedApp("echo"));
    checkInBrowser(served.url() + "/");
    CHECK(served.stop() == 0);
    CHECK(served.process().errors().find("--allowed-origin") != std::string::npos);
}

TEST_CASE("nginx.md: its commands end in a page that echoes", "[gateways][deploy]") {
    const TemporaryDirectory directory;
    if (::geteuid() == 0) std::filesystem::permissions(directory.path(), std::filesystem::perms(0755));
    const auto document = replaced(deployFile("nginx.md"), {{"/run/", directory.path() + '/'}});
    auto serve = command(document, "sudo build/bin/echo", "--socket-group"), print = command(document, "build/bin/echo", "--print-config");
    serve.front() = print.front() = optimisedApp("echo");
    if (::geteuid() != 0) serve.resize(serve.size() - 2);  // the group of nginx is ours then

    Process echo(serve);
    echo.waitForOutput("Serving with 1 worker; press Ctrl+C to stop.\n");
    const auto printed = runToEnd(print);
    REQUIRE(printed.code == 0);
    const FreePort port;
    const Front nginx(FrontKind::nginx, replaced(printed.output, {{"listen 80;", "listen 127.0.0.1:" + std::to_string(port) + ';'}}), {port});
    checkInBrowser("http://127.0.0.1:" + std::to_string(port) + "/");
}
