#include "postern/fiber/Sync.h"

namespace postern {

bool WaitQueue::notifyOne() {
    if (waiters_.empty()) return false;
    Fiber& fiber = waiters_.front();
    fiber.loop().wake(fiber);
    return true;
}

void WaitQueue::notifyAll() {
    if (!waiters_.hasSeveral()) return static_cast<void>(notifyOne());
    List<Fiber> all;
    waiters_.moveAllTo(all);
    while (!all.empty()) {
        Fiber& fiber = all.front();
        fiber.loop().wake(fiber);
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
