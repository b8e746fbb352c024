#include "postern/io/TlsStream.h"

#include "postern/fiber/Blocking.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <new>

namespace postern {

namespace {

constexpr size_t recordHead = 5;
constexpr size_t maxRecord = 16 * 1024 + 2048;   // of TLS 1.2, which adds the most
// What a peer may still send after his handshake was refused, and how long, so that he can read why.
constexpr size_t maxDropped = 1024 * 1024;
constexpr auto refusalTimeout = std::chrono::seconds(2);
// Beyond what is queued for a peer who makes us answer him (each new handshake he begins is declined) and takes none of it.
constexpr size_t maxAnswers = 256 * 1024;

constexpr std::string_view plainHttpReply =
    "HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\nContent-Length: 57\r\n\r\n"
    "400 Bad Request: this port speaks https, you speak http.\n";

bool beginsNoRecord(std::string_view bytes) {
    if (bytes.empty()) return false;
    const auto type = static_cast<unsigned char>(bytes.front());
    return type < SSL3_RT_CHANGE_CIPHER_SPEC || type > SSL3_RT_APPLICATION_DATA;
}

// Bytes of the record that begins here: 0 as long as it is not complete. What is no record is for OpenSSL to refuse.
size_t recordIn(std::string_view bytes) {
    if (bytes.empty()) return 0;
    const auto byte = [&](size_t at) { return static_cast<unsigned char>(bytes[at]); };
    if (beginsNoRecord(bytes)) return bytes.size();
    if (bytes.size() < recordHead) return 0;
    const size_t size = recordHead + (size_t{byte(3)} << 8 | byte(4));
    if (size > recordHead + maxRecord) return bytes.size();
    return bytes.size() >= size ? size : 0;
}

std::string textOf(const X509_NAME* name) {
    std::unique_ptr<BIO, decltype(&BIO_free)> out(BIO_new(BIO_s_mem()), BIO_free);
    if (!out) throw std::bad_alloc();
    X509_NAME_print_ex(out.get(), name, 0, XN_FLAG_RFC2253);
    char* text = nullptr;
    const auto size = BIO_get_mem_data(out.get(), &text);
    return {text, static_cast<size_t>(size)};
}

std::string textOf(const ASN1_TIME* time) {
    std::tm parts{};
    char text[32] = "";
    if (ASN1_TIME_to_tm(time, &parts) == 1) std::strftime(text, sizeof text, "%Y-%m-%d %H:%M:%S UTC", &parts);
    return text;
}

std::string addressOf(const ASN1_OCTET_STRING& bytes) {
    const auto* data = ASN1_STRING_get0_data(&bytes);
    const auto size = static_cast<size_t>(ASN1_STRING_length(&bytes));
    std::string text;
    char piece[8];
    if (size != 4 && size != 16) return "no address";
    for (size_t i = 0; i < size; i += size == 4 ? 1 : 2) {
        if (size == 4) std::snprintf(piece, sizeof piece, "%u", data[i]);
        else std::snprintf(piece, sizeof piece, "%x", static_cast<unsigned>(data[i] << 8 | data[i + 1]));
        text += (i == 0 ? "" : size == 4 ? "." : ":") + std::string(piece);
    }
    return text;
}

// Whom a certificate is for: "a.example, *.b.example".
std::string namesIn(const X509* certificate) {
    std::string names;
    const auto add = [&](const std::string& name) { names += (names.empty() ? "" : ", ") + name; };
    std::unique_ptr<GENERAL_NAMES, decltype(&GENERAL_NAMES_free)> all(
        static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)), GENERAL_NAMES_free);
    for (int i = 0; all && i < sk_GENERAL_NAME_num(all.get()); ++i) {
        const auto* name = sk_GENERAL_NAME_value(all.get(), i);
        if (name->type == GEN_DNS)
            add({reinterpret_cast<const char*>(ASN1_STRING_get0_data(name->d.dNSName)),
                 static_cast<size_t>(ASN1_STRING_length(name->d.dNSName))});
        else if (name->type == GEN_IPADD)
            add(addressOf(*name->d.iPAddress));
    }
    return names.empty() ? textOf(X509_get_subject_name(certificate)) : names;
}

std::string describe(int error, const X509* certificate) {
    std::string text = std::string("certificate verify failed: ") + X509_verify_cert_error_string(error);
    if (!certificate) return text;
    if (error == X509_V_ERR_HOSTNAME_MISMATCH || error == X509_V_ERR_IP_ADDRESS_MISMATCH)
        return text + ": the certificate is for " + namesIn(certificate);
    if (error == X509_V_ERR_CERT_HAS_EXPIRED) return text + ": on " + textOf(X509_get0_notAfter(certificate));
    if (error == X509_V_ERR_CERT_NOT_YET_VALID) return text + ": before " + textOf(X509_get0_notBefore(certificate));
    if (error == X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY)
        return text + ": nobody we trust is " + textOf(X509_get_issuer_name(certificate));
    return text;
}

}

// Whole records only, so that a slow peer costs what he has sent, in the wire's memory, and no buffer of OpenSSL's.
struct TlsStream::Bio {
    static TlsStream& owner(BIO* bio) { return *static_cast<TlsStream*>(BIO_get_data(bio)); }

    static int read(BIO* bio, char* to, int size) {
        auto& stream = owner(bio);
        BIO_clear_retry_flags(bio);
        const auto bytes = stream.wire_->unreadText();
        if (stream.recordLeft_ == 0) {
            stream.recordLeft_ = stream.noRecords_ ? bytes.size() : recordIn(bytes);
            stream.noRecords_ = stream.noRecords_ || beginsNoRecord(bytes);
        }
        const auto count = std::min(stream.recordLeft_, static_cast<size_t>(std::max(size, 0)));
        if (count == 0) {
            BIO_set_retry_read(bio);
            return -1;
        }
        std::memcpy(to, bytes.data(), count);
        stream.wire_->consume(count);
        stream.heard_ = true;
        stream.recordLeft_ -= count;
        return static_cast<int>(count);
    }

    static int write(BIO* bio, const char* from, int size) {
        auto& wire = *owner(bio).wire_;
        BIO_clear_retry_flags(bio);
        if (wire.broken() || wire.queuedBytes() > 2 * wire.limits().highWater + maxAnswers) return -1;
        try {
            wire.queue({std::string_view(from, static_cast<size_t>(std::max(size, 0)))});
        } catch (const std::bad_alloc&) {
            return -1;
        }
        return size;
    }

    static long control(BIO*, int command, long, void*) { return command == BIO_CTRL_FLUSH ? 1 : 0; }

    static BIO* make(TlsStream& stream) {
        static BIO_METHOD* const method = [] {
            auto* made = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "postern");
            if (!made) throw std::bad_alloc();
            BIO_meth_set_read(made, read);
            BIO_meth_set_write(made, write);
            BIO_meth_set_ctrl(made, control);
            return made;
        }();
        auto* bio = BIO_new(method);
        if (!bio) throw std::bad_alloc();
        BIO_set_data(bio, &stream);
        BIO_set_init(bio, 1);
        return bio;
    }
};

TlsStream::TlsStream(std::unique_ptr<ByteStream> wire)
    : ByteStream(wire->loop()),
      wire_(std::move(wire)),
      deadline_(wire_->loop().timers(), [](Timer& timer) { static_cast<TlsStream*>(timer.owner())->timeIsUp(); }, this) {
    setLimits(wire_->limits());
}

TlsStream::~TlsStream() {
    cancelAll();
    const bool politely = state_ == State::refused || cutShort_;
    if (!politely && (broken() || queuedBytes() > 0)) wire_->breakOff(broken() ? error() : ECONNABORTED);
    SSL_free(ssl_);
}

void TlsStream::use(ssl_st* connection) {
    ssl_ = connection;
    auto* bio = Bio::make(*this);
    SSL_set_bio(ssl_, bio, bio);
    SSL_set_app_data(ssl_, this);
    if (SSL_get_verify_mode(ssl_) != SSL_VERIFY_NONE) SSL_set_verify(ssl_, SSL_get_verify_mode(ssl_), noteVerdict);
}

std::unique_ptr<ByteStream> TlsStream::accept(std::unique_ptr<ByteStream> wire, std::shared_ptr<const TlsServerContext> context,
                                              Duration handshakeTimeout, std::string peer) {
    std::unique_ptr<TlsStream> stream(new TlsStream(std::move(wire)));
    stream->use(context->newConnection());
    stream->context_ = std::move(context);
    stream->peerName_ = std::move(peer);
    stream->deadline_.set(stream->loop().in(handshakeTimeout).at());
    stream->arrived();
    return stream;
}

std::unique_ptr<ByteStream> TlsStream::connect(std::unique_ptr<ByteStream> wire, const std::string& host,
                                               const TlsClientOptions& options, Deadline deadline) {
    const auto context = runBlockingUntil(deadline, [options] { return std::make_unique<TlsClientContext>(options); });
    return connect(std::move(wire), host, *context, deadline);
}

std::unique_ptr<ByteStream> TlsStream::connect(std::unique_ptr<ByteStream> wire, const std::string& host,
                                               const TlsClientContext& context, Deadline deadline) {
    std::unique_ptr<TlsStream> stream(new TlsStream(std::move(wire)));
    stream->use(context.newConnection(host));
    stream->connectNow(deadline);
    return stream;
}

void TlsStream::connectNow(Deadline deadline) {
    for (;;) {
        ERR_clear_error();
        const int result = SSL_do_handshake(ssl_);
        if (result == 1) return opened();
        if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) break;
        // OpenSSL takes whole records, so those that are not are waited for here.
        if (!wire_->receive(deadline)) throw Disconnected("the server closed the connection during the TLS handshake");
    }
    const auto complaint = takeTlsComplaint();
    const auto why = verdict_.empty() ? "TLS handshake failed: " + complaint : verdict_;
    state_ = State::refused;
    try {
        wire_->flush(std::min(deadline, loop().in(refusalTimeout)));  // he may want to know, too
    } catch (const Disconnected&) {
    } catch (const TimedOut&) {
    }
    throw TlsError(why);
}

int TlsStream::noteVerdict(int good, x509_store_ctx_st* store) {
    if (good) return good;
    auto* ssl = static_cast<SSL*>(X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx()));
    auto& stream = *static_cast<TlsStream*>(SSL_get_app_data(ssl));
    try {
        stream.verdict_ = describe(X509_STORE_CTX_get_error(store), X509_STORE_CTX_get_current_cert(store));
    } catch (const std::bad_alloc&) {
        // Then OpenSSL's own words must do.
    }
    return good;
}

// ── The server's handshake ──

bool TlsStream::isPlainHttp() const {
    const auto bytes = wire_->unreadText();
    return !bytes.empty() && bytes.front() >= 'A' && bytes.front() <= 'Z' && !heard_;
}

// Those who only look whether somebody listens, and browsers that connect in advance, are no news.
bool TlsStream::hasSpoken() const { return heard_ || !wire_->unread().empty(); }

// With what has arrived. True: it is done.
bool TlsStream::handshake() {
    switch (state_) {
    case State::open: return true;
    case State::refused: dropArrived(); return false;
    case State::handshaking: break;
    }
    if (isPlainHttp()) {
        wire_->queue({plainHttpReply});
        refuse("http request: the client speaks http to a port for https");
        return false;
    }
    ERR_clear_error();
    const int result = SSL_do_handshake(ssl_);
    if (result == 1) {
        opened();
        return true;
    }
    if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) {
        const auto complaint = takeTlsComplaint();
        refuse(verdict_.empty() ? complaint : verdict_);
    } else if (wire_->broken() || wire_->ended()) {
        if (hasSpoken()) refuse("the client closed the connection");
        else failure_ = ECONNABORTED;
    }
    return false;
}

void TlsStream::opened() {
    state_ = State::open;
    deadline_.remove();
    if (context_ && context_->asksForCertificates()) {
        const auto* certificate = SSL_get0_peer_certificate(ssl_);
        auto subject = certificate ? textOf(X509_get_subject_name(certificate)) : std::string();
        peer_ = std::make_shared<TlsPeer>(TlsPeer{certificate != nullptr, std::move(subject)});
    }
    context_.reset();
    std::string().swap(peerName_);
    if (!sending_) return;
    auto& operation = *sending_;
    cancelSend(operation);
    if (submitSend(operation)) operation.complete();
}

void TlsStream::refuse(const std::string& why) {
    state_ = State::refused;
    logFailure(why);
    wire_->finishSending();
    deadline_.set(std::min(deadline_.due(), loop().in(refusalTimeout).at()));
    dropArrived();
}

void TlsStream::dropArrived() {
    dropped_ += wire_->unread().size();
    wire_->consume(wire_->unread().size());
    const bool said = wire_->isSendingFinished();
    if (wire_->broken() || (wire_->ended() && said) || dropped_ > maxDropped) failure_ = ECONNABORTED;
    else if (wire_->ended()) wire_->onSent([](void* self) { static_cast<TlsStream*>(self)->arrived(); }, this);
}

void TlsStream::timeIsUp() {
    if (state_ == State::refused) return breakOff(ECONNABORTED);
    try {
        if (hasSpoken()) logFailure("not done in time");
    } catch (const std::bad_alloc&) {
        // It is cut all the same.
    }
    breakOff(ETIMEDOUT);
}

void TlsStream::logFailure(const std::string& why) {
    loop().log(LogLevel::info, "TLS handshake" + (peerName_.empty() ? "" : " with " + peerName_) + " failed: " + why);
}

// ── Receiving ──

bool TlsStream::hasRecord() const {
    return SSL_pending(ssl_) > 0 || recordLeft_ > 0 || recordIn(wire_->unreadText()) > 0;
}

// As many records as have arrived and find room.
size_t TlsStream::decrypt(std::span<char> room) {
    size_t total = 0;
    while (total < room.size() && failure_ == 0 && !peerFinished_) {
        size_t size = 0;
        ERR_clear_error();
        const int result = SSL_read_ex(ssl_, room.data() + total, room.size() - total, &size);
        if (result == 1) {
            total += size;
            continue;
        }
        const int error = SSL_get_error(ssl_, result);
        if (error == SSL_ERROR_WANT_READ) break;
        if (error == SSL_ERROR_ZERO_RETURN) {
            peerFinished_ = true;
        } else {
            failure_ = EPROTO;
            verdict_ = takeTlsComplaint();
            loop().log(LogLevel::info, "cut a TLS connection: " + verdict_);
        }
    }
    return total;
}

bool TlsStream::tryReceive(Operation& operation) {
    const auto complete = [&](int64_t result) {
        operation.result = result;
        return true;
    };
    if (handshake() && failure_ == 0 && hasRecord()) {
        const auto size = decrypt(operation.buffer->room());
        operation.buffer->grow(size);
        if (size > 0) return complete(static_cast<int64_t>(size));
    }
    if (failure_ != 0) return complete(-failure_);
    if (peerFinished_) return complete(0);
    if (wire_->broken()) return complete(-wire_->error());
    if (!wire_->ended() || state_ != State::open) return false;
    cutShort_ = true;
    if (queuedBytes() > 0) return false;  // breaking would drop it
    return complete(-ECONNRESET);
}

// True: there is something more to look at.
bool TlsStream::awaitBytes() {
    if (wire_->isReceiving() || wire_->ended() || wire_->broken()) return false;
    static constexpr StreamReceiver receiver{[](void* self) { static_cast<TlsStream*>(self)->arrived(); }};
    return wire_->startReceive(receiver, this);
}

bool TlsStream::submitReceive(Operation& operation) {
    try {
        do {
            if (tryReceive(operation)) return true;
        } while (awaitBytes());
    } catch (const std::bad_alloc&) {
        operation.result = -ENOMEM;
        return true;
    }
    operation.pending = true;
    receiving_ = &operation;
    return false;
}

// Without a receiver it is only the handshake that wants them.
void TlsStream::arrived() {
    if (receiving_) {
        auto& operation = *receiving_;
        operation.pending = false;
        receiving_ = nullptr;
        if (submitReceive(operation)) operation.complete();
        return;
    }
    try {
        do {
            if (handshake()) return;
            if (failure_ != 0) return breakOff(failure_);
            if (wire_->broken()) return breakOff(wire_->error());
        } while (awaitBytes());
    } catch (const std::bad_alloc&) {
        breakOff(ENOMEM);
    }
}

void TlsStream::cancelReceive(Operation& operation) {
    if (!operation.pending) return;
    operation.pending = false;
    receiving_ = nullptr;
    if (state_ == State::open) wire_->stopReceive();
}

bool TlsStream::hasArrived() const {
    if (state_ != State::open) return false;
    return hasRecord() || failure_ != 0 || peerFinished_ || wire_->canReceive();
}

// ── Sending ──

void TlsStream::setLimits(const StreamLimits& limits) {
    wire_->setLimits(limits);
    ByteStream::setLimits({limits.highWater, Duration::max()});
}

void TlsStream::flush(Deadline deadline) {
    ByteStream::flush(deadline);
    wire_->flush(deadline);
}

bool TlsStream::submitSend(Operation& operation) {
    if (wire_->broken() || state_ == State::refused) {
        operation.result = wire_->broken() ? -wire_->error() : -ECONNABORTED;
        return true;
    }
    if (state_ == State::handshaking) {
        operation.pending = true;
        sending_ = &operation;
        return false;
    }
    if (!wire_->isAboveHighWater()) return handOver(operation);
    awaitWire(operation);
    return false;
}

bool TlsStream::handOver(Operation& operation) {
    std::array<iovec, 16> pieces;
    const auto count = operation.gather(operation, pieces.data(), pieces.size());
    size_t moved = 0;
    for (size_t i = 0; i < count && moved < limits().highWater; ++i) {
        size_t size = std::min(pieces[i].iov_len, limits().highWater - moved);
        ERR_clear_error();
        if (SSL_write_ex(ssl_, pieces[i].iov_base, size, &size) != 1) {
            ERR_clear_error();
            operation.result = wire_->broken() ? -wire_->error() : -EPROTO;
            return true;
        }
        moved += size;
    }
    operation.result = static_cast<int64_t>(moved);
    handedOver_ = true;
    awaitWire(operation);
    return false;
}

// Until the kernel has it, as with a socket: who closes after that has lost nothing.
void TlsStream::awaitWire(Operation& operation) {
    operation.pending = true;
    sending_ = &operation;
    wire_->onSent([](void* self) { static_cast<TlsStream*>(self)->wireSent(); }, this);
}

void TlsStream::wireSent() {
    auto& operation = *sending_;
    const bool handedOver = handedOver_;
    cancelSend(operation);
    if (wire_->broken()) operation.result = -wire_->error();
    else if (!handedOver && !submitSend(operation)) return;
    operation.complete();
    if (cutShort_ && receiving_ && queuedBytes() == 0) arrived();
}

void TlsStream::cancelSend(Operation& operation) {
    if (!operation.pending) return;
    operation.pending = false;
    sending_ = nullptr;
    handedOver_ = false;
    wire_->onSent(nullptr, nullptr);
}

void TlsStream::shutdownSend() {
    if (wire_->broken()) return;
    if (state_ == State::open) {
        ERR_clear_error();
        SSL_shutdown(ssl_);  // close_notify
        ERR_clear_error();
    } else {
        state_ = State::refused;
    }
    wire_->finishSending();
    wire_->onSent([](void* self) { static_cast<TlsStream*>(self)->cork(); }, this);
}

}
