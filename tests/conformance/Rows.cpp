#include "conformance/Row.h"

namespace postern::conformance {

Rows conversationRows(Role tested) {
    Rows all;
    for (const auto& rows : {frameRows(tested), fragmentRows(), textRows(), closeRows(), limitRows(), compressedRows()})
        all.insert(all.end(), rows.begin(), rows.end());
    return all;
}

} // namespace postern::conformance
