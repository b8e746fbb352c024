#pragma once
// The request a WebSocket came from, for as long as the socket lives.

#include "postern/base/Fields.h"
#include "postern/protocol/RequestHead.h"

#include <string>
#include <string_view>

namespace postern {

/// A compact copy: one piece of memory, in which names and values are looked for when they are asked for. Views are
/// valid as long as the object.
class UpgradeRequest {
public:
    explicit UpgradeRequest(const RequestHead& head);

    std::string_view requestUri() const { return part(uri_); }          ///< as sent, with its query
    std::string_view pathInfo() const { return part(pathInfo_); }       ///< decoded, below scriptName()
    std::string_view scriptName() const { return part(scriptName_); }
    std::string_view queryString() const { return part(query_); }       ///< still encoded
    std::string_view host() const { return part(host_); }
    std::string_view remoteAddress() const { return part(address_); }
    std::string_view remoteUser() const { return part(user_); }
    bool https() const { return https_; }

    /// The last field of that name (names compare without case), or empty.
    std::string_view header(std::string_view name) const { return fieldValue(headers(), name); }
    /// All fields in the order they came.
    FieldViews headers() const;
    /// Decoded parameters of the query, and cookies as sent.
    NameValues query() const;
    NameValues cookies() const;
    std::string get(std::string_view name, std::string_view fallback = {}) const;
    std::string cookie(std::string_view name, std::string_view fallback = {}) const;

private:
    struct Part {
        uint32_t begin = 0, size = 0;
    };
    Part add(std::string_view text);
    std::string_view part(Part part) const { return std::string_view(text_).substr(part.begin, part.size); }

    std::string text_;  // the parts, then each field as name, ':', value, '\n'
    Part uri_, pathInfo_, scriptName_, query_, host_, address_, user_;
    uint32_t fields_ = 0;  // where they begin
    bool https_ = false;
};

}
