#include "postern/websocket/MessageWriter.h"

#include "postern/websocket/WebSocketCore.h"

#include <exception>
#include <stdexcept>

namespace postern {

namespace {

constexpr size_t defaultFragment = 16 * 1024;

}

MessageWriter::MessageWriter(WebSocketCore& core, WebSocketOpcode kind, bool compress)
    : core_(&core),
      next_(kind),
      compress_(compress && core.deflate()),
      exceptions_(std::uncaught_exceptions()),
      fragmentSize_(core.fragmentSize() ? core.fragmentSize() : defaultFragment) {
    if (kind != WebSocketOpcode::text && kind != WebSocketOpcode::binary)
        throw std::invalid_argument("a message is text or binary");
    core.beginMessage();
    core.addHandle();
}

MessageWriter::MessageWriter(MessageWriter&& other) noexcept
    : core_(std::exchange(other.core_, nullptr)),
      next_(other.next_),
      compress_(other.compress_),
      finished_(other.finished_),
      exceptions_(std::uncaught_exceptions()),
      fragmentSize_(other.fragmentSize_),
      waiting_(std::move(other.waiting_)) {}

MessageWriter::~MessageWriter() {
    if (!core_) return;
    if (!finished_) end();
    core_->release(CloseCode::normal);
}

// A message that is not complete must not look as if it were.
void MessageWriter::end() noexcept {
    try {
        if (std::uncaught_exceptions() <= exceptions_) return finish();
        if (next_ == WebSocketOpcode::continuation) core_->startClose(static_cast<uint16_t>(CloseCode::internalError), {});
        else if (compress_ && core_->deflate()) core_->deflate()->forget();
    } catch (...) {
        // Closed already, or no memory to say more.
        if (next_ == WebSocketOpcode::continuation && core_->isOpen()) core_->abort();
    }
    if (!finished_) core_->endMessage();
}

void MessageWriter::write(std::string_view text) {
    if (finished_) throw std::logic_error("the message is finished");
    if (compress_) {
        if (core_->deflate()) core_->deflate()->compress(text, PerMessageDeflate::Piece::more, waiting_);
        return sendFrames(false);
    }
    // What fills frames is not copied.
    while (!text.empty()) {
        if (waiting_.empty() && text.size() >= fragmentSize_) {
            sendFrame(text.substr(0, fragmentSize_), false);
            text.remove_prefix(fragmentSize_);
            continue;
        }
        const auto piece = text.substr(0, fragmentSize_ - waiting_.size());
        waiting_.append(piece);
        text.remove_prefix(piece.size());
        sendFrames(false);
    }
}

void MessageWriter::flush() {
    if (finished_) throw std::logic_error("the message is finished");
    if (compress_ && core_->deflate()) core_->deflate()->compress({}, PerMessageDeflate::Piece::flush, waiting_);
    sendFrames(false);
    if (!waiting_.empty()) sendFrame(std::exchange(waiting_, {}), false);
}

void MessageWriter::finish() {
    if (finished_) return;
    if (compress_ && core_->deflate()) core_->deflate()->compress({}, PerMessageDeflate::Piece::last, waiting_);
    sendFrames(true);
    finished_ = true;
    core_->endMessage();
}

// Sends what makes whole frames, or all of it.
void MessageWriter::sendFrames(bool last) {
    std::string_view rest = waiting_;
    while (rest.size() > fragmentSize_ || (rest.size() == fragmentSize_ && !last)) {
        sendFrame(rest.substr(0, fragmentSize_), false);
        rest.remove_prefix(fragmentSize_);
    }
    if (last) sendFrame(rest, true);
    waiting_.erase(0, last ? waiting_.size() : waiting_.size() - rest.size());
}

void MessageWriter::sendFrame(std::string_view payload, bool last) {
    const bool compressed = compress_ && next_ != WebSocketOpcode::continuation;
    try {
        core_->sendFragment({std::exchange(next_, WebSocketOpcode::continuation), compressed, last}, payload);
    } catch (const Cancelled&) {
        // A part is missing: nothing makes the message whole.
        core_->startClose(static_cast<uint16_t>(CloseCode::internalError), {});
        throw;
    }
}

}
