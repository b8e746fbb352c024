#pragma once

#include "postern/fiber/Poller.h"

#include <array>
#include <memory>

namespace postern {

/// A poller whose n-th call fails as the kernel might let it fail; all others go to the one inside. Counts them, too.
class FaultyPoller final : public Poller {
public:
    explicit FaultyPoller(std::unique_ptr<Poller> inner) : inner_(std::move(inner)) {}

    /// The n-th call from now on; 0: none.
    void failAt(size_t n) {
        failAt_ = n;
        calls_ = 0;
    }
    bool hasFailed() const { return failAt_ != 0 && calls_ >= failAt_; }
    size_t count(Operation::Kind kind) const { return counts_[static_cast<size_t>(kind)]; }

    TimePoint now() override { return inner_->now(); }
    void attach(Descriptor& descriptor) override;
    void close(Descriptor& descriptor, bool reset) override { inner_->close(descriptor, reset); }
    void shutdownSend(Descriptor& descriptor) override { inner_->shutdownSend(descriptor); }
    bool submit(Operation& operation) override;
    void cancel(Operation& operation) override { inner_->cancel(operation); }
    void wait(TimePoint until) override { inner_->wait(until); }
    bool handleNext() override { return inner_->handleNext(); }
    void wake() override { inner_->wake(); }

private:
    bool failsNow() { return ++calls_ == failAt_; }

    std::unique_ptr<Poller> inner_;
    size_t failAt_ = 0;
    size_t calls_ = 0;
    std::array<size_t, 4> counts_{};
};

}
