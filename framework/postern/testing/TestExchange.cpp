#include "postern/testing/TestExchange.h"

#include "postern/testing/CookieJar.h"
#include "postern/testing/TestLine.h"
#include "postern/testing/TestLoop.h"

#include <stdexcept>
#include <utility>

namespace postern {

TestExchange::TestExchange(std::shared_ptr<TestLoop> loop, std::shared_ptr<TestLine> line, std::shared_ptr<CookieJar> jar,
                           std::string name, std::string path)
    : loop_(loop), line_(line), jar_(jar), name_(std::move(name)), path_(std::move(path)) {}

TestExchange& TestExchange::operator=(TestExchange&& other) noexcept {
    if (this == &other) return *this;
    cut();
    loop_ = std::move(other.loop_);
    line_ = std::move(other.line_);
    jar_ = std::move(other.jar_);
    name_ = std::move(other.name_);
    path_ = std::move(other.path_);
    hasHead_ = other.hasHead_;
    done_ = other.done_;
    reply_ = std::move(other.reply_);
    return *this;
}

TestExchange::~TestExchange() { cut(); }

void TestExchange::cut() noexcept {
    const auto loop = loop_.lock();
    const auto line = line_.lock();
    if (!loop || !line || done_) return;
    line->cut();
    if (!loop->loop().runningFiber()) loop->settle();
}

TestLoop& TestExchange::loop() {
    if (loop_.expired()) throw std::logic_error("the TestClient is gone");
    return *loop_.lock();
}

// A connection that ends too early says of which request it was.
template <typename Function>
auto TestExchange::orBroken(Function function) {
    try {
        return function();
    } catch (const Disconnected& problem) {
        done_ = true;
        if (const auto line = line_.lock()) line->cut();
        const auto what = name_ + ": " + problem.what();
        if (hasHead_) throw IncompleteReply(what, reply_);
        throw Disconnected(what);
    }
}

void TestExchange::run(const std::function<void()>& function) {
    orBroken([&] { loop().run(name_, function); });
}

void TestExchange::receiveHead() {
    if (hasHead_) return;
    line_.lock()->receiveHead(reply_);
    hasHead_ = true;
    const auto now = loop().loop().poller().now();
    if (const auto jar = jar_.lock())
        for (const auto& field : reply_.headerArray("Set-Cookie")) jar->store(field, path_, now);
}

// False: the body is complete.
bool TestExchange::receiveMore() {
    receiveHead();
    if (done_) return false;
    const auto piece = line_.lock()->receivePiece();
    reply_.body += piece;
    done_ = piece.empty();
    return !done_;
}

bool TestExchange::hasBegun() {
    return hasHead_ || orBroken([this] { return loop().tryRun([this] { receiveHead(); }); });
}

const TestReply& TestExchange::head() {
    if (!hasHead_) run([this] { receiveHead(); });
    return reply_;
}

std::string TestExchange::read() {
    if (reply_.body.empty() && !done_) run([this] { receiveMore(); });
    return std::exchange(reply_.body, {});
}

std::string TestExchange::readUntil(std::string_view mark) {
    const auto isThere = [&] { return reply_.body.find(mark) != std::string::npos; };
    if (!isThere() && !done_)
        run([&] {
            while (!isThere() && receiveMore()) continue;
        });
    if (!isThere()) throw IncompleteReply(name_ + ": the reply ends without '" + std::string(mark) + "'", reply_);
    const auto end = reply_.body.find(mark) + mark.size();
    auto part = reply_.body.substr(0, end);
    reply_.body.erase(0, end);
    return part;
}

TestReply TestExchange::reply() {
    if (!done_)
        run([this] {
            while (receiveMore()) continue;
        });
    return reply_;
}

}
