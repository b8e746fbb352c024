#pragma once
// The request a WebSocket came from, for as long as the socket lives.

#include "postern/base/Fields.h"
#include "postern/protocol/RequestHead.h"

#include <array>
#include <memory>
#include <string>
#include <string_view>

namespace postern {

/// A compact copy: one piece of memory, in which names and values are looked for when they are asked for. Views are
/// valid as long as the object.
class UpgradeRequest {
public:
    explicit UpgradeRequest(const RequestHead& head);

    std::string_view requestUri() const { return part(uri); }           ///< as sent, with its query
    std::string_view pathInfo() const { return part(pathIsUri_ ? uri : path); }       ///< decoded, below scriptName()
    std::string_view scriptName() const { return part(script); }
    std::string_view queryString() const { return queryEndsUri_ ? part(uri).substr(queryAt_) : part(queryText); }  ///< still encoded
    std::string_view host() const { return part(hostName); }
    std::string_view remoteAddress() const { return part(address); }
    std::string_view remoteUser() const { return part(user); }
    bool https() const { return https_; }

    /// The last field of that name (names compare without case), or empty.
    std::string_view header(std::string_view name) const { return fieldValue(headers(), name); }
    /// All fields in the order they came, without those that are the same in every handshake or of no use after it:
    /// Connection, Upgrade, Sec-WebSocket-Key and Sec-WebSocket-Version.
    FieldViews headers() const;
    /// Decoded parameters of the query, and cookies as sent.
    NameValues query() const;
    NameValues cookies() const;
    std::string get(std::string_view name, std::string_view fallback = {}) const;
    std::string cookie(std::string_view name, std::string_view fallback = {}) const;

private:
    enum Part { uri, path, script, queryText, hostName, address, user, fields, partCount };
    std::string_view part(Part part) const {
        const uint32_t begin = part == 0 ? 0 : ends_[part - 1];
        return {text_.get() + begin, ends_[part] - begin};
    }

    std::unique_ptr<char[]> text_;  // the parts; each field as name, ':', value, '\n'
    std::array<uint32_t, partCount> ends_{};
    uint32_t queryAt_ = 0;          // in the URI
    bool https_, pathIsUri_, queryEndsUri_;
};

}
