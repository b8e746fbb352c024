#include "postern/client/ReconnectingWebSocket.h"

#include "postern/base/Crypto.h"
#include "postern/client/RetryAfter.h"
#include "postern/protocol/WebSocketUrl.h"

#include <algorithm>
#include <cmath>
#include <stdexcept>

namespace postern {

namespace {

// From 0 to, but not including, 1.
double drawEvenly() {
    uint64_t bits = 0;
    fillRandom({reinterpret_cast<char*>(&bits), sizeof bits});
    return std::ldexp(static_cast<double>(bits >> 11), -53);
}

// Would another attempt end the same way?
bool isHopeless(const HandshakeError& answer) {
    const int status = answer.status();
    if (status == 408 || status == 425 || status == 429) return false;
    return status != 0 && status < 500;
}

CloseEvent endOf(const WebSocket& socket) {
    return {socket.closeCode(), std::string(socket.closeReason()), socket.wasClean()};
}

Duration retryAfter(const HandshakeError& answer) {
    const auto now = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
    return readRetryAfter(answer.field("Retry-After"), now).value_or(std::chrono::seconds(0));
}

}

void ReconnectOptions::check() const {
    const auto require = [](bool ok, const char* what) {
        if (!ok) throw std::invalid_argument(what);
    };
    client.socket.check();
    require(minDelay > Duration::zero() && maxDelay >= minDelay, "delays are positive, and maxDelay is the longest");
    require(maxDelay <= std::chrono::hours(24 * 365), "a delay is no longer than a year");
    require(factor >= 1 && factor < 1e6, "a delay's factor is from 1 to a million");
    require(steadyAfter >= Duration::zero() && maxRetryAfter >= Duration::zero(), "times are not negative");
}

ReconnectingWebSocket::ReconnectingWebSocket(std::string url, ReconnectOptions options)
    : url_(std::move(url)), options_(std::move(options)) {
    options_.check();
    if (!options_.connect) {
        const auto parsed = parseWebSocketUrl(url_);
        if (const auto* why = std::get_if<std::string>(&parsed)) throw std::invalid_argument(*why);
    }
    fibers_.spawn([this] { work(); });
}

template <typename Condition>
void ReconnectingWebSocket::waitUntil(Condition condition, Deadline deadline) {
    while (!condition()) throwUnlessReady(changed_.wait(deadline));
}

// ── The fiber that connects ──

void ReconnectingWebSocket::work() {
    worker_ = Loop::current().runningFiber();
    try {
        keepConnecting();
    } catch (const Cancelled&) {
        // By close(), or by the destructor.
    } catch (...) {
        failure_ = std::current_exception();
    }
    if (failure_ && socket_.isOpen()) socket_.sender().close(static_cast<uint16_t>(CloseCode::internalError));
    worker_ = nullptr;
    enter(State::ended);
}

void ReconnectingWebSocket::keepConnecting() {
    auto& loop = Loop::current();
    for (unsigned attempts = 1; !closing_; ++attempts) {
        auto pause = Duration::zero();
        const auto failed = [&](const std::exception& problem, Duration atLeast = {}) {
            if (attempts == options_.maxAttempts || loop.isDraining()) throw;
            pause = delayAfter(attempts, atLeast);
            if (options_.onFailure) options_.onFailure(problem, pause);
        };
        try {
            socket_ = options_.connect ? options_.connect() : connectWebSocket(url_, options_.client);
            const auto opened = loop.now();
            serve();
            const bool steady = loop.now() - opened >= options_.steadyAfter;
            if (closing_ || loop.isDraining() || isFinal(end_) || (!steady && attempts == options_.maxAttempts)) return;
            if (steady) attempts = 0;
            pause = delayAfter(attempts, {});
        } catch (const TlsError&) {
            throw;
        } catch (const HandshakeError& answer) {
            if (isHopeless(answer)) throw;
            failed(answer, retryAfter(answer));
        } catch (const Disconnected& problem) {
            failed(problem);
        } catch (const TimedOut& problem) {
            failed(problem);
        }
        sleepFor(pause);
    }
}

// One connection, to its end.
void ReconnectingWebSocket::serve() {
    try {
        if (options_.onConnect) options_.onConnect(socket_);
    } catch (const Disconnected&) {
        socket_.close();
    } catch (const TimedOut&) {
        socket_.close();
    }
    if (socket_.isOpen()) enter(State::connected);
    end_ = receiveAll();
    hasMessage_ = false;
    enter(State::waiting);
    if (options_.onDisconnect) options_.onDisconnect(end_);
}

// It waits for each message, but leaves it to recv().
CloseEvent ReconnectingWebSocket::receiveAll() {
    while (socket_.waitForData()) {
        hasMessage_ = true;
        changed_.notifyAll();
        waitUntil([this] { return !hasMessage_ || !socket_.isOpen(); });
    }
    return endOf(socket_);
}

bool ReconnectingWebSocket::isFinal(const CloseEvent& event) const {
    if (options_.isFinal) return options_.isFinal(event);
    return event.code == static_cast<uint16_t>(CloseCode::policyViolation) || (event.code >= 4000 && event.code < 5000);
}

Duration ReconnectingWebSocket::delayAfter(unsigned attempts, Duration atLeast) const {
    using Seconds = std::chrono::duration<double>;
    const auto growth = std::pow(options_.factor, attempts > 0 ? attempts - 1 : 0);
    const auto longest = std::min(Seconds(options_.maxDelay), Seconds(options_.minDelay) * growth);
    const auto drawn = std::chrono::duration_cast<Duration>(longest * drawEvenly());
    return std::max(drawn, std::min(atLeast, options_.maxRetryAfter));
}

void ReconnectingWebSocket::enter(State state) {
    state_ = state;
    changed_.notifyAll();
}

// ── For the others ──

Message ReconnectingWebSocket::recv(Deadline deadline) {
    for (;;) {
        waitUntil([this] { return hasMessage_ || hasEnded(); }, deadline);
        if (hasMessage_) {
            hasMessage_ = false;
            changed_.notifyAll();
            if (socket_.dataAvailableForRead()) return socket_.recv();
            continue;  // it was closed meanwhile
        }
        if (failure_) std::rethrow_exception(failure_);
        return Message(end_.code, end_.reason);
    }
}

void ReconnectingWebSocket::waitForConnection(Deadline deadline) {
    waitUntil([this] { return isConnected() || hasEnded(); }, deadline);
    if (isConnected()) return;
    if (failure_) std::rethrow_exception(failure_);
    throw WebSocketClosed("the WebSocket is closed and does not connect again");
}

template <typename Payload>
void ReconnectingWebSocket::sendOnAny(Payload payload, Deadline deadline) {
    for (;;) {
        waitForConnection(deadline);
        try {
            return socket_.send(payload);
        } catch (const WebSocketClosed&) {
            // Closed while it waited for room: the message has not gone, and takes the next connection.
        }
    }
}

void ReconnectingWebSocket::send(std::string_view text, Deadline deadline) { sendOnAny(text, deadline); }
void ReconnectingWebSocket::send(ByteView bytes, Deadline deadline) { sendOnAny(bytes, deadline); }
bool ReconnectingWebSocket::trySend(std::string_view text) { return isConnected() && socket_.trySend(text); }
bool ReconnectingWebSocket::trySend(ByteView bytes) { return isConnected() && socket_.trySend(bytes); }

void ReconnectingWebSocket::close(uint16_t code, std::string_view reason) {
    if (!isValidCloseCode(code)) throw std::invalid_argument("a close frame cannot carry the code " + std::to_string(code));
    closing_ = true;
    changed_.notifyAll();
    if (worker_ && worker_ == Loop::current().runningFiber()) return socket_.close(code, reason);  // in a hook
    if (state_ == State::connected) socket_.close(code, reason);
    else fibers_.cancel();
    waitUntil([this] { return hasEnded(); });
    if (!socket_.isOpen()) return;
    socket_.close(code, reason);  // onConnect was not done yet
    end_ = endOf(socket_);
}

}
