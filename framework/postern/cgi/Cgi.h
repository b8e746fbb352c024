#pragma once

#include "postern/base/Errors.h"
#include "postern/base/Fields.h"
#include "postern/protocol/Cookie.h"
#include "postern/websocket/WebSocket.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

class Exchange;

/// Why acceptWebsocket() refused: an HttpError, which the client gets when the handler lets it pass.
class WebsocketError : public HttpError {
public:
    enum class Kind {
        InvalidWebsocketRequest,  ///< none was asked for, or wrongly: 400, 426
        WrongSubprotocol,         ///< WebSocketOptions::requireProtocol: 400
        WrongOrigin,              ///< 403
        NotSupported              ///< this way in carries none: 501
    };
    WebsocketError(Kind kind, int status, const std::string& text) : HttpError(status, text), kind_(kind) {}
    Kind kind() const { return kind_; }

private:
    Kind kind_;
};

/// What the program was told about all handlers.
struct HandlerSettings {
    bool dev = false;               ///< replies to failures show the exception's text
    uint64_t maxMessage = defaultMaxMessage;
    size_t maxFragments = defaultMaxFragments;
    std::optional<DeflateOptions> deflate;  ///< for WebSockets whose options have none of their own
    OriginPolicy origin;            ///< for WebSockets whose options have none of their own
    size_t maxParameters = 1000;    ///< in a query or a form; more is a 413
};

/// One request and its reply: what a handler holds. Valid during the handler's call, on its fiber. Views it gives stay
/// valid as long, unless said otherwise.
///
/// Set-up calls (status, fields, cookies) come before the first byte of the reply; later they throw std::logic_error.
/// A value that would break out of its header field (CR, LF, NUL) throws std::invalid_argument.
class Cgi {
public:
    struct State;
    /// Made by serveExchange().
    explicit Cgi(State& state) : state_(&state) {}
    Cgi(const Cgi&) = delete;
    Cgi& operator=(const Cgi&) = delete;

    // ── The request ──

    std::string_view requestMethod() const;   ///< "GET", "POST", … as sent
    std::string_view requestUri() const;      ///< as sent, with its query
    std::string_view pathInfo() const;        ///< below scriptName(), decoded once, dot segments resolved; begins with '/'
    std::string_view scriptName() const;      ///< where the program is mounted, or empty
    std::string_view queryString() const;     ///< after the '?', still encoded
    std::string_view host() const;            ///< as the client named it, with the port if it did
    uint16_t port() const;                    ///< the server's
    bool https() const;
    std::string_view remoteAddress() const;   ///< the client's address in numbers; empty for a local socket
    std::string_view remoteUser() const;      ///< only with --trust-remote-user
    std::string_view origin() const;
    std::string_view referrer() const;
    std::string_view userAgent() const;
    std::string_view accept() const;
    std::string_view authorization() const;

    /// Parameters of the query, of a POSTed form, and cookies: the last value of a name, or the fallback; all of them by
    /// the …Array calls. Decoded: '+' is a space, what is no UTF-8 becomes U+FFFD (cookies are given as sent). Throw
    /// HttpError 413 for more parameters than allowed; post() also what readBody() throws.
    std::string_view get(std::string_view name, std::string_view fallback = {});
    std::string_view post(std::string_view name, std::string_view fallback = {});
    std::string_view cookie(std::string_view name, std::string_view fallback = {});
    std::vector<std::string_view> getArray(std::string_view name);
    std::vector<std::string_view> postArray(std::string_view name);
    std::vector<std::string_view> cookieArray(std::string_view name);
    const NameValues& get();
    const NameValues& post();
    const NameValues& cookies();

    /// The last field of that name (names compare without case), or empty.
    std::string_view requestHeader(std::string_view name) const;
    std::vector<std::string_view> requestHeaderArray(std::string_view name) const;
    const FieldViews& requestHeaders() const;
    /// The CGI variables of the request, on every way in.
    NameValues environment() const;

    /// The whole body. Throws what readBody() throws.
    const std::string& postBody();
    /// The next piece of the body as it arrives, empty at its end; for bodies too large to collect. Valid until the next
    /// call. Throws HttpError 413 (larger than the limit), 408 (too slow), 400 (malformed or cut short).
    std::string_view readBody();
    /// Bytes of body this handler takes; the program's limit (--max-body) otherwise.
    void setMaxBody(uint64_t bytes);

    // ── The reply ──

    void setResponseStatus(int status);                  ///< 200…599
    void setResponseStatus(std::string_view status);     ///< "404 Not Found"
    void setResponseContentType(std::string_view type);  ///< default: text/html; charset=utf-8
    void setResponseLocation(std::string_view uri, int status = 302);
    void setResponseExpires(std::chrono::system_clock::time_point when, bool isPublic = false);
    void setCache(bool allow);                           ///< false: nobody may store the reply; the last word on caching counts
    void setCookie(std::string_view name, std::string_view value, const CookieOptions& options = {});
    void clearCookie(std::string_view name, const CookieOptions& options = {});
    /// Adds a field. Those that frame a reply or a connection are the gateway's and refused with std::invalid_argument.
    void header(std::string_view name, std::string_view value);
    /// Whether replies may be compressed for clients that take it; on by default, for text types only.
    void setGzip(bool allow);

    /// Sends a part of the body, or with `isAll` the whole of it, which then has a Content-Length. Parts go out when the
    /// handler waits, returns or calls flush(). Waits while the client takes them too slowly. Throws Disconnected.
    void write(std::string_view data, bool isAll = false);
    void write(ByteView data, bool isAll = false);
    /// The whole reply, as application/json.
    void writeJson(std::string_view json);
    /// Sends everything written so far.
    void flush();
    /// Ends the reply; happens by itself when the handler returns. Idempotent.
    void close();

    // ── WebSocket ──

    /// Does the client ask for a WebSocket? One that asks wrongly gets its 400 or 426 from here, as a WebsocketError.
    bool websocketRequested();
    /// Can this way in carry one? Log lines say what to change if not.
    bool websocketSupported();
    std::vector<std::string_view> requestedProtocols();
    /// Checks the request and its Origin, answers 101 with the fields and cookies set so far, and turns the request into
    /// a WebSocket. Refuses with a WebsocketError; throws std::invalid_argument for contradicting options.
    WebSocket acceptWebsocket(const WebSocketOptions& options = {});

    /// Whether the reply has begun, or the request is a WebSocket now.
    bool isResponding() const;

private:
    State* const state_;
};

/// The function a program is made of. It may be called on several threads at once, each time on a fiber of its own.
using Handler = std::function<void(Cgi&)>;

/// A handler for an address that speaks WebSocket only: others get a 426. `conversation` may read the request on the
/// socket. Throws std::invalid_argument for contradicting options.
Handler handleWebSocket(std::function<void(WebSocket&)> conversation, const WebSocketOptions& options = {});

/// Calls the handler for one exchange and sees to it that the client gets an answer, whatever happens. Never throws but
/// Disconnected and Cancelled.
void serveExchange(Exchange& exchange, const HandlerSettings& settings, const Handler& handler);

}
