#include "postern/cgi/Cgi.h"

#include "postern/cgi/Reply.h"
#include "postern/gateway/Exchange.h"
#include "postern/protocol/Form.h"
#include "postern/protocol/Handshake.h"
#include "postern/protocol/HttpDate.h"
#include "postern/protocol/HttpHead.h"

#include <optional>
#include <stdexcept>

namespace postern {

struct Cgi::State {
    State(Exchange& e, const HandlerSettings& s) : exchange(e), settings(s), head(e.head()), reply(e) {}

    Exchange& exchange;
    const HandlerSettings& settings;
    const RequestHead& head;
    Reply reply;
    std::optional<NameValues> get, post, cookies;
    std::optional<std::string> body;
    bool upgraded = false;

    WebSocketRequest requireWebSocketRequest();
    bool reportDroppedUpgrade();
    void checkOrigin(const OriginPolicy& policy);
    std::string handshakeFields(const WebSocketRequest& request, std::string_view protocol, std::string_view extensions) const;
};

std::string_view Cgi::requestMethod() const { return state_->head.method; }
std::string_view Cgi::requestUri() const { return state_->head.target; }
std::string_view Cgi::pathInfo() const { return state_->head.pathInfo; }
std::string_view Cgi::scriptName() const { return state_->head.scriptName; }
std::string_view Cgi::queryString() const { return state_->head.query; }
std::string_view Cgi::host() const { return state_->head.host; }
uint16_t Cgi::port() const { return state_->head.serverPort; }
bool Cgi::https() const { return state_->head.isHttps(); }
std::string_view Cgi::remoteAddress() const { return state_->head.remoteAddress; }
std::string_view Cgi::remoteUser() const { return state_->head.remoteUser; }
std::string_view Cgi::origin() const { return requestHeader("Origin"); }
std::string_view Cgi::referrer() const { return requestHeader("Referer"); }
std::string_view Cgi::userAgent() const { return requestHeader("User-Agent"); }
std::string_view Cgi::accept() const { return requestHeader("Accept"); }
std::string_view Cgi::authorization() const { return requestHeader("Authorization"); }
std::string_view Cgi::requestHeader(std::string_view name) const { return state_->head.field(name); }
const FieldViews& Cgi::requestHeaders() const { return state_->head.fields; }
NameValues Cgi::environment() const { return state_->exchange.environment(); }

std::vector<std::string_view> Cgi::requestHeaderArray(std::string_view name) const {
    std::vector<std::string_view> values;
    for (const auto& field : state_->head.fields)
        if (equalsIgnoringCase(field.name, name)) values.push_back(field.value);
    return values;
}

namespace {

NameValues parseParameters(std::string_view text, size_t limit) {
    NameValues values;
    if (const auto violation = parseForm(text, limit, values)) throw HttpError(violation->status, violation->reason);
    return values;
}

}

const NameValues& Cgi::get() {
    if (!state_->get) state_->get = parseParameters(state_->head.query, state_->settings.maxParameters);
    return *state_->get;
}

const NameValues& Cgi::post() {
    if (state_->post) return *state_->post;
    auto type = requestHeader("Content-Type");
    const bool isForm = equalsIgnoringCase(trim(takeUntil(type, ';')), "application/x-www-form-urlencoded");
    state_->post = isForm ? parseParameters(postBody(), state_->settings.maxParameters) : NameValues();
    return *state_->post;
}

const NameValues& Cgi::cookies() {
    if (!state_->cookies) {
        state_->cookies.emplace();
        for (const auto& field : state_->head.fields)
            if (equalsIgnoringCase(field.name, "Cookie")) parseCookies(field.value, *state_->cookies);
    }
    return *state_->cookies;
}

std::string_view Cgi::get(std::string_view name, std::string_view fallback) { return get().get(name, fallback); }
std::string_view Cgi::post(std::string_view name, std::string_view fallback) { return post().get(name, fallback); }
std::string_view Cgi::cookie(std::string_view name, std::string_view fallback) { return cookies().get(name, fallback); }
std::vector<std::string_view> Cgi::getArray(std::string_view name) { return get().all(name); }
std::vector<std::string_view> Cgi::postArray(std::string_view name) { return post().all(name); }
std::vector<std::string_view> Cgi::cookieArray(std::string_view name) { return cookies().all(name); }

const std::string& Cgi::postBody() {
    if (!state_->body) {
        std::string body;
        for (auto piece = readBody(); !piece.empty(); piece = readBody()) body += piece;
        state_->body = std::move(body);
    }
    return *state_->body;
}

std::string_view Cgi::readBody() { return state_->exchange.readBody(); }
void Cgi::setMaxBody(uint64_t bytes) { state_->exchange.setBodyLimit(bytes); }

void Cgi::setResponseStatus(int status) { state_->reply.setStatus(status); }

void Cgi::setResponseStatus(std::string_view status) {
    const auto code = parseDecimal<int>(status.substr(0, 3));
    if (!code || (status.size() > 3 && status[3] != ' ')) throw std::invalid_argument("a status reads like \"404 Not Found\"");
    state_->reply.setStatus(*code, status.size() > 4 ? status.substr(4) : std::string_view());
}

void Cgi::setResponseContentType(std::string_view type) { state_->reply.setContentType(type); }

void Cgi::setResponseLocation(std::string_view uri, int status) {
    state_->reply.addField("Location", uri);
    state_->reply.setStatus(status);
}

void Cgi::setResponseExpires(std::chrono::system_clock::time_point when, bool isPublic) {
    const auto date = writeHttpDate(std::chrono::floor<std::chrono::seconds>(when));
    state_->reply.addField("Expires", {date.data(), date.size()});
    state_->reply.setCacheControl(isPublic ? "public" : "private");
}

void Cgi::setCache(bool allow) { state_->reply.setCacheControl(allow ? "" : "no-store"); }

void Cgi::setCookie(std::string_view name, std::string_view value, const CookieOptions& options) {
    state_->reply.addField("Set-Cookie", writeCookie(name, value, options));
}

void Cgi::clearCookie(std::string_view name, const CookieOptions& options) {
    auto expired = options;
    expired.maxAge = std::chrono::seconds(0);
    setCookie(name, {}, expired);
}

void Cgi::header(std::string_view name, std::string_view value) { state_->reply.addField(name, value); }
void Cgi::setGzip(bool allow) { state_->reply.setGzip(allow); }
void Cgi::write(std::string_view data, bool isAll) { state_->reply.write(data, isAll); }
void Cgi::write(ByteView data, bool isAll) { state_->reply.write(asText(data), isAll); }

void Cgi::writeJson(std::string_view json) {
    setResponseContentType("application/json");
    write(json, true);
}

void Cgi::flush() { state_->reply.flush(); }
void Cgi::close() { state_->reply.close(); }
bool Cgi::isResponding() const { return state_->reply.hasBegun(); }

// ── WebSocket ──

namespace {

using Kind = WebsocketError::Kind;

WebsocketError invalidRequest(int status, const char* text) { return {Kind::InvalidWebsocketRequest, status, text}; }
WebsocketError notSupported() {
    return {Kind::NotSupported, 501, "the gateway in front of this server cannot carry a WebSocket"};
}

}

WebSocketRequest Cgi::State::requireWebSocketRequest() {
    auto found = readWebSocketRequest(head);
    if (auto* request = std::get_if<WebSocketRequest>(&found)) return std::move(*request);
    if (const auto* violation = std::get_if<Violation>(&found)) throw invalidRequest(violation->status, violation->reason);
    if (!head.field("Sec-WebSocket-Key").empty() && !reportDroppedUpgrade()) throw notSupported();
    throw invalidRequest(426, "this address speaks WebSocket only");
}

// The client asked, but what stands in front of us kept its Upgrade field to itself. False: it could carry none anyway.
bool Cgi::State::reportDroppedUpgrade() {
    const auto support = exchange.canUpgrade();
    exchange.log(LogLevel::warning,
                 support.supported
                     ? "a request has a Sec-WebSocket-Key but no Upgrade: a proxy in front dropped it (nginx's proxy_pass "
                       "wants proxy_http_version 1.1 and the Upgrade and Connection fields set); see docs/gateways.md"
                     : "no WebSocket here: " + support.reason);
    return support.supported;
}

bool Cgi::websocketRequested() {
    if (state_->upgraded) return true;
    if (!std::holds_alternative<NotRequested>(readWebSocketRequest(state_->head))) {
        state_->requireWebSocketRequest();
        return true;
    }
    if (!requestHeader("Sec-WebSocket-Key").empty()) state_->reportDroppedUpgrade();
    return false;
}

bool Cgi::websocketSupported() {
    const auto support = state_->exchange.canUpgrade();
    if (!support.supported) state_->exchange.log(LogLevel::warning, "no WebSocket here: " + support.reason);
    return support.supported;
}

std::vector<std::string_view> Cgi::requestedProtocols() {
    const auto found = readWebSocketRequest(state_->head);
    const auto* request = std::get_if<WebSocketRequest>(&found);
    return request ? request->protocols : std::vector<std::string_view>();
}

void Cgi::State::checkOrigin(const OriginPolicy& policy) {
    const auto* field = findField(head.fields, "Origin");
    const auto origin = field ? std::optional(field->value) : std::nullopt;
    if (isOriginAllowed(policy, origin, head.scheme, head.host) && countFields(head.fields, "Origin") <= 1) return;
    exchange.log(LogLevel::warning,
                 "refused a WebSocket: its Origin " + (origin ? escapedForLog(*origin) : std::string("(none)")) +
                     " is not that of this host (" + std::string(head.scheme) + "://" + escapedForLog(head.host) +
                     "); --allowed-origin adds others, --trusted-proxy lets a proxy say https");
    throw WebsocketError(Kind::WrongOrigin, 403, "this origin may not open a WebSocket here");
}

std::string Cgi::State::handshakeFields(const WebSocketRequest& request, std::string_view protocol,
                                        std::string_view extensions) const {
    std::string fields = "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: " + acceptKey(request.key) + "\r\n";
    if (!protocol.empty()) fields.append("Sec-WebSocket-Protocol: ").append(protocol).append("\r\n");
    if (!extensions.empty()) fields.append("Sec-WebSocket-Extensions: ").append(extensions).append("\r\n");
    return fields.append(reply.fields());
}

WebSocket Cgi::acceptWebsocket(const WebSocketOptions& options) {
    auto& state = *state_;
    if (state.reply.hasBegun()) throw std::logic_error("the reply has begun: it is too late for a WebSocket");
    options.check();
    const auto request = state.requireWebSocketRequest();
    state.checkOrigin(options.origin.value_or(state.settings.origin));
    const auto protocol = selectProtocol(options.protocols, request.protocols);
    if (protocol.empty() && options.requireProtocol)
        throw WebsocketError(Kind::WrongSubprotocol, 400, "none of the offered subprotocols is spoken here");
    const auto support = state.exchange.canUpgrade();
    if (!support.supported) {
        state.exchange.log(LogLevel::error, "refused a WebSocket: " + support.reason);
        throw notSupported();
    }
    auto settled = options;
    if (settled.maxMessage == 0) settled.maxMessage = state.settings.maxMessage;
    if (settled.maxFragments == 0) settled.maxFragments = state.settings.maxFragments;
    if (!settled.deflate) settled.deflate = state.settings.deflate;
    Established established;
    established.protocol = protocol;
    const auto deflate = settled.deflate ? answerDeflate(requestHeaderArray("Sec-WebSocket-Extensions"), *settled.deflate)
                                         : std::nullopt;
    if (deflate) established.deflate = deflate->agreement;
    if (settled.keepRequest) established.request = std::make_shared<UpgradeRequest>(state.head);
    auto stream = state.exchange.upgrade(state.handshakeFields(request, protocol, deflate ? deflate->text : std::string()));
    state.upgraded = true;
    state.reply.upgraded();
    auto websocket = WebSocket::overStream(std::move(stream), settled, std::move(established));
    if (support.proof > Duration::zero()) websocket.demandSignOfLife(support.proof, support.reason);
    return websocket;
}

Handler handleWebSocket(std::function<void(WebSocket&)> conversation, const WebSocketOptions& options) {
    options.check();
    return [conversation = std::move(conversation), options](Cgi& cgi) {
        auto websocket = cgi.acceptWebsocket(options);
        conversation(websocket);
    };
}

// ── The call ──

namespace {

std::string describe(const RequestHead& head) {
    return escapedForLog(head.method) + ' ' + escapedForLog(head.target);
}

}

void serveExchange(Exchange& exchange, const HandlerSettings& settings, const Handler& handler) {
    const Fiber::Purpose purpose(
        [](const void* served) { return describe(static_cast<const Exchange*>(served)->head()); }, &exchange);
    Cgi::State state(exchange, settings);
    Cgi cgi(state);
    auto& reply = state.reply;
    // A reply that has begun cannot become another: it is cut, so that the client does not take it for whole.
    const auto fail = [&](int status, const std::string& text) {
        if (reply.isClosed()) return;  // or a WebSocket: its end tells the client
        if (reply.hasBegun()) return exchange.abandon();
        reply.reset();
        reply.setStatus(status);
        reply.setContentType("text/plain; charset=utf-8");
        if (status == 426) reply.addUpgradeFields();
        const auto phrase = std::to_string(status) + ' ' + std::string(reasonPhrase(status));
        reply.write(text.empty() ? phrase + "\n" : phrase + ": " + text + "\n", true);
    };
    try {
        handler(cgi);
        cgi.close();
    } catch (const Disconnected&) {
        fail(500, {});  // reaches the client only if it was another line that broke
    } catch (const Cancelled&) {
        exchange.abandon();
        throw;
    } catch (const HttpError& error) {
        fail(error.status() >= 400 && error.status() <= 599 ? error.status() : 500, error.what());
    } catch (const std::exception& error) {
        exchange.log(LogLevel::error, "the handler failed for " + describe(exchange.head()) + ": " + error.what());
        fail(500, settings.dev ? error.what() : "");
    } catch (...) {
        exchange.log(LogLevel::error, "the handler failed for " + describe(exchange.head()) + " with an unknown exception");
        fail(500, {});
    }
}

}
