#pragma once
// What a codec says of the bytes it was given: they break a rule, they are not all there, or they are a value.

#include <variant>

namespace postern {

/// Everything so far is right, but more bytes are needed.
struct NeedMore {
    bool operator==(const NeedMore&) const = default;
};

/// The peer broke a rule of HTTP. `status` is the answer it deserves, `reason` one line for the log and the reply.
struct Violation {
    int status = 400;
    const char* reason = "";
};

template <typename Value>
using Outcome = std::variant<NeedMore, Violation, Value>;

}
