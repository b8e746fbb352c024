// testee URL: a client in the manner of the usual WebSocket test suites. It asks URL/getCaseCount how many cases there are,
// runs each at URL/runCase by sending back what comes until the socket is closed, and has URL/updateReports write down what
// the suite thought of it. The suite judges, so a case may end in any way: 0 means that all were run and the report was
// asked for.

#include "postern/postern.h"
#include "postern/base/Text.h"
#include "postern/client/ConnectWebSocket.h"
#include "postern/protocol/Url.h"

#include <CLI/CLI.hpp>

#include <cstdio>

using namespace postern;

namespace {

struct Settings {
    std::string url, agent = "postern";
    bool deflate = true;
    unsigned caseTime = 60;
};

ClientOptions makeOptions(const Settings& settings) {
    ClientOptions options;
    options.socket.maxMessage = 64 * 1024 * 1024;
    options.socket.maxFragments = 1024 * 1024;
    options.socket.pingInterval = Duration::zero();  // suites count frames
    if (settings.deflate) {
        options.socket.deflate.emplace();
        options.socket.deflate->contextTakeover = options.socket.deflate->peerContextTakeover = true;
    }
    return options;
}

void echo(WebSocket& socket, Deadline deadline) {
    while (const auto message = socket.recv(deadline)) {
        if (message.isText()) socket.send(message.textData());
        else socket.send(message.data());
    }
}

class Testee {
public:
    explicit Testee(const Settings& settings) : settings_(settings), options_(makeOptions(settings)) {}

    int run() {
        const auto count = connect("/getCaseCount").receiveText(limit());
        const auto cases = parseDecimal<unsigned>(trim(count));
        if (!cases) throw HandshakeError("/getCaseCount gave no number but '" + escapedForLog(count) + "'");
        for (unsigned number = 1; number <= *cases; ++number) runCase(number);
        connect("/updateReports?" + agent()).recv(limit());
        std::printf("%u cases\n", *cases);
        return 0;
    }

private:
    void runCase(unsigned number) {
        try {
            auto socket = connect("/runCase?case=" + std::to_string(number) + "&" + agent());
            try {
                echo(socket, limit());
            } catch (const TimedOut&) {
                std::fprintf(stderr, "case %u: not over after %u s\n", number, settings_.caseTime);
                socket.abort();
            }
        } catch (const WebSocketClosed&) {
            // Closed before it got its last echo.
        } catch (const Disconnected& problem) {
            std::fprintf(stderr, "case %u: %s\n", number, problem.what());
        } catch (const HandshakeError& problem) {
            std::fprintf(stderr, "case %u: %s\n", number, problem.what());
        } catch (const TimedOut& problem) {
            std::fprintf(stderr, "case %u: %s\n", number, problem.what());
        }
    }

    WebSocket connect(const std::string& target) { return connectWebSocket(settings_.url + target, options_); }
    std::string agent() const { return "agent=" + percentEncode(settings_.agent); }
    Deadline limit() const { return Loop::current().in(std::chrono::seconds(settings_.caseTime)); }

    const Settings& settings_;
    const ClientOptions options_;
};

}

int main(int count, char** arguments) {
    Settings settings;
    CLI::App app("Runs all cases of a WebSocket test suite against Postern's client.");
    app.add_option("URL", settings.url, "Of the suite's server: ws://127.0.0.1:9001")->required();
    app.add_option("--agent", settings.agent, "Name in the suite's report")->capture_default_str();
    std::string deflate = "on";
    app.add_option("--deflate", deflate, "Offer permessage-deflate")->check(CLI::IsMember({"on", "off"}))->capture_default_str();
    app.add_option("--case-time", settings.caseTime, "Seconds after which a case is cut")->check(CLI::Range(1, 3600))->capture_default_str();
    try {
        app.parse(count, arguments);
    } catch (const CLI::ParseError& problem) {
        return app.exit(problem) == 0 ? 0 : 2;
    }
    settings.deflate = deflate == "on";
    while (settings.url.ends_with('/')) settings.url.pop_back();
    int status = 1;
    try {
        run([&] { status = Testee(settings).run(); });
    } catch (const std::invalid_argument& problem) {
        std::fprintf(stderr, "testee: %s\n", problem.what());
        return 2;
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "testee: %s\n", problem.what());
    }
    return status;
}
