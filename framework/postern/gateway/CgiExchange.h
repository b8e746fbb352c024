#pragma once
// A request described by CGI variables, and its reply, over the stream that carries both: one for the whole CGI family.

#include "postern/gateway/BodyClock.h"
#include "postern/protocol/CgiEnvironment.h"

#include <memory>
#include <optional>
#include <span>
#include <string>

namespace postern {

enum class CgiProtocol { cgi, fastCgi, scgi, uwsgi };

/// "CGI", "FastCGI", "SCGI", "uwsgi".
std::string_view nameOf(CgiProtocol protocol);

/// Does the gateway in front carry a WebSocket? `find out` looks at what it shows of itself.
enum class WebsocketOver { findOut, yes, no };

struct CgiSettings {
    RequestLimits limits;
    std::string mount;                  ///< path prefix; empty: for classic CGI that is SCRIPT_NAME
    bool trustRemoteUser = false;
    WebsocketOver websocket = WebsocketOver::findOut;
    Duration upgradeTimeout = std::chrono::seconds(10);  ///< for a client's first byte, where only that shows that it can
    Duration sendTimeout = std::chrono::seconds(30);
    AccessFunction access;
};

class CgiExchange final : public Exchange {
public:
    /// What the variables mean. `head` keeps copies.
    static std::optional<Violation> readHead(CgiProtocol protocol, std::span<const FieldView> variables,
                                             const CgiSettings& settings, RequestHead& head);

    /// Variables, settings and head outlive the exchange. `upgraded`, if any, is told of the stream that is handed over.
    CgiExchange(CgiProtocol protocol, std::unique_ptr<ByteStream> stream, std::span<const FieldView> variables,
                const CgiSettings& settings, const RequestHead& head, void (*upgraded)(ByteStream&) = nullptr);
    ~CgiExchange() override;

    const RequestHead& head() const override { return head_; }
    NameValues environment() const override;
    void setBodyLimit(uint64_t bytes) override { bodyLimit_ = bytes; }
    std::string_view readBody() override;
    void sendHead(const ReplyHead& reply) override;
    void sendBody(std::string_view piece) override;
    void flush() override;
    void finish() override;
    void abandon() override;
    UpgradeSupport canUpgrade() override;
    std::unique_ptr<ByteStream> upgrade(std::string_view fields) override;
    void log(LogLevel level, std::string_view line) override { Loop::current().log(level, line); }

    /// The reply went out whole, or the request became a WebSocket.
    bool isComplete() const { return complete_; }
    /// Nothing of the body is left that the gateway might still send.
    bool isInputRead() const { return bodyDone_ || (head_.framing == BodyFraming::length && bodyLeft_ == 0); }
    /// The stream, unless it was handed over.
    std::unique_ptr<ByteStream> takeStream() { return std::move(stream_); }

    /// Answers a request that cannot be served, on a stream or a queue of it.
    static std::string refusal(CgiProtocol protocol, const Violation& violation);

private:
    std::string_view endOfBody();
    [[noreturn]] void bodyFailed(int status, const char* reason);
    [[noreturn]] void bodyTooLarge() { bodyFailed(413, "the request body is larger than allowed"); }
    bool receiveBody();
    UpgradeSupport findOutSupport();

    const CgiProtocol protocol_;
    std::unique_ptr<ByteStream> stream_;
    std::span<const FieldView> variables_;
    const CgiSettings& settings_;
    const RequestHead& head_;
    void (*upgraded_)(ByteStream&);
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
