#pragma once

#include "postern/protocol/DeflateOffer.h"

#include <memory>
#include <optional>
#include <string>

namespace postern {

class UpgradeRequest;

/// What the opening handshake settled.
struct Established {
    std::string protocol;                             ///< the subprotocol, or empty
    bool isClient = false;                            ///< whose end this is
    std::optional<DeflateAgreement> deflate;          ///< permessage-deflate, if it was agreed on
    std::shared_ptr<const UpgradeRequest> request;    ///< server's end: what was asked; may be null
};

}
