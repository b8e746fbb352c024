#include "postern/protocol/Form.h"

#include "postern/base/Utf8.h"
#include "postern/protocol/Url.h"

namespace postern {

namespace {

std::string decode(std::string_view text) {
    auto decoded = percentDecode(text, true);
    return isValidUtf8(decoded) ? decoded : withInvalidUtf8Replaced(decoded);
}

}

std::optional<Violation> parseForm(std::string_view text, size_t limit, NameValues& values) {
    while (!text.empty()) {
        auto pair = takeUntil(text, '&');
        if (pair.empty()) continue;
        if (values.size() == limit) return Violation{413, "too many parameters"};
        const auto name = takeUntil(pair, '=');
        values.add(decode(name), decode(pair));
    }
    return {};
}

std::string writeForm(const NameValues& values) {
    std::string out;
    for (const auto& [name, value] : values) {
        if (!out.empty()) out += '&';
        out.append(percentEncode(name)).append(1, '=').append(percentEncode(value));
    }
    return out;
}

}
