// The half of WebSocketCore that calls back.

#include "postern/websocket/WebSocketEvents.h"

#include "postern/websocket/WebSocket.h"
#include "postern/websocket/WebSocketCore.h"

#include <cassert>
#include <new>

namespace postern {

WebSocketEvents& WebSocketCore::events() {
    if (!events_) events_ = std::make_unique<WebSocketEvents>();
    return *events_;
}

// A socket that was never asked by recv() is there for its callbacks, with or without a handle.
bool WebSocketCore::livesForEvents() const {
    return events_ && !pulling_ && (events_->open || events_->text || events_->binary || events_->error || events_->close);
}

// Without a callback for them they are dropped, if nobody else can take them.
// Whoever waits in recv() comes first.
bool WebSocketCore::tellsMessages() const {
    if (!events_ || pulling_ || waitingForWhole_ > 0 || waitingForPiece_ > 0) return false;
    return events_->text || events_->binary || handles_ == 0;
}

bool WebSocketCore::eventsDue() const {
    if (!events_ || events_->running || (pulling_ && handles_ > 0)) return false;
    const auto& events = *events_;
    const bool message = ready_ && tellsMessages();
    const bool end = isEnded() && !events.closeTold && (events.close || events.error);
    return events.openDue || events.hasControls() || message || end;
}

void WebSocketCore::noteControl(bool isPing, std::string_view payload) {
    if (!events_ || !(isPing ? events_->ping : events_->pong) || events_->areControlsFull()) return;
    if (!events_->controls) events_->controls = std::make_unique<std::deque<WebSocketEvents::Control>>();
    events_->controls->push_back({isPing, std::string(payload)});
    wakeWaiters();
}

// May run the fiber at once, and that may be the end of this object.
void WebSocketCore::startEvents() {
    events_->running = true;
    ++writers_;  // this core stays until the fiber has ended
    try {
        loop_.runNow([this] { runEvents(); });
    } catch (const std::bad_alloc&) {
        events_->running = false;
        --writers_;
        abort();
    }
}

void WebSocketCore::runEvents() {
    events_->fiber = loop_.runningFiber();
    try {
        tellAll();
    } catch (const std::bad_alloc&) {
        abort();
    }
    events_->fiber = nullptr;
    events_->running = false;
    loop_.defer(*this);
    endWriting();
}

void WebSocketCore::tellAll() {
    for (;;) {
        if (events_->openDue || events_->hasControls()) {
            tellWaiting();
        } else if (ready_ && tellsMessages()) {
            const Message message = takeReady();
            tellMessage(message);
        } else if (isEnded()) {
            tellEnd();
            break;
        } else if (ready_) {
            break;  // for a recv() to come
        } else if (const auto arrived = advance(); arrived == Arrived::nothing || (arrived == Arrived::piece && !events_->hasControls())) {
            break;
        }
        if (pulling_ && handles_ > 0) break;
    }
}

void WebSocketCore::tellWaiting() {
    if (!events_) return;
    if (std::exchange(events_->openDue, false)) call(events_->open);
    while (events_->hasControls()) {
        const auto control = std::move(events_->controls->front());
        events_->controls->pop_front();
        if (events_->controls->empty()) events_->controls.reset();
        call(control.isPing ? events_->ping : events_->pong, std::string_view(control.payload));
    }
}

void WebSocketCore::tellMessage(const Message& message) { call(message.isText() ? events_->text : events_->binary, message); }

void WebSocketCore::tellEnd() {
    if (!events_ || std::exchange(events_->closeTold, true)) return;
    const CloseEvent event{peerCode_, peerReason_, wasClean()};
    if (failed_ && !closeReceived_)
        call(events_->error, WebSocketFailure(peerReason_.empty() ? "the line broke" : peerReason_));
    call(events_->close, event);
}

template <typename... Parameters, typename... Arguments>
void WebSocketCore::call(Callback<Parameters...>& callback, const Arguments&... arguments) {
    if (!callback) return;
    WebSocket handle(this);  // outside: an exception of the callback's is not the end of it
    try {
        callback(handle, arguments...);
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
    if (events_->error && !events_->errorFails) {
        events_->errorFails = true;  // until it has not
        call(events_->error, error);
        events_->errorFails = false;
        return;
    }
    loop_.log(LogLevel::error, std::string("a WebSocket's callback failed: ") + error.what());
    startClose(static_cast<uint16_t>(CloseCode::internalError), "internal error");
}

}
