#pragma once
// The reply of one request under construction: what was set, and how its bytes go out.

#include "postern/gateway/Exchange.h"
#include "postern/protocol/Deflate.h"

#include <optional>
#include <string>
#include <string_view>

namespace postern {

class Reply {
public:
    explicit Reply(Exchange& exchange);
    Reply(const Reply&) = delete;
    Reply& operator=(const Reply&) = delete;
    ~Reply();

    void setStatus(int status, std::string_view reason = {});
    void setContentType(std::string_view type);
    void addField(std::string_view name, std::string_view value);
    /// Empty: none is sent.
    void setCacheControl(std::string_view value);
    /// What a 426 says: what to upgrade to.
    void addUpgradeFields() { fields_ += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"; }
    void setGzip(bool allow) { gzipAllowed_ = allow; }

    void write(std::string_view data, bool isAll);
    void flush();
    void close();
    /// Forgets everything that was set, for a reply that reports a failure instead. Only before the first byte.
    void reset();
    bool hasBegun() const { return begun_; }
    bool isClosed() const { return closed_; }
    const std::string& fields() const { return fields_; }
    /// The connection is a WebSocket now: nothing more can be replied.
    void upgraded() { begun_ = closed_ = true; }

private:
    void mustNotHaveBegun() const;
    void writeWhole(std::string_view data);
    void writeCompressible(std::string_view data);
    void writeGzip(std::string_view data, GzipEncoder::Flush flush);
    ReplyHead begin(std::optional<uint64_t> length);
    std::string_view typeLine() const { return hasType_ ? std::string_view(typeLine_) : defaultTypeLine; }
    std::string_view contentType() const;
    bool bodyAllowed() const;
    bool mayCompress() const;

    static constexpr std::string_view defaultTypeLine = "Content-Type: text/html; charset=utf-8\r\n";

    Exchange& exchange_;
    int status_ = 200;
    std::string reason_;
    std::string typeLine_;           // empty: none is sent
    std::string fields_;             // the other lines
    std::string_view cacheControl_;  // one of a few literals
    std::optional<GzipEncoder> gzip_;
    bool hasType_ = false;
    bool gzipAllowed_ = true;
    bool encoded_ = false;  // by the handler
    bool begun_ = false, closed_ = false;
};

}
