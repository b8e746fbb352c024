#pragma once
// The life of one WebSocket on its loop. Internal: programs hold a WebSocket, threads a Sender.
//
// It is driven by what arrives: bytes are received without a fiber, control frames are answered at once, and at most one
// data message is kept ready. Calls that wait (recv, close, a turn to send) wait for `changed_`. Receiving pauses while a message is
// ready, or a piece of a long one that nobody has asked for as a whole: that is the back-pressure towards the peer.
//
// What is received goes one of three ways: to recv(); to a MessageReader, piece by piece; or, when there are callbacks and
// nobody ever called recv(), to them, on a fiber that lives as long as there is something to tell.
//
//     open ──we close──▶ closing ──peer's close──▶ finishing ──▶ gone
//       └──peer closes, or breaks a rule (we answer)──▲   finishing: FIN sent, the rest is dropped until the peer's FIN
//     The line breaking, or closeTimeout, leads from anywhere to gone. A core whose handle is destroyed lives until then.

#include "postern/fiber/Sync.h"
#include "postern/io/ByteStream.h"
#include "postern/protocol/Assembler.h"
#include "postern/protocol/PerMessageDeflate.h"
#include "postern/websocket/Callbacks.h"
#include "postern/websocket/Established.h"
#include "postern/websocket/Message.h"
#include "postern/websocket/WebSocketTerms.h"

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
    WebSocketCore(std::unique_ptr<ByteStream> stream, const WebSocketOptions& options, Established established);

    /// A handle more. The core lives as long as it has handles, callbacks to call, or a line to close.
    void addHandle() { ++handles_; }
    /// A handle is gone. With the last one the socket closes with `code` if it is still open, and ends by itself, unless
    /// it has callbacks to live for. Callable from any thread.
    void release(CloseCode code);

    Message recv(Deadline deadline);
    bool waitForMessage(Deadline deadline);  // false: the deadline passed
    bool wouldBlock();
    bool isBuffered();
    bool hasMessage() const { return ready_.has_value(); }

    /// Begins to read a message in pieces. None: there will be no more messages.
    std::optional<WebSocketOpcode> beginReading(Deadline deadline);
    /// The next piece; `last` tells whether it ends the message. Throws TimedOut, WebSocketClosed when the rest will not
    /// come, Cancelled.
    std::string readPiece(Deadline deadline, bool& last);
    /// The rest of the message is dropped as it comes.
    void skipRest();

    enum class Compress { automatic, yes, no };
    void send(WebSocketOpcode opcode, std::string_view payload, Compress compress = Compress::automatic);
    bool trySend(WebSocketOpcode opcode, std::string_view payload, Compress compress = Compress::automatic);
    void sendFromSender(WebSocketOpcode opcode, std::string payload);
    void ping(std::string_view payload);
    void pong(std::string_view payload);
    Duration measureRoundTrip(Deadline deadline);

    /// Begins a message in fragments: nobody else's data is sent before endMessage(). Throws as send() does.
    void beginMessage();
    void endMessage();
    struct Fragment {
        WebSocketOpcode opcode = WebSocketOpcode::continuation;
        bool compressed = false;  // of a message's first frame
        bool last = false;
    };
    void sendFragment(const Fragment& fragment, std::string_view payload);
    /// None: permessage-deflate was not agreed on.
    PerMessageDeflate* deflate() { return deflate_.get(); }
    bool compresses() const { return deflate_ != nullptr; }
    size_t fragmentSize() const { return terms_->fragmentSize; }

    /// Callbacks for these kinds of events, or none for them.
    void setCallback(Callback::Kinds kinds, std::unique_ptr<Callback> callback);

    void startClose(uint16_t code, std::string_view reason);
    void close(uint16_t code, std::string_view reason);
    void abort();

    bool isOpen() const { return !closeSent_ && !isEnded(); }
    bool isEnded() const { return closeReceived_ || failed_ || !stream_; }
    /// Nothing can be sent any more; what arrived before can be received.
    bool isLineBroken() const { return stream_ && stream_->broken(); }
    bool wasClean() const { return closeSent_ && closeReceived_; }
    uint16_t closeCode() const { return peerCode_; }
    std::string_view closeReason() const { return extra_ ? std::string_view(extra_->peerReason) : std::string_view(); }
    std::string_view protocol() const { return extra_ ? std::string_view(extra_->protocol) : std::string_view(); }
    const std::shared_ptr<const UpgradeRequest>& request() const { return request_; }
    Loop& loop() { return loop_; }
    std::shared_ptr<SenderLink> link();
    void setHeartbeat(Duration interval, std::string message);
    void demandSignOfLife(Duration within, std::string why);

private:
    friend class Message;
    class Writing;
    enum class Arrived { nothing, piece, message, end };

    ~WebSocketCore();

    bool awaitMessage(Deadline deadline);
    Arrived advance();
    Arrived takeIn();
    size_t hold() const;
    Message takeAndTell(bool inTime);
    Message takeReady();
    bool isPiece() const { return assembler_.insideMessage() && assembler_.gathered() > 0; }
    void forgetMessage();
    void handleControl(const Incoming& frame);
    void handleClose(std::string_view payload);
    void handlePong(std::string_view payload);
    void fail(CloseCode code, const char* reason);
    void pump();
    void receiveAll();
    void expectMessage(unsigned ahead);
    void wakeWaiters();
    void runDeferred() override;
    void returnLent();
    void queueControl(WebSocketOpcode opcode, std::string_view payload);
    void answerPing();
    void sendPing(std::string_view payload, bool own);
    enum class Way { write, queue };
    void putFrame(FrameHeader header, std::string_view payload, Way way);
    void putInPieces(const FrameHeader& header, std::string_view payload, Way way);
    void putMessage(WebSocketOpcode opcode, std::string_view payload, Compress compress, Way way);
    void putCompressed(WebSocketOpcode opcode, std::string_view payload, Way way);
    void putInFrames(const Fragment& first, std::string_view payload, Way way);
    void sendInFragments(Fragment fragment, std::string_view payload, Way way);
    bool compresses(std::string_view payload, Compress compress) const;
    void throwUnlessOpen() const;
    bool waitForRoom();
    bool waitForTurn();
    void answerPingLater();
    void endWriting();
    void finishLine();
    void lineGone();
    void dropStreamWhenUnused();
    void timePassed();
    void beat();
    void armHeartbeat();
    Duration pingInterval() const;
    const std::string& heartbeatMessage() const;
    void sendHeartbeat();
    bool demandFailed();
    void drainNow(How how);
    void runSenderQueue();
    bool deleteWhenUnused();

    bool livesForEvents() const;
    bool eventsDue() const { return tells_ && isSomethingToTell(); }
    bool isSomethingToTell() const;
    bool tellsMessages() const;
    void startEvents();
    void runEvents();
    void tellAll();
    void tellWaiting();
    void tellMessage(const Message& message);
    void tellEnd();
    void call(Callback::Kinds kind, const WebSocketEvent& event = {});
    void callbackFailed(const std::exception& error);
    void noteControl(Callback::Kinds kind, std::string_view payload);
    /// Has this socket had its share, so that others come first now?
    bool hadItsShare() { return takenInARow_ >= share && std::exchange(takenInARow_, uint8_t{0}) > 0; }
    bool hasControls() const { return extra_ && extra_->controls; }
    bool areControlsFull() const { return hasControls() && extra_->controls->size() >= maxControls; }

    struct SentPing {
        std::string payload;
        uint64_t number;
        bool own;                          // the application's, not the heartbeat's
    };
    struct Heartbeat {
        Duration interval;
        std::string message;
    };
    struct Demand {
        TimePoint since, until;
        std::string why;
    };
    struct SenderQueue {
        std::deque<std::pair<WebSocketOpcode, std::string>> messages;
        size_t bytes = 0;
        bool running = false;
    };
    struct Control {
        Callback::Kinds kind;
        std::string payload;
    };
    static constexpr size_t maxControls = 16;  // more of them wait in the kernel
    static constexpr uint8_t share = 64;       // messages of a socket that has more, before others have their turn

    // What most sockets do not need, or not most of the time.
    struct Extra {
        std::string protocol;
        std::string peerReason;
        std::vector<SentPing> pings;       // without an answer so far, the oldest first
        uint64_t lastPinged = 0, lastAnswered = 0;    // numbers of pings
        std::optional<Heartbeat> heartbeat;  // changed at run time; none: as the terms say
        std::unique_ptr<Demand> demand;    // a peer of which nothing was heard yet, and perhaps never can be
        std::unique_ptr<std::deque<Control>> controls;  // not told yet; never empty
        std::unique_ptr<SenderQueue> senderQueue;
        std::shared_ptr<SenderLink> link;
    };
    Extra& extra();

    // What a message touches comes first, in as few cache lines as it can.
    Loop& loop_;
    std::unique_ptr<ByteStream> stream_;   // none: gone
    std::unique_ptr<PerMessageDeflate> deflate_;
    Assembler assembler_;
    WaitQueue changed_;
    std::optional<Incoming> ready_;        // a message nobody took yet
    size_t lentBytes_ = 0;                 // at the front of the stream, belonging to ready_ or lent_
    Message* lent_ = nullptr;
    std::unique_ptr<std::string> pong_;    // payload of the ping that waits for its answer
    std::unique_ptr<Extra> extra_;
    const std::shared_ptr<const WebSocketTerms> terms_;
    unsigned handles_ = 0;
    unsigned waitingForWhole_ = 0;         // fibers that wait for a message however long it is
    unsigned waitingForPiece_ = 0;         // fibers that wait for any part of one
    unsigned writers_ = 0;                 // fibers that use stream_
    const bool isClient_;
    bool pongFiberRuns_ = false;
    bool waitersToWake_ = false;
    bool closeSent_ = false, closeReceived_ = false;
    bool failed_ = false;                  // we found a breach, or the line broke
    bool finishing_ = false;
    bool gone_ = false;                    // stream_ stays only for the fibers that are inside it
    bool pulling_ = false;                 // messages are for recv(), or for a reader
    enum class Reading : uint8_t { whole, pieces, skipping } reading_ = Reading::whole;
    bool messageOpen_ = false;             // a message of ours is being sent in fragments
    bool sentSinceBeat_ = false;
    bool held_ = false;                    // the assembler has more than was asked for
    bool tells_ = false;                   // there were callbacks
    bool telling_ = false;                 // teller_ runs, or will
    bool openDue_ = false;
    bool errorFails_ = false;              // what onerror throws is not told to it again
    bool closeTold_ = false;
    uint8_t takenInARow_ = 0;              // messages, without a wait between them

    uint16_t peerCode_ = static_cast<uint16_t>(CloseCode::abnormal);
    unsigned heartbeats_ = 0;              // without an answer so far, before all of extra_->pings
    TimePoint lastPing_;
    Timer timer_;                          // heartbeat while open, afterwards the end of our patience
    Callbacks callbacks_;
    Fiber* teller_ = nullptr;              // calls them
    std::shared_ptr<const UpgradeRequest> request_;
};

}
