#pragma once
// A request over HTTP/1 and its reply. Lives on the fiber that serves it.

#include "postern/gateway/BodyClock.h"
#include "postern/gateway/HttpConnection.h"
#include "postern/protocol/Chunked.h"

namespace postern {

struct TlsPeer;

class HttpExchange final : public Exchange {
public:
    explicit HttpExchange(HttpConnection& connection);
    ~HttpExchange() override;

    const RequestHead& head() const override { return *connection_.head_; }
    NameValues environment() const override;
    void setBodyLimit(uint64_t bytes) override { bodyLimit_ = bytes; }
    std::string_view readBody() override;
    void sendHead(const ReplyHead& reply) override;
    void sendBody(std::string_view piece) override;
    void sendWhole(const ReplyHead& reply, std::string_view body) override;
    void flush() override;
    void finish() override;
    void abandon() override;
    UpgradeSupport canUpgrade() override;
    std::unique_ptr<ByteStream> upgrade(std::string_view fields) override;
    void log(LogLevel level, std::string_view line) override { connection_.gateway_.loop_.log(level, line); }

private:
    using FramingRoom = std::array<char, 80>;   // more than the longest takes

    ByteStream& stream() { return *connection_.stream_; }
    [[noreturn]] void bodyFailed(int status, const char* reason);
    void receiveBody();
    std::string_view readLength();
    std::string_view readChunk();
    bool discardBody();
    bool willCloseFor(const ReplyHead& reply) const;
    void begin(const ReplyHead& reply);
    std::string_view writeFraming(const ReplyHead& reply, FramingRoom& room) const;

    HttpConnection& connection_;
    ChunkedDecoder chunks_;
    BodyClock clock_;
    uint64_t bodyLimit_;
    uint64_t bodyLeft_ = 0;      // for a body of known length
    size_t lent_ = 0;            // of the stream's bytes, until the next readBody()
    bool bodyDone_;
    bool bodyStarted_ = false;
    bool headSent_ = false;
    bool finished_ = false;
    bool chunkedReply_ = false;
    bool untilClose_ = false;    // the reply ends with the connection
    bool noBody_ = false;
    uint64_t replyLeft_ = 0;     // for a reply of known length
    int status_ = 0;
    uint64_t bodySent_ = 0;
    std::shared_ptr<const TlsPeer> tlsPeer_;   // none unless clients are asked for certificates
    TimePoint start_;
};

}
