#pragma once
// A program made of a handler, as a process of its own: it runs genericMain() in a child of the test program.

#include "postern/cgi/Cgi.h"

#include <sys/types.h>

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

class ForkedProgram {
public:
    using Variables = std::vector<std::pair<std::string, std::string>>;

    /// Starts it with these arguments, with this environment and nothing else, and with pipes for its standard input,
    /// output and errors. No thread of the test program may hold a lock that the handler needs.
    ForkedProgram(const Handler& handler, const std::vector<std::string>& arguments, const Variables& environment = {});
    /// Kills it if it still runs.
    ~ForkedProgram();
    ForkedProgram(const ForkedProgram&) = delete;
    ForkedProgram& operator=(const ForkedProgram&) = delete;

    /// Writes while it reads what comes back, so that neither side waits for the other for ever.
    void write(std::string_view bytes);
    void closeInput();
    /// Waits until it has written so many bytes, or that text. Both throw std::runtime_error when patience or the
    /// program ends first.
    void waitForBytes(size_t size);
    void waitForText(std::string_view text);
    /// Waits for its end: the exit code, or minus the signal.
    int wait();

    std::string output, errors; ///< so far

private:
    bool pump(std::string_view* input);

    pid_t child_ = -1;
    int input_ = -1, output_ = -1, errors_ = -1;
};

} // namespace postern
