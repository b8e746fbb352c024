#pragma once

#include <string>
#include <vector>

namespace postern {

/// Numeric addresses of a host, best first (RFC 6724); a numeric one is its own. Waits on the current fiber while another
/// thread asks. Throws Disconnected with the reason.
std::vector<std::string> resolve(const std::string& host);

}
