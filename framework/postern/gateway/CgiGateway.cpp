#include "postern/gateway/CgiGateway.h"

#include "postern/base/Errors.h"
#include "postern/gateway/BodyClock.h"
#include "postern/protocol/CgiEnvironment.h"

#include <cassert>
#include <cerrno>

namespace postern {

namespace {

// A gateway that cannot carry an upgrade ends our input at once; one that can keeps it open.
constexpr auto inputEndsWithin = std::chrono::milliseconds(10);

std::string variable(std::span<const FieldView> variables, std::string_view name) {
    for (const auto& entry : variables)
        if (entry.name == name) return std::string(entry.value);
    return {};
}

class CgiExchange final : public Exchange {
public:
    CgiExchange(std::unique_ptr<ByteStream> stream, std::span<const FieldView> variables, const CgiSettings& settings,
                const RequestHead& head)
        : stream_(std::move(stream)),
          variables_(variables),
          settings_(settings),
          head_(head),
          clock_(settings.limits, Loop::current().now()),
          bodyLimit_(settings.limits.bodyBytes),
          bodyLeft_(head.contentLength),
          bodyDone_(head.framing == BodyFraming::none),
          start_(Loop::current().now()) {}

    ~CgiExchange() override {
        if (settings_.access && status_ != 0)
            settings_.access({head_, status_, bodySent_, Loop::current().poller().now() - start_});
    }

    const RequestHead& head() const override { return head_; }

    NameValues environment() const override {
        NameValues values;
        for (const auto& [name, value] : variables_)
            if (name != "HTTP_PROXY") values.add(std::string(name), std::string(value));
        return values;
    }

    void setBodyLimit(uint64_t bytes) override { bodyLimit_ = bytes; }

    std::string_view readBody() override {
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

    void sendHead(const ReplyHead& reply) override {
        assert(!headSent_);
        headSent_ = true;
        status_ = reply.status;
        noBody_ = !reply.hasBody;
        replyLeft_ = reply.contentLength;
        const auto reason = reply.reason.empty() ? reasonPhrase(reply.status) : reply.reason;
        stream_->write({"Status: ", std::to_string(reply.status), " ", reason, "\r\n", reply.fields});
        if (reply.contentLength && reply.status != 204 && reply.status >= 200)
            stream_->write({"Content-Length: ", std::to_string(*reply.contentLength), "\r\n"});
        stream_->write("\r\n");
    }

    void sendBody(std::string_view piece) override {
        if (noBody_ || piece.empty()) return;
        bodySent_ += piece.size();
        stream_->write(piece);
    }

    void flush() override {
        if (stream_) stream_->flush();
    }

    void finish() override {
        if (std::exchange(finished_, true) || !stream_) return;
        stream_->flush();
        complete_ = noBody_ || !replyLeft_ || *replyLeft_ == bodySent_;
    }

    // The gateway sees fewer bytes than announced, or that we failed.
    void abandon() override { finished_ = true; }

    UpgradeSupport canUpgrade() override {
        if (!support_) support_ = findOutSupport();
        return *support_;
    }

    std::unique_ptr<ByteStream> upgrade(std::string_view fields) override {
        assert(!headSent_);
        headSent_ = finished_ = complete_ = true;
        status_ = 101;
        stream_->write({"Status: 101 Switching Protocols\r\n", fields, "\r\n"});
        stream_->flush();
        return std::move(stream_);
    }

    void log(LogLevel level, std::string_view line) override { Loop::current().log(level, line); }

    bool isComplete() const { return complete_; }

private:
    std::string_view endOfBody() {
        bodyDone_ = true;
        return {};
    }

    [[noreturn]] void bodyFailed(int status, const char* reason) {
        bodyDone_ = true;
        throw HttpError(status, reason);
    }
    [[noreturn]] void bodyTooLarge() { bodyFailed(413, "the request body is larger than allowed"); }

    bool receiveBody() {
        try {
            return stream_->receive(clock_.deadline(Loop::current().now()));
        } catch (const TimedOut&) {
            bodyFailed(408, "the request body came too slowly");
        }
    }

    UpgradeSupport findOutSupport() {
        switch (settings_.websocket) {
        case WebsocketOver::yes: return {};
        case WebsocketOver::no: return {false, "WebSockets over this way in are switched off (--websocket-over no)"};
        case WebsocketOver::findOut: break;
        }
        try {
            if (stream_->ended() || !stream_->receive(Loop::current().in(inputEndsWithin))) return {false, hint()};
        } catch (const TimedOut&) {
            // Still open: frames may come.
        }
        return {};
    }

    std::string hint() const {
        const auto server = variable(variables_, "SERVER_SOFTWARE");
        const auto seen = server.empty() ? std::string("this CGI gateway") : escapedForLog(server) + "'s CGI";
        if (server.starts_with("lighttpd"))
            return seen + " closed our input: set cgi.upgrade = \"enable\" (lighttpd 1.4.46 or newer); see docs/gateways.md";
        if (server.starts_with("Apache"))
            return seen + " cannot carry a WebSocket: use ProxyPass with upgrade=websocket to a --listen http:// of this "
                          "program; see docs/gateways.md";
        return seen + " closed our input, so it cannot carry a WebSocket: proxy Upgrade requests to a --listen http:// of "
                      "this program; see docs/gateways.md";
    }

    std::unique_ptr<ByteStream> stream_;
    std::span<const FieldView> variables_;
    const CgiSettings& settings_;
    const RequestHead& head_;
    BodyClock clock_;
    uint64_t bodyLimit_;
    uint64_t bodyLeft_;
    size_t lent_ = 0;
    bool bodyDone_;
    bool headSent_ = false, finished_ = false, noBody_ = false, complete_ = false;
    std::optional<uint64_t> replyLeft_;
    std::optional<UpgradeSupport> support_;
    int status_ = 0;
    uint64_t bodySent_ = 0;
    TimePoint start_;
};

}

bool serveCgi(std::unique_ptr<ByteStream> stream, std::span<const FieldView> variables, const CgiSettings& settings,
              const ExchangeHandler& handler) {
    stream->setLimits({StreamLimits().highWater, settings.sendTimeout});
    RequestHead head;
    head.clear();
    const CgiVariableRules rules{settings.mount, true, false, settings.trustRemoteUser};
    if (const auto violation = readCgiVariables(variables, rules, settings.limits.head, head)) {
        Loop::current().log(LogLevel::warning, "refused a CGI request: " + std::string(violation->reason));
        const auto status = std::to_string(violation->status) + ' ' + std::string(reasonPhrase(violation->status));
        stream->write({"Status: ", status, "\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n", status, ": ",
                       violation->reason, "\n"});
        stream->flush();
        return false;
    }
    CgiExchange exchange(std::move(stream), variables, settings, head);
    try {
        handler(exchange);
    } catch (const Disconnected&) {
        return false;  // the gateway has gone
    }
    return exchange.isComplete();
}

}
