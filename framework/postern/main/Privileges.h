#pragma once

#include <string>

namespace postern {

/// Becomes another user and group, for good: supplementary groups go, and the way back is checked to be closed. Nothing
/// for empty names. Throws std::runtime_error.
void dropPrivileges(const std::string& user, const std::string& group);

}
