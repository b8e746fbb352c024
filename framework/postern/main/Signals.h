#pragma once
// Signals as events, for the thread that waits for them; and the one that reports a stack that was too small.

#include <chrono>

namespace postern {

/// Construct before any thread is started: TERM, INT and HUP are blocked for all of them and read here; PIPE is ignored.
class Signals {
public:
    enum class What { terminate, reload, notified, timeIsUp };

    Signals();
    ~Signals();
    Signals(const Signals&) = delete;
    Signals& operator=(const Signals&) = delete;

    /// Waits for the next, or until that moment.
    What next(std::chrono::steady_clock::time_point until = std::chrono::steady_clock::time_point::max());
    /// Ends a next() with `notified`. From any thread.
    void notify();

private:
    int signals_, notified_;
};

/// Makes an overflow of a fiber's stack say so before the process dies. For each thread that runs fibers; its
/// alternate stack lives as long as this object.
class StackOverflowReport {
public:
    StackOverflowReport();
    ~StackOverflowReport();
    StackOverflowReport(const StackOverflowReport&) = delete;
    StackOverflowReport& operator=(const StackOverflowReport&) = delete;

private:
    char* stack_;
};

}
