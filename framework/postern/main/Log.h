#pragma once
// Where log lines and access records are written. A server's loops never wait for it: a thread writes, and when it cannot keep up (a
// full disk, a stopped pipe) the oldest lines are dropped.

#include "postern/base/Log.h"
#include "postern/gateway/Gateway.h"
#include "postern/main/Options.h"

#include <memory>

namespace postern {

class Log {
public:
    /// Who writes: a thread of the log's own, or whoever logs. A CGI program's server may end it right after its reply, so
    /// its lines are written before.
    enum class Writer { thread, caller };

    /// Throws std::runtime_error when a file cannot be opened.
    explicit Log(const ProgramOptions& options, Writer writer = Writer::thread);
    ~Log();
    Log(const Log&) = delete;
    Log& operator=(const Log&) = delete;

    /// For any thread, as long as this object lives.
    LogFunction function();
    /// None when the access log is off.
    AccessFunction access();
    /// Waits a moment for what is queued to be written.
    void flush();
    /// Opens the files anew, for a rotation.
    void reopen();

private:
    struct State;
    std::unique_ptr<State> state_;
};

}
