#pragma once

#include "postern/base/Time.h"

#include <functional>
#include <string>
#include <vector>

namespace postern {

/// How a loop looks names up, its `Loop::local<NameLookUp>()`: to be replaced where there is no DNS, as in tests.
struct NameLookUp {
    /// Called on other threads, by several at a time. Throws Disconnected. None: the system's getaddrinfo().
    std::function<std::vector<std::string>(const std::string& host)> function;
};

/// Numeric addresses of a host, best first (RFC 6724); a numeric one is its own. Waits on the current fiber while another
/// thread asks; a look-up that is given up ends there, and what it finds is dropped. Throws Disconnected with the reason,
/// TimedOut, Cancelled.
std::vector<std::string> resolve(const std::string& host, Deadline deadline);

}
