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

namespace postern {

class WebSocket;

struct WebSocketEvents {
    std::function<void(WebSocket&)> open;
    std::function<void(WebSocket&, const Message&)> text, binary;
    std::function<void(WebSocket&, std::string_view)> ping, pong;
    std::function<void(WebSocket&, const std::exception&)> error;
    std::function<void(WebSocket&, const CloseEvent&)> close;

    struct Control {
        bool isPing;
        std::string payload;
    };
    static constexpr size_t maxControls = 16;  // more of them wait in the kernel

    std::unique_ptr<std::deque<Control>> controls;  // made when there are some: an idle socket has none
    bool openDue = false;
    bool running = false;      // a fiber tells what is due
    bool errorTold = false;
    bool closeTold = false;

    bool hasControls() const { return controls && !controls->empty(); }
};

}
