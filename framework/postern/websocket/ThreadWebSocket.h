#pragma once

#include "postern/base/Bytes.h"
#include "postern/websocket/WebSocket.h"

#include <memory>
#include <string>
#include <string_view>

namespace postern {

/// How much may be on the way between a socket's loop and a thread, and how long a close waits.
struct ThreadWebSocketLimits {
    size_t incomingBytes = 64 * 1024;  ///< received and not taken yet: above it the peer has to wait
    size_t outgoingBytes = 64 * 1024;  ///< sent and not passed on yet: above it send() waits
    Duration closeTimeout = std::chrono::seconds(10);  ///< close() returns after that, whatever the peer or the loop do
};

/// A WebSocket handed to a thread, which talks on it with blocking calls:
///
///     std::thread([remote = ThreadWebSocket(std::move(websocket))]() mutable {
///         while (auto message = remote.recv()) remote.send(message.textData());
///     }).detach();
///
/// It is made on the socket's loop, by the only fiber that received there; the handler may return then. Any thread but a
/// loop's may call it: there the calls that wait throw std::logic_error. One thread receives at a time, others may send
/// or close meanwhile. When it is destroyed the socket closes with 1000, after what was sent; nobody waits for that. The
/// loop may end before it: the socket is then closed with 1006, or what the peer said.
class ThreadWebSocket {
public:
    /// A closed one.
    ThreadWebSocket() = default;
    explicit ThreadWebSocket(WebSocket websocket, const ThreadWebSocketLimits& limits = {});
    ThreadWebSocket(ThreadWebSocket&&) noexcept = default;
    ThreadWebSocket& operator=(ThreadWebSocket&& other) noexcept;
    ~ThreadWebSocket();

    /// Waits for the next data message; when there will be none, returns a close message, again and again, without
    /// waiting. The message holds its own bytes. With a time it throws TimedOut, and nothing is lost.
    Message recv();
    Message recv(Duration time);

    /// Sends a message, of text (UTF-8) or of bytes. Waits while too much is on its way. Throws WebSocketClosed after
    /// either side has closed, and when the loop is gone; one that was sent just before may not have arrived.
    void send(std::string_view text);
    void send(const char* text) { send(std::string_view(text)); }
    void send(const std::string& text) { send(std::string_view(text)); }
    void send(ByteView bytes);
    /// At most 125 bytes, else std::length_error. In its turn among the messages; after the close it does nothing.
    void ping(std::string_view payload = {});
    /// Closes after what was sent, and waits for the end. Messages that nobody took are dropped. Codes and reasons are
    /// WebSocket::close()'s. Harmless when closed.
    void close(uint16_t code = 1000, std::string_view reason = {});

    bool isOpen() const;
    /// As soon as it is closed: what the peer said; 1005: no code, 1006: the line broke, or its loop ended.
    uint16_t closeCode() const;
    std::string closeReason() const;
    /// The subprotocol that was agreed on, or empty.
    std::string_view protocol() const;

private:
    class Line;
    Line& line() const;
    void letGo() noexcept;

    std::shared_ptr<Line> line_;
};

}
