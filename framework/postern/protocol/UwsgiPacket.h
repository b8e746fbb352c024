#pragma once
// The packet that begins a uwsgi request (The uwsgi Protocol, uWSGI documentation): a head of four bytes, then names and
// values, each after its length; all numbers are little-endian. The body follows as it is.

#include "postern/protocol/CgiEnvironment.h"

#include <cstddef>
#include <optional>
#include <string_view>

namespace postern {

/// The size of the packet that begins here, with its head; it need not be complete. Only requests (modifiers 0) are
/// known; a packet holds at most 65,535 bytes, more than `limit` are a 431.
Outcome<size_t> uwsgiPacketSize(std::string_view start, size_t limit);

/// Reads a whole packet into `variables`, in order, as many as `budget` allows. The views point into `packet`.
std::optional<Violation> readUwsgiPacket(std::string_view packet, CgiVariableBudget budget, FieldViews& variables);

}
