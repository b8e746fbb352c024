#include "postern/gateway/HttpExchange.h"

#include "postern/base/Errors.h"
#include "postern/io/TlsStream.h"
#include "postern/protocol/CgiEnvironment.h"

#include <cassert>
#include <cerrno>

namespace postern {

namespace {

// A body nobody wanted is read to its end if that is cheaper than a new connection.
constexpr uint64_t worthReading = 256 * 1024;

}

HttpExchange::HttpExchange(HttpConnection& connection)
    : connection_(connection),
      clock_(connection.gateway_.settings_.limits, connection.gateway_.loop_.now()),
      bodyLimit_(connection.gateway_.settings_.limits.bodyBytes),
      bodyLeft_(head().contentLength),
      bodyDone_(head().framing == BodyFraming::none),
      start_(connection.gateway_.loop_.now()) {
    if (!head().keepAlive) connection_.closeAfter_ = true;
    if (!connection_.gateway_.settings_.tls) return;
    if (const auto* tls = dynamic_cast<const TlsStream*>(connection_.stream_.get())) tlsPeer_ = tls->peer();
}

HttpExchange::~HttpExchange() {
    const auto& access = connection_.gateway_.settings_.access;
    if (access && status_ != 0) access({head(), status_, bodySent_, connection_.gateway_.loop_.poller().now() - start_});
}

NameValues HttpExchange::environment() const {
    auto variables = writeCgiVariables(head());
    if (!tlsPeer_) return variables;
    variables.add("SSL_CLIENT_VERIFY", tlsPeer_->verified ? "SUCCESS" : "NONE");
    if (tlsPeer_->verified) variables.add("SSL_CLIENT_S_DN", tlsPeer_->subject);
    return variables;
}

// The reply says what was wrong, and the connection ends with it: where the next request begins is anybody's guess.
void HttpExchange::bodyFailed(int status, const char* reason) {
    bodyDone_ = true;
    connection_.closeAfter_ = true;
    throw HttpError(status, reason);
}

std::string_view HttpExchange::readBody() {
    if (connection_.stream_ && lent_ > 0) stream().consume(std::exchange(lent_, 0));
    if (bodyDone_) return {};
    if (head().framing == BodyFraming::length && head().contentLength > bodyLimit_)
        bodyFailed(413, "the request body is larger than allowed");
    if (!std::exchange(bodyStarted_, true) && head().expectContinue && stream().unread().empty())
        stream().write("HTTP/1.1 100 Continue\r\n\r\n");
    const auto piece = head().framing == BodyFraming::length ? readLength() : readChunk();
    lent_ = piece.size();
    clock_.received(piece.size());
    if (clock_.receivedBytes() > bodyLimit_) bodyFailed(413, "the request body is larger than allowed");
    return piece;
}

void HttpExchange::receiveBody() {
    try {
        if (stream().receive(clock_.deadline(connection_.gateway_.loop_.now()))) return;
    } catch (const TimedOut&) {
        bodyFailed(408, "the request body came too slowly");
    }
    bodyFailed(400, "the request body ends early");
}

std::string_view HttpExchange::readLength() {
    if (bodyLeft_ == 0) {
        bodyDone_ = true;
        return {};
    }
    while (stream().unread().empty()) receiveBody();
    const auto piece = stream().unreadText().substr(0, bodyLeft_);
    bodyLeft_ -= piece.size();
    return piece;
}

std::string_view HttpExchange::readChunk() {
    for (;;) {
        const auto bytes = stream().unreadText();
        const auto found = chunks_.next(bytes);
        if (const auto* violation = std::get_if<Violation>(&found)) bodyFailed(violation->status, violation->reason);
        if (const auto* piece = std::get_if<ChunkedDecoder::Piece>(&found)) {
            bodyDone_ = piece->done;
            stream().consume(piece->consumed - piece->data.size());
            return stream().unreadText().substr(0, piece->data.size());
        }
        stream().consume(bytes.size());
        receiveBody();
    }
}

// After which replies nothing more can be read from this client.
bool HttpExchange::willCloseFor(const ReplyHead& reply) const {
    if (reply.hasBody && !reply.contentLength && head().minorVersion == 0) return true;
    if (bodyDone_) return false;
    // A client that waits for 100 has not decided yet whether to send its body.
    return (head().expectContinue && !bodyStarted_) || bodyLeft_ > worthReading;
}

void HttpExchange::sendHead(const ReplyHead& reply) {
    begin(reply);
    FramingRoom room;
    const auto start = connection_.gateway_.statusAndDate(reply.status, reply.reason);
    stream().queue({start, reply.fields, writeFraming(reply, room)});
}

void HttpExchange::sendWhole(const ReplyHead& reply, std::string_view body) {
    if (!reply.hasBody || body.empty()) return sendHead(reply);
    // What is large is sent from where it is, and the status line is everybody's.
    if (reply.reason.size() + reply.fields.size() >= ByteStream::largePiece) return Exchange::sendWhole(reply, body);
    assert(reply.contentLength == body.size());
    begin(reply);
    FramingRoom room;
    const auto start = connection_.gateway_.statusAndDate(reply.status, reply.reason);
    stream().write({start, reply.fields, writeFraming(reply, room), body});
    bodySent_ = body.size();
    replyLeft_ = 0;
}

void HttpExchange::begin(const ReplyHead& reply) {
    assert(!headSent_ && !finished_);
    stream().waitForRoom();  // from here on nothing waits: the status line is everybody's
    if (connection_.gateway_.loop_.isDraining() || willCloseFor(reply)) connection_.closeAfter_ = true;
    headSent_ = true;
    status_ = reply.status;
    noBody_ = !reply.hasBody;
    chunkedReply_ = reply.hasBody && !reply.contentLength && head().minorVersion > 0;
    untilClose_ = reply.hasBody && !reply.contentLength && head().minorVersion == 0;
    replyLeft_ = reply.contentLength.value_or(0);
}

// The last lines of the head, and the empty one.
std::string_view HttpExchange::writeFraming(const ReplyHead& reply, FramingRoom& room) const {
    auto* end = room.data();
    const auto add = [&](std::string_view text) { end = std::copy(text.begin(), text.end(), end); };
    if (chunkedReply_) {
        add("Transfer-Encoding: chunked\r\n");
    } else if (reply.contentLength && reply.status != 204 && reply.status >= 200) {
        add("Content-Length: ");
        end = std::to_chars(end, room.data() + room.size(), *reply.contentLength).ptr;
        add("\r\n");
    }
    if (connection_.closeAfter_) add("Connection: close\r\n");
    else if (head().minorVersion == 0) add("Connection: keep-alive\r\n");
    add("\r\n");
    return {room.data(), static_cast<size_t>(end - room.data())};
}

void HttpExchange::sendBody(std::string_view piece) {
    assert(headSent_ && !finished_);
    if (noBody_ || piece.empty()) return;
    bodySent_ += piece.size();
    if (chunkedReply_) {
        std::array<char, 20> line;
        const auto size = writeChunkHead(piece.size(), line);
        return stream().write({{line.data(), size}, piece, "\r\n"});
    }
    assert(untilClose_ || piece.size() <= replyLeft_);
    stream().write(piece);
    if (!untilClose_) replyLeft_ -= piece.size();
}

void HttpExchange::flush() {
    if (connection_.stream_) stream().flush();
}

void HttpExchange::finish() {
    if (std::exchange(finished_, true) || !connection_.stream_) return;
    assert(headSent_);
    if (chunkedReply_) stream().write(lastChunk);
    if (!noBody_ && replyLeft_ > 0) connection_.closeAfter_ = true;
    if (!connection_.closeAfter_ && !bodyDone_ && !discardBody()) connection_.closeAfter_ = true;
    if (lent_ > 0) stream().consume(std::exchange(lent_, 0));
}

bool HttpExchange::discardBody() {
    if (head().expectContinue && !bodyStarted_) return false;
    bodyStarted_ = true;
    bodyLimit_ = std::min(bodyLimit_, clock_.receivedBytes() + worthReading);
    try {
        while (!readBody().empty()) continue;
        return true;
    } catch (const HttpError&) {
        return false;
    }
}

void HttpExchange::abandon() {
    if (std::exchange(finished_, true) || !connection_.stream_) return;
    connection_.closeAfter_ = true;
    if (lent_ > 0) stream().consume(std::exchange(lent_, 0));
    // Without a length or chunks only a reset tells the client that this was not all.
    if (untilClose_) stream().breakOff(ECONNABORTED);
}

UpgradeSupport HttpExchange::canUpgrade() {
    if (connection_.gateway_.settings_.websocket) return {};
    return {false, "WebSockets over this way in are switched off (--websocket-over no)"};
}

std::unique_ptr<ByteStream> HttpExchange::upgrade(std::string_view fields) {
    assert(!headSent_);
    stream().waitForRoom();
    // It may fail, and another reply can still be sent then.
    stream().queue({"HTTP/1.1 101 Switching Protocols\r\n", fields, "\r\n"});
    headSent_ = finished_ = true;
    status_ = 101;
    stream().hold(*connection_.gateway_.count_);
    return std::move(connection_.stream_);
}

}
