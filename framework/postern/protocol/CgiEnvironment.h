#pragma once
// CGI meta-variables (RFC 3875 §4.1) ↔ a request head: the one place that knows them, for every gateway of the family.

#include "postern/protocol/HttpHead.h"

#include <span>
#include <string>
#include <string_view>

namespace postern {

/// How a way in wants its variables read.
struct CgiVariableRules {
    std::string mount;                ///< path prefix the gateway serves us under ("/app"), without a slash at its end
    bool mountIsScriptName = false;   ///< classic CGI: without `mount`, SCRIPT_NAME says where we are
    bool bodyUntilEnd = false;        ///< FastCGI: without a CONTENT_LENGTH the body ends with its stream
    bool trustRemoteUser = false;     ///< REMOTE_USER was checked by the gateway (nginx and HAProxy do not check it)
    bool bodyNeedsLength = false;     ///< SCGI, uwsgi: nothing but CONTENT_LENGTH tells where the body ends
};

/// Web servers send about so many; a list of them is made with room for these.
inline constexpr size_t usualVariables = 32;

/// What the variables of one request may cost in memory: their bytes, and some for each. More is a 431.
class CgiVariableBudget {
public:
    static constexpr size_t overhead = 64;

    explicit CgiVariableBudget(size_t bytes) : left_(bytes) {}
    /// False: this name and value are more than what is left.
    bool spend(size_t bytes) {
        if (bytes > left_ || left_ - bytes < overhead) return false;
        left_ -= bytes + overhead;
        return true;
    }

private:
    size_t left_;
};

/// Makes a head from variables in the order they came. Repeated request fields are joined, repeated single-valued ones
/// refused; HTTP_PROXY is dropped (CVE-2016-5385). `head` keeps copies: the variables may go.
std::optional<Violation> readCgiVariables(std::span<const FieldView> variables, const CgiVariableRules& rules,
                                          const HeadLimits& limits, RequestHead& head);

/// Moves the mount from the front of `head.pathInfo` to `head.scriptName`; nothing if the path is not below it. `mount`
/// outlives the head.
void splitMount(std::string_view mount, RequestHead& head);

/// The variables a classic CGI program would see for this request.
NameValues writeCgiVariables(const RequestHead& head);

}
