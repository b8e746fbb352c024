// The input is a query or a form body.
#include "postern/protocol/Form.h"

#include "postern/base/Utf8.h"
#include "support/Require.h"

#include <vector>

using namespace postern;

namespace {

using Pairs = std::vector<NameValues::Pair>;

Pairs pairsOf(std::string_view text) {
    NameValues values;
    require(!parseForm(text, SIZE_MAX, values), "every text is a form");
    return {values.begin(), values.end()};
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    const std::string_view text(reinterpret_cast<const char*>(data), size);
    const auto pairs = pairsOf(text);

    NameValues values;
    Pairs joined;
    std::string_view rest = text;
    while (!rest.empty())
        for (auto& pair : pairsOf(takeUntil(rest, '&'))) joined.push_back(std::move(pair));
    require(joined == pairs, "pairs do not depend on each other");

    for (const auto& [name, value] : pairs) {
        require(isValidUtf8(name) && isValidUtf8(value), "names and values are text");
        values.add(name, value);
    }
    require(pairsOf(writeForm(values)) == pairs, "what is written is read back");

    NameValues few;
    const auto violation = parseForm(text, 2, few);
    require(violation ? pairs.size() > 2 && violation->status == 413 : pairs.size() <= 2, "the limit is exact");
    require(few.size() <= 2, "the limit holds");
    return 0;
}
