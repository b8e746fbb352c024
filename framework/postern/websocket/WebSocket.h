#pragma once

#include "postern/base/Bytes.h"
#include "postern/base/Errors.h"
#include "postern/base/Time.h"
#include "postern/websocket/Message.h"
#include "postern/websocket/Sender.h"
#include "postern/websocket/WebSocketOptions.h"

#include <charconv>
#include <concepts>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace postern {

class ByteStream;

/// A message could not be sent because the socket is closing or closed. A handler may let it pass: it is not logged as
/// an error.
class WebSocketClosed : public Disconnected {
public:
    using Disconnected::Disconnected;
};

/// readyState() has the numbers of the browsers' API.
enum class ReadyState { connecting = 0, open = 1, closing = 2, closed = 3 };

template <typename T>
concept Number = std::floating_point<T> || (std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>);

/// One end of a WebSocket (RFC 6455): a movable handle. A handler may keep it, or move it to another fiber or owner and
/// return.
///
/// All calls belong to the loop's thread; other threads use a sender(). One fiber receives at a time, any fiber may send
/// or close meanwhile. Pings are answered by themselves, whoever is waiting for what. When the handle is destroyed the
/// socket closes with 1000, or with 1011 if an exception is on its way; its goodbye does not keep anybody waiting.
/// Calls that wait throw Cancelled when their fiber is cancelled.
class WebSocket {
public:
    /// A closed one.
    WebSocket() = default;
    WebSocket(WebSocket&& other) noexcept;
    WebSocket& operator=(WebSocket&& other) noexcept;
    ~WebSocket();

    // ── Receiving ──

    /// Waits for the next data message; when there will be none, returns a close message, again and again, without
    /// waiting. With a deadline or a time it throws TimedOut; nothing of a message that has begun to arrive is lost.
    Message recv(Deadline deadline = Deadline::never());
    Message recv(Duration time);
    /// Waits until recv() would return at once. False: the time is over.
    bool waitForNextMessage(Deadline deadline = Deadline::never());
    bool waitForNextMessage(Duration time);
    /// Would recv() have to wait? Reads what has arrived, but never waits. A closed socket does not block.
    bool waitForNextMessageWouldBlock();
    /// Would recv() return without reading anything at all?
    bool isMessageBuffered();

    // ── Sending ──

    /// Sends a text message, which must be UTF-8. Waits while too much is queued. Throws WebSocketClosed after either
    /// side has closed, Disconnected if the line breaks meanwhile.
    void send(std::string_view text);
    void send(const char* text) { send(std::string_view(text)); }
    void send(const std::string& text) { send(std::string_view(text)); }
    /// Sends a binary message.
    void send(ByteView bytes);
    /// Sends a number as text: 42, 2.5.
    template <Number T>
    void send(T number) {
        char text[64];
        send(std::string_view(text, static_cast<size_t>(std::to_chars(text, text + sizeof text, number).ptr - text)));
    }
    /// As send(), but where that would wait or throw, it returns false and sends nothing.
    [[nodiscard]] bool trySend(std::string_view text);
    [[nodiscard]] bool trySend(ByteView bytes);
    /// For any thread, at any time.
    Sender sender();

    // ── Control frames ──

    /// At most 125 bytes, else std::length_error. After the close they do nothing.
    void ping(std::string_view payload = {});
    void pong(std::string_view payload = {});
    /// Sends a ping and waits for its pong. Throws TimedOut, WebSocketClosed. One at a time.
    Duration roundTrip(Deadline deadline = Deadline::never());
    /// Called for the pong to a ping() of ours, on a fiber of its own.
    void onpong(std::function<void(std::string_view payload)> callback);
    /// Changes the heartbeat from now on; an interval of 0 ends it.
    void setHeartbeat(Duration interval, std::string message = {});

    // ── The end ──

    /// Closes and waits for the peer's answer, no longer than closeTimeout. `code`: 1000–1003, 1007–1014, 3000–4999,
    /// else std::invalid_argument; `reason`: UTF-8, cut to 123 bytes. Harmless when closed.
    void close(uint16_t code = 1000, std::string_view reason = {});
    void close(CloseCode code, std::string_view reason = {}) { close(static_cast<uint16_t>(code), reason); }
    /// Cuts the line at once.
    void abort();

    ReadyState readyState() const;
    bool isOpen() const { return readyState() == ReadyState::open; }
    /// What the peer said when it closed; 1005: no code, 1006: the line broke or was cut.
    uint16_t closeCode() const;
    std::string_view closeReason() const;
    /// Both sides have sent their close frames.
    bool wasClean() const;
    /// The subprotocol that was agreed on, or empty.
    std::string_view protocol() const;

    /// For those who carry WebSockets over a stream of their own: the handshake is done. The stream's loop is the socket's.
    static WebSocket overStream(std::unique_ptr<ByteStream> stream, const WebSocketOptions& options,
                                std::string protocol = {});
    /// For a line that may lead nowhere: pings, and cuts it unless a byte came `within` that time; the log then says why.
    void demandSignOfLife(Duration within, std::string why);

private:
    explicit WebSocket(WebSocketCore* core);
    WebSocketCore& core();
    void release() noexcept;

    WebSocketCore* core_ = nullptr;
    int exceptions_ = 0;  // in flight when we were made
};

/// The first 125 bytes, not cutting a character: for those who want a long ping shortened instead of refused.
std::string_view truncateControlPayload(std::string_view payload);

}
