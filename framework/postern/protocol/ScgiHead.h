#pragma once
// The head of an SCGI request (SCGI: A Simple Common Gateway Interface alternative, 2008): a netstring of names and
// values, each ended by a NUL, CONTENT_LENGTH first. The body follows as it is.

#include "postern/protocol/CgiEnvironment.h"

#include <cstddef>
#include <optional>
#include <string_view>

namespace postern {

/// The size of the head that begins here, with the digits and punctuation of its netstring; it need not be complete.
/// More than `limit` bytes between colon and comma are a 431.
Outcome<size_t> scgiHeadSize(std::string_view start, size_t limit);

/// Reads a whole head into `variables`, in order, as many as `budget` allows. The views point into `head`.
std::optional<Violation> readScgiHead(std::string_view head, CgiVariableBudget budget, FieldViews& variables);

}
