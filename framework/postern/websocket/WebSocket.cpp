#include "postern/websocket/WebSocket.h"

#include "postern/base/Utf8.h"
#include "postern/websocket/WebSocketCore.h"

#include <exception>
#include <locale>
#include <sstream>
#include <stdexcept>

namespace postern {

namespace {

// Apart, so that those who never throw it need no frame for it.
[[noreturn, gnu::noinline]] void throwMovedAway() { throw WebSocketClosed("this WebSocket was moved away"); }

void checkControl(std::string_view payload) {
    if (payload.size() > maxControlPayload) throw std::length_error("a control frame carries at most 125 bytes");
}

}

WebSocket::WebSocket(WebSocketCore* core) : core_(core), exceptions_(std::uncaught_exceptions()) { core->addHandle(); }

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

WebSocket WebSocket::overStream(std::unique_ptr<ByteStream> stream, const WebSocketOptions& options, Established established) {
    options.check();
    return WebSocket(new WebSocketCore(std::move(stream), options, std::move(established)));
}

WebSocketCore& WebSocket::core() {
    if (!core_) throwMovedAway();
    return *core_;
}

void WebSocket::demandSignOfLife(Duration within, std::string why) { core().demandSignOfLife(within, std::move(why)); }

Message WebSocket::recv(Deadline deadline) { return core().recv(deadline); }
Message WebSocket::recv(Duration time) { return core().recv(core().loop().in(time)); }
bool WebSocket::waitForNextMessage(Deadline deadline) { return core().waitForMessage(deadline); }
bool WebSocket::waitForNextMessage(Duration time) { return core().waitForMessage(core().loop().in(time)); }
bool WebSocket::waitForNextMessageWouldBlock() { return core().wouldBlock(); }
bool WebSocket::isMessageBuffered() { return core().isBuffered(); }

MessageReader WebSocket::recvStream(Deadline deadline) {
    const auto kind = core().beginReading(deadline);
    return kind ? MessageReader(core(), *kind) : MessageReader();
}

namespace {

std::string receive(WebSocket& socket, WebSocketOpcode kind, Deadline deadline) {
    const auto message = socket.recv(deadline);
    if (!message) throw WebSocketClosed("the WebSocket is closed");
    if (message.opcode == kind) return message.toString();
    socket.close(CloseCode::unsupportedData, kind == WebSocketOpcode::text ? "text only" : "binary only");
    throw WrongMessageKind(kind == WebSocketOpcode::text ? "a binary message where text was expected"
                                                         : "a text message where bytes were expected");
}

}

std::string WebSocket::receiveText(Deadline deadline) { return receive(*this, WebSocketOpcode::text, deadline); }
std::string WebSocket::receiveBinary(Deadline deadline) { return receive(*this, WebSocketOpcode::binary, deadline); }
bool WebSocket::waitForData(Duration time) { return core().waitForMessage(core().loop().in(time)) && core().hasMessage(); }
bool WebSocket::waitForData() { return core().waitForMessage(Deadline::never()) && core().hasMessage(); }
bool WebSocket::dataAvailableForRead() { return core_ && core_->isBuffered() && core_->hasMessage(); }

void WebSocket::send(std::string_view text) { core().send(WebSocketOpcode::text, text); }
void WebSocket::send(ByteView bytes) { core().send(WebSocketOpcode::binary, asText(bytes)); }

void WebSocket::sendPrinted(void (*print)(std::ostream& out, const void* value), const void* value) {
    std::ostringstream out;
    out.imbue(std::locale::classic());
    print(out, value);
    send(out.view());
}

void WebSocket::send(std::string_view text, bool compress) {
    core().send(WebSocketOpcode::text, text, compress ? WebSocketCore::Compress::yes : WebSocketCore::Compress::no);
}

void WebSocket::send(ByteView bytes, bool compress) {
    core().send(WebSocketOpcode::binary, asText(bytes), compress ? WebSocketCore::Compress::yes : WebSocketCore::Compress::no);
}

bool WebSocket::trySend(std::string_view text) { return core_ && core_->trySend(WebSocketOpcode::text, text); }
bool WebSocket::trySend(ByteView bytes) { return core_ && core_->trySend(WebSocketOpcode::binary, asText(bytes)); }
MessageWriter WebSocket::sendStream(WebSocketOpcode kind) { return sendStream(kind, true); }
MessageWriter WebSocket::sendStream(WebSocketOpcode kind, bool compress) { return MessageWriter(core(), kind, compress); }
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

void WebSocket::setHeartbeat(Duration interval, std::string message) {
    checkControl(message);
    if (interval < Duration::zero()) throw std::invalid_argument("a heartbeat interval is not negative");
    core().setHeartbeat(interval, std::move(message));
}

void WebSocket::setCallback(Callback::Kinds kinds, std::unique_ptr<Callback> callback) {
    core().setCallback(kinds, std::move(callback));
}

// ── The end ──

void WebSocket::close(uint16_t code, std::string_view reason) {
    if (!isValidCloseCode(code)) throw std::invalid_argument("a close frame cannot carry the code " + std::to_string(code));
    if (core_) core_->close(code, reason);
}

void WebSocket::abort() {
    if (core_) core_->abort();
}

ReadyState WebSocket::readyState() const {
    if (!core_ || core_->isEnded() || core_->isLineBroken()) return ReadyState::closed;
    return core_->isOpen() ? ReadyState::open : ReadyState::closing;
}

uint16_t WebSocket::closeCode() const { return core_ ? core_->closeCode() : static_cast<uint16_t>(CloseCode::abnormal); }
std::string_view WebSocket::closeReason() const { return core_ ? core_->closeReason() : std::string_view(); }
bool WebSocket::wasClean() const { return core_ && core_->wasClean(); }
std::string_view WebSocket::protocol() const { return core_ ? core_->protocol() : std::string_view(); }

bool WebSocket::compresses() const { return core_ && core_->compresses(); }

std::string WebSocket::closeReasonString() const {
    const auto reason = closeReason();
    return std::string(reason.empty() ? describeCloseCode(closeCode()) : reason);
}

const UpgradeRequest& WebSocket::request() const {
    if (!core_ || !core_->request()) throw std::logic_error("this WebSocket keeps no request");
    return *core_->request();
}

std::string_view truncateControlPayload(std::string_view payload) { return utf8Prefix(payload, maxControlPayload); }

}
