#include "postern/websocket/UpgradeRequest.h"

#include "postern/protocol/Cookie.h"
#include "postern/protocol/Form.h"

#include <algorithm>
#include <iterator>

namespace postern {

namespace {

// What every handshake says, or nobody needs once the 101 is sent.
bool isOfHandshake(const FieldView& field) {
    constexpr std::string_view names[] = {"Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version"};
    return std::any_of(std::begin(names), std::end(names), [&](auto name) { return equalsIgnoringCase(field.name, name); });
}

}

UpgradeRequest::UpgradeRequest(const RequestHead& head)
    : https_(head.isHttps()),
      pathIsUri_(head.pathInfo == head.target),
      queryEndsUri_(head.target.ends_with(head.query)) {
    std::string text;
    const auto endPart = [&](Part part) { ends_[part] = static_cast<uint32_t>(text.size()); };
    text += head.target;
    endPart(uri);
    if (!pathIsUri_) text += head.pathInfo;
    endPart(path);
    text += head.scriptName;
    endPart(script);
    // The query is the end of the URI, unless a web server said otherwise.
    if (!queryEndsUri_) text += head.query;
    else queryAt_ = ends_[uri] - static_cast<uint32_t>(head.query.size());
    endPart(queryText);
    text += head.host;
    endPart(hostName);
    text += head.remoteAddress;
    endPart(address);
    text += head.remoteUser;
    endPart(user);
    // Neither a name with a colon nor a value with a line end gets through the parsers.
    for (const auto& field : head.fields)
        if (!isOfHandshake(field)) text.append(field.name).append(":").append(field.value).append("\n");
    endPart(fields);
    text_ = std::make_unique_for_overwrite<char[]>(text.size());
    std::copy(text.begin(), text.end(), text_.get());
}

FieldViews UpgradeRequest::headers() const {
    FieldViews found;
    for (auto rest = part(UpgradeRequest::fields); !rest.empty();) {
        auto value = takeUntil(rest, '\n');
        const auto name = takeUntil(value, ':');
        found.push_back({name, value});
    }
    return found;
}

NameValues UpgradeRequest::query() const {
    NameValues values;
    parseForm(queryString(), SIZE_MAX, values);
    return values;
}

NameValues UpgradeRequest::cookies() const {
    NameValues values;
    for (const auto& field : headers())
        if (equalsIgnoringCase(field.name, "Cookie")) parseCookies(field.value, values);
    return values;
}

std::string UpgradeRequest::get(std::string_view name, std::string_view fallback) const {
    return std::string(query().get(name, fallback));
}

std::string UpgradeRequest::cookie(std::string_view name, std::string_view fallback) const {
    return std::string(cookies().get(name, fallback));
}

}
