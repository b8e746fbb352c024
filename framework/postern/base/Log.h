#pragma once
// The rooms below main/ report through this function value; main/Log.h gives it a place to write.

#include <functional>
#include <string_view>

namespace postern {

enum class LogLevel { debug, info, warning, error };

/// Called from any loop's thread; must not block.
using LogFunction = std::function<void(LogLevel, std::string_view)>;

}
