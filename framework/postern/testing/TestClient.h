#pragma once
// Tests a handler without a server: the client and the built-in HTTP server talk over streams in memory.

#include "postern/cgi/Cgi.h"
#include "postern/client/ClientOptions.h"
#include "postern/client/ConnectWebSocket.h"
#include "postern/gateway/HttpGateway.h"
#include "postern/testing/TestExchange.h"
#include "postern/testing/TestReply.h"
#include "postern/testing/TestWebSocket.h"

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace postern {

/// The program around the handler, and where its client stands.
struct TestClientOptions {
    HandlerSettings handling;                   ///< as --dev, --max-message, --websocket-deflate, --allowed-origin set them
    HttpSettings http;                          ///< limits, time-outs, mount, access log; `tls` and `scheme` follow `https`
    bool https = false;                         ///< the handler is told so; nothing is encrypted
    std::string host = "localhost";             ///< the Host field
    std::string remoteAddress = "127.0.0.1";
    Duration patience = std::chrono::seconds(5);  ///< what takes a call longer throws TimedOut
};

struct TestLogLine {
    LogLevel level;
    std::string text;
};

/// A client of one handler, for a plain function, on the thread that made it. Its loop runs during its calls only: until what was asked for is
/// there, and then until nothing more can happen without time or other threads. So after each call everything that follows
/// from it has been done, and a test needs no sleep. The handler behaves as in production, on the built-in server.
///
/// Its destructor ends everything: handlers that still run are cancelled. Calls from a handler throw std::logic_error.
class TestClient {
public:
    explicit TestClient(Handler handler, TestClientOptions options = {});
    TestClient(const TestClient&) = delete;
    TestClient& operator=(const TestClient&) = delete;
    ~TestClient();

    // ── Requests ──
    //
    // `target`: path and query, encoded. Cookies are kept and sent back, connections are used again, redirects are not
    // followed. All throw TimedOut when patience ends, Disconnected when the connection ends instead of an answer, and
    // IncompleteReply when it ends within one.

    TestReply get(std::string_view target) { return request("GET", target); }
    TestReply head(std::string_view target) { return request("HEAD", target); }
    TestReply post(std::string_view target, std::string_view body, std::string_view type = "text/plain; charset=utf-8");
    /// The fields of a form, urlencoded.
    TestReply postForm(std::string_view target, const std::vector<Header>& form);
    /// Any request; the headers are for this one only. Content-Length is set for you, and refused with
    /// std::invalid_argument, as are fields that could not stand in a request.
    TestReply request(std::string_view method, std::string_view target, const std::vector<Header>& headers = {},
                      std::string_view body = {});
    /// Sends the request and lets the handler run, but does not wait for its answer.
    TestExchange start(std::string_view method, std::string_view target, const std::vector<Header>& headers = {},
                       std::string_view body = {});

    /// Opens a WebSocket. Throws HandshakeError, and its kinds, when the handler answers anything else.
    TestWebSocket websocket(std::string_view target, const ClientOptions& options = {});

    // ── What the client keeps ──

    /// A field of every request from now on, and of handshakes; replaces one of the same name. Empty: none any more.
    void setHeader(std::string_view name, std::string_view value);
    void setCookie(std::string_view name, std::string_view value);
    /// The value of a cookie that is kept.
    std::optional<std::string> cookie(std::string_view name) const;
    void clearCookies();

    // ── The loop ──

    /// Lets that much time pass for the handler and everything around it, without waiting: sleeps end, heartbeats are
    /// sent, time-outs come.
    void advance(Duration time);
    /// Runs `function` as a fiber, where it may wait, and throws what it throws. TimedOut when patience ends.
    void run(const std::function<void()>& function);
    /// Lets everything run that can: after another thread has done something, say.
    void settle();

    /// What was logged so far, and whether a line of it contains `part`.
    const std::vector<TestLogLine>& log() const;
    bool logged(std::string_view part) const;

private:
    struct State;
    std::unique_ptr<State> state_;
};

}
