#include "postern/websocket/Callbacks.h"

namespace postern {

void Callbacks::set(Callback::Kinds kinds, std::unique_ptr<Callback> callback) {
    for (auto* known = first_.get(); known; known = known->next_.get())
        known->kinds_ = static_cast<Callback::Kinds>(known->kinds_ & ~kinds);
    removeUnused();
    if (!callback) return;
    callback->next_ = std::move(first_);
    first_ = std::move(callback);
}

bool Callbacks::has(Callback::Kinds kinds) const {
    for (auto* known = first_.get(); known; known = known->next_.get())
        if (known->kinds_ & kinds) return true;
    return false;
}

void Callbacks::call(Callback::Kinds kind, WebSocket& socket, const WebSocketEvent& event) {
    if (running_ & kind) return;
    auto* found = first_.get();
    while (found && !(found->kinds_ & kind)) found = found->next_.get();
    if (!found) return;

    struct Ended {
        Callbacks& owner;
        Callback& callback;
        Callback::Kinds ran;
        ~Ended() {
            owner.running_ = static_cast<Callback::Kinds>(owner.running_ & ~ran);
            --callback.running_;
            owner.removeUnused();
        }
    };
    running_ = static_cast<Callback::Kinds>(running_ | kind);
    ++found->running_;
    const Ended ended{*this, *found, kind};
    found->call(socket, event);
}

void Callbacks::removeUnused() {
    std::unique_ptr<Callback> unused;  // destroyed last: what they own may set others
    for (auto* place = &first_; *place;) {
        auto& callback = **place;
        if (callback.kinds_ != 0 || callback.running_ != 0) {
            place = &callback.next_;
            continue;
        }
        auto next = std::move(callback.next_);
        callback.next_ = std::exchange(unused, std::move(*place));
        *place = std::move(next);
    }
}

}
