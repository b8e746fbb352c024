#include "support/Process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

extern char** environ;

namespace postern {

namespace {

// What our own surroundings say must not steer the programs under test.
constexpr std::string_view steering[] = {"PORT", "HOST", "LISTEN_FDS", "LISTEN_PID", "NOTIFY_SOCKET", "GATEWAY_INTERFACE",
                                         "REQUEST_METHOD"};

std::vector<std::string> environmentFor(const ProcessOptions& options) {
    std::vector<std::string> entries;
    if (!options.onlyThatEnvironment)
        for (char** entry = environ; *entry; ++entry) {
            const std::string_view text = *entry;
            const auto name = text.substr(0, text.find('='));
            const bool given = std::any_of(options.environment.begin(), options.environment.end(),
                                           [&](const auto& pair) { return pair.first == name; });
            const bool steers = std::find(std::begin(steering), std::end(steering), name) != std::end(steering);
            if (!given && !steers) entries.emplace_back(text);
        }
    for (const auto& [name, value] : options.environment) entries.push_back(name + '=' + value);
    return entries;
}

std::string findProgram(const std::string& name) {
    if (name.find('/') != std::string::npos) {
        if (::access(name.c_str(), X_OK) == 0) return name;
    } else {
        std::istringstream path(std::string(std::getenv("PATH") ? std::getenv("PATH") : "") + ":/usr/sbin:/usr/bin");
        for (std::string directory; std::getline(path, directory, ':');)
            if (const auto file = directory + '/' + name; ::access(file.c_str(), X_OK) == 0) return file;
    }
    throw std::runtime_error("there is no program " + name + ": \"make deps\" tells what to install");
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
    std::vector<char*> list;
    for (auto& text : texts) list.push_back(text.data());
    list.push_back(nullptr);
    return list;
}

struct Ends {
    int ours = -1, theirs = -1;
};

Ends makePipe(int given, bool toThem) {
    if (given >= 0) return {-1, given};
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) throw std::system_error(errno, std::system_category(), "pipe");
    return toThem ? Ends{fds[1], fds[0]} : Ends{fds[0], fds[1]};
}

void appendWhatIsThere(int& fd, std::string& text) {
    std::array<char, 65536> bytes;
    const auto got = ::read(fd, bytes.data(), bytes.size());
    if (got > 0) return void(text.append(bytes.data(), static_cast<size_t>(got)));
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    ::close(std::exchange(fd, -1));
}

void closeIfOpen(int& fd) {
    if (fd >= 0) ::close(std::exchange(fd, -1));
}

}

Process::Process(const std::vector<std::string>& command, const ProcessOptions& options) : name_(command.front()) {
    auto words = command;
    const auto program = findProgram(command.front());
    auto variables = environmentFor(options);
    if (options.listenPid) variables.push_back("LISTEN_PID=0000000000");
    auto arguments = pointers(words);
    auto environment = pointers(variables);
    ::signal(SIGPIPE, SIG_IGN);  // a program that ends early must not take the tests with it
    const auto in = makePipe(options.input, true), out = makePipe(options.output, false), err = makePipe(options.errors, false);

    pid_ = ::fork();
    if (pid_ < 0) throw std::system_error(errno, std::system_category(), "fork");
    if (pid_ == 0) {
        ::setpgid(0, 0);
        ::prctl(PR_SET_PDEATHSIG, SIGKILL);
        ::signal(SIGPIPE, SIG_DFL);
        // Out of the way of the numbers they are to have, first.
        constexpr int high = 100;
        std::array<int, 32> moved{};
        for (size_t i = 0; i < options.passed.size(); ++i)
            moved[i] = ::fcntl(options.passed[i], F_DUPFD_CLOEXEC, high);
        const std::array<int, 3> standard{::fcntl(in.theirs, F_DUPFD_CLOEXEC, high), ::fcntl(out.theirs, F_DUPFD_CLOEXEC, high),
                                          ::fcntl(err.theirs, F_DUPFD_CLOEXEC, high)};
        for (int fd = 0; fd < 3; ++fd) ::dup2(standard[static_cast<size_t>(fd)], fd);
        for (size_t i = 0; i < options.passed.size(); ++i) ::dup2(moved[i], static_cast<int>(3 + i));
        ::syscall(SYS_close_range, static_cast<unsigned>(3 + options.passed.size()), ~0u, 0u);
        for (const int fd : options.closed) ::close(fd);
        if (options.descriptorLimit != 0) {
            const rlimit limit{options.descriptorLimit, options.descriptorLimit};
            ::setrlimit(RLIMIT_NOFILE, &limit);
        }
        if (options.listenPid) {
            auto* digit = variables.back().data() + variables.back().size();
            for (auto left = ::getpid(); left > 0; left /= 10) *--digit = static_cast<char>('0' + left % 10);
        }
        if (!options.directory.empty() && ::chdir(options.directory.c_str()) != 0) ::_exit(126);
        ::execve(program.c_str(), arguments.data(), environment.data());
        ::_exit(127);
    }
    ::setpgid(pid_, pid_);
    pidfd_ = static_cast<int>(::syscall(SYS_pidfd_open, pid_, 0));
    in_ = in.ours;
    out_ = out.ours;
    err_ = err.ours;
    if (in_ >= 0) ::close(in.theirs);
    if (out_ >= 0) ::close(out.theirs);
    if (err_ >= 0) ::close(err.theirs);
}

Process::~Process() {
    ::kill(-pid_, SIGKILL);
    if (!ended_) {
        ::kill(pid_, SIGKILL);
        ::waitpid(pid_, nullptr, 0);
    }
    for (int* fd : {&pidfd_, &in_, &out_, &err_}) closeIfOpen(*fd);
}

void Process::write(std::string_view text) {
    while (!text.empty()) {
        const auto wrote = ::write(in_, text.data(), text.size());
        if (wrote < 0 && errno == EPIPE) return;  // it wants no more
        if (wrote < 0) giveUp(std::string("takes no input: ") + std::strerror(errno));
        text.remove_prefix(static_cast<size_t>(wrote));
    }
}

void Process::closeInput() { closeIfOpen(in_); }
void Process::closeOutput() { closeIfOpen(out_); }
void Process::signal(int number) { ::kill(pid_, number); }

// Waits for bytes or the end. False: time is up, or it ended and all it said was read.
bool Process::pump(Until until) {
    if (ended_) return false;
    pollfd fds[] = {{pidfd_, POLLIN, 0}, {out_, POLLIN, 0}, {err_, POLLIN, 0}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(until - std::chrono::steady_clock::now());
    if (left.count() <= 0 || ::poll(fds, 3, static_cast<int>(left.count())) == 0) return false;
    if (fds[1].revents) appendWhatIsThere(out_, output_);
    if (fds[2].revents) appendWhatIsThere(err_, errors_);
    if (fds[1].revents || fds[2].revents || !fds[0].revents) return true;
    ended_ = true;
    ::waitpid(pid_, &status_, 0);
    return true;
}

void Process::giveUp(const std::string& what) const {
    throw std::runtime_error(name_ + ' ' + what + (ended_ ? " (it has ended)" : "") + "\noutput: " + output_ +
                             "\nerrors: " + errors_);
}

std::string Process::line() {
    const auto until = std::chrono::steady_clock::now() + patience;
    for (;;) {
        const auto end = output_.find('\n', lineStart_);
        if (end != std::string::npos) {
            const auto text = output_.substr(lineStart_, end - lineStart_);
            lineStart_ = end + 1;
            return text;
        }
        if (!pump(until)) giveUp("said no further line");
    }
}

void Process::waitForOutput(std::string_view text) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (output_.find(text) == std::string::npos)
        if (!pump(until)) giveUp("did not say: " + std::string(text));
}

void Process::waitForErrors(std::string_view text) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (errors_.find(text) == std::string::npos)
        if (!pump(until)) giveUp("did not report: " + std::string(text));
}

int Process::wait() {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (!ended_)
        if (!pump(until) && !ended_) giveUp("does not end");
    return WIFEXITED(status_) ? WEXITSTATUS(status_) : 128 + WTERMSIG(status_);
}

bool Process::isRunning() {
    while (pump(std::chrono::steady_clock::now() + std::chrono::milliseconds(1))) continue;
    return !ended_;
}

Finished runToEnd(const std::vector<std::string>& command, const ProcessOptions& options, std::string_view input) {
    Process process(command, options);
    if (!input.empty()) process.write(input);
    process.closeInput();
    const int code = process.wait();
    return {code, process.output(), process.errors()};
}

std::string requiredVariable(const char* name) {
    const char* value = std::getenv(name);
    if (!value || !*value) throw std::runtime_error(std::string(name) + " is not set: run these tests by \"make check\"");
    return value;
}

std::string checkedApp(std::string_view name) { return requiredVariable("POSTERN_SANITIZED_BIN") + '/' + std::string(name); }
std::string optimisedApp(std::string_view name) { return requiredVariable("POSTERN_BIN") + '/' + std::string(name); }

namespace {

std::vector<std::string> serving(const std::string& program, const std::vector<std::string>& arguments) {
    std::vector<std::string> command{program, "--listen", "http://127.0.0.1:0"};
    command.insert(command.end(), arguments.begin(), arguments.end());
    return command;
}

}

Served::Served(const std::string& program, const std::vector<std::string>& arguments, const ProcessOptions& options)
    : process_(serving(program, arguments), options), url_(process_.line()) {
    const auto colon = url_.rfind(':');
    if (!url_.starts_with("http://127.0.0.1:")) throw std::runtime_error("the first line is no URL: " + url_);
    port_ = static_cast<uint16_t>(std::stoi(url_.substr(colon + 1)));
}

int Served::stop() {
    process_.signal(SIGTERM);
    return process_.wait();
}

TemporaryDirectory::TemporaryDirectory() {
    auto pattern = (std::filesystem::temp_directory_path() / "postern-XXXXXX").string();
    if (!::mkdtemp(pattern.data())) throw std::system_error(errno, std::system_category(), "mkdtemp");
    path_ = pattern;
}

TemporaryDirectory::~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
}

std::string readFile(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    if (!file) throw std::runtime_error("cannot read " + path);
    std::ostringstream text;
    text << file.rdbuf();
    return text.str();
}

void writeFile(const std::string& path, std::string_view text) {
    std::ofstream(path, std::ios::binary | std::ios::trunc) << text;
}

}
