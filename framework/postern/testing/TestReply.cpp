#include "postern/testing/TestReply.h"

#include "postern/base/Text.h"
#include "postern/protocol/Cookie.h"

namespace postern {

std::vector<std::string> TestReply::headerArray(std::string_view name) const {
    std::vector<std::string> values;
    for (const auto& field : headers)
        if (equalsIgnoringCase(field.name, name)) values.push_back(field.value);
    return values;
}

std::string TestReply::header(std::string_view name) const {
    const auto values = headerArray(name);
    return values.empty() ? std::string() : values.back();
}

std::string TestReply::cookie(std::string_view name) const {
    NameValues cookies;
    for (const auto& field : headerArray("Set-Cookie")) parseCookies(std::string_view(field).substr(0, field.find(';')), cookies);
    return std::string(cookies[name]);
}

}
