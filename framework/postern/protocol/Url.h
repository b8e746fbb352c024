#pragma once
// Percent-encoding and paths (RFC 3986).

#include <optional>
#include <string>
#include <string_view>

namespace postern {

/// Decodes a path once and resolves its dot segments (RFC 3986 §5.2.4; ".." at the root stays there). The result is
/// `path` itself when there was nothing to do, else a view of `storage`. No value for a bad escape, NUL, or bytes that
/// are no UTF-8 (overlong forms among them).
std::optional<std::string_view> decodePath(std::string_view path, std::string& storage);

/// Decodes every %XX; an escape that is none stays as it is. With `plusIsSpace` as forms want it.
std::string percentDecode(std::string_view text, bool plusIsSpace = false);

/// Encodes all but the unreserved characters (RFC 3986 §2.3): safe in any part of a URL.
std::string percentEncode(std::string_view text);

}
