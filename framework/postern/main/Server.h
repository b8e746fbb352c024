#pragma once
// The program as a server: sockets, worker threads with a loop each, and the thread that hears signals.

#include "postern/main/Log.h"
#include "postern/main/Options.h"
#include "postern/main/Signals.h"

namespace postern {

/// Serves until it is told to stop. Returns the exit code.
int serve(const ParsedCommandLine& command, const Handler& handler, Log& log, Signals& signals);

}
