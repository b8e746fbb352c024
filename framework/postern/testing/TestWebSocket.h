#pragma once

#include "postern/websocket/WebSocket.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace postern {

class TestLoop;

/// The client's end of a WebSocket, for a plain function: each call runs the client's loop until it is done, and then as
/// far as it goes without waiting. What waits longer than the client's patience throws TimedOut. Otherwise calls do what
/// those of WebSocket do. Destroyed, it closes with 1000, and the handler hears of it. It may outlive its client: it is
/// closed then.
class TestWebSocket {
public:
    /// A closed one.
    TestWebSocket() = default;
    TestWebSocket(TestWebSocket&& other) noexcept = default;
    TestWebSocket& operator=(TestWebSocket&& other) noexcept;
    ~TestWebSocket();

    Message recv();
    std::string receiveText();
    std::string receiveBinary();
    /// Would recv() give a message at once? Waits for nothing, so false means that none was sent.
    bool hasMessage();

    void send(std::string_view text);
    void send(const char* text) { send(std::string_view(text)); }
    void send(const std::string& text) { send(std::string_view(text)); }
    void send(ByteView bytes);
    template <Number T>
    void send(T number) {
        run("send", [&] { socket_.send(number); });
    }
    void ping(std::string_view payload = {});
    Duration roundTrip();
    void close(uint16_t code = 1000, std::string_view reason = {});
    /// Cuts the line: the handler sees 1006.
    void abort();

    ReadyState readyState() const { return socket_.readyState(); }
    bool isOpen() const { return socket_.isOpen(); }
    uint16_t closeCode() const { return socket_.closeCode(); }
    std::string_view closeReason() const { return socket_.closeReason(); }
    bool wasClean() const { return socket_.wasClean(); }
    std::string_view protocol() const { return socket_.protocol(); }
    bool compresses() const { return socket_.compresses(); }

    /// For everything else: callbacks, which are called during the client's calls, and within TestClient::run() whatever
    /// waits.
    WebSocket& socket() { return socket_; }

private:
    friend class TestClient;
    TestWebSocket(std::shared_ptr<TestLoop> loop, WebSocket socket, std::string name);
    void run(const char* call, const std::function<void()>& function);
    void letGo() noexcept;

    std::weak_ptr<TestLoop> loop_;  // none: the client is gone
    WebSocket socket_;
    std::string name_;              // "WebSocket /path"
};

}
