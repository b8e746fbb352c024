#include "postern/gateway/CgiExchange.h"

#include "postern/base/Errors.h"
#include "postern/gateway/UpgradeHint.h"

#include <cassert>
#include <cerrno>
#include <charconv>

namespace postern {

namespace {

// A gateway that cannot carry an upgrade ends our input at once; one that can keeps it open.
constexpr auto inputEndsWithin = std::chrono::milliseconds(10);

// The gateway reads the status from a field, but uwsgi's from a line of HTTP.
std::string_view statusLine(CgiProtocol protocol) { return protocol == CgiProtocol::uwsgi ? "HTTP/1.1 " : "Status: "; }

// CGI and FastCGI have an end of input; a gateway that will not send more shows it.
bool inputHasAnEnd(CgiProtocol protocol) { return protocol == CgiProtocol::cgi || protocol == CgiProtocol::fastCgi; }

std::string_view variable(std::span<const FieldView> variables, std::string_view name) {
    for (const auto& entry : variables)
        if (entry.name == name) return entry.value;
    return {};
}

}

std::string_view nameOf(CgiProtocol protocol) {
    switch (protocol) {
    case CgiProtocol::cgi: return "CGI";
    case CgiProtocol::fastCgi: return "FastCGI";
    case CgiProtocol::scgi: return "SCGI";
    case CgiProtocol::uwsgi: return "uwsgi";
    }
    return {};
}

std::optional<Violation> CgiExchange::readHead(CgiProtocol protocol, std::span<const FieldView> variables,
                                               const CgiSettings& settings, RequestHead& head) {
    CgiVariableRules rules;
    rules.mount = settings.mount;
    rules.mountIsScriptName = protocol == CgiProtocol::cgi;
    rules.bodyUntilEnd = protocol == CgiProtocol::fastCgi;
    rules.bodyNeedsLength = !inputHasAnEnd(protocol);
    rules.trustRemoteUser = settings.trustRemoteUser;
    head.clear();
    return readCgiVariables(variables, rules, settings.limits.head, head);
}

CgiExchange::CgiExchange(CgiProtocol protocol, std::unique_ptr<ByteStream> stream, std::span<const FieldView> variables,
                         const CgiSettings& settings, const RequestHead& head, void (*upgraded)(ByteStream&))
    : protocol_(protocol),
      stream_(std::move(stream)),
      variables_(variables),
      settings_(settings),
      head_(head),
      upgraded_(upgraded),
      clock_(settings.limits, Loop::current().now()),
      bodyLimit_(settings.limits.bodyBytes),
      bodyLeft_(head.contentLength),
      bodyDone_(head.framing == BodyFraming::none),
      start_(Loop::current().now()) {}

CgiExchange::~CgiExchange() {
    if (settings_.access && status_ != 0)
        settings_.access({head_, status_, bodySent_, Loop::current().poller().now() - start_});
}

NameValues CgiExchange::environment() const {
    NameValues values;
    for (const auto& [name, value] : variables_)
        if (name != "HTTP_PROXY") values.add(std::string(name), std::string(value));
    return values;
}

std::string_view CgiExchange::readBody() {
    if (stream_ && lent_ > 0) stream_->consume(std::exchange(lent_, 0));
    if (bodyDone_) return {};
    if (head_.framing == BodyFraming::length && head_.contentLength > bodyLimit_) bodyTooLarge();
    if (head_.framing == BodyFraming::length && bodyLeft_ == 0) return endOfBody();
    if (stream_->unread().empty() && !receiveBody()) {
        if (head_.framing == BodyFraming::length) bodyFailed(400, "the request body ends early");
        return endOfBody();
    }
    auto piece = stream_->unreadText();
    if (head_.framing == BodyFraming::length) {
        piece = piece.substr(0, bodyLeft_);
        bodyLeft_ -= piece.size();
    }
    lent_ = piece.size();
    clock_.received(piece.size());
    if (clock_.receivedBytes() > bodyLimit_) bodyTooLarge();
    return piece;
}

std::string_view CgiExchange::endOfBody() {
    bodyDone_ = true;
    return {};
}

void CgiExchange::bodyFailed(int status, const char* reason) {
    bodyDone_ = true;
    throw HttpError(status, reason);
}

bool CgiExchange::receiveBody() {
    try {
        return stream_->receive(clock_.deadline(Loop::current().now()));
    } catch (const TimedOut&) {
        bodyFailed(408, "the request body came too slowly");
    }
}

void CgiExchange::sendHead(const ReplyHead& reply) {
    assert(!headSent_);
    headSent_ = true;
    status_ = reply.status;
    noBody_ = !reply.hasBody;
    replyLeft_ = reply.contentLength;
    std::array<char, 8> status;
    const std::string_view number(status.data(),
                                  static_cast<size_t>(std::to_chars(status.begin(), status.end(), reply.status).ptr - status.data()));
    const auto reason = reply.reason.empty() ? reasonPhrase(reply.status) : reply.reason;
    // HAProxy makes a 302 of every Location that no Status follows.
    const bool redirects = protocol_ == CgiProtocol::fastCgi && reply.fields.find("Location: ") != std::string_view::npos;
    if (redirects) stream_->write(reply.fields);
    stream_->write({statusLine(protocol_), number, " ", reason, "\r\n"});
    if (!redirects) stream_->write(reply.fields);
    if (reply.contentLength && reply.status != 204 && reply.status >= 200)
        stream_->write({"Content-Length: ", std::to_string(*reply.contentLength), "\r\n"});
    stream_->write("\r\n");
}

void CgiExchange::sendBody(std::string_view piece) {
    if (noBody_ || piece.empty()) return;
    bodySent_ += piece.size();
    stream_->write(piece);
}

void CgiExchange::flush() {
    if (stream_) stream_->flush();
}

void CgiExchange::finish() {
    if (std::exchange(finished_, true) || !stream_) return;
    if (protocol_ != CgiProtocol::fastCgi) stream_->flush();  // there the end of the request is still to come
    complete_ = noBody_ || !replyLeft_ || *replyLeft_ == bodySent_;
}

// The gateway sees fewer bytes than announced, or a line that broke.
void CgiExchange::abandon() {
    finished_ = true;
    if (stream_ && protocol_ != CgiProtocol::cgi) stream_->breakOff(ECONNABORTED);
}

std::string CgiExchange::refusal(CgiProtocol protocol, const Violation& violation) {
    const auto status = std::to_string(violation.status) + ' ' + std::string(reasonPhrase(violation.status));
    return std::string(statusLine(protocol)) + status + "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n" + status + ": " +
           violation.reason + "\n";
}

UpgradeSupport CgiExchange::canUpgrade() {
    if (!support_) support_ = findOutSupport();
    return *support_;
}

UpgradeSupport CgiExchange::findOutSupport() {
    switch (settings_.websocket) {
    case WebsocketOver::yes: return {};
    case WebsocketOver::no: return {false, "WebSockets over this way in are switched off (--websocket-over no)"};
    case WebsocketOver::findOut: break;
    }
    const auto server = variable(variables_, "SERVER_SOFTWARE");
    if (!inputHasAnEnd(protocol_)) {
        if (isKnownNotToUpgrade(protocol_, server)) return {false, upgradeHint(protocol_, server)};
        return {true, upgradeHint(protocol_, server), settings_.upgradeTimeout};
    }
    try {
        if (stream_->ended() || !stream_->receive(Loop::current().in(inputEndsWithin)))
            return {false, upgradeHint(protocol_, server)};
    } catch (const TimedOut&) {
        // Still open: frames may come.
    }
    return {};
}

std::unique_ptr<ByteStream> CgiExchange::upgrade(std::string_view fields) {
    assert(!headSent_);
    headSent_ = finished_ = complete_ = true;
    status_ = 101;
    stream_->write({statusLine(protocol_), "101 Switching Protocols\r\n", fields, "\r\n"});
    stream_->flush();
    if (upgraded_) upgraded_(*stream_);
    return std::move(stream_);
}

}
