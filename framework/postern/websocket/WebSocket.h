#pragma once

#include "postern/base/Bytes.h"
#include "postern/base/Errors.h"
#include "postern/base/Time.h"
#include "postern/websocket/Callbacks.h"
#include "postern/websocket/CloseEvent.h"
#include "postern/websocket/Established.h"
#include "postern/websocket/Message.h"
#include "postern/websocket/MessageReader.h"
#include "postern/websocket/MessageWriter.h"
#include "postern/websocket/Sender.h"
#include "postern/websocket/UpgradeRequest.h"
#include "postern/websocket/WebSocketOptions.h"

#include <charconv>
#include <concepts>
#include <exception>
#include <iosfwd>
#include <memory>
#include <string>
#include <string_view>
#include <type_traits>

namespace postern {

class ByteStream;

/// A message could not be sent because the socket is closing or closed. A handler may let it pass: it is not logged as
/// an error.
class WebSocketClosed : public Disconnected {
public:
    using Disconnected::Disconnected;
};

/// What onerror is told when the socket broke: the peer broke a rule, or the line did.
class WebSocketFailure : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// The peer sent a message of the other kind than receiveText() or receiveBinary() takes.
class WrongMessageKind : public std::runtime_error {
public:
    using std::runtime_error::runtime_error;
};

/// readyState() has the numbers of the browsers' API.
enum class ReadyState { connecting = 0, open = 1, closing = 2, closed = 3 };

template <typename T>
concept Number = std::floating_point<T> || (std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char>);

/// A class whose objects can be written to a std::ostream, and that is neither text nor bytes by itself.
template <typename T>
concept Printable = std::is_class_v<T> && !std::convertible_to<const T&, std::string_view> && !std::convertible_to<const T&, ByteView> &&
                    requires(std::ostream& out, const T& value) { out << value; };

/// One end of a WebSocket (RFC 6455): a movable handle. A handler may keep it, or move it to another fiber or owner and
/// return.
///
/// All calls belong to the loop's thread; other threads use a sender() or a ThreadWebSocket. One fiber receives at a time,
/// any fiber may send or close meanwhile. Pings are answered by themselves, whoever is waiting for what. When the handle is
/// destroyed the socket closes with 1000, or with 1011 if an exception is on its way; its goodbye does not keep anybody
/// waiting. A socket with callbacks, of which nobody ever received, lives on without its handle.
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
    /// The next data message as a stream, which is false when there will be none: for messages larger than memory. It is
    /// to be read to its end, skipped or destroyed before the next is received.
    MessageReader recvStream(Deadline deadline = Deadline::never());

    /// The next message, which must be text: a binary one closes the socket with 1003 and throws WrongMessageKind. Throws
    /// WebSocketClosed when there is none, TimedOut.
    std::string receiveText(Deadline deadline = Deadline::never());
    std::string receiveBinary(Deadline deadline = Deadline::never());
    /// Waits for a message. False: the time is over, or there will be none.
    bool waitForData(Duration time);
    bool waitForData();
    /// Is there a message that recv() would return at once?
    bool dataAvailableForRead();

    // ── Sending ──

    /// Sends a text message, which must be UTF-8. Waits while too much is queued. Throws WebSocketClosed after either
    /// side has closed, Disconnected if the line breaks meanwhile.
    void send(std::string_view text);
    void send(const char* text) { send(std::string_view(text)); }
    void send(const std::string& text) { send(std::string_view(text)); }
    /// Sends a binary message.
    void send(ByteView bytes);
    /// With permessage-deflate: compressed whatever the options say (but for eight bytes and less, which never get shorter), or
    /// not at all; without the word the options decide.
    void send(std::string_view text, bool compress);
    void send(ByteView bytes, bool compress);
    /// Sends a number as text: 42, 2.5.
    template <Number T>
    void send(T number) {
        char text[64];
        send(std::string_view(text, static_cast<size_t>(std::to_chars(text, text + sizeof text, number).ptr - text)));
    }
    /// Sends what `out << value` prints, as text.
    template <Printable T>
    void send(const T& value) {
        sendPrinted([](std::ostream& out, const void* printed) { out << *static_cast<const T*>(printed); }, &value);
    }
    /// As send(), but where that would wait or throw, it returns false and sends nothing.
    [[nodiscard]] bool trySend(std::string_view text);
    [[nodiscard]] bool trySend(ByteView bytes);
    /// A message sent piece by piece. Other messages wait until it is finished; pings and pongs do not.
    /// Throws WebSocketClosed, Disconnected.
    MessageWriter sendStream(WebSocketOpcode kind = WebSocketOpcode::text);
    MessageWriter sendStream(WebSocketOpcode kind, bool compress);
    /// For any thread, at any time.
    Sender sender();

    // ── Control frames ──

    /// At most 125 bytes, else std::length_error. After the close they do nothing.
    void ping(std::string_view payload = {});
    void pong(std::string_view payload = {});
    /// Sends a ping and waits for its pong. Throws TimedOut, WebSocketClosed. One at a time.
    Duration roundTrip(Deadline deadline = Deadline::never());
    /// Changes the heartbeat from now on; an interval of 0 ends it.
    void setHeartbeat(Duration interval, std::string message = {});

    // ── Events ──
    //
    // Callbacks, with or without a WebSocket& as their first argument. Those of one socket are called one after the other, in
    // order, on a fiber of their own: they may wait, send and close. Once a handler has called recv() (or waits for a message)
    // they are called from there instead, before it returns. An exception in one goes to onerror, and without that to the log,
    // and closes with 1011. Set them again to replace them, nullptr removes them.

    /// Once, before everything else.
    template <typename Function>
    void onopen(Function callback) {
        on(Callback::open, std::move(callback),
           [](auto& function, WebSocket& socket, const WebSocketEvent&) { call(function, socket); });
    }
    /// For messages the callback can take: of text (std::string_view), of bytes (ByteView), or both (const Message&).
    template <typename Function>
    void onmessage(Function callback) {
        constexpr bool isNone = std::same_as<Function, std::nullptr_t>;
        constexpr bool takesMessage = isNone || takes<Function, const Message&>;
        constexpr bool takesText = takesMessage || takes<Function, std::string_view>;
        constexpr bool takesBytes = takesMessage || takes<Function, ByteView>;
        static_assert(takesText || takesBytes, "a message is a std::string_view, a ByteView or a const Message&");
        constexpr auto kinds = static_cast<Callback::Kinds>((takesText ? Callback::text : 0) | (takesBytes ? Callback::binary : 0));
        on(kinds, std::move(callback), [](auto& function, WebSocket& socket, const WebSocketEvent& event) {
            if constexpr (takesMessage) {
                call(function, socket, *event.message);
            } else {
                if constexpr (takesText)
                    if (event.message->isText()) return call(function, socket, event.message->textData());
                if constexpr (takesBytes) call(function, socket, event.message->data());
            }
        });
    }
    template <typename Function>
    void ontextmessage(Function callback) {
        on(Callback::text, std::move(callback), [](auto& function, WebSocket& socket, const WebSocketEvent& event) {
            call(function, socket, event.message->textData());
        });
    }
    template <typename Function>
    void onbinarymessage(Function callback) {
        on(Callback::binary, std::move(callback), [](auto& function, WebSocket& socket, const WebSocketEvent& event) {
            call(function, socket, event.message->data());
        });
    }
    /// The payload of a ping, which is answered already, and of the pong to a ping() of ours: a std::string_view.
    template <typename Function>
    void onping(Function callback) {
        on(Callback::ping, std::move(callback), [](auto& function, WebSocket& socket, const WebSocketEvent& event) {
            call(function, socket, event.payload);
        });
    }
    template <typename Function>
    void onpong(Function callback) {
        on(Callback::pong, std::move(callback), [](auto& function, WebSocket& socket, const WebSocketEvent& event) {
            call(function, socket, event.payload);
        });
    }
    /// A const std::exception&: what another callback threw, or a WebSocketFailure just before onclose.
    template <typename Function>
    void onerror(Function callback) {
        on(Callback::error, std::move(callback), [](auto& function, WebSocket& socket, const WebSocketEvent& event) {
            call(function, socket, *event.error);
        });
    }
    /// A const CloseEvent&: once, after everything else.
    template <typename Function>
    void onclose(Function callback) {
        on(Callback::close, std::move(callback), [](auto& function, WebSocket& socket, const WebSocketEvent& event) {
            call(function, socket, *event.close);
        });
    }

    // ── The end ──

    /// Closes and waits for the peer's answer, no longer than closeTimeout. `code`: 1000–1003, 1007–1014, 3000–4999,
    /// else std::invalid_argument; `reason`: UTF-8, cut to 123 bytes. Harmless when closed.
    void close(uint16_t code = 1000, std::string_view reason = {});
    void close(CloseCode code, std::string_view reason = {}) { close(static_cast<uint16_t>(code), reason); }
    /// Cuts the line at once.
    void abort();

    ReadyState readyState() const;
    bool isOpen() const { return readyState() == ReadyState::open; }
    bool connected() const { return isOpen(); }
    /// What the peer said when it closed; 1005: no code, 1006: the line broke or was cut.
    uint16_t closeCode() const;
    std::string_view closeReason() const;
    /// Both sides have sent their close frames.
    bool wasClean() const;
    /// The reason, or what the code means where there is none.
    std::string closeReasonString() const;
    /// The subprotocol that was agreed on, or empty.
    std::string_view protocol() const;
    /// Is permessage-deflate in use?
    bool compresses() const;
    /// What the client asked for when it opened the socket. Throws std::logic_error on a client's end, and without
    /// WebSocketOptions::keepRequest.
    const UpgradeRequest& request() const;

    /// For those who carry WebSockets over a stream of their own: the handshake is done. The stream's loop is the socket's.
    static WebSocket overStream(std::unique_ptr<ByteStream> stream, const WebSocketOptions& options,
                                Established established = {});
    /// For a line that may lead nowhere: pings, and cuts it unless a byte came `within` that time; the log then says why.
    void demandSignOfLife(Duration within, std::string why);

private:
    friend class WebSocketCore;

    template <typename Function, typename... Arguments>
    static constexpr bool takes =
        std::invocable<Function&, Arguments...> || std::invocable<Function&, WebSocket&, Arguments...>;

    template <typename Function, typename... Arguments>
    static void call(Function& function, WebSocket& socket, const Arguments&... arguments) {
        if constexpr (std::invocable<Function&, WebSocket&, const Arguments&...>) function(socket, arguments...);
        else function(arguments...);
    }

    template <typename Function, typename Call>
    void on(Callback::Kinds kinds, Function function, Call call) {
        if constexpr (std::same_as<Function, std::nullptr_t>) {
            setCallback(kinds, nullptr);
        } else {
            if constexpr (std::constructible_from<Function, std::nullptr_t>) {
                if (!function) return setCallback(kinds, nullptr);  // an empty std::function, or a pointer to none
            }
            setCallback(kinds, std::make_unique<CallbackTo<Function, Call>>(kinds, std::move(function), call));
        }
    }
    void setCallback(Callback::Kinds kinds, std::unique_ptr<Callback> callback);

    void sendPrinted(void (*print)(std::ostream& out, const void* value), const void* value);

    explicit WebSocket(WebSocketCore* core);
    WebSocketCore& core();
    void release() noexcept;

    WebSocketCore* core_ = nullptr;
    int exceptions_ = 0;  // in flight when we were made
};

/// The first 125 bytes, not cutting a character: for those who want a long ping shortened instead of refused.
std::string_view truncateControlPayload(std::string_view payload);

}
