#pragma once
// The built-in server in a thread of the test program, and a plain blocking client that sends it any bytes.

#include "postern/cgi/Cgi.h"
#include "postern/gateway/HttpGateway.h"
#include "support/Fragments.h"

#include <condition_variable>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace postern {

/// After that long a wait of a test fails.
constexpr auto testPatience = std::chrono::seconds(20);

/// Log lines of other threads.
class LogLines {
public:
    LogFunction function();
    std::vector<std::string> all() const;
    size_t count(std::string_view part) const; ///< lines that contain it
    /// Waits until that many lines contain it. False when patience ends.
    bool wait(std::string_view part, size_t lines = 1) const;

private:
    mutable std::mutex mutex_;
    mutable std::condition_variable changed_;
    std::vector<std::string> lines_;
};

/// Listens on a port of the kernel's choice as soon as it is made. The destructor stops at once; drain() first for an
/// orderly end. Handlers run on the server's thread, on fibers.
class TestServer {
public:
    explicit TestServer(Handler handler, HttpSettings settings = {}, HandlerSettings handling = {});
    ~TestServer();
    TestServer(const TestServer&) = delete;
    TestServer& operator=(const TestServer&) = delete;

    uint16_t port() const { return port_; }
    std::string host() const { return "127.0.0.1:" + std::to_string(port_); }
    LogLines& log() { return log_; }
    /// Runs `task` on the loop and waits for it.
    void onLoop(const std::function<void()>& task);
    /// Starts the orderly end, as SIGTERM does.
    void drain(Duration limit = std::chrono::seconds(10));
    /// Waits for the end of the loop after drain(). False when patience ends.
    bool waitForEnd();

private:
    void work(int fd);
    void withLoop(const std::function<void(Loop&)>& action);

    const Handler handler_;
    const HttpSettings settings_;
    const HandlerSettings handling_;
    const ExchangeHandler handle_;
    uint16_t port_ = 0;
    LogLines log_;
    std::mutex mutex_;
    std::condition_variable changed_;
    Loop* loop_ = nullptr; // guarded by mutex_; null before it runs and after
    bool ended_ = false;   // guarded by mutex_
    std::thread thread_;
};

/// A reply as a client understands it, read by a parser of its own. Throws std::runtime_error for what no reply is.
struct RawReply {
    int status = 0;
    std::string head; ///< as it came, with its empty line
    std::vector<std::pair<std::string, std::string>> fields;
    std::string body; ///< without chunks
    bool chunked = false;

    std::string field(std::string_view name) const; ///< the last one, or empty
    std::vector<std::string> all(std::string_view name) const;
    bool has(std::string_view name) const { return !all(name).empty(); }
    bool saysClose() const { return field("Connection") == "close"; }

    /// Takes one reply from the front of `bytes`. False: more must come. `ended`: nothing more comes. `method` of the
    /// request decides about the body.
    static bool take(std::string& bytes, std::string_view method, bool ended, RawReply& reply);
    /// All replies in `bytes`, none of which may be incomplete. `methods`: of the requests; the last goes on.
    static std::vector<RawReply> takeAll(std::string_view bytes, const std::vector<std::string>& methods = {"GET"});
};

/// One connection of a client. Every wait fails with std::runtime_error when patience ends.
class RawClient {
public:
    enum class End { closed, reset };

    /// `receiveBuffer`: bytes the kernel holds for a slow reader; 0: as usual.
    explicit RawClient(uint16_t port, int receiveBuffer = 0);
    explicit RawClient(const TestServer& server) : RawClient(server.port()) {}
    RawClient(RawClient&& other) noexcept : fd_(std::exchange(other.fd_, -1)), bytes_(std::move(other.bytes_)) {}
    RawClient& operator=(RawClient&&) = delete;
    ~RawClient();

    /// Throws when the line breaks.
    void send(std::string_view bytes);
    /// Sends until the line breaks: false then.
    bool trySend(std::string_view bytes);
    void finishSending(); ///< half-close
    void reset();         ///< an abrupt end

    /// Exactly so many bytes, fewer only if the connection ends.
    std::string receive(size_t size);
    /// Up to the end of the connection.
    std::string receiveAll();
    /// The next reply. 1xx replies are replies, too.
    RawReply receiveReply(std::string_view method = "GET");
    /// send() and receiveReply().
    RawReply request(std::string_view bytes, std::string_view method = "GET");
    /// Waits for the end of the connection; what came before is dropped.
    End waitForEnd();
    /// Has something come that receive…() has not given yet, or the end?
    bool hasArrived(std::chrono::milliseconds within = {});
    int fd() const { return fd_; }

private:
    enum class More { bytes, end, reset };
    More receiveMore();
    void waitFor(short events, const char* what);

    int fd_ = -1;
    std::string bytes_;
};

/// "GET PATH HTTP/1.1" with a Host, these further lines (each with its CRLF) and a body as it is.
std::string rawRequest(std::string_view method, std::string_view target, std::string_view lines = {},
                       std::string_view body = {});

/// The built-in server on a stream in memory: quick enough to be asked a thousand times. Belongs to its thread.
class MemoryServer {
public:
    explicit MemoryServer(Handler handler, HttpSettings settings = {}, HandlerSettings handling = {});
    /// Everything that it answers to these pieces, each arriving on its own, and to the end that follows them.
    std::string answer(const Fragments& pieces);

private:
    const Handler handler_;
    const HttpSettings settings_;
    const HandlerSettings handling_;
    const ExchangeHandler handle_;
    Loop loop_;
};

} // namespace postern
