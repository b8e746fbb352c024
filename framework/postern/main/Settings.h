#pragma once
// Options turned into what each room wants to know.

#include "postern/cgi/Cgi.h"
#include "postern/gateway/CgiGateway.h"
#include "postern/gateway/HttpGateway.h"
#include "postern/gateway/WebServerGateway.h"
#include "postern/main/Options.h"

namespace postern {

HandlerSettings handlerSettings(const ProgramOptions& options);
/// `listeners`: how many share --max-connections.
HttpSettings httpSettings(const ProgramOptions& options, AccessFunction access, size_t listeners = 1);
CgiSettings cgiSettings(const ProgramOptions& options, AccessFunction access);
WebServerSettings webServerSettings(const ProgramOptions& options, CgiProtocol protocol, AccessFunction access, size_t listeners = 1);
/// Who may connect by FastCGI according to FCGI_WEB_SERVER_ADDRS; none if it is not set. Throws std::invalid_argument.
std::optional<std::vector<AddressRange>> fastCgiWebServers();
TlsServerOptions tlsOptions(const ProgramOptions& options);
LoopOptions loopOptions(const ProgramOptions& options, LogFunction log);

}
