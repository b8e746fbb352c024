#pragma once
// The cookies of one host, as a browser keeps them (RFC 6265 §5.3, §5.4).

#include "postern/base/Time.h"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

/// Knows Path, Secure, Max-Age and Expires. There is one host only, so Domain and SameSite do not matter.
class CookieJar {
public:
    /// Takes the value of a Set-Cookie field that came in answer to a request for `path`. Malformed ones are dropped.
    void store(std::string_view setCookie, std::string_view path, TimePoint now);
    /// For all paths, until it is replaced.
    void set(std::string_view name, std::string_view value);
    /// The Cookie field of a request: "a=1; b=2", or empty.
    std::string field(std::string_view path, bool secure, TimePoint now) const;
    /// The value of a cookie of that name, whatever its path; none if there is none.
    std::optional<std::string> find(std::string_view name, TimePoint now) const;
    void clear() { cookies_.clear(); }

private:
    struct Cookie {
        std::string name, value, path;
        bool secure = false;
        TimePoint expires = TimePoint::max();
    };
    void keep(Cookie cookie, TimePoint now);

    std::vector<Cookie> cookies_;  // those with longer paths first
};

}
