#include "postern/websocket/UpgradeRequest.h"

#include "postern/protocol/Cookie.h"
#include "postern/protocol/Form.h"

namespace postern {

UpgradeRequest::UpgradeRequest(const RequestHead& head) : https_(head.isHttps()) {
    size_t size = head.target.size() + head.pathInfo.size() + head.scriptName.size() + head.host.size() +
                  head.remoteAddress.size() + head.remoteUser.size();
    for (const auto& field : head.fields) size += field.name.size() + field.value.size() + 2;
    text_.reserve(size);
    uri_ = add(head.target);
    // The query is the end of the URI, unless a web server said otherwise.
    if (head.target.ends_with(head.query))
        query_ = {static_cast<uint32_t>(head.target.size() - head.query.size()), static_cast<uint32_t>(head.query.size())};
    else query_ = add(head.query);
    pathInfo_ = head.pathInfo == head.target ? uri_ : add(head.pathInfo);
    scriptName_ = add(head.scriptName);
    host_ = add(head.host);
    address_ = add(head.remoteAddress);
    user_ = add(head.remoteUser);
    fields_ = static_cast<uint32_t>(text_.size());
    // Neither a name with a colon nor a value with a line end gets through the parsers.
    for (const auto& field : head.fields) text_.append(field.name).append(":").append(field.value).append("\n");
}

UpgradeRequest::Part UpgradeRequest::add(std::string_view text) {
    const Part part{static_cast<uint32_t>(text_.size()), static_cast<uint32_t>(text.size())};
    text_.append(text);
    return part;
}

FieldViews UpgradeRequest::headers() const {
    FieldViews fields;
    auto rest = std::string_view(text_).substr(fields_);
    while (!rest.empty()) {
        auto value = takeUntil(rest, '\n');
        const auto name = takeUntil(value, ':');
        fields.push_back({name, value});
    }
    return fields;
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
