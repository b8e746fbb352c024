// The half of WebSocketCore that calls back.

#include "postern/base/Text.h"
#include "postern/websocket/WebSocket.h"
#include "postern/websocket/WebSocketCore.h"

#include <new>
#include <stdexcept>

namespace postern {

namespace {

constexpr Callback::Kinds messages = Callback::text | Callback::binary;

}

void WebSocketCore::setCallback(Callback::Kinds kinds, std::unique_ptr<Callback> callback) {
    tells_ = true;
    if (kinds & Callback::open) openDue_ = callback != nullptr;
    callbacks_.set(kinds, std::move(callback));
    loop_.defer(*this);  // what there is to tell may be told now
}

// A socket that was never asked by recv() is there for its callbacks, with or without a handle.
bool WebSocketCore::livesForEvents() const {
    return tells_ && !pulling_ && callbacks_.has(Callback::open | messages | Callback::error | Callback::close);
}

// Without a callback for them they are dropped, if nobody else can take them.
// Whoever waits in recv() comes first.
bool WebSocketCore::tellsMessages() const {
    if (!tells_ || pulling_ || waitingForWhole_ > 0 || waitingForPiece_ > 0) return false;
    return handles_ == 0 || callbacks_.has(messages);
}

bool WebSocketCore::isSomethingToTell() const {
    if (telling_ || (pulling_ && handles_ > 0)) return false;
    const bool message = ready_ && tellsMessages();
    const bool end = isEnded() && !closeTold_ && callbacks_.has(Callback::close | Callback::error);
    return openDue_ || hasControls() || message || end;
}

void WebSocketCore::noteControl(Callback::Kinds kind, std::string_view payload) {
    if (!callbacks_.has(kind) || areControlsFull()) return;
    auto& controls = extra().controls;
    if (!controls) controls = std::make_unique<std::deque<Control>>();
    controls->push_back({kind, std::string(payload)});
    wakeWaiters();
}

void WebSocketCore::startEvents() {
    telling_ = true;
    ++writers_;  // this core stays until the fiber has ended
    try {
        loop_.spawnNext([this] { runEvents(); });
    } catch (const std::bad_alloc&) {
        telling_ = false;
        --writers_;
        abort();
    }
}

void WebSocketCore::runEvents() {
    teller_ = loop_.runningFiber();
    try {
        const Fiber::Purpose purpose(
            [](const void* core) {
                const auto& request = static_cast<const WebSocketCore*>(core)->request_;
                return "a callback of a WebSocket" + (request ? " to " + escapedForLog(request->requestUri()) : std::string());
            },
            this);
        tellAll();
    } catch (const std::bad_alloc&) {
        abort();
    } catch (const Cancelled&) {
        // The loop ends, and with it the line.
    }
    teller_ = nullptr;
    telling_ = false;
    loop_.defer(*this);
    endWriting();
}

void WebSocketCore::tellAll() {
    for (;;) {
        if (openDue_ || hasControls()) {
            tellWaiting();
        } else if (ready_ && tellsMessages()) {
            tellMessage(takeReady());
            if (hadItsShare()) yield();
        } else if (isEnded()) {
            tellEnd();
            break;
        } else if (ready_) {
            break;  // for a recv() to come
        } else if (const auto arrived = advance(); arrived == Arrived::nothing || (arrived == Arrived::piece && !hasControls())) {
            break;
        }
        if (pulling_ && handles_ > 0) break;
    }
}

void WebSocketCore::tellWaiting() {
    if (std::exchange(openDue_, false)) call(Callback::open);
    while (hasControls()) {
        auto& controls = extra_->controls;
        const auto control = std::move(controls->front());
        controls->pop_front();
        if (controls->empty()) controls.reset();
        call(control.kind, {.payload = control.payload});
    }
}

void WebSocketCore::tellMessage(const Message& message) {
    call(message.isText() ? Callback::text : Callback::binary, {.message = &message});
}

void WebSocketCore::tellEnd() {
    if (!tells_ || std::exchange(closeTold_, true)) return;
    const CloseEvent event{peerCode_, std::string(closeReason()), wasClean()};
    if (failed_ && !closeReceived_) {
        const WebSocketFailure failure(event.reason.empty() ? "the line broke" : event.reason);
        call(Callback::error, {.error = &failure});
    }
    call(Callback::close, {.close = &event});
}

void WebSocketCore::call(Callback::Kinds kind, const WebSocketEvent& event) {
    if (!callbacks_.has(kind)) return;
    WebSocket handle(this);  // outside: an exception of the callback's is not the end of it
    try {
        callbacks_.call(kind, handle, event);
    } catch (const Cancelled&) {
        // The loop ends, and with it the line.
    } catch (const Disconnected&) {
        // The end will be told.
    } catch (const std::exception& error) {
        callbackFailed(error);
    } catch (...) {
        callbackFailed(std::runtime_error("unknown exception"));
    }
}

void WebSocketCore::callbackFailed(const std::exception& error) {
    if (callbacks_.has(Callback::error) && !errorFails_) {
        errorFails_ = true;  // until it has not
        call(Callback::error, {.error = &error});
        errorFails_ = false;
        return;
    }
    loop_.log(LogLevel::error, std::string("a WebSocket's callback failed: ") + error.what());
    startClose(static_cast<uint16_t>(CloseCode::internalError), "internal error");
}

}
