#pragma once
// The kernel, with a clock that can be moved forward. Internal.

#include "postern/fiber/EpollPoller.h"

namespace postern {

class ShiftedPoller final : public Poller {
public:
    /// Lets that much time pass at once.
    void shift(Duration time) { shift_ += time; }
    /// Was there still something to run when the loop last waited?
    bool wasBusy() const { return busy_; }

    TimePoint now() override { return kernel_.now() + shift_; }
    void attach(Descriptor& descriptor) override { kernel_.attach(descriptor); }
    void close(Descriptor& descriptor, bool reset) override { kernel_.close(descriptor, reset); }
    void shutdownSend(Descriptor& descriptor) override { kernel_.shutdownSend(descriptor); }
    bool submit(Operation& operation) override { return kernel_.submit(operation); }
    void cancel(Operation& operation) override { kernel_.cancel(operation); }
    void wait(TimePoint until) override {
        busy_ = until == TimePoint::min();
        kernel_.wait(busy_ || until == TimePoint::max() ? until : until - shift_);
    }
    bool handleNext() override { return kernel_.handleNext(); }
    void wake() override { kernel_.wake(); }

private:
    EpollPoller kernel_;
    Duration shift_{};
    bool busy_ = false;
};

}
