#pragma once

#include "postern/base/Bytes.h"
#include "postern/fiber/Buffers.h"
#include "postern/protocol/Frame.h"

#include <string>
#include <string_view>
#include <utility>

namespace postern {

class WebSocketCore;

/// What recv() gives: a complete text or binary message, or the news that the socket is closed. True in a condition
/// unless it is the latter.
///
/// As recv() returned it, it may lend its bytes from the connection's memory. When the connection needs the memory
/// again, it is the message that keeps it; only moving the message copies. So it can be kept as long as one likes, and a
/// loop that is done with each message before the next copies nothing. Views of its bytes are valid until it is moved
/// or destroyed.
class Message {
public:
    /// A message of its own bytes.
    Message(WebSocketOpcode kind, std::string bytes) : opcode(kind), own_(std::move(bytes)), view_(own_) {}
    /// A close message.
    Message(uint16_t code, std::string reason) : Message(WebSocketOpcode::close, std::move(reason)) { closeCode_ = code; }
    Message(Message&& other);
    Message& operator=(Message&& other);
    ~Message();

    WebSocketOpcode opcode;  ///< text, binary or close

    explicit operator bool() const { return opcode != WebSocketOpcode::close; }
    bool isText() const { return opcode == WebSocketOpcode::text; }
    bool isBinary() const { return opcode == WebSocketOpcode::binary; }
    bool isClose() const { return opcode == WebSocketOpcode::close; }

    /// The message as text: valid UTF-8 if isText().
    std::string_view textData() const { return view_; }
    /// The message as bytes.
    ByteView data() const { return asBytes(view_); }
    /// A copy that outlives the message.
    std::string toString() const { return std::string(view_); }

    /// Of a close message: the peer's code; 1005 if it gave none, 1006 if the line broke.
    uint16_t closeCode() const { return closeCode_; }
    std::string_view closeReason() const { return isClose() ? view_ : std::string_view(); }

private:
    friend class WebSocketCore;
    Message(WebSocketOpcode kind, std::string_view lent, WebSocketCore& lender);
    void own();
    void keep(Memory memory);

    std::string own_;
    Memory memory_;  // of the connection's, when own_ is not where the bytes are
    std::string_view view_;
    WebSocketCore* lender_ = nullptr;
    uint16_t closeCode_ = 0;
};

}
