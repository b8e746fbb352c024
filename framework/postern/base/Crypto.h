#pragma once
// The little cryptography the protocols need. OpenSSL does it; a failure of OpenSSL throws std::runtime_error.

#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace postern {

/// 20 bytes.
std::string sha1(std::string_view data);
/// 32 bytes.
std::string hmacSha256(std::string_view key, std::string_view data);

/// RFC 4648 §4, with padding.
std::string base64Encode(std::string_view data);
/// Strict: the alphabet of §4, right padding, zero pad bits; anything else is no value.
std::optional<std::string> base64Decode(std::string_view text);

/// Unpredictable bytes; safe after fork.
void fillRandom(std::span<char> bytes);

/// Compares in a time that depends on the lengths only.
bool equalsInConstantTime(std::string_view a, std::string_view b);

}
