#pragma once
// Poller on epoll. A descriptor is registered once, edge-triggered, for both directions, so a message costs no epoll_ctl;
// who waits is remembered in the Descriptor.

#include "postern/fiber/Poller.h"

#include <sys/epoll.h>

#include <array>
#include <vector>

namespace postern {

class EpollPoller final : public Poller {
public:
    /// Throws std::system_error when the kernel gives no descriptor.
    EpollPoller();
    ~EpollPoller() override;

    TimePoint now() override { return Clock::now(); }
    TimePoint roughly() override;
    void attach(Descriptor& descriptor) override;
    void close(Descriptor& descriptor, bool reset) override;
    void shutdownSend(Descriptor& descriptor) override;
    bool submit(Operation& operation) override;
    void cancel(Operation& operation) override;
    void wait(TimePoint until) override;
    bool handleNext() override;
    void wake() override;

private:
    void add(Descriptor& descriptor);
    bool mayRunInline(Descriptor& descriptor);
    void forget(Operation& operation);
    void expect(int event, unsigned ahead);
    void handle(epoll_event& event);
    bool handlePutOff();

    // One flooding connection completes this many operations in a turn before the others get theirs.
    static constexpr uint8_t inlineLimit = 16;
    static constexpr unsigned farthest = 4;  // event that is prepared

    int epoll_;
    int wakeUp_;  // eventfd
    uint32_t turn_ = 0;
    std::array<epoll_event, 256> events_;
    int eventCount_ = 0, nextEvent_ = 0;
    std::vector<Operation*> deferred_;  // ready, but their descriptor had its share of this turn
    std::vector<Operation*> running_;   // those, once their turn has come
    size_t nextRunning_ = 0;
    bool eventsHandled_ = true;
};

}
