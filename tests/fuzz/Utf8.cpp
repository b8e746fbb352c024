// The first byte is the size of the pieces, the rest is text.
#include "postern/base/Utf8.h"

#include "support/Fragments.h"
#include "support/Require.h"
#include "support/SlowUtf8.h"

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size == 0) return 0;
    const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
    const auto right = slowUtf8(text);
    require(isValidUtf8(text) == right.isValid(), "valid text is text by the definition");

    for (const size_t pieceSize : {size_t{1}, size_t{data[0]} + 1, text.size() + 1}) {
        Utf8Validator validator;
        size_t taken = 0;
        bool good = true;
        for (const auto piece : cutInPieces(text, pieceSize)) {
            good = validator.feed(piece);
            if (!good) break;
            taken += piece.size();
        }
        require(good == (right.firstImpossible == std::string_view::npos), "pieces do not change the verdict");
        require(!good || validator.complete() == right.complete, "complete text ends between two characters");
        require(good || (taken <= right.firstImpossible && right.firstImpossible - taken < pieceSize),
                "the piece with the first impossible byte is refused");
    }

    const auto replaced = withInvalidUtf8Replaced(text);
    require(replaced == slowReplaced(text), "invalid parts are replaced as the WHATWG decoder does");
    require(isValidUtf8(replaced), "replaced text is valid");
    require(!right.isValid() || replaced == text, "valid text is not changed");

    const size_t limit = data[0];
    const auto prefix = utf8Prefix(text, limit);
    require(prefix.size() <= limit && text.starts_with(prefix), "a prefix is one, within the limit");
    if (!right.isValid()) return 0;
    require(isValidUtf8(prefix), "a prefix of text is text");
    const auto next = slowCharacter(text.substr(prefix.size()));
    require(prefix.size() == text.size() || prefix.size() + next.size > limit, "a prefix is as long as it can be");
    return 0;
}
