#pragma once
// One rule of RFC 6455 or RFC 7692: what the peer says, and what it must hear. README.md tells how to read and add one.

#include "postern/protocol/Assembler.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern::conformance {

/// Which end is tested. The peer is the other one.
using Role = Assembler::Role;

enum class Compression { either, without, with };

/// The line a row is said on.
struct Setup {
    std::string settings = {}; ///< of the tested end: "max=100&fragments=3"
    Compression compression = Compression::either;
    /// With compression: what was agreed on, as the tested end sees it. Bits of 15: the parameter is absent.
    bool ownTakeover = false, peerTakeover = false;
    int ownBits = 15, peerBits = 15;
    std::string told = {}; ///< what the tested end's program is told at the end, where that does not follow from
                           ///< what was said and heard
};

struct Row {
    std::string section; ///< "§5.5.2": of RFC 6455; "7692 §7.2.1"
    std::string promise;
    std::string says;  ///< frames of the peer, in the notation of Notation.h
    std::string hears; ///< frames of the tested end
    Setup setup = {};
};

using Rows = std::vector<Row>;

// The table: rows for either end, the other end being the peer.
Rows frameRows(Role tested);
Rows fragmentRows();
Rows textRows();
Rows closeRows();
Rows limitRows();
Rows compressedRows();

/// All of them.
Rows conversationRows(Role tested);

} // namespace postern::conformance
