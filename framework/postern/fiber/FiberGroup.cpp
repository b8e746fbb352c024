#include "postern/fiber/FiberGroup.h"

#include <cassert>

namespace postern {

FiberGroup::~FiberGroup() {
    if (empty()) return;
    const Fiber::Shield shield;
    cancel();
    while (!empty()) {
        waiting_ = Loop::current().runningFiber();
        Loop::current().park(Deadline::never());
    }
}

void FiberGroup::wait(Deadline deadline) {
    auto& loop = Loop::current();
    while (!empty()) {
        assert(!waiting_ && "one fiber waits for a group");
        waiting_ = loop.runningFiber();
        const auto wake = loop.park(deadline);
        waiting_ = nullptr;
        if (!empty()) throwUnlessReady(wake);
    }
    if (auto error = std::exchange(error_, nullptr)) std::rethrow_exception(error);
}

void FiberGroup::cancel() {
    for (Fiber* fiber = first_; fiber;) {
        Fiber* next = fiber->nextInGroup_;
        fiber->cancel();
        fiber = next;
    }
}

void FiberGroup::add(Fiber& fiber) {
    fiber.group_ = this;
    fiber.nextInGroup_ = first_;
    if (first_) first_->previousInGroup_ = &fiber;
    first_ = &fiber;
}

void FiberGroup::remove(Fiber& fiber) {
    if (fiber.nextInGroup_) fiber.nextInGroup_->previousInGroup_ = fiber.previousInGroup_;
    if (fiber.previousInGroup_) fiber.previousInGroup_->nextInGroup_ = fiber.nextInGroup_;
    else first_ = fiber.nextInGroup_;
}

void FiberGroup::ended() {
    if (empty() && waiting_) waiting_->loop().wake(*std::exchange(waiting_, nullptr));
}

void FiberGroup::failed(std::exception_ptr error) {
    if (!error_) error_ = std::move(error);
}

}
