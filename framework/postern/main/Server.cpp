#include "postern/main/Server.h"

#include "postern/base/Crypto.h"
#include "postern/io/Listener.h"
#include "postern/main/ListenSpec.h"
#include "postern/main/Privileges.h"
#include "postern/main/Settings.h"
#include "postern/main/Systemd.h"

#include <malloc.h>
#include <sys/resource.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <thread>
#include <variant>

namespace postern {

namespace {

void raiseDescriptorLimit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);
}

// Messages of a megabyte come and go: memory that malloc() gives back to the system for each of them, to get it again page by
// page, costs more than the message does.
void keepFreedMemory() {
#if defined(__GLIBC__)
    constexpr int mappedFrom = 4 << 20, keptAtMost = 32 << 20;  // bytes
    ::mallopt(M_MMAP_THRESHOLD, mappedFrom);
    ::mallopt(M_TRIM_THRESHOLD, keptAtMost);
#endif
}

ListenSpec at(ListenSpec::Kind kind) {
    ListenSpec spec;
    spec.kind = kind;
    return spec;
}

std::vector<OpenListener> open(const ParsedCommandLine& command) {
    const auto& options = command.options;
    std::vector<ListenSpec> specs;
    for (const auto& text : options.listen) {
        std::string why;
        const auto spec = ListenSpec::parse(text, why);
        if (!spec) throw std::invalid_argument(why);
        specs.push_back(*spec);
    }
    if (specs.empty() && !command.listenGiven && hasSystemdSockets()) specs.push_back(at(ListenSpec::Kind::systemd));
    if (specs.empty() && !command.listenGiven && ListenSocket::isListening(0)) {
        specs.push_back(at(ListenSpec::Kind::descriptor));
        specs.back().protocol = CgiProtocol::fastCgi;
        specs.back().fd = 0;
    }
    if (specs.empty()) {
        specs.push_back(at(ListenSpec::Kind::tcp));
        specs.back().address = options.host;
        specs.back().port = options.port;
    }

    const ListenRules rules{options.workers, options.socketGroup, !options.allowedGateways.empty() || fastCgiWebServers(),
                            !options.tlsCertificates.empty()};
    std::vector<OpenListener> listeners;
    for (const auto& spec : specs)
        for (auto& listener : openListeners(spec, rules)) listeners.push_back(std::move(listener));
    return listeners;
}

// Whoever reads the banner may have closed it: that is no reason to stop.
void print(const std::string& text) {
    [[maybe_unused]] const auto ignored = ::write(1, text.data(), text.size());
}

void printBanner(const ParsedCommandLine& command, const std::vector<OpenListener>& listeners) {
    std::string text;
    for (const auto& listener : listeners) text += listener.url + "\n";
    text += "Serving with " + std::to_string(command.options.workers) +
            (command.options.workers == 1 ? " worker" : " workers") + "; press Ctrl+C to stop.\n";
    if (!command.changed.empty()) {
        text += "Set:";
        for (const auto& name : command.changed) text += " --" + name;
        text += "\n";
    }
    print(text);
}

class Workers {
public:
    Workers(const ParsedCommandLine& command, const Handler& handler, Log& log, Signals& signals,
            const std::vector<OpenListener>& listeners, std::shared_ptr<const TlsSource> tls)
        : command_(command),
          tls_(std::move(tls)),
          handlerSettings_(handlerSettings(command.options)),
          handle_([this, &handler](Exchange& exchange) { serveExchange(exchange, handlerSettings_, handler); }),
          log_(log),
          signals_(signals) {
        for (const auto& listener : listeners) ways_.push_back(wayIn(listener, listeners.size()));
        loops_.resize(command.options.workers);
        for (unsigned i = 0; i < command.options.workers; ++i) threads_.emplace_back([this, i, &listeners] { work(i, listeners); });
        for (unsigned ready = ready_; ready < command.options.workers; ready = ready_) ready_.wait(ready);
    }

    ~Workers() {
        for (auto& thread : threads_) thread.join();
    }

    bool allEnded() const { return ended_ == threads_.size(); }
    bool failed() const { return failed_; }

    void drain(Duration limit) {
        forEachLoop([limit](Loop& loop) { loop.drain(limit); });
    }
    void stop() {
        forEachLoop([](Loop& loop) { loop.stop(); });
    }

private:
    using WayIn = std::variant<HttpSettings, WebServerSettings>;

    WayIn wayIn(const OpenListener& listener, size_t listeners) const {
        if (!listener.protocol) {
            auto http = httpSettings(command_.options, log_.access(), listeners);
            if (listener.websocket) http.websocket = *listener.websocket != WebsocketOver::no;
            if (listener.tls) {
                http.tls = tls_;
                http.scheme = "https";
            }
            return http;
        }
        auto webServer = webServerSettings(command_.options, *listener.protocol, log_.access(), listeners);
        if (listener.websocket) webServer.cgi.websocket = *listener.websocket;
        return webServer;
    }

    std::unique_ptr<Gateway> openWay(Loop& loop, const OpenListener& listener, const WayIn& way, int fd) const {
        if (const auto* http = std::get_if<HttpSettings>(&way)) return std::make_unique<HttpGateway>(loop, fd, *http, handle_);
        return std::make_unique<WebServerGateway>(loop, fd, *listener.protocol, std::get<WebServerSettings>(way), handle_);
    }

    template <typename Action>
    void forEachLoop(Action action) {
        const std::lock_guard lock(mutex_);
        for (auto* loop : loops_)
            if (loop) action(*loop);
    }

    void setLoop(unsigned index, Loop* loop) {
        const std::lock_guard lock(mutex_);
        loops_[index] = loop;
    }

    void work(unsigned index, const std::vector<OpenListener>& listeners) {
        try {
            const StackOverflowReport report;
            sha1({});  // the first use of OpenSSL reads its configuration: not while clients wait
            Loop loop(loopOptions(command_.options, log_.function()));
            std::vector<std::unique_ptr<Gateway>> gateways;
            for (size_t i = 0; i < listeners.size(); ++i) {
                gateways.push_back(openWay(loop, listeners[i], ways_[i], listeners[i].fds[index]));
                gateways.back()->start();
            }
            setLoop(index, &loop);
            becomeReady();
            loop.run();
            setLoop(index, nullptr);
            loop.endFibers();
        } catch (const std::exception& problem) {
            log_.function()(LogLevel::error, std::string("a worker failed: ") + problem.what());
            failed_ = true;
            becomeReady();
        }
        ++ended_;
        signals_.notify();
    }

    void becomeReady() {
        ++ready_;
        ready_.notify_all();
    }

    const ParsedCommandLine& command_;
    const std::shared_ptr<const TlsSource> tls_;  // none without certificates
    const HandlerSettings handlerSettings_;
    const ExchangeHandler handle_;
    std::vector<WayIn> ways_;           // one for each listener
    Log& log_;
    Signals& signals_;
    std::mutex mutex_;
    std::vector<Loop*> loops_;  // guarded by mutex_; null before it runs and after
    std::atomic<unsigned> ready_{0}, ended_{0};
    std::atomic<bool> failed_{false};
    std::vector<std::thread> threads_;
};

}

namespace {

void removeSockets(const std::vector<OpenListener>& listeners) {
    for (const auto& listener : listeners)
        if (!listener.unlinkAtExit.empty()) ::unlink(listener.unlinkAtExit.c_str());
}

std::shared_ptr<TlsSource> readTls(const ProgramOptions& options) {
    if (options.tlsCertificates.empty()) return nullptr;
    return std::make_shared<TlsSource>(std::make_shared<TlsServerContext>(tlsOptions(options)));
}

// Connections that are open go on with what they have; with bad files new ones do, too.
void rereadTls(const ProgramOptions& options, TlsSource& tls, Log& log) {
    try {
        tls.replace(std::make_shared<TlsServerContext>(tlsOptions(options)));
        log.function()(LogLevel::info, "read the TLS certificates anew");
    } catch (const std::exception& problem) {
        log.function()(LogLevel::error, std::string("the old TLS certificates stay in use: ") + problem.what());
    }
}

// True: it ended because it was told to.
bool runUntilStopped(const ProgramOptions& options, Workers& workers, const std::vector<OpenListener>& listeners, TlsSource* tls,
                     Log& log, Signals& signals) {
    constexpr auto patience = std::chrono::seconds(1);  // beyond what the loops were granted
    auto until = TimePoint::max();
    bool stopping = false;
    const auto beginDrain = [&] {
        stopping = true;
        removeSockets(listeners);  // while they are ours: whoever comes next may listen there before we are done
        workers.drain(options.shutdownTimeout);
        until = Deadline::after(options.shutdownTimeout + patience, Clock::now()).at();
    };
    while (!workers.allEnded()) {
        switch (signals.next(until)) {
        case Signals::What::reload:
            log.reopen();
            if (tls) rereadTls(options, *tls, log);
            break;
        case Signals::What::terminate:
            notifySystemd("STOPPING=1");
            if (!stopping) {
                beginDrain();
            } else {
                workers.stop();
                until = Clock::now() + patience;
            }
            break;
        case Signals::What::notified:
            if (workers.failed() && !stopping) beginDrain();
            break;
        case Signals::What::timeIsUp:
            return false;
        }
    }
    if (!stopping) removeSockets(listeners);
    return !workers.failed();
}

}

int serve(const ParsedCommandLine& command, const Handler& handler, Log& log, Signals& signals) {
    raiseDescriptorLimit();
    keepFreedMemory();
    const auto tls = readTls(command.options);
    const auto listeners = open(command);
    dropPrivileges(command.options.user, command.options.group);

    bool failed = false;
    {
        Workers workers(command, handler, log, signals, listeners, tls);
        printBanner(command, listeners);
        notifySystemd("READY=1");
        failed = !runUntilStopped(command.options, workers, listeners, tls.get(), log, signals);
        if (!workers.allEnded()) {
            // A handler that computes or blocks for ever cannot be ended in good order.
            log.function()(LogLevel::error, "handlers did not end in time: the program ends without them");
            log.flush();
            std::_Exit(1);
        }
    }
    return failed ? 1 : 0;
}

}
