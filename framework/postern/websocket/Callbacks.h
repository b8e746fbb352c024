#pragma once
// What a socket calls when something happens. Internal: programs use WebSocket::onmessage() and its sisters.

#include "postern/websocket/CloseEvent.h"
#include "postern/websocket/Message.h"

#include <cstdint>
#include <exception>
#include <memory>
#include <string_view>
#include <utility>

namespace postern {

class WebSocket;

/// What a callback is told: the part that its kind has.
struct WebSocketEvent {
    const Message* message = nullptr;
    std::string_view payload{};            ///< of a ping or a pong
    const std::exception* error = nullptr;
    const CloseEvent* close = nullptr;
};

/// A function, and the kinds of events it is for: one piece of memory.
class Callback {
public:
    using Kinds = uint8_t;
    static constexpr Kinds open = 1, text = 2, binary = 4, ping = 8, pong = 16, error = 32, close = 64;

    explicit Callback(Kinds kinds) : kinds_(kinds) {}
    Callback(const Callback&) = delete;
    Callback& operator=(const Callback&) = delete;
    virtual ~Callback() = default;

protected:
    virtual void call(WebSocket& socket, const WebSocketEvent& event) = 0;

private:
    friend class Callbacks;
    std::unique_ptr<Callback> next_;
    Kinds kinds_;             // none: replaced while it ran
    uint8_t running_ = 0;     // how often, one within the other
};

/// `Call` brings a WebSocketEvent to what `Function` takes.
template <typename Function, typename Call>
class CallbackTo final : public Callback {
public:
    CallbackTo(Kinds kinds, Function function, Call call) : Callback(kinds), function_(std::move(function)), call_(call) {}

private:
    void call(WebSocket& socket, const WebSocketEvent& event) override { call_(function_, socket, event); }

    [[no_unique_address]] Function function_;
    [[no_unique_address]] Call call_;
};

/// Those of one socket. One may be replaced while it runs.
class Callbacks {
public:
    /// In place of those there are for these kinds; null: none.
    void set(Callback::Kinds kinds, std::unique_ptr<Callback> callback);
    /// Is there one for any of these kinds?
    bool has(Callback::Kinds kinds) const;
    /// Calls the one there is, unless that kind runs already.
    void call(Callback::Kinds kind, WebSocket& socket, const WebSocketEvent& event);

private:
    void removeUnused();

    std::unique_ptr<Callback> first_;
    Callback::Kinds running_ = 0;
};

}
