#pragma once
// Configurations of web servers and systemd for the program's own listeners and mount (docs/deploy).

#include "postern/main/Options.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern {

/// What --print-config takes.
inline const std::vector<std::string> printableConfigs = {"nginx", "lighttpd", "apache", "caddy", "haproxy", "systemd"};

/// Plain requests go to the first listener the server can reach, WebSockets to the first that it can carry one to.
/// `program` is how the program was called. Throws std::invalid_argument when there is no way from one to the other.
std::string printConfig(std::string_view server, const ProgramOptions& options, const std::string& program);

}
