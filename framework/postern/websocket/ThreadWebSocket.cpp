#include "postern/websocket/ThreadWebSocket.h"

#include "postern/fiber/Loop.h"
#include "postern/fiber/Sync.h"
#include "postern/protocol/CloseCode.h"

#include <condition_variable>
#include <deque>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <utility>

namespace postern {

/// What the two sides share. On the loop one fiber receives for the thread, and another sends as long as there is
/// something to send; each of them keeps the line alive, as the thread's handle does. The last fiber drops the socket.
class ThreadWebSocket::Line : public std::enable_shared_from_this<Line> {
public:
    Line(WebSocket websocket, const ThreadWebSocketLimits& limits)
        : limits_(limits),
          loop_(Loop::current()),
          gate_(loop_.gate()),
          protocol_(websocket.protocol()),
          websocket_(std::move(websocket)) {}

    void start() {
        loop_.spawn([self = shared_from_this()] { self->receiveAll(); });
        ++fibers_;
    }

    // ── Thread's side ──

    Message receive(Deadline deadline) {
        mayWait();
        std::unique_lock lock(mutex_);
        const auto hasCome = [this] { return !incoming_.empty() || ended_; };
        if (deadline.isNever()) changed_.wait(lock, hasCome);
        else if (!changed_.wait_until(lock, deadline.at(), hasCome)) throw TimedOut("timed out");
        if (incoming_.empty()) return Message(code_, reason_);
        Message message = std::move(incoming_.front());
        incoming_.pop_front();
        incomingBytes_ -= message.data().size();
        const bool wake = std::exchange(waitsForRoom_, false);
        lock.unlock();
        if (wake) post([](Line& line) { line.room_.notifyAll(); });
        return message;
    }

    // False: the socket is closed.
    bool send(WebSocketOpcode kind, std::string_view payload) {
        mayWait();
        std::unique_lock lock(mutex_);
        const auto hasRoom = [&] { return outgoingBytes_ == 0 || outgoingBytes_ + payload.size() <= limits_.outgoingBytes; };
        changed_.wait(lock, [&] { return isClosed() || hasRoom(); });
        if (isClosed()) return false;
        outgoing_.push_back({kind, std::string(payload)});
        outgoingBytes_ += payload.size();
        startSending(lock);
        return true;
    }

    // What nobody has taken is dropped, here and on the loop.
    void startClose(uint16_t code, std::string reason) {
        {
            const std::lock_guard lock(mutex_);
            if (isClosed()) return;
            closing_.emplace(code, std::move(reason));
            incoming_.clear();
            incomingBytes_ = 0;
            changed_.notify_all();
        }
        post([](Line& line) { line.room_.notifyAll(); });
        std::unique_lock lock(mutex_);
        startSending(lock);
    }

    void waitForEnd() {
        mayWait();
        std::unique_lock lock(mutex_);
        changed_.wait_for(lock, limits_.closeTimeout, [this] { return ended_; });
    }

    bool isOpen() const {
        const std::lock_guard lock(mutex_);
        return !isClosed();
    }
    uint16_t code() const {
        const std::lock_guard lock(mutex_);
        return code_;
    }
    std::string reason() const {
        const std::lock_guard lock(mutex_);
        return reason_;
    }
    std::string_view protocol() const { return protocol_; }

private:
    struct Outgoing {
        WebSocketOpcode kind;
        std::string payload;
    };

    static void mayWait() {
        if (Loop::currentOrNull()) throw std::logic_error("a ThreadWebSocket blocks its thread: not for a thread with a loop");
    }

    bool isClosed() const { return ended_ || closing_; }

    template <typename Action>
    void post(Action action) {
        gate_->post([self = shared_from_this(), action] { action(*self); });
    }

    void startSending(std::unique_lock<std::mutex>& lock) {
        if (std::exchange(sending_, true)) return;
        lock.unlock();
        post([](Line& line) { line.spawnSender(); });
    }

    // ── Loop's side ──

    void receiveAll() {
        try {
            while (auto message = websocket_.recv()) pass(message);
        } catch (const Cancelled&) {
            // The loop ends.
        } catch (...) {
            websocket_.abort();
        }
        end();
        dropWhenLast();
    }

    // Waits while the thread has enough; nobody receives meanwhile, and so the peer waits too. When the loop ends, the thread
    // gets it all the same.
    void pass(const Message& message) {
        const auto size = message.data().size();
        for (auto wake = Wake::ready;; wake = room_.wait()) {
            const std::lock_guard lock(mutex_);
            if (closing_) return;
            if (wake == Wake::cancelled || incomingBytes_ == 0 || incomingBytes_ + size <= limits_.incomingBytes) {
                incoming_.emplace_back(message.opcode, message.toString());
                incomingBytes_ += size;
                changed_.notify_all();
                return;
            }
            waitsForRoom_ = true;
        }
    }

    void end() {
        const std::lock_guard lock(mutex_);
        ended_ = true;
        code_ = websocket_.closeCode();
        reason_ = websocket_.closeReason();
        outgoing_.clear();
        changed_.notify_all();
    }

    void dropWhenLast() {
        if (--fibers_ == 0) websocket_ = WebSocket();
    }

    void spawnSender() {
        {
            const std::lock_guard lock(mutex_);
            if (ended_) return;  // and perhaps the loop, whose last tasks run when its fibers are gone
        }
        ++fibers_;
        loop_.spawnNext([self = shared_from_this()] { self->sendAll(); });
    }

    void sendAll() {
        try {
            while (auto next = takeOutgoing()) {
                transmit(*next);
                const std::lock_guard lock(mutex_);
                outgoingBytes_ -= next->payload.size();
                changed_.notify_all();
            }
        } catch (const Disconnected&) {
            // The receiving fiber hears of it, too.
        } catch (const Cancelled&) {
        } catch (...) {
            websocket_.abort();
        }
        dropWhenLast();
    }

    // None: everything is sent, and the close as well if it was asked for.
    std::optional<Outgoing> takeOutgoing() {
        std::unique_lock lock(mutex_);
        if (!outgoing_.empty()) {
            auto next = std::move(outgoing_.front());
            outgoing_.pop_front();
            return next;
        }
        if (closing_) {
            const auto [code, reason] = *closing_;
            lock.unlock();
            if (websocket_.isOpen()) websocket_.close(code, reason);
            return {};
        }
        sending_ = false;
        return {};
    }

    void transmit(const Outgoing& next) {
        if (next.kind == WebSocketOpcode::text) websocket_.send(next.payload);
        else if (next.kind == WebSocketOpcode::binary) websocket_.send(asBytes(next.payload));
        else websocket_.ping(next.payload);
    }

    const ThreadWebSocketLimits limits_;
    Loop& loop_;  // on its own thread only
    const std::shared_ptr<LoopGate> gate_;
    const std::string protocol_;

    // These three on the loop only
    WebSocket websocket_;
    WaitQueue room_;
    int fibers_ = 0;

    mutable std::mutex mutex_;
    std::condition_variable changed_;
    // All of these guarded by mutex_
    std::deque<Message> incoming_;
    size_t incomingBytes_ = 0;
    bool waitsForRoom_ = false;
    std::deque<Outgoing> outgoing_;
    size_t outgoingBytes_ = 0;  // with the one that is being sent
    bool sending_ = false;      // a fiber sends, or will as soon as the loop hears of it
    std::optional<std::pair<uint16_t, std::string>> closing_;
    bool ended_ = false;
    uint16_t code_ = static_cast<uint16_t>(CloseCode::abnormal);
    std::string reason_;
};

ThreadWebSocket::ThreadWebSocket(WebSocket websocket, const ThreadWebSocketLimits& limits)
    : line_(std::make_shared<Line>(std::move(websocket), limits)) {
    line_->start();
}

ThreadWebSocket& ThreadWebSocket::operator=(ThreadWebSocket&& other) noexcept {
    if (this == &other) return *this;
    letGo();
    line_ = std::move(other.line_);
    return *this;
}

ThreadWebSocket::~ThreadWebSocket() { letGo(); }

void ThreadWebSocket::letGo() noexcept {
    if (line_) line_->startClose(static_cast<uint16_t>(CloseCode::normal), {});
    line_.reset();
}

ThreadWebSocket::Line& ThreadWebSocket::line() const {
    if (!line_) throw WebSocketClosed("this WebSocket was moved away");
    return *line_;
}

Message ThreadWebSocket::recv() { return line().receive(Deadline::never()); }
Message ThreadWebSocket::recv(Duration time) { return line().receive(Deadline::after(time, Clock::now())); }

void ThreadWebSocket::send(std::string_view text) {
    if (!line().send(WebSocketOpcode::text, text)) throw WebSocketClosed("the WebSocket is closed");
}

void ThreadWebSocket::send(ByteView bytes) {
    if (!line().send(WebSocketOpcode::binary, asText(bytes))) throw WebSocketClosed("the WebSocket is closed");
}

void ThreadWebSocket::ping(std::string_view payload) {
    if (payload.size() > maxControlPayload) throw std::length_error("a control frame carries at most 125 bytes");
    if (line_) line_->send(WebSocketOpcode::ping, payload);
}

void ThreadWebSocket::close(uint16_t code, std::string_view reason) {
    if (!isValidCloseCode(code)) throw std::invalid_argument("a close frame cannot carry the code " + std::to_string(code));
    if (!line_) return;
    line_->startClose(code, std::string(reason));
    line_->waitForEnd();
}

bool ThreadWebSocket::isOpen() const { return line_ && line_->isOpen(); }
uint16_t ThreadWebSocket::closeCode() const { return line_ ? line_->code() : static_cast<uint16_t>(CloseCode::abnormal); }
std::string ThreadWebSocket::closeReason() const { return line_ ? line_->reason() : std::string(); }
std::string_view ThreadWebSocket::protocol() const { return line_ ? line_->protocol() : std::string_view(); }

}
