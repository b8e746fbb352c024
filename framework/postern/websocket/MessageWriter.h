#pragma once

#include "postern/base/Bytes.h"
#include "postern/protocol/Frame.h"

#include <string>
#include <string_view>

namespace postern {

class WebSocketCore;

/// An outgoing message as a stream, from WebSocket::sendStream(): one frame for each flush() and whenever
/// WebSocketOptions::fragmentSize bytes (16 KiB if that is 0) have come together. Text must be UTF-8 as a whole.
/// Used by one fiber; keeps its socket open. Destroyed by an exception before finish() it closes the socket with 1011, if
/// a part of the message was sent; otherwise it finishes.
/// All calls throw WebSocketClosed once the socket is closed, Disconnected, Cancelled.
class MessageWriter {
public:
    MessageWriter(MessageWriter&& other) noexcept;
    MessageWriter& operator=(MessageWriter&&) = delete;
    ~MessageWriter();

    /// Adds to the message; waits while the peer takes too little.
    void write(std::string_view text);
    void write(ByteView bytes) { write(asText(bytes)); }
    /// Sends what was written so far as a fragment, for a peer that reads the message as it comes.
    void flush();
    /// The end of the message. Idempotent.
    void finish();

private:
    friend class WebSocket;
    MessageWriter(WebSocketCore& core, WebSocketOpcode kind, bool compress);
    void sendFrames(bool last);
    void sendFrame(std::string_view payload, bool last);
    void end() noexcept;

    WebSocketCore* core_;
    WebSocketOpcode next_;     // opcode of the next frame: continuation after the first
    bool compress_;
    bool finished_ = false;
    int exceptions_;
    size_t fragmentSize_;
    std::string waiting_;      // compressed already, if it is to be
};

}
