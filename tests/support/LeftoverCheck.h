#pragma once

#include <cstddef>
#include <string>

namespace postern {

/// Counts what a process holds when it is made; find() names what has come to stay since.
class LeftoverCheck {
public:
    LeftoverCheck();
    /// "2 descriptors, 1 thread", or nothing.
    std::string find() const;

private:
    size_t descriptors_, threads_;
};

}
