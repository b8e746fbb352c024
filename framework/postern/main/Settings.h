#pragma once
// Options turned into what each room wants to know.

#include "postern/cgi/Cgi.h"
#include "postern/gateway/CgiGateway.h"
#include "postern/gateway/HttpGateway.h"
#include "postern/main/Options.h"

namespace postern {

HandlerSettings handlerSettings(const ProgramOptions& options);
HttpSettings httpSettings(const ProgramOptions& options, AccessFunction access);
CgiSettings cgiSettings(const ProgramOptions& options, AccessFunction access);
LoopOptions loopOptions(const ProgramOptions& options, LogFunction log);

}
