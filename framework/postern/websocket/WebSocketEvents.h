#pragma once
// What a socket calls when something happens, and what has happened and was not told yet. Internal.

#include "postern/websocket/CloseEvent.h"
#include "postern/websocket/Message.h"

#include <deque>
#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

namespace postern {

class Fiber;
class WebSocket;

/// A function that may be replaced while it runs.
template <typename... Arguments>
class Callback {
public:
    void set(std::function<void(WebSocket&, Arguments...)> function) {
        function_ = std::move(function);
        replaced_ = true;
    }
    /// Is there one, or does one run that will stay?
    explicit operator bool() const { return function_ || (running_ && !replaced_); }
    bool isRunning() const { return running_; }

    void operator()(WebSocket& socket, Arguments... arguments) {
        if (!function_ || running_) return;
        Running run(*this);
        run.function(socket, arguments...);
    }

private:
    // Out of its place while it runs.
    struct Running {
        explicit Running(Callback& callback) : owner(callback), function(std::exchange(callback.function_, nullptr)) {
            owner.running_ = true;
            owner.replaced_ = false;
        }
        ~Running() {
            owner.running_ = false;
            if (!owner.replaced_) owner.function_ = std::move(function);
        }
        Callback& owner;
        std::function<void(WebSocket&, Arguments...)> function;
    };

    std::function<void(WebSocket&, Arguments...)> function_;
    bool running_ = false;
    bool replaced_ = false;  // while it ran
};

struct WebSocketEvents {
    Callback<> open;
    Callback<const Message&> text, binary;
    Callback<std::string_view> ping, pong;
    Callback<const std::exception&> error;
    Callback<const CloseEvent&> close;

    struct Control {
        bool isPing;
        std::string payload;
    };
    static constexpr size_t maxControls = 16;  // more of them wait in the kernel

    std::unique_ptr<std::deque<Control>> controls;  // made when there are some: an idle socket has none
    Fiber* fiber = nullptr;    // that tells what is due
    bool openDue = false;
    bool running = false;      // there is such a fiber, or will be
    bool errorFails = false;   // what it throws is not told to it again
    bool closeTold = false;

    bool hasControls() const { return controls && !controls->empty(); }
    bool areControlsFull() const { return controls && controls->size() >= maxControls; }
};

}
