#pragma once
// The opening handshake of a WebSocket, client's side (RFC 6455 §4.1).

#include "postern/protocol/DeflateOffer.h"
#include "postern/protocol/HttpHead.h"

#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace postern {

/// A header field of one's own.
struct Header {
    std::string name, value;
};

/// What a client asks for.
struct ClientRequest {
    std::string target = "/";
    std::string host;                       ///< the Host field
    std::string key;                        ///< base64 of 16 random bytes
    std::string origin;                     ///< empty: none, as programs that are no browsers do
    std::vector<std::string> protocols;     ///< best first
    std::optional<DeflateOptions> deflate;  ///< none: not offered
    std::vector<Header> headers;            ///< more of them
};

/// The whole head. Throws std::invalid_argument for whatever a server could read in another way than it is meant, and for
/// a header field that belongs to the handshake.
std::string writeClientRequest(const ClientRequest& request);

/// The value of a Cookie field (RFC 6265 §4.2), empty for no cookies. Throws std::invalid_argument.
std::string writeCookieField(const std::vector<Header>& cookies);

/// The answer is a 101, and keeps to what was asked.
struct ClientAgreement {
    std::string protocol;
    std::optional<DeflateAgreement> deflate;
};

/// Checks an answer strictly. The text says which rule it breaks; answers other than 101 are the caller's.
std::variant<ClientAgreement, std::string> checkAnswer(const ResponseHead& answer, const ClientRequest& request);

}
