#pragma once
// The other end of a WebSocket in tests: it sends whatever the test says, right or wrong, and reads strictly.

#include "postern/websocket/WebSocket.h"
#include "support/TestServer.h"

#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace postern {

/// A frame as a server sends it.
struct WireFrame {
    bool fin = true;
    int opcode = 0;
    std::string payload;

    /// "text hello", "close 1000 bye", "close", "ping x"; "+" in front of a frame that is not the last of its message.
    std::string describe() const;
};

/// The bytes of a client's frame.
struct ClientBytes {
    int opcode = 1;
    std::string_view payload;
    bool fin = true;
    bool masked = true;
    int reservedBits = 0;  ///< 4: RSV1, 2: RSV2, 1: RSV3
    std::string bytes() const;
};

/// "\x03\xe8bye" for 1000 and "bye".
std::string closePayload(int code, std::string_view reason = {});

/// Every wait fails with std::runtime_error when patience ends, and so does every frame that no server may send.
class WebSocketClient {
public:
    static constexpr std::string_view key = "dGhlIHNhbXBsZSBub25jZQ==";
    static constexpr std::string_view accept = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

    /// Connects only.
    explicit WebSocketClient(uint16_t port, int receiveBuffer = 0) : line_(port, receiveBuffer) {}
    /// Connects and shakes hands. `lines` are added to the request, `after` is sent in the same segment.
    explicit WebSocketClient(const TestServer& server, std::string_view lines = {}, std::string_view after = {},
                             int receiveBuffer = 0);

    static std::string request(std::string_view lines = {}, std::string_view target = "/");
    /// Reads a reply's head, up to and including its empty line.
    std::string readHead();

    void send(std::string_view bytes) { line_.send(bytes); }
    void send(const ClientBytes& frame) { line_.send(frame.bytes()); }
    void text(std::string_view payload) { send(ClientBytes{1, payload}); }
    void binary(std::string_view payload) { send(ClientBytes{2, payload}); }
    void ping(std::string_view payload) { send(ClientBytes{9, payload}); }
    void pong(std::string_view payload) { send(ClientBytes{10, payload}); }
    void close(int code, std::string_view reason = {}) { send(ClientBytes{8, closePayload(code, reason)}); }
    void finishSending() { line_.finishSending(); }
    void reset() { line_.reset(); }
    bool trySend(std::string_view bytes) { return line_.trySend(bytes); }

    /// From now on frames may have RSV1; it is not looked at further.
    void expectCompression() { allowedBits_ = 0x40; }
    /// None: the line has ended.
    std::optional<WireFrame> read();
    /// read(), described; "FIN" or "reset" at the end of the line, "cut FIN" if it came within a frame.
    std::string next();
    /// All that comes up to the end of the line: "text a; close 1000; FIN".
    std::string rest();
    /// Has something come, or the end? Does not wait.
    bool hasArrived() { return !bytes_.empty() || line_.hasArrived(); }
    int fd() const { return line_.fd(); }

private:
    enum class End { none, fin, reset };
    bool fill(size_t size);

    RawClient line_;
    std::string bytes_;
    End end_ = End::none;
    int allowedBits_ = 0;
};

/// A server with one WebSocket at every address, and what its handler noted.
class WebSocketServer {
public:
    using Serve = std::function<void(WebSocket& socket, WebSocketServer& server)>;
    explicit WebSocketServer(Serve serve, WebSocketOptions options = {}, HttpSettings settings = {});
    ~WebSocketServer();

    TestServer& http() { return *http_; }
    operator const TestServer&() const { return *http_; }
    /// From any thread.
    void note(std::string_view line) { notes_.function()(LogLevel::info, line); }
    /// For handlers, which run on another thread than the test: a promise that is not kept fails the test at the end.
    void expect(bool kept, std::string_view promise);
    /// Waits until the handler has noted a line with this text, so many times.
    bool noted(std::string_view part, size_t times = 1) const;
    std::vector<std::string> notes() const { return notes_.all(); }

private:
    LogLines notes_, broken_;
    std::optional<TestServer> http_;
};

#define HANDLER_CHECK(server, ...) (server).expect(static_cast<bool>(__VA_ARGS__), #__VA_ARGS__)

template <typename Error, typename Function>
bool throws(Function function) {
    try {
        function();
    } catch (const Error&) {
        return true;
    }
    return false;
}

/// Tells what recv() gave: "text hello", "close 1000 bye".
std::string describe(const Message& message);

/// Receives and sends back until the end, which it notes: "close 1000 bye clean".
void echo(WebSocket& socket, WebSocketServer& server);

}
