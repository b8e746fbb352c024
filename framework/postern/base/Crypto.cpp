#include "postern/base/Crypto.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/rand.h>

#include <climits>
#include <stdexcept>

namespace postern {

namespace {

const unsigned char* bytesOf(std::string_view text) { return reinterpret_cast<const unsigned char*>(text.data()); }
unsigned char* bytesOf(std::string& text) { return reinterpret_cast<unsigned char*>(text.data()); }

void require(bool ok, const char* what) {
    if (!ok) throw std::runtime_error(what);
}

}

std::string sha1(std::string_view data) {
    std::string digest(20, '\0');
    require(EVP_Digest(data.data(), data.size(), bytesOf(digest), nullptr, EVP_sha1(), nullptr) == 1, "SHA-1 failed");
    return digest;
}

std::string hmacSha256(std::string_view key, std::string_view data) {
    std::string digest(32, '\0');
    require(key.size() <= INT_MAX, "HMAC key too long");
    const char* bytes = key.empty() ? "" : key.data();  // OpenSSL takes no null pointer, not even for an empty key
    require(HMAC(EVP_sha256(), bytes, static_cast<int>(key.size()), bytesOf(data), data.size(), bytesOf(digest),
                 nullptr) != nullptr,
            "HMAC failed");
    return digest;
}

std::string base64Encode(std::string_view data) {
    require(data.size() < INT_MAX / 2, "too much data for base64");
    std::string text((data.size() + 2) / 3 * 4 + 1, '\0');  // EVP_EncodeBlock ends it with a NUL
    text.resize(static_cast<size_t>(EVP_EncodeBlock(bytesOf(text), bytesOf(data), static_cast<int>(data.size()))));
    return text;
}

std::optional<std::string> base64Decode(std::string_view text) {
    if (text.size() % 4 != 0 || text.size() >= INT_MAX / 2) return {};
    if (text.empty()) return std::string();
    const size_t padding = text.ends_with("==") ? 2 : text.ends_with('=') ? 1 : 0;
    std::string data(text.size() / 4 * 3, '\0');
    if (EVP_DecodeBlock(bytesOf(data), bytesOf(text), static_cast<int>(text.size())) < 0) return {};
    data.resize(data.size() - padding);
    // OpenSSL skips white space at the ends and ignores pad bits; encoding again tells whether it was the one right text.
    if (base64Encode(data) != text) return {};
    return data;
}

void fillRandom(std::span<char> bytes) {
    require(bytes.size() <= INT_MAX &&
                RAND_bytes(reinterpret_cast<unsigned char*>(bytes.data()), static_cast<int>(bytes.size())) == 1,
            "no random bytes");
}

bool equalsInConstantTime(std::string_view a, std::string_view b) {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}
