#pragma once

#include "postern/client/ConnectWebSocket.h"
#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Sync.h"

#include <exception>
#include <functional>
#include <string>
#include <string_view>

namespace postern {

/// When a ReconnectingWebSocket connects again, and when it gives up.
struct ReconnectOptions {
    ClientOptions client;      ///< of every connection; its heartbeat (client.socket) notices lines that are dead

    /// The wait before the n-th attempt in a row is drawn evenly from 0 to minDelay · factor^(n-1), at most maxDelay: a
    /// server that comes back is not called by all its clients at once.
    Duration minDelay = std::chrono::milliseconds(500);
    Duration maxDelay = std::chrono::seconds(30);
    double factor = 2;
    Duration maxRetryAfter = std::chrono::hours(1);  ///< a refusal's Retry-After is waited for, no longer than that
    Duration steadyAfter = std::chrono::seconds(10); ///< a connection that lived so long ends the row of attempts
    unsigned maxAttempts = 0;  ///< so many in a row without such a connection are enough; 0: for ever

    /// After each connect, before messages are received and sent: the place to subscribe again. It may send, receive and
    /// wait. Disconnected and TimedOut end this connection only, other exceptions everything.
    std::function<void(WebSocket&)> onConnect;
    std::function<void(const CloseEvent&)> onDisconnect;   ///< after each connection for which onConnect was done
    /// An attempt failed; the next is made after that time.
    std::function<void(const std::exception&, Duration next)> onFailure;
    /// Does the peer mean it for good? None: 1008 and 4000–4999 do.
    std::function<bool(const CloseEvent&)> isFinal;
    /// How to connect; none: connectWebSocket(url, client). For tokens and addresses that change, or ways of one's own.
    std::function<WebSocket()> connect;

    /// Throws std::invalid_argument.
    void check() const;
};

/// A client's WebSocket that connects again whenever its connection ends, on a fiber of its own. What was sent or was
/// under way when a connection broke is lost: whoever must know lets the peer confirm.
///
/// It ends by close(), by a close that isFinal, and by failures that another attempt would only repeat: an answer of 3xx
/// or 4xx (but 408, 425 and 429), an answer that breaks the protocol, a certificate that is not trusted, an exception
/// that has nothing to do with the line; also when maxAttempts are used up and when the loop is being drained.
///
/// To be made and destroyed on a fiber, and used from the fibers of its loop: one receives, any may send. The destructor
/// closes as a WebSocket's does. Calls that wait throw Cancelled when their fiber is cancelled, and may be repeated.
/// A message that nobody receives holds up those behind it, and the news that the connection has ended.
class ReconnectingWebSocket {
public:
    /// Begins to connect; does not wait for it. Throws std::invalid_argument (the URL or the options).
    explicit ReconnectingWebSocket(std::string url, ReconnectOptions options = {});
    ReconnectingWebSocket(const ReconnectingWebSocket&) = delete;
    ReconnectingWebSocket& operator=(const ReconnectingWebSocket&) = delete;
    ~ReconnectingWebSocket() { closing_ = true; }

    /// The next data message of whichever connection; after the end the close message, again and again. Throws the failure
    /// that ended it (HandshakeError, Disconnected with TlsError, TimedOut, or what a hook threw) again and again, and
    /// TimedOut at the deadline.
    Message recv(Deadline deadline = Deadline::never());
    Message recv(Duration time) { return recv(Loop::current().in(time)); }

    /// Waits for a connection, no longer than to the deadline, and sends on it, once. Throws TimedOut if there is none;
    /// after the end WebSocketClosed, or the failure that was it; Disconnected if the line breaks meanwhile: nobody knows
    /// then whether the message arrived.
    void send(std::string_view text, Deadline deadline = Deadline::never());
    void send(const char* text, Deadline deadline = Deadline::never()) { send(std::string_view(text), deadline); }
    void send(const std::string& text, Deadline deadline = Deadline::never()) { send(std::string_view(text), deadline); }
    void send(ByteView bytes, Deadline deadline = Deadline::never());
    /// False, and nothing is sent, where that would wait or throw.
    [[nodiscard]] bool trySend(std::string_view text);
    [[nodiscard]] bool trySend(ByteView bytes);

    /// Waits until it is connected. Throws as send() does.
    void waitForConnection(Deadline deadline = Deadline::never());
    /// Ends it for good, and waits for the peer's answer as WebSocket::close() does. Harmless when it has ended.
    void close(uint16_t code = 1000, std::string_view reason = {});

    bool isConnected() const { return state_ == State::connected && socket_.isOpen(); }
    bool hasEnded() const { return state_ == State::ended; }

private:
    enum class State : uint8_t { waiting, connected, ended };

    void work();
    void keepConnecting();
    void serve();
    CloseEvent receiveAll();
    bool isFinal(const CloseEvent& event) const;
    Duration delayAfter(unsigned attempts, Duration atLeast) const;
    void enter(State state);
    template <typename Condition>
    void waitUntil(Condition condition, Deadline deadline = Deadline::never());
    template <typename Payload>
    void sendOnAny(Payload payload, Deadline deadline);

    const std::string url_;
    const ReconnectOptions options_;
    State state_ = State::waiting;
    bool hasMessage_ = false;     // recv() of socket_ would not wait
    bool closing_ = false;
    CloseEvent end_;              // of the last connection
    std::exception_ptr failure_;  // what ended everything
    Fiber* worker_ = nullptr;
    WaitQueue changed_;           // for everybody who waits for a change of the above
    WebSocket socket_;
    FiberGroup fibers_;           // the one that connects; the last member, for it uses all others
};

}
