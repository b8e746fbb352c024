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
    bool bodyUntilEnd = false;        ///< FastCGI: no CONTENT_LENGTH means that the body ends with its stream
    bool trustRemoteUser = false;     ///< REMOTE_USER was checked by the gateway (nginx and HAProxy do not check it)
};

/// Makes a head from variables in the order they came. Repeated request fields are joined, repeated single-valued ones
/// refused; HTTP_PROXY is dropped (CVE-2016-5385). `head` keeps copies: the variables may go.
std::optional<Violation> readCgiVariables(std::span<const FieldView> variables, const CgiVariableRules& rules,
                                          const HeadLimits& limits, RequestHead& head);

/// The variables a classic CGI program would see for this request.
NameValues writeCgiVariables(const RequestHead& head);

}
