#include "postern/main/Log.h"

#include "postern/base/Text.h"

#include <spdlog/async.h>
#include <spdlog/pattern_formatter.h>
#include <spdlog/sinks/basic_file_sink.h>
#include <spdlog/sinks/dist_sink.h>
#include <spdlog/sinks/stdout_color_sinks.h>
#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>
#include <ctime>
#include <future>
#include <iterator>
#include <thread>

namespace postern {

namespace {

constexpr size_t queuedLines = 8192;

spdlog::level::level_enum levelOf(LogLevel level) {
    switch (level) {
    case LogLevel::debug: return spdlog::level::debug;
    case LogLevel::info: return spdlog::level::info;
    case LogLevel::warning: return spdlog::level::warn;
    case LogLevel::error: return spdlog::level::err;
    }
    return spdlog::level::info;
}

LogLevel levelNamed(const std::string& name) {
    if (name == "debug") return LogLevel::debug;
    if (name == "warning") return LogLevel::warning;
    return name == "error" ? LogLevel::error : LogLevel::info;
}

// For JSON strings; our own lines are escaped for text already.
std::string jsonText(std::string_view text) {
    std::string out;
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\') out.append(1, '\\').append(1, c);
        else if (byte < 0x20 || byte >= 0x7f) fmt::format_to(std::back_inserter(out), "\\u{:04x}", byte);
        else out += c;
    }
    return out;
}

std::string quoted(std::string_view text) {
    std::string out;
    for (const char c : escapedForLog(text, 2000)) {
        if (c == '"') out += '\\';
        out += c;
    }
    return out;
}

std::string orDash(std::string_view text) { return text.empty() ? "-" : quoted(text); }

std::string localTime() {
    const std::time_t now = std::time(nullptr);
    std::tm parts{};
    ::localtime_r(&now, &parts);
    char text[64];
    return {text, std::strftime(text, sizeof text, "%d/%b/%Y:%H:%M:%S %z", &parts)};
}

// The formats of Apache and nginx, which every analyser reads.
std::string formatAccess(const AccessRecord& record, bool combined) {
    const auto& head = record.head;
    auto line = fmt::format("{} - {} [{}] \"{} {} HTTP/1.{}\" {} {}", orDash(head.remoteAddress), orDash(head.remoteUser),
                            localTime(), quoted(head.method), quoted(head.target), head.minorVersion, record.status,
                            record.bodyBytes);
    if (combined) line += fmt::format(" \"{}\" \"{}\"", orDash(head.field("Referer")), orDash(head.field("User-Agent")));
    return line;
}

std::string formatAccessJson(const AccessRecord& record) {
    const auto& head = record.head;
    const auto time = std::chrono::duration_cast<std::chrono::milliseconds>(
        std::chrono::system_clock::now().time_since_epoch());
    return fmt::format(R"({{"time":{}.{:03},"remote":"{}","method":"{}","uri":"{}","host":"{}","status":{},"bytes":{},)"
                       R"("seconds":{:.6f},"referrer":"{}","userAgent":"{}"}})",
                       time.count() / 1000, time.count() % 1000, jsonText(head.remoteAddress), jsonText(head.method),
                       jsonText(head.target), jsonText(head.host), record.status, record.bodyBytes,
                       std::chrono::duration<double>(record.duration).count(), jsonText(head.field("Referer")),
                       jsonText(head.field("User-Agent")));
}

}

struct Log::State {
    struct Target {
        std::string file;
        bool toStdout = false;
        std::string pattern;
        std::shared_ptr<spdlog::sinks::dist_sink_mt> sink = std::make_shared<spdlog::sinks::dist_sink_mt>();
        std::shared_ptr<spdlog::logger> logger;

        void open() {
            spdlog::sink_ptr inner;
            if (!file.empty()) inner = std::make_shared<spdlog::sinks::basic_file_sink_mt>(file);
            else if (toStdout) inner = std::make_shared<spdlog::sinks::stdout_sink_mt>();
            else inner = std::make_shared<spdlog::sinks::stderr_color_sink_mt>(
                std::getenv("NO_COLOR") ? spdlog::color_mode::never : spdlog::color_mode::automatic);
            inner->set_pattern(pattern);
            sink->set_sinks({inner});
        }
    };

    std::atomic<pthread_t> writer{};
    std::shared_ptr<spdlog::details::thread_pool> thread;  // none: the caller writes
    LogLevel level;
    bool json;
    std::string accessFormat;
    Target log, access;

    void start(Target& target, const char* name) {
        target.open();
        if (thread) target.logger = std::make_shared<spdlog::async_logger>(name, target.sink, thread,
                                                                           spdlog::async_overflow_policy::overrun_oldest);
        else target.logger = std::make_shared<spdlog::logger>(name, target.sink);
        target.logger->set_level(spdlog::level::debug);
        target.logger->flush_on(spdlog::level::trace);
        // A full disk costs lines, not the program; it is said once in a while where somebody may see it.
        target.logger->set_error_handler([last = std::time_t{0}](const std::string& what) mutable {
            const auto now = std::time(nullptr);
            if (now - last < 60) return;
            last = now;
            std::fprintf(stderr, "log lines are lost: %s\n", what.c_str());
        });
    }
};

Log::Log(const ProgramOptions& options, Writer writer) : state_(std::make_unique<State>()) {
    if (writer == Writer::thread)
        state_->thread = std::make_shared<spdlog::details::thread_pool>(
            queuedLines, 1, [state = state_.get()] { state->writer = ::pthread_self(); });
    state_->level = levelNamed(options.logLevel);
    state_->json = options.logFormat == "json";
    state_->log.file = options.logFile;
    state_->log.pattern = state_->json ? R"({"time":"%Y-%m-%dT%H:%M:%S.%e%z","level":"%l","message":"%v"})"
                                       : "%Y-%m-%d %H:%M:%S.%e %^%l%$ %v";
    state_->accessFormat = options.accessLog;
    state_->access.file = options.accessLogFile;
    state_->access.toStdout = true;
    state_->access.pattern = "%v";
    try {
        state_->start(state_->log, "log");
        state_->start(state_->access, "access");
    } catch (const spdlog::spdlog_ex& problem) {
        throw std::runtime_error(problem.what());
    }
}

// Whoever reads our output may have stopped, and the thread that writes would wait for ever: after a while it is called
// back, and what is left goes nowhere.
Log::~Log() {
    if (!state_->thread) return;
    const auto writer = state_->writer.load();
    std::promise<void> ended;
    std::thread ending([&] {
        state_.reset();
        ended.set_value();
    });
    if (ended.get_future().wait_for(std::chrono::seconds(1)) == std::future_status::timeout) {
        const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC);
        for (const int fd : {STDOUT_FILENO, STDERR_FILENO}) ::dup2(null, fd);
        ::close(null);
        struct sigaction interrupt{};
        interrupt.sa_handler = [](int) {};
        ::sigaction(SIGURG, &interrupt, nullptr);
        ::pthread_kill(writer, SIGURG);
    }
    ending.join();
}

LogFunction Log::function() {
    return [state = state_.get()](LogLevel level, std::string_view line) {
        if (level < state->level) return;
        if (state->json) state->log.logger->log(levelOf(level), jsonText(line));
        else state->log.logger->log(levelOf(level), spdlog::string_view_t(line.data(), line.size()));
    };
}

AccessFunction Log::access() {
    if (state_->accessFormat == "off") return {};
    return [state = state_.get()](const AccessRecord& record) {
        state->access.logger->info(state->accessFormat == "json" ? formatAccessJson(record)
                                                                 : formatAccess(record, state->accessFormat == "combined"));
    };
}

void Log::flush() {
    for (int round = 0; state_->thread && round < 100 && state_->thread->queue_size() > 0; ++round)
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
}

void Log::reopen() {
    for (auto* target : {&state_->log, &state_->access}) {
        if (target->file.empty()) continue;
        try {
            target->open();
        } catch (const spdlog::spdlog_ex& problem) {
            std::fprintf(stderr, "cannot open the log anew: %s\n", problem.what());
        }
    }
}

}
