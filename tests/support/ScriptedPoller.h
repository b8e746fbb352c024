#pragma once
// A kernel that is played: it owns the time, the clients and their lines, and what happens next comes from a script: a
// fuzzer's bytes, or those made from a seed. Nothing of it is real, so that a whole server runs without a system call.

#include "postern/fiber/Poller.h"

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

/// Choices, read from bytes. When they are used up every choice is 0, which always is the harmless one.
class Script {
public:
    explicit Script(std::string_view bytes) : bytes_(bytes) {}
    static Script fromSeed(uint64_t seed);

    bool isOver() const { return at_ == bytes_.size(); }
    /// 0 ≤ choice < limit ≤ 256.
    unsigned below(unsigned limit) { return isOver() ? 0 : static_cast<unsigned char>(bytes_[at_++]) % limit; }
    std::string_view take(size_t size);

private:
    std::string bytes_;
    size_t at_ = 0;
};

/// What clients say.
struct Phrases {
    std::vector<std::string> requests;  ///< good ones; those that begin with `upgrade` are followed by frames
    std::string upgrade;
    std::vector<std::string> frames;
    std::vector<std::string> odd;       ///< good and bad things that come at any time
};

/// A connection as its client sees it.
struct ScriptedLine {
    // The client's side
    std::string sent;             ///< everything it wrote so far
    size_t arrived = 0;           ///< so much of that reached the server's kernel
    bool speaksFrames = false;    ///< it asked for a WebSocket
    bool finished = false;        ///< nothing more comes after that
    std::string received;         ///< what the server sent
    size_t window = 64 * 1024;    ///< the kernel takes so many bytes for it now
    // What went wrong
    bool reset = false;           ///< the client or the network cut it
    bool faulty = false;          ///< an operation failed without a reason
    // The server's side
    bool accepted = false;
    bool finReceived = false;     ///< the server ended its sending
    bool closed = false;
    bool resetByServer = false;
    size_t read = 0;              ///< the server has taken so much of `sent`
    size_t readAtFin = 0;         ///< before it ended its sending, or closed
    int failNext = 0;             ///< errno for the next operation
    Descriptor* descriptor = nullptr;
};

class ScriptedPoller final : public Poller {
public:
    static constexpr int listenFd = 1 << 20;

    /// The script outlives the poller.
    ScriptedPoller(Script& script, Phrases phrases) : script_(script), phrases_(std::move(phrases)) {}

    TimePoint now() override { return now_; }
    void attach(Descriptor& descriptor) override;
    void close(Descriptor& descriptor, bool reset) override;
    void shutdownSend(Descriptor& descriptor) override;
    bool submit(Operation& operation) override;
    void cancel(Operation& operation) override;
    void wait(TimePoint until) override;
    void wake() override {}

    /// A client calls; its line, by number.
    size_t connect();
    std::vector<std::unique_ptr<ScriptedLine>>& lines() { return lines_; }
    /// The script is over, every client has said goodbye, and nothing will ever happen again.
    bool isOver() const { return over_; }
    size_t operations() const { return operations_; }
    /// What the server did that no server may do; empty if nothing.
    const std::string& complaint() const { return complaint_; }

private:
    ScriptedLine* lineOf(const Descriptor& descriptor);
    bool perform(Operation& operation);
    bool receive(Operation& operation, ScriptedLine& line);
    bool send(Operation& operation, ScriptedLine& line);
    bool accept(Operation& operation);
    void act();
    void say(ScriptedLine& line);
    bool completeAll();
    bool sayGoodbye();
    void update(ScriptedLine& line);
    ScriptedLine* anyLine();
    void complain(const char* what) { complaint_.append(complaint_.empty() ? "" : "; ").append(what); }

    Script& script_;
    Phrases phrases_;
    TimePoint now_{std::chrono::hours(1)};
    std::vector<std::unique_ptr<ScriptedLine>> lines_;
    Descriptor* listener_ = nullptr;
    size_t operations_ = 0;
    int failAccept_ = 0;
    bool over_ = false;
    std::string complaint_;
};

}
