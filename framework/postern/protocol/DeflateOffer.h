#pragma once
// How two ends agree on permessage-deflate (RFC 7692 §7.1). Pure text; the compression itself is PerMessageDeflate.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

/// Compression as one end wants it. What that costs in memory: docs/websocket.md.
struct DeflateOptions {
    bool enabled = true;
    bool contextTakeover = false;      ///< our messages refer to earlier ones: smaller, but each socket has a compressor
    bool peerContextTakeover = false;  ///< the peer's do: each socket has a decompressor
    int windowBits = 15;               ///< of our compressor, at most: 8…15
    int peerWindowBits = 15;           ///< of the peer's compressor, at most: 8…15
    int level = 1;                     ///< 1 (fast) … 9 (small)
    int memoryLevel = 5;               ///< of our compressor: 1…9, as zlib counts
    size_t threshold = 64;             ///< bytes; smaller messages are sent as they are

    /// Throws std::invalid_argument.
    void check() const;
};

/// What was agreed on: the absence of a parameter means what it means in the RFC.
struct DeflateAgreement {
    bool serverNoContextTakeover = false;
    bool clientNoContextTakeover = false;
    int serverWindowBits = 15;
    int clientWindowBits = 15;

    bool operator==(const DeflateAgreement&) const = default;
};

/// An agreement and the extension as the server's answer names it.
struct DeflateAnswer {
    DeflateAgreement agreement;
    std::string text;
};

/// Do these values of Sec-WebSocket-Extensions follow its grammar (RFC 6455 §9.1)? If not the handshake fails.
bool isExtensionList(const std::vector<std::string_view>& values);

/// The server's choice: the first offer among the values of Sec-WebSocket-Extensions that it can keep. Offers that are
/// malformed, repeat a parameter or have an unknown one are passed over.
std::optional<DeflateAnswer> answerDeflate(const std::vector<std::string_view>& offers, const DeflateOptions& options);

/// What a client asks for.
std::string offerDeflate(const DeflateOptions& options);

/// Reads the server's answer to offerDeflate(): what it means, or why the client must not accept it. No agreement and
/// no error: there are no extensions.
struct DeflateAcceptance {
    std::optional<DeflateAgreement> agreement;
    const char* error = nullptr;
};
DeflateAcceptance acceptDeflate(const std::vector<std::string_view>& answers, const std::optional<DeflateOptions>& offered);

}
