#pragma once
// For tests whose connections are pipes: a kernel that has nothing but the time, which passes at once when everybody waits.

#include "postern/fiber/Loop.h"

#include <algorithm>
#include <exception>
#include <functional>
#include <memory>
#include <stdexcept>

namespace postern {

class OwnTime final : public Poller {
public:
    TimePoint now() override { return now_; }
    void attach(Descriptor&) override { throw std::logic_error("there are no descriptors here"); }
    void close(Descriptor&, bool) override {}
    void shutdownSend(Descriptor&) override {}
    bool submit(Operation&) override { throw std::logic_error("there are no descriptors here"); }
    void cancel(Operation&) override {}
    void wait(TimePoint until) override {
        if (until == TimePoint::max()) throw std::logic_error("everybody waits for ever");
        now_ = std::max(now_, until);
    }
    void wake() override {}
    /// As if somebody had computed that long.
    void pass(Duration time) { now_ += time; }

private:
    TimePoint now_{std::chrono::hours(1)};
};

/// Runs `test` on a fiber of such a loop; throws what it throws.
inline void runInOwnTime(const std::function<void()>& test) {
    Loop loop({}, std::make_unique<OwnTime>());
    std::exception_ptr error;
    loop.spawn([&] {
        try {
            test();
        } catch (...) {
            error = std::current_exception();
        }
        loop.stop();
    });
    loop.run();
    if (error) std::rethrow_exception(error);
}

}
