#include "postern/testing/TestWebSocket.h"

#include "postern/testing/TestLoop.h"

#include <optional>
#include <utility>

namespace postern {

TestWebSocket::TestWebSocket(std::shared_ptr<TestLoop> loop, WebSocket socket, std::string name)
    : loop_(loop), socket_(std::move(socket)), name_(std::move(name)) {}

TestWebSocket& TestWebSocket::operator=(TestWebSocket&& other) noexcept {
    if (this == &other) return *this;
    letGo();
    loop_ = std::move(other.loop_);
    socket_ = std::move(other.socket_);
    name_ = std::move(other.name_);
    return *this;
}

TestWebSocket::~TestWebSocket() { letGo(); }

void TestWebSocket::letGo() noexcept {
    const auto loop = loop_.lock();
    socket_ = WebSocket();
    if (loop && !loop->loop().runningFiber()) loop->settle();
}

void TestWebSocket::run(const char* call, const std::function<void()>& function) {
    const auto loop = loop_.lock();
    if (!loop) throw WebSocketClosed("the TestClient of this WebSocket is gone");
    loop->run(name_ + ", " + call, function);
}

Message TestWebSocket::recv() {
    std::optional<Message> message;
    run("recv", [&] { message.emplace(socket_.recv()); });
    return std::move(*message);
}

std::string TestWebSocket::receiveText() {
    std::string text;
    run("receiveText", [&] { text = socket_.receiveText(); });
    return text;
}

std::string TestWebSocket::receiveBinary() {
    std::string bytes;
    run("receiveBinary", [&] { bytes = socket_.receiveBinary(); });
    return bytes;
}

bool TestWebSocket::hasMessage() {
    const auto loop = loop_.lock();
    bool has = false;
    return loop && loop->tryRun([&] { has = socket_.waitForData(); }) && has;
}

void TestWebSocket::send(std::string_view text) {
    run("send", [&] { socket_.send(text); });
}

void TestWebSocket::send(ByteView bytes) {
    run("send", [&] { socket_.send(bytes); });
}

void TestWebSocket::ping(std::string_view payload) {
    run("ping", [&] { socket_.ping(payload); });
}

Duration TestWebSocket::roundTrip() {
    Duration time{};
    run("roundTrip", [&] { time = socket_.roundTrip(); });
    return time;
}

void TestWebSocket::close(uint16_t code, std::string_view reason) {
    run("close", [&] { socket_.close(code, reason); });
}

void TestWebSocket::abort() {
    run("abort", [&] { socket_.abort(); });
}

}
