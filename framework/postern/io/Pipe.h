#pragma once
// Two streams in memory, each receiving what the other sends. Tests, the test client and the command line use them in
// place of a connection.

#include "postern/io/ByteStream.h"

#include <memory>
#include <string>
#include <utility>

namespace postern {

class Pipe final : public ByteStream {
public:
    /// Both ends, for the same loop. `capacity`: bytes that may be on the way in each direction before a writer waits.
    static std::pair<std::unique_ptr<Pipe>, std::unique_ptr<Pipe>> make(Loop& loop, size_t capacity = 64 * 1024);
    ~Pipe() override;

protected:
    bool submitReceive(Operation& operation) override;
    void cancelReceive(Operation& operation) override { forget(operation, receiving_); }
    bool submitSend(Operation& operation) override;
    void cancelSend(Operation& operation) override { forget(operation, sending_); }
    void shutdownSend() override;
    bool hasArrived() const override { return !arrived_.empty() || !peer_ || peerFinished_; }

private:
    struct Retry final : postern::Deferred {
        explicit Retry(Pipe& owner) : pipe(owner) {}
        void runDeferred() override { pipe.completeReady(); }
        Pipe& pipe;
    };

    Pipe(Loop& loop, size_t capacity) : ByteStream(loop), capacity_(capacity) {}

    bool tryReceive(Operation& operation);
    bool trySend(Operation& operation);
    void retry();
    void completeReady();
    static void forget(Operation& operation, Operation*& slot);

    const size_t capacity_;
    Pipe* peer_ = nullptr;        // none: it is gone
    std::string arrived_;         // sent by the peer, not received yet
    bool peerFinished_ = false;
    Operation* receiving_ = nullptr;
    Operation* sending_ = nullptr;
    Retry retry_{*this};
};

}
