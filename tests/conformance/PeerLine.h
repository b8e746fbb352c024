#pragma once
// The peer's end of connections in memory, on a loop whose time stands still.

#include "conformance/PeerReader.h"
#include "postern/fiber/Loop.h"
#include "postern/io/Pipe.h"

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern::conformance {

/// It reads everything at once.
struct PeerLine {
    explicit PeerLine(std::unique_ptr<Pipe> pipe) : end(std::move(pipe)) {}

    bool ended() const { return end->ended() || end->broken(); }
    /// Says the next piece, if there is one.
    bool sayNext();
    /// True: something came.
    bool receive();
    /// From here on frames come; those behind the head are the reader's already.
    void open(Assembler::Role tested, const Setup& setup);

    std::string number; ///< what the tested program calls it
    std::string cut;    ///< "whole", "in two at 7"
    std::vector<std::string_view> pieces;
    size_t step = 0;  ///< pieces that were said
    size_t said = 0;  ///< bytes of them
    std::string head; ///< what came before the frames
    std::optional<PeerReader> reader;
    std::unique_ptr<Pipe> end;
};

class PeerLines {
public:
    PeerLines();
    ~PeerLines();

    Loop& loop() { return *loop_; }
    /// A new line; the tested program gets the other end.
    std::pair<PeerLine*, std::unique_ptr<Pipe>> add();
    void settle(); ///< until nothing moves
    void pass(Duration time);
    void clear();                           ///< drops all lines
    size_t count() const { return count_; } ///< of all lines there were
    auto begin() { return lines_.begin(); }
    auto end() { return lines_.end(); }

private:
    class Kernel;

    Kernel* kernel_ = nullptr;
    std::unique_ptr<Loop> loop_;
    std::vector<std::unique_ptr<PeerLine>> lines_;
    size_t count_ = 0;
};

/// The ways in which `bytes` may arrive.
enum class Cuts {
    few,  ///< whole, byte by byte, in two at the mark
    some, ///< also in two at every offset; long ones only near their ends
    all   ///< as some, and long ones at 300 offsets, and byte by byte up to 4 KiB
};

struct Way {
    std::string name;
    std::vector<std::string_view> pieces;
};
std::vector<Way> waysToSay(std::string_view bytes, Cuts cuts, std::optional<size_t> mark = {});

} // namespace postern::conformance
