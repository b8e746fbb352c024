#include "postern/websocket/WebSocket.h"

#include "postern/base/Utf8.h"
#include "postern/websocket/WebSocketCore.h"

#include <exception>
#include <stdexcept>

namespace postern {

namespace {

void checkControl(std::string_view payload) {
    if (payload.size() > maxControlPayload) throw std::length_error("a control frame carries at most 125 bytes");
}

}

WebSocket::WebSocket(WebSocketCore* core) : core_(core), exceptions_(std::uncaught_exceptions()) {}

WebSocket::WebSocket(WebSocket&& other) noexcept
    : core_(std::exchange(other.core_, nullptr)), exceptions_(std::uncaught_exceptions()) {}

WebSocket& WebSocket::operator=(WebSocket&& other) noexcept {
    if (this == &other) return *this;
    release();
    core_ = std::exchange(other.core_, nullptr);
    exceptions_ = std::uncaught_exceptions();
    return *this;
}

WebSocket::~WebSocket() { release(); }

void WebSocket::release() noexcept {
    if (!core_) return;
    const bool failing = std::uncaught_exceptions() > exceptions_;
    std::exchange(core_, nullptr)->release(failing ? CloseCode::internalError : CloseCode::normal);
}

WebSocket WebSocket::overStream(std::unique_ptr<ByteStream> stream, const WebSocketOptions& options, std::string protocol) {
    options.check();
    return WebSocket(new WebSocketCore(std::move(stream), Assembler::Role::server, options, std::move(protocol)));
}

WebSocketCore& WebSocket::core() {
    if (!core_) throw WebSocketClosed("this WebSocket was moved away");
    return *core_;
}

void WebSocket::demandSignOfLife(Duration within, std::string why) { core().demandSignOfLife(within, std::move(why)); }

Message WebSocket::recv(Deadline deadline) { return core().recv(deadline); }
Message WebSocket::recv(Duration time) { return core().recv(core().loop().in(time)); }
bool WebSocket::waitForNextMessage(Deadline deadline) { return core().waitForMessage(deadline); }
bool WebSocket::waitForNextMessage(Duration time) { return core().waitForMessage(core().loop().in(time)); }
bool WebSocket::waitForNextMessageWouldBlock() { return core().wouldBlock(); }
bool WebSocket::isMessageBuffered() { return core().isBuffered(); }

void WebSocket::send(std::string_view text) { core().send(WebSocketOpcode::text, text); }
void WebSocket::send(ByteView bytes) { core().send(WebSocketOpcode::binary, asText(bytes)); }
bool WebSocket::trySend(std::string_view text) { return core_ && core_->trySend(WebSocketOpcode::text, text); }
bool WebSocket::trySend(ByteView bytes) { return core_ && core_->trySend(WebSocketOpcode::binary, asText(bytes)); }
Sender WebSocket::sender() { return Sender(core().link()); }

void WebSocket::ping(std::string_view payload) {
    checkControl(payload);
    core().ping(payload);
}

void WebSocket::pong(std::string_view payload) {
    checkControl(payload);
    core().pong(payload);
}

Duration WebSocket::roundTrip(Deadline deadline) { return core().measureRoundTrip(deadline); }
void WebSocket::onpong(std::function<void(std::string_view)> callback) { core().onPong(std::move(callback)); }

void WebSocket::setHeartbeat(Duration interval, std::string message) {
    checkControl(message);
    if (interval < Duration::zero()) throw std::invalid_argument("a heartbeat interval is not negative");
    core().setHeartbeat(interval, std::move(message));
}

void WebSocket::close(uint16_t code, std::string_view reason) {
    if (!isValidCloseCode(code)) throw std::invalid_argument("a close frame cannot carry the code " + std::to_string(code));
    if (core_) core_->close(code, reason);
}

void WebSocket::abort() {
    if (core_) core_->abort();
}

ReadyState WebSocket::readyState() const {
    if (!core_ || core_->isEnded()) return ReadyState::closed;
    return core_->isOpen() ? ReadyState::open : ReadyState::closing;
}

uint16_t WebSocket::closeCode() const { return core_ ? core_->closeCode() : static_cast<uint16_t>(CloseCode::abnormal); }
std::string_view WebSocket::closeReason() const { return core_ ? std::string_view(core_->closeReason()) : std::string_view(); }
bool WebSocket::wasClean() const { return core_ && core_->wasClean(); }
std::string_view WebSocket::protocol() const { return core_ ? std::string_view(core_->protocol()) : std::string_view(); }

std::string_view truncateControlPayload(std::string_view payload) { return utf8Prefix(payload, maxControlPayload); }

}
