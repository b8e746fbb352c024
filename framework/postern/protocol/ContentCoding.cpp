#include "postern/protocol/ContentCoding.h"

#include "postern/base/Text.h"

namespace postern {

namespace {

// ";q=0", ";q=0.0", … : the only weights that matter here.
bool isRefused(std::string_view parameters) {
    while (!parameters.empty()) {
        const auto parameter = trim(takeUntil(parameters, ';'));
        if (parameter.size() < 3 || toLower(parameter[0]) != 'q' || parameter[1] != '=') continue;
        return parameter.substr(2).find_first_not_of("0.") == std::string_view::npos;
    }
    return false;
}

}

bool acceptsGzip(std::string_view acceptEncoding) {
    int named = -1, wildcard = -1;
    forEachListElement(acceptEncoding, [&](std::string_view element) {
        const auto coding = trim(takeUntil(element, ';'));
        const int accepted = isRefused(element) ? 0 : 1;
        if (equalsIgnoringCase(coding, "gzip") || equalsIgnoringCase(coding, "x-gzip")) named = accepted;
        else if (coding == "*") wildcard = accepted;
    });
    return named >= 0 ? named == 1 : wildcard == 1;
}

bool isCompressible(std::string_view contentType) {
    const auto type = trim(takeUntil(contentType, ';'));
    if (equalsIgnoringCase(type, "text/event-stream")) return false;
    const auto startsWith = [&](std::string_view prefix) {
        return equalsIgnoringCase(type.substr(0, prefix.size()), prefix);
    };
    const auto endsWith = [&](std::string_view suffix) {
        return type.size() > suffix.size() && equalsIgnoringCase(type.substr(type.size() - suffix.size()), suffix);
    };
    return startsWith("text/") || endsWith("/json") || endsWith("+json") || endsWith("/xml") || endsWith("+xml") ||
           endsWith("/javascript") || endsWith("/wasm");
}

}
