#pragma once

#include "postern/testing/TestReply.h"

#include <functional>
#include <memory>
#include <string>
#include <string_view>

namespace postern {

class CookieJar;
class TestLine;
class TestLoop;

/// A request whose reply is still on its way: for handlers that answer late or bit by bit. TestClient::start() makes it.
/// Where a call waits, it throws what TestClient::get() throws. Destroyed before its end, the client goes away.
class TestExchange {
public:
    TestExchange(TestExchange&& other) noexcept = default;
    TestExchange& operator=(TestExchange&& other) noexcept;
    ~TestExchange();

    /// Has the handler begun to answer? Waits for nothing.
    bool hasBegun();
    /// Status and header fields; waits for them.
    const TestReply& head();
    /// The next piece of the body, as soon as there is some; empty at its end.
    std::string read();
    /// The body up to the first `mark` and with it: an event of a stream, say. Throws IncompleteReply if none comes.
    std::string readUntil(std::string_view mark);
    /// Waits for the end. `body` is what was not read before.
    TestReply reply();

private:
    friend class TestClient;
    TestExchange(std::shared_ptr<TestLoop> loop, std::shared_ptr<TestLine> line, std::shared_ptr<CookieJar> jar, std::string name,
                 std::string path);

    TestLoop& loop();
    template <typename Function>
    auto orBroken(Function function);
    void run(const std::function<void()>& function);
    void receiveHead();
    bool receiveMore();
    void cut() noexcept;

    std::weak_ptr<TestLoop> loop_;  // the client may go first
    std::weak_ptr<TestLine> line_;
    std::weak_ptr<CookieJar> jar_;
    std::string name_;              // "GET /path"
    std::string path_;
    bool hasHead_ = false;
    bool done_ = false;
    TestReply reply_;               // its body: what nobody has read
};

}
