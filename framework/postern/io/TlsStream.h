#pragma once
// TLS (RFC 8446, RFC 5246) as a stream of bytes, over the stream that carries it.
//
//     handshaking ──▶ open ──close_notify, end of the wire──▶ as ByteStream says
//          └──▶ refused: the reason is on its way to the peer; what he still sends is dropped until he ends
//
// An end of the wire without close_notify breaks the stream (ECONNRESET): what came may not be all. What was written
// before is sent nevertheless.

#include "postern/io/ByteStream.h"
#include "postern/io/TlsContext.h"

#include <memory>
#include <string>
#include <string_view>

struct x509_store_ctx_st;

namespace postern {

/// Who is at the other end, as his certificate says; nothing of that if he has none.
struct TlsPeer {
    bool verified = false;
    std::string subject;   ///< as in RFC 2253: "CN=ann,O=Example"
};

class TlsStream final : public ByteStream {
public:
    /// The server's end. The handshake runs by itself as bytes come, on no fiber; if it is not done within
    /// `handshakeTimeout` the stream breaks. A handshake that fails says why in one line of the log, where `peer` names the
    /// client. Who speaks HTTP is told by HTTP that this is the wrong port.
    static std::unique_ptr<ByteStream> accept(std::unique_ptr<ByteStream> wire, std::shared_ptr<const TlsServerContext> context,
                                              Duration handshakeTimeout, std::string peer = {});

    /// The client's end: waits for the handshake. `host` is a name or a numeric address. Throws TlsError, Disconnected,
    /// TimedOut, Cancelled.
    static std::unique_ptr<ByteStream> connect(std::unique_ptr<ByteStream> wire, const std::string& host,
                                               const TlsClientOptions& options, Deadline deadline);
    /// The same for many connections: the files are not read again for each.
    static std::unique_ptr<ByteStream> connect(std::unique_ptr<ByteStream> wire, const std::string& host,
                                               const TlsClientContext& context, Deadline deadline);

    ~TlsStream() override;

    /// Of a client, once his handshake is done, if the context asks for certificates; otherwise none.
    const std::shared_ptr<const TlsPeer>& peer() const { return peer_; }

    /// What was against the handshake or broke the stream after it, in the words of whoever of the two complained. Servers of
    /// TLS 1.3 judge a client's certificate when his handshake is done. Empty: nothing of TLS.
    const std::string& complaint() const { return verdict_; }

    /// Also of the wire, which is where a peer that takes nothing is noticed.
    void setLimits(const StreamLimits& limits) override;
    void flush(Deadline deadline = Deadline::never()) override;

protected:
    bool submitReceive(Operation& operation) override;
    void cancelReceive(Operation& operation) override;
    bool submitSend(Operation& operation) override;
    void cancelSend(Operation& operation) override;
    void shutdownSend() override;
    bool isShutDown() const override { return wire_->isSendingFinished() || wire_->broken(); }
    bool hasArrived() const override;

private:
    enum class State : uint8_t { handshaking, open, refused };
    struct Bio;   // OpenSSL's way to the wire
    friend struct Bio;

    explicit TlsStream(std::unique_ptr<ByteStream> wire);
    void use(ssl_st* connection);
    void connectNow(Deadline deadline);
    bool handshake();
    bool isPlainHttp() const;
    bool hasSpoken() const;
    void opened();
    void refuse(const std::string& why);
    void logFailure(const std::string& why);
    void dropArrived();
    void timeIsUp();
    bool tryReceive(Operation& operation);
    size_t decrypt(std::span<char> room);
    bool hasRecord() const;
    bool awaitBytes();
    void arrived();
    bool handOver(Operation& operation);
    void awaitWire(Operation& operation);
    void wireSent();
    static int noteVerdict(int good, x509_store_ctx_st* store);

    std::unique_ptr<ByteStream> wire_;
    ssl_st* ssl_ = nullptr;
    std::shared_ptr<const TlsServerContext> context_;  // of a server: its certificates are chosen from
    std::shared_ptr<const TlsPeer> peer_;
    Operation* receiving_ = nullptr;
    Operation* sending_ = nullptr;
    Timer deadline_;                // of a server's handshake
    std::string peerName_;
    std::string verdict_;           // on a certificate that was refused, or what broke the stream
    size_t recordLeft_ = 0;         // of the record that OpenSSL reads
    size_t dropped_ = 0;
    int failure_ = 0;               // errno for the next receive
    State state_ = State::handshaking;
    bool handedOver_ = false;       // the wire has the bytes of sending_, not yet the kernel
    bool heard_ = false;            // OpenSSL has got something to read
    bool noRecords_ = false;        // what comes is not TLS: all of it is for OpenSSL to refuse
    bool peerFinished_ = false;     // he said close_notify
    bool cutShort_ = false;         // the wire ended without it
};

}
