#include "postern/testing/TestLine.h"

#include <algorithm>
#include <utility>

namespace postern {

namespace {

constexpr HeadLimits replyLimits{1024 * 1024, 10'000, 8 * 1024};

[[noreturn]] void cannotRead(const char* why) { throw Disconnected(std::string("the reply breaks a rule of HTTP: ") + why); }

}

TestLine::TestLine(std::unique_ptr<ByteStream> stream) : stream_(std::move(stream)) {
    // The time-outs under test are the server's.
    stream_->setLimits({StreamLimits().highWater, std::chrono::hours(24 * 365)});
}

void TestLine::send(std::string_view method, std::string_view bytes) {
    busy_ = true;
    method_ = method;
    stream_->queue({bytes});
    // A server that does not want all of it answers and closes: the answer is to be in our hands before the line breaks.
    (void)stream_->startReceive(noReceiver, nullptr);
}

bool TestLine::receiveMore() {
    stream_->stopReceive();
    return stream_->receive();
}

void TestLine::receiveHead(TestReply& reply) {
    while (receiveInterim(reply)) continue;
}

// False: it was the final head.
bool TestLine::receiveInterim(TestReply& reply) {
    const auto text = receiveHeadText();
    ResponseHead head;
    if (const auto violation = parseResponseHead(text, method_, head)) cannotRead(violation->reason);
    if (head.status < 200 && head.status != 101) return true;
    reply.status = head.status;
    reply.reason = head.reason;
    for (const auto& field : head.fields) reply.headers.push_back({std::string(field.name), std::string(field.value)});
    framing_ = head.framing;
    left_ = head.contentLength;
    chunks_ = ChunkedDecoder();
    bodyEnded_ = false;
    keepAlive_ = head.keepAlive && head.status != 101;
    return false;
}

std::string TestLine::receiveHeadText() {
    HeadScanner scanner;
    for (;;) {
        const auto scanned = scanner.scan(stream_->unreadText(), replyLimits);
        if (const auto* violation = std::get_if<Violation>(&scanned)) cannotRead(violation->reason);
        if (const auto* size = std::get_if<size_t>(&scanned)) {
            std::string text(stream_->unreadText().substr(0, *size));
            stream_->consume(*size);
            return text;
        }
        if (!receiveMore()) throw Disconnected("the server closed the connection instead of answering");
    }
}

std::string TestLine::receivePiece() {
    std::string piece;
    if (!busy_) return piece;
    switch (bodyEnded_ ? BodyFraming::none : framing_) {
    case BodyFraming::none: break;
    case BodyFraming::length: piece = takeKnownLength(); break;
    case BodyFraming::chunked: piece = takeChunked(); break;
    case BodyFraming::untilEnd:
        if (stream_->unread().empty() && !receiveMore()) break;
        piece = stream_->unreadText();
        stream_->consume(piece.size());
        break;
    }
    if (piece.empty()) finish();
    return piece;
}

std::string TestLine::takeKnownLength() {
    if (left_ == 0) return {};
    if (stream_->unread().empty() && !receiveMore()) throw Disconnected("the reply is shorter than its Content-Length");
    std::string piece(stream_->unreadText().substr(0, left_));
    left_ -= piece.size();
    stream_->consume(piece.size());
    return piece;
}

// All that has come, and at least one byte.
std::string TestLine::takeChunked() {
    std::string all;
    for (;;) {
        const auto found = chunks_.next(stream_->unreadText());
        if (const auto* violation = std::get_if<Violation>(&found)) cannotRead(violation->reason);
        if (const auto* piece = std::get_if<ChunkedDecoder::Piece>(&found)) {
            all += piece->data;
            bodyEnded_ = piece->done;
            stream_->consume(piece->consumed);
            if (bodyEnded_) return all;
            continue;
        }
        stream_->consume(stream_->unread().size());
        if (!all.empty()) return all;
        if (!receiveMore()) throw Disconnected("the reply ends without its last chunk");
    }
}

void TestLine::finish() {
    busy_ = false;
    // What the server did not read of the request is in the way of the next one.
    if (!keepAlive_ || framing_ == BodyFraming::untilEnd || stream_->queuedBytes() > 0) cut();
}

}
