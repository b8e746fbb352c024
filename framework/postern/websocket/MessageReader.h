#pragma once

#include "postern/base/Bytes.h"
#include "postern/base/Time.h"
#include "postern/protocol/Frame.h"

#include <span>
#include <string>
#include <string_view>

namespace postern {

class WebSocketCore;

/// An incoming message as a stream, from WebSocket::recvStream(): it passes through in constant memory, however long.
/// Limits and UTF-8 hold as for whole messages; the pieces of a text may end within a character. Pings and pongs pass in
/// between. Used by one fiber; keeps its socket open. Destroyed before its end it skips the rest.
class MessageReader {
public:
    /// One without a message.
    MessageReader() = default;
    MessageReader(MessageReader&& other) noexcept;
    MessageReader& operator=(MessageReader&& other) noexcept;
    ~MessageReader();

    /// Is there a message?
    explicit operator bool() const { return kind_ != WebSocketOpcode::close; }
    bool isText() const { return kind_ == WebSocketOpcode::text; }
    bool isBinary() const { return kind_ == WebSocketOpcode::binary; }

    /// The next bytes, as many as are there; empty at the end of the message. Valid until the next call. Throws
    /// WebSocketClosed when the socket ended within the message, TimedOut (nothing is lost), Cancelled.
    std::string_view readSome(Deadline deadline = Deadline::never());
    /// Fills `bytes` unless the message ends before; returns how many it put there. Throws as readSome().
    size_t read(std::span<char> bytes, Deadline deadline = Deadline::never());
    size_t read(std::span<std::byte> bytes, Deadline deadline = Deadline::never());
    /// Was everything read?
    bool atEnd() const { return last_ && taken_ == piece_.size(); }
    /// Drops the rest of the message as it comes, without waiting for it.
    void skip() noexcept;

private:
    friend class WebSocket;
    MessageReader(WebSocketCore& core, WebSocketOpcode kind);
    bool fill(Deadline deadline);
    void letGo() noexcept;

    WebSocketCore* core_ = nullptr;
    WebSocketOpcode kind_ = WebSocketOpcode::close;
    std::string piece_;
    size_t taken_ = 0;   // of piece_
    bool last_ = true;   // nothing comes behind piece_
};

}
