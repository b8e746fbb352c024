#include "postern/protocol/UwsgiPacket.h"

namespace postern {

namespace {

constexpr size_t headSize = 4;

size_t readNumber(std::string_view bytes) {
    return static_cast<unsigned char>(bytes[0]) | static_cast<size_t>(static_cast<unsigned char>(bytes[1])) << 8;
}

// A length and that many bytes, taken from the front.
std::optional<std::string_view> takeString(std::string_view& rest) {
    if (rest.size() < 2 || rest.size() - 2 < readNumber(rest)) return {};
    const auto text = rest.substr(2, readNumber(rest));
    rest.remove_prefix(2 + text.size());
    return text;
}

}

Outcome<size_t> uwsgiPacketSize(std::string_view start, size_t limit) {
    constexpr Violation unknown{400, "no uwsgi request: only packets with modifiers 0 are (uwsgi_modifier1, uwsgi_modifier2)"};
    if (!start.empty() && start[0] != 0) return unknown;
    if (start.size() < headSize) return NeedMore();
    if (start[3] != 0) return unknown;
    const auto size = readNumber(start.substr(1));
    if (size > limit) return Violation{431, "uwsgi packet too large"};
    return headSize + size;
}

std::optional<Violation> readUwsgiPacket(std::string_view packet, CgiVariableBudget budget, FieldViews& variables) {
    auto rest = packet.substr(headSize);
    variables.reserve(usualVariables);
    while (!rest.empty()) {
        const auto name = takeString(rest);
        const auto value = name ? takeString(rest) : std::nullopt;
        if (!value) return Violation{400, "a uwsgi variable is longer than its packet"};
        if (name->empty()) return Violation{400, "a uwsgi variable has no name"};
        if (!budget.spend(name->size() + value->size())) return Violation{431, "too many CGI variables"};
        variables.push_back({*name, *value});
    }
    return {};
}

}
