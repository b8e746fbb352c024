#pragma once
// A request from the command line: it goes through the built-in server's own code, over a pipe in memory.

#include "postern/gateway/HttpGateway.h"
#include "postern/main/Options.h"

namespace postern {

/// Runs the request on the current fiber and prints the reply (head and decoded body) on standard output; with the
/// method WS it talks WebSocket: lines of standard input become text messages, messages become lines. Returns the exit
/// code: 0, or 1 when the request was not answered, answered with 500 or more, or a WebSocket was refused.
int runFromCommandLine(const SimulatedRequest& request, const HttpSettings& settings, const ExchangeHandler& handler);

}
