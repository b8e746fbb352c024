#pragma once
// Another program, run by a test: its input, its output and its end. It never outlives the object.

#include <sys/types.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

/// How long a test waits for what must happen. Never a measure of speed.
inline constexpr std::chrono::seconds patience{30};

struct ProcessOptions {
    std::vector<std::pair<std::string, std::string>> environment;  ///< added to ours
    bool onlyThatEnvironment = false;
    std::vector<int> closed;         ///< standard descriptors that it starts without
    int input = -1, output = -1, errors = -1;  ///< used as its standard descriptors; -1: pipes
    std::vector<int> passed;         ///< become its descriptors 3, 4, …
    bool listenPid = false;          ///< sets LISTEN_PID, as a service manager does
    uint64_t descriptorLimit = 0;    ///< RLIMIT_NOFILE; 0: ours
    std::string directory;           ///< to start in; empty: ours
};

class Process {
public:
    /// Throws std::runtime_error with an installation hint when there is no such program.
    explicit Process(const std::vector<std::string>& command, const ProcessOptions& options = {});
    /// Kills the process and what it started in its process group, and reaps it.
    ~Process();
    Process(const Process&) = delete;
    Process& operator=(const Process&) = delete;

    pid_t pid() const { return pid_; }
    void write(std::string_view text);
    void closeInput();
    void closeOutput();   ///< nobody reads any more: it gets EPIPE
    void signal(int number);

    /// The next line of its standard output, without the end. These throw std::runtime_error with everything that it
    /// said, when it ends or patience does before that.
    std::string line();
    void waitForOutput(std::string_view text);
    void waitForErrors(std::string_view text);
    /// Exit code, or 128 and the signal.
    int wait();
    bool isRunning();

    /// So far.
    const std::string& output() const { return output_; }
    const std::string& errors() const { return errors_; }

private:
    using Until = std::chrono::steady_clock::time_point;
    bool pump(Until until);
    [[noreturn]] void giveUp(const std::string& what) const;

    std::string name_;
    pid_t pid_ = -1;
    int pidfd_ = -1, in_ = -1, out_ = -1, err_ = -1;
    std::string output_, errors_;
    size_t lineStart_ = 0;
    bool ended_ = false;
    int status_ = 0;
};

/// Output and exit code of a program that ends by itself.
struct Finished {
    int code = 0;
    std::string output, errors;
};
Finished runToEnd(const std::vector<std::string>& command, const ProcessOptions& options = {}, std::string_view input = {});

/// Throws when it is not set; "make check" sets all of them.
std::string requiredVariable(const char* name);
/// The program `name`, built with sanitizers, or as users run it.
std::string checkedApp(std::string_view name);
std::string optimisedApp(std::string_view name);

/// A program of ours that serves on a free port of the loopback interface.
class Served {
public:
    explicit Served(const std::string& program, const std::vector<std::string>& arguments = {}, const ProcessOptions& options = {});

    uint16_t port() const { return port_; }
    const std::string& url() const { return url_; }
    Process& process() { return process_; }
    /// TERM; gives the exit code.
    int stop();

private:
    Process process_;
    std::string url_;
    uint16_t port_ = 0;
};

/// A directory that goes with the object.
class TemporaryDirectory {
public:
    TemporaryDirectory();
    ~TemporaryDirectory();
    TemporaryDirectory(const TemporaryDirectory&) = delete;
    TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;
    std::string operator/(std::string_view name) const { return path_ + '/' + std::string(name); }
    const std::string& path() const { return path_; }

private:
    std::string path_;
};

std::string readFile(const std::string& path);
void writeFile(const std::string& path, std::string_view text);

}
