#include "postern/websocket/MessageReader.h"

#include "postern/websocket/WebSocketCore.h"

#include <algorithm>

namespace postern {

MessageReader::MessageReader(WebSocketCore& core, WebSocketOpcode kind) : core_(&core), kind_(kind), last_(false) {
    core.addHandle();
}

MessageReader::MessageReader(MessageReader&& other) noexcept { *this = std::move(other); }

MessageReader& MessageReader::operator=(MessageReader&& other) noexcept {
    if (this == &other) return *this;
    letGo();
    core_ = std::exchange(other.core_, nullptr);
    kind_ = std::exchange(other.kind_, WebSocketOpcode::close);
    piece_ = std::exchange(other.piece_, {});
    taken_ = std::exchange(other.taken_, 0);
    last_ = std::exchange(other.last_, true);
    return *this;
}

MessageReader::~MessageReader() { letGo(); }

void MessageReader::letGo() noexcept {
    if (!core_) return;
    skip();
    std::exchange(core_, nullptr)->release(CloseCode::normal);
}

void MessageReader::skip() noexcept {
    if (!std::exchange(last_, true)) core_->skipRest();
    taken_ = piece_.size();
}

// False: the message is at its end.
bool MessageReader::fill(Deadline deadline) {
    while (taken_ == piece_.size()) {
        if (last_) return false;
        bool last = false;
        try {
            piece_ = core_->readPiece(deadline, last);
        } catch (const Disconnected&) {
            skip();
            throw;
        }
        last_ = last;
        taken_ = 0;
    }
    return true;
}

std::string_view MessageReader::readSome(Deadline deadline) {
    if (!fill(deadline)) return {};
    return std::string_view(piece_).substr(std::exchange(taken_, piece_.size()));
}

size_t MessageReader::read(std::span<char> bytes, Deadline deadline) {
    size_t done = 0;
    while (done < bytes.size() && fill(deadline)) {
        const auto size = std::min(bytes.size() - done, piece_.size() - taken_);
        std::copy_n(piece_.begin() + static_cast<ptrdiff_t>(taken_), size, bytes.begin() + static_cast<ptrdiff_t>(done));
        taken_ += size;
        done += size;
    }
    return done;
}

size_t MessageReader::read(std::span<std::byte> bytes, Deadline deadline) {
    return read(std::span(reinterpret_cast<char*>(bytes.data()), bytes.size()), deadline);
}

}
