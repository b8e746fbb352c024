#pragma once
// The life of one WebSocket on its loop. Internal: programs hold a WebSocket, threads a Sender.
//
// It is driven by what arrives: bytes are received without a fiber, control frames are answered at once, and at most one
// data message is kept ready. Calls that wait (recv, close, …) wait for `changed_`. Receiving pauses while a message is
// ready: that is the back-pressure towards the peer.
//
//     open ──we close──▶ closing ──peer's close──▶ finishing ──▶ gone
//       └──peer closes, or breaks a rule (we answer)──▲   finishing: FIN sent, the rest is dropped until the peer's FIN
//     The line breaking, or closeTimeout, leads from anywhere to gone. A core whose handle is destroyed lives until then.

#include "postern/fiber/Sync.h"
#include "postern/io/ByteStream.h"
#include "postern/protocol/Assembler.h"
#include "postern/websocket/Message.h"
#include "postern/websocket/WebSocketOptions.h"

#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace postern {

/// The way from any thread to a core: both pointers are cleared when the core goes.
struct SenderLink {
    std::mutex mutex;
    std::shared_ptr<LoopGate> gate; // guarded by mutex
    WebSocketCore* core = nullptr;  // for the loop's thread only
};

class WebSocketCore final : private Drainable, private Deferred {
public:
    WebSocketCore(std::unique_ptr<ByteStream> stream, Assembler::Role role, const WebSocketOptions& options,
                  std::string protocol);

    /// The handle is gone: closes with `code` if it is still open, and ends by itself. Callable from any thread.
    void release(CloseCode code);

    Message recv(Deadline deadline);
    bool waitForMessage(Deadline deadline);  // false: the deadline passed
    bool wouldBlock();
    bool isBuffered();

    void send(WebSocketOpcode opcode, std::string_view payload);
    bool trySend(WebSocketOpcode opcode, std::string_view payload);
    void sendFromSender(WebSocketOpcode opcode, std::string payload);
    void ping(std::string_view payload);
    void pong(std::string_view payload);
    Duration measureRoundTrip(Deadline deadline);

    void startClose(uint16_t code, std::string_view reason);
    void close(uint16_t code, std::string_view reason);
    void abort();

    bool isOpen() const { return !closeSent_ && !isEnded(); }
    bool isEnded() const { return closeReceived_ || failed_ || !stream_; }
    bool wasClean() const { return closeSent_ && closeReceived_; }
    uint16_t closeCode() const { return peerCode_; }
    const std::string& closeReason() const { return peerReason_; }
    const std::string& protocol() const { return protocol_; }
    Loop& loop() { return loop_; }
    std::shared_ptr<SenderLink> link();
    void onPong(std::function<void(std::string_view)> callback) { onPong_ = std::move(callback); }
    void setHeartbeat(Duration interval, std::string message);
    void demandSignOfLife(Duration within, std::string why);

private:
    friend class Message;
    class Writing;
    enum class Arrived { nothing, message, end };

    ~WebSocketCore();

    Arrived advance();
    void handleControl(const Incoming& frame);
    void handleClose(std::string_view payload);
    void handlePong(std::string_view payload);
    void fail(CloseCode code, const char* reason);
    void pump();
    void receiveAll();
    void wakeWaiters();
    void settle();
    void returnLent();
    void queueControl(WebSocketOpcode opcode, std::string_view payload);
    void answerPing();
    void sendPing(std::string_view payload, bool own);
    void writeFrame(WebSocketOpcode opcode, std::string_view payload);
    void throwUnlessOpen() const;
    bool waitForRoom();
    void answerPingLater();
    void endWriting();
    void finishLine();
    void lineGone();
    void dropStreamWhenUnused();
    void timePassed();
    void beat();
    void armHeartbeat();
    bool demandFailed();
    void drainNow(How how);
    void runSenderQueue();

    Loop& loop_;
    std::shared_ptr<LoopGate> gate_;       // a handle may outlive the loop
    std::unique_ptr<ByteStream> stream_;   // none: gone
    Assembler assembler_;
    std::optional<Incoming> ready_;        // a message nobody took yet
    size_t lentBytes_ = 0;                 // at the front of the stream, belonging to ready_ or lent_
    Message* lent_ = nullptr;
    WaitQueue changed_;
    Timer timer_;                          // heartbeat while open, afterwards the end of our patience

    Duration pingInterval_, pingGrace_, closeTimeout_;
    std::string pingMessage_;
    TimePoint lastPing_;
    std::string pong_;                     // payload of the ping that waits for its answer
    struct SentPing {
        std::string payload;
        uint64_t number;
        bool own;                          // the application's, not the heartbeat's
    };
    std::vector<SentPing> pings_;          // without an answer so far, the oldest first
    uint64_t lastPinged_ = 0, lastAnswered_ = 0;  // numbers of pings
    std::function<void(std::string_view)> onPong_;
    struct Demand {
        TimePoint since, until;
        std::string why;
    };
    std::unique_ptr<Demand> demand_;       // a peer of which nothing was heard yet, and perhaps never can be

    std::string protocol_;
    std::string peerReason_;
    uint16_t peerCode_ = static_cast<uint16_t>(CloseCode::abnormal);
    bool pingWaits_ = false;
    bool pongFiberRuns_ = false;
    bool waitersToWake_ = false;
    bool closeSent_ = false, closeReceived_ = false;
    bool failed_ = false;                  // we found a breach, or the line broke
    bool finishing_ = false;
    bool gone_ = false;                    // stream_ stays only for the fibers that are inside it
    bool released_ = false;
    unsigned writers_ = 0;                 // fibers that use stream_

    struct SenderQueue {
        std::deque<std::pair<WebSocketOpcode, std::string>> messages;
        size_t bytes = 0;
        bool running = false;
    };
    Overflow overflow_;
    CloseCode overflowCode_;
    size_t maxQueued_;
    std::unique_ptr<SenderQueue> senderQueue_;
    std::shared_ptr<SenderLink> link_;
};

}
