#include "support/ForkedProgram.h"

#include "postern/main/GenericMain.h"
#include "support/TestServer.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <iostream>
#include <stdexcept>

namespace postern {

namespace {

struct Ends {
    int read = -1, write = -1;
};

Ends makePipe() {
    int fds[2];
    if (::pipe2(fds, O_CLOEXEC) != 0) throw std::runtime_error("no pipe");
    return {fds[0], fds[1]};
}

void closeEnd(int& fd) {
    if (fd >= 0) ::close(std::exchange(fd, -1));
}

[[noreturn]] void runChild(const Handler& handler, std::vector<std::string> arguments,
                           const ForkedProgram::Variables& environment, int input, int output, int errors) {
    ::dup2(input, 0);
    ::dup2(output, 1);
    ::dup2(errors, 2);
    ::close_range(3, ~0U, 0);
    for (const int number : {SIGSEGV, SIGABRT, SIGTERM, SIGINT, SIGFPE, SIGILL}) ::signal(number, SIG_DFL);
    ::clearenv();
    for (const auto& [name, value] : environment) ::setenv(name.c_str(), value.c_str(), 1);
    arguments.insert(arguments.begin(), "program");
    std::vector<char*> argv;
    for (auto& argument : arguments) argv.push_back(argument.data());
    argv.push_back(nullptr);
    int code = 97;
    try {
        code = genericMain(static_cast<int>(arguments.size()), argv.data(), handler);
    } catch (...) {
        code = 98;
    }
    std::fflush(stdout);
    ::_exit(code);
}

} // namespace

ForkedProgram::ForkedProgram(const Handler& handler, const std::vector<std::string>& arguments,
                             const Variables& environment) {
    auto in = makePipe(), out = makePipe(), err = makePipe();
    std::cout.flush();  // what waits there would come out twice
    child_ = ::fork();
    if (child_ < 0) throw std::runtime_error("no child process");
    if (child_ == 0) runChild(handler, arguments, environment, in.read, out.write, err.write);
    closeEnd(in.read);
    closeEnd(out.write);
    closeEnd(err.write);
    input_ = in.write;
    output_ = out.read;
    errors_ = err.read;
    ::fcntl(input_, F_SETFL, O_NONBLOCK);
}

ForkedProgram::~ForkedProgram() {
    if (child_ > 0) {
        ::kill(child_, SIGKILL);
        ::waitpid(child_, nullptr, 0);
    }
    closeEnd(input_);
    closeEnd(output_);
    closeEnd(errors_);
}

// One step: whatever can be written or read. False: both outputs have ended.
bool ForkedProgram::pump(std::string_view* input) {
    if (output_ < 0 && errors_ < 0) return false;
    pollfd ready[3] = {{output_, POLLIN, 0}, {errors_, POLLIN, 0}, {input && input_ >= 0 ? input_ : -1, POLLOUT, 0}};
    const auto milliseconds = std::chrono::milliseconds(testPatience).count();
    if (::poll(ready, 3, static_cast<int>(milliseconds)) == 0) throw std::runtime_error("the program does nothing");
    const auto read = [](int& fd, std::string& into) {
        char buffer[64 * 1024];
        const auto size = ::read(fd, buffer, sizeof buffer);
        if (size > 0)
            into.append(buffer, static_cast<size_t>(size));
        else
            closeEnd(fd);
    };
    if (ready[0].revents) read(output_, output);
    if (ready[1].revents) read(errors_, errors);
    if (ready[2].revents) {
        const auto size = ::write(input_, input->data(), input->size());
        if (size >= 0)
            input->remove_prefix(static_cast<size_t>(size));
        else if (errno != EAGAIN)
            *input = {}; // it reads no more
    }
    return true;
}

void ForkedProgram::write(std::string_view bytes) {
    ::signal(SIGPIPE, SIG_IGN);
    while (!bytes.empty() && pump(&bytes)) continue;
}

void ForkedProgram::closeInput() { closeEnd(input_); }

void ForkedProgram::waitForBytes(size_t size) {
    while (output.size() < size)
        if (!pump(nullptr)) throw std::runtime_error("the program has ended after " + output + errors);
}

void ForkedProgram::waitForText(std::string_view text) {
    while (output.find(text) == std::string::npos)
        if (!pump(nullptr)) throw std::runtime_error("the program has ended after " + output + errors);
}

int ForkedProgram::wait() {
    while (pump(nullptr)) continue;
    int status = 0;
    ::waitpid(std::exchange(child_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

} // namespace postern
