#include "conformance/PeerLine.h"

#include "support/Fragments.h"

#include <algorithm>
#include <stdexcept>

namespace postern::conformance {

namespace {

constexpr size_t pipeCapacity = size_t{4} << 20;
constexpr size_t longRow = 300, longestByteByByte = 4096, longestCutEverywhere = 8192;

} // namespace

bool PeerLine::sayNext() {
    if (step == pieces.size()) return false;
    if (!end->broken()) end->queue({pieces[step]});
    said += pieces[step++].size();
    return true;
}

bool PeerLine::receive() {
    bool moved = false;
    do {
        const auto bytes = end->unreadText();
        moved = moved || !bytes.empty();
        if (reader)
            reader->feed(bytes);
        else
            head += bytes;
        end->consume(bytes.size());
    } while (!ended() && !end->isReceiving() && end->startReceive(noReceiver, nullptr));
    return moved;
}

void PeerLine::open(Assembler::Role tested, const Setup& setup) {
    const auto size = std::min(head.size(), head.find("\r\n\r\n") + 4);
    reader.emplace(tested, setup);
    reader->feed(head.substr(size));
    head.resize(size);
}

// Knows the time, and nothing else: pipes need no kernel.
class PeerLines::Kernel final : public Poller {
public:
    TimePoint now() override { return now_; }
    void attach(Descriptor&) override { throw std::logic_error("there are no descriptors here"); }
    void close(Descriptor&, bool) override {}
    void shutdownSend(Descriptor&) override {}
    bool submit(Operation&) override { throw std::logic_error("there are no descriptors here"); }
    void cancel(Operation&) override {}
    void wait(TimePoint until) override {
        isIdle_ = until > TimePoint::min();
        now_ = std::max(now_, std::min(until, limit_));
    }
    void wake() override {}

    bool isIdle() const { return isIdle_; } // the last time it was asked, everybody waited
    void letPass(Duration time) { limit_ = now_ + time; }
    bool hasPassed() const { return now_ >= limit_; }

private:
    TimePoint now_{std::chrono::hours(1)};
    TimePoint limit_ = now_;
    bool isIdle_ = false;
};

PeerLines::PeerLines() {
    auto kernel = std::make_unique<Kernel>();
    kernel_ = kernel.get();
    LoopOptions options;
    options.log = [](LogLevel, std::string_view) {};
    loop_ = std::make_unique<Loop>(std::move(options), std::move(kernel));
}

PeerLines::~PeerLines() {
    lines_.clear();
    loop_->endFibers();
}

std::pair<PeerLine*, std::unique_ptr<Pipe>> PeerLines::add() {
    auto ends = Pipe::make(*loop_, pipeCapacity);
    auto& line = lines_.emplace_back(std::make_unique<PeerLine>(std::move(ends.first)));
    line->number = std::to_string(++count_);
    return {line.get(), std::move(ends.second)};
}

void PeerLines::settle() {
    for (bool moved = true; moved;) {
        loop_->turn(TimePoint::max());
        moved = !kernel_->isIdle();
        for (auto& line : lines_) moved = line->receive() || moved;
    }
}

void PeerLines::pass(Duration time) {
    for (kernel_->letPass(time); !kernel_->hasPassed();) settle();
    settle();
}

void PeerLines::clear() {
    lines_.clear();
    settle();
}

std::vector<Way> waysToSay(std::string_view bytes, Cuts cuts, std::optional<size_t> mark) {
    constexpr size_t header = 15, end = 4; // where long ones are cut
    const auto size = bytes.size();
    const bool isLong = size > longRow;
    std::vector<Way> ways{{"whole", {bytes}}};
    if (!isLong || (cuts == Cuts::all && size <= longestByteByByte))
        ways.push_back({"byte by byte", cutInPieces(bytes, 1)});
    else
        ways.push_back({"in pieces of 997", cutInPieces(bytes, 997)});
    const size_t stride = cuts != Cuts::all ? size : size <= longestCutEverywhere ? 1 : 1 + size / longRow;
    for (size_t at = 1; at < size; ++at) {
        const bool usual = cuts != Cuts::few && (!isLong || at < header || at + end > size || at % stride == 0);
        if (usual || at == mark)
            ways.push_back({"in two at " + std::to_string(at), {bytes.substr(0, at), bytes.substr(at)}});
    }
    return ways;
}

} // namespace postern::conformance
