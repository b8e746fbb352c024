#include "postern/main/GenericMain.h"

#include "postern/fiber/Run.h"
#include "postern/io/Listener.h"
#include "postern/io/StandardStreams.h"
#include "postern/main/CommandLine.h"
#include "postern/main/Log.h"
#include "postern/main/Privileges.h"
#include "postern/main/Server.h"
#include "postern/main/Settings.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <iostream>

extern char** environ;

namespace postern {

namespace {

// A closed standard descriptor would be given to the next socket, and what is printed would go to a client.
void holdStandardDescriptors() {
    for (int fd = 0; fd <= 2; ++fd)
        if (::fcntl(fd, F_GETFD) < 0) ::open("/dev/null", O_RDWR);
}

struct WhenStreamGone final : StreamHolder {
    void streamGone() override { act(); }
    std::function<void()> act;
};

bool isCgi() { return std::getenv("GATEWAY_INTERFACE") && std::getenv("REQUEST_METHOD"); }

// Options come from the environment and the program itself; arguments may be a client's.
int runCgi(int argc, char** argv, const ProgramOptions& defaults, const Handler& handler) {
    ::unsetenv("HTTP_PROXY");  // a client's header, not a setting of ours (CVE-2016-5385)
    const auto command = parseCommandLine(std::min(argc, 1), argv, defaults);
    if (command.exitCode) return *command.exitCode;
    const auto& options = command.options;
    dropPrivileges(options.user, options.group);
    Log log(options, Log::Writer::caller);
    log.function()(LogLevel::debug, "serving one request: GATEWAY_INTERFACE is set, so this is CGI");
    std::vector<FieldView> variables;
    for (char** entry = environ; *entry; ++entry) {
        std::string_view value = *entry;
        const auto name = takeUntil(value, '=');
        variables.push_back({name, value});
    }
    // Standard output is the reply: only a file can take the access log.
    const auto settings = cgiSettings(options, options.accessLogFile.empty() ? AccessFunction() : log.access());
    const auto handling = handlerSettings(options);
    const StackOverflowReport report;
    bool complete = false;
    int left = 2;  // the handler and the stream
    WhenStreamGone whenGone;
    Loop loop(loopOptions(options, log.function()));
    loop.spawn([&] {
        auto stream = std::make_unique<StandardStreams>(loop);
        // A WebSocket may outlive its handler, and a handler its WebSocket: the program ends with both.
        const auto ended = [&] {
            if (--left == 0) loop.drain(options.shutdownTimeout);
        };
        whenGone.act = ended;
        stream->hold(whenGone);
        complete = serveCgi(std::move(stream), variables, settings,
                            [&](Exchange& exchange) { serveExchange(exchange, handling, handler); });
        ended();
    });
    loop.run();
    return complete ? 0 : 1;
}

int runRequest(const ParsedCommandLine& command, const Handler& handler) {
    dropPrivileges(command.options.user, command.options.group);
    Log log(command.options, Log::Writer::caller);
    log.function()(LogLevel::debug, "running one request: a method and a URI were given as arguments");
    auto settings = httpSettings(command.options, {});
    if (command.request->https) settings.scheme = "https";
    const auto handling = handlerSettings(command.options);
    const StackOverflowReport report;
    int code = 1;
    run([&] { code = runFromCommandLine(*command.request, settings,
                                        [&](Exchange& exchange) { serveExchange(exchange, handling, handler); }); },
        loopOptions(command.options, log.function()));
    return code;
}

std::string wayInOf(const ParsedCommandLine& command) {
    if (!command.options.listen.empty()) return "serving what --listen names";
    if (command.listenGiven) return "serving HTTP as --host and --port say";
    if (std::getenv("LISTEN_FDS")) return "serving the sockets from systemd (LISTEN_FDS)";
    if (ListenSocket::isListening(0)) return "serving FastCGI: descriptor 0 is a listening socket";
    return "serving HTTP: no --listen, no request as arguments, no GATEWAY_INTERFACE, no LISTEN_FDS, no socket as descriptor 0";
}

}

int genericMain(int argc, char** argv, const Handler& handler, const ProgramOptions& options) {
    holdStandardDescriptors();
    ::signal(SIGPIPE, SIG_IGN);
    try {
        // First of all: a web server may hand a client's query to us as arguments (CVE-2012-1823).
        if (isCgi()) return runCgi(argc, argv, options, handler);
        const auto command = parseCommandLine(argc, argv, options);
        if (command.exitCode) return *command.exitCode;
        if (command.request) return runRequest(command, handler);
        Signals signals;
        Log log(command.options);
        log.function()(LogLevel::info, wayInOf(command));
        return serve(command, handler, log, signals);
    } catch (const std::exception& problem) {
        std::cerr << problem.what() << '\n';
        return 1;
    }
}

}
