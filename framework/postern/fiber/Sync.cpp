#include "postern/fiber/Sync.h"

namespace postern {

Wake WaitQueue::wait(Deadline deadline) {
    auto& loop = Loop::current();
    Waiter waiter(*loop.runningFiber());
    waiters_.pushBack(waiter);
    const auto wake = loop.park(deadline);
    // A notification that came together with the deadline or a cancellation counts: it was taken from the others.
    return waiter.notified ? Wake::ready : wake;
}

bool WaitQueue::notifyOne() {
    if (waiters_.empty()) return false;
    Waiter& waiter = waiters_.popFront();
    waiter.notified = true;
    waiter.fiber.loop().wake(waiter.fiber);
    return true;
}

void WaitQueue::notifyAll() {
    List<Waiter> all;
    waiters_.moveAllTo(all);
    while (!all.empty()) {
        Waiter& waiter = all.popFront();
        waiter.notified = true;
        waiter.fiber.loop().wake(waiter.fiber);
    }
}

void Mutex::lock() {
    if (try_lock()) return;
    throwUnlessReady(waiters_.wait());
}

void Mutex::unlock() {
    if (!waiters_.notifyOne()) locked_ = false;
}

}
