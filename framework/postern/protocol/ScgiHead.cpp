#include "postern/protocol/ScgiHead.h"

#include "postern/base/Text.h"

namespace postern {

namespace {

constexpr size_t maxDigits = 9;

}

Outcome<size_t> scgiHeadSize(std::string_view start, size_t limit) {
    size_t digits = 0;
    while (digits < start.size() && isDigit(start[digits])) ++digits;
    const bool complete = digits < start.size();
    if (complete && start[digits] != ':') return Violation{400, "no SCGI request: it begins with a length and a colon"};
    if (complete && digits == 0) return Violation{400, "no SCGI request: the length is missing"};
    if (digits > 1 && start.front() == '0') return Violation{400, "the length of an SCGI head has a leading zero"};
    if (digits > maxDigits) return Violation{431, "SCGI head too large"};
    const auto size = parseDecimal<size_t>(start.substr(0, digits)).value_or(0);
    if (size > limit) return Violation{431, "SCGI head too large"};
    if (!complete) return NeedMore();
    return digits + 1 + size + 1;
}

std::optional<Violation> readScgiHead(std::string_view head, CgiVariableBudget budget, FieldViews& variables) {
    if (head.back() != ',') return Violation{400, "an SCGI head does not end with a comma"};
    auto rest = head.substr(head.find(':') + 1);
    rest.remove_suffix(1);
    if (rest.empty() || rest.back() != '\0') return Violation{400, "an SCGI head does not end with a NUL"};
    variables.reserve(usualVariables);
    while (!rest.empty()) {
        const auto name = takeUntil(rest, '\0');
        if (name.empty()) return Violation{400, "an SCGI variable has no name"};
        if (rest.empty()) return Violation{400, "an SCGI variable has no value"};
        const auto value = takeUntil(rest, '\0');
        if (!budget.spend(name.size() + value.size())) return Violation{431, "too many CGI variables"};
        variables.push_back({name, value});
    }
    const auto& first = variables.front();
    if (first.name != "CONTENT_LENGTH" || first.value.empty())
        return Violation{400, "an SCGI head does not begin with CONTENT_LENGTH"};
    for (const auto& [name, value] : variables)
        if (name == "SCGI") return value == "1" ? std::nullopt : std::optional(Violation{400, "unknown version of SCGI"});
    return Violation{400, "an SCGI head lacks the variable SCGI"};
}

}
