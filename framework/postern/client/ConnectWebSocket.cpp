#include "postern/client/ConnectWebSocket.h"

#include "postern/base/Crypto.h"
#include "postern/client/Resolve.h"
#include "postern/io/Socket.h"
#include "postern/io/TlsStream.h"
#include "postern/protocol/WebSocketUrl.h"

#include <algorithm>
#include <stdexcept>

namespace postern {

namespace {

constexpr size_t maxErrorBody = 4096;
constexpr int maxInterimAnswers = 8;

WebSocketUrl readUrl(std::string_view text) {
    auto url = parseWebSocketUrl(text);
    if (const auto* why = std::get_if<std::string>(&url)) throw std::invalid_argument(*why);
    return std::get<WebSocketUrl>(std::move(url));
}

ClientRequest makeRequest(const WebSocketUrl& url, const ClientOptions& options) {
    options.socket.check();
    ClientRequest request;
    request.target = url.target;
    request.host = url.authority();
    char key[16];
    fillRandom(key);
    request.key = base64Encode({key, sizeof key});
    request.origin = options.origin;
    request.protocols = options.socket.protocols;
    request.deflate = options.socket.deflate;
    request.headers = options.headers;
    if (!options.cookies.empty()) request.headers.push_back({"Cookie", writeCookieField(options.cookies)});
    if (options.modifyRequest) options.modifyRequest(request);
    return request;
}

// The addresses of a name, one after the other; each gets a fair part of the time that is left.
std::unique_ptr<ByteStream> connectTcp(const WebSocketUrl& url, Deadline deadline) {
    const auto addresses = resolve(url.host, deadline);
    auto& loop = Loop::current();
    for (size_t i = 0; i < addresses.size(); ++i) {
        const bool last = i + 1 == addresses.size();
        const auto now = loop.poller().now();
        const auto share = last || deadline.isNever() ? deadline : Deadline(now + (deadline.at() - now) / static_cast<int>(addresses.size() - i));
        try {
            return Socket::connect(addresses[i], url.port, share);
        } catch (const Disconnected&) {
            if (last) throw;
        } catch (const TimedOut&) {
            if (last) throw;
        }
    }
    throw Disconnected("no address for " + url.host);
}

std::unique_ptr<ByteStream> connectStream(const WebSocketUrl& url, const ClientOptions& options, Deadline deadline) {
    if (!url.socketPath.empty()) return Socket::connect(url.socketPath, 0, deadline);
    auto stream = connectTcp(url, deadline);
    return url.secure ? TlsStream::connect(std::move(stream), url.host, options.tls, deadline) : std::move(stream);
}

// A server of TLS 1.3 judges the client's certificate when the client's handshake is done.
bool receiveMore(ByteStream& stream, Deadline deadline) {
    try {
        return stream.receive(deadline);
    } catch (const Disconnected&) {
        const auto* tls = dynamic_cast<const TlsStream*>(&stream);
        if (tls && !tls->complaint().empty()) throw TlsError("the server ended TLS: " + tls->complaint());
        throw;
    }
}

// One answer's head, which is consumed; empty when the line ended before it was complete.
std::string readHead(ByteStream& stream, size_t limit, Deadline deadline) {
    HeadLimits limits;
    limits.headBytes = limit;
    HeadScanner scanner;
    for (;;) {
        const auto scanned = scanner.scan(stream.unreadText(), limits);
        if (const auto* violation = std::get_if<Violation>(&scanned))
            throw HandshakeError(std::string("the answer cannot be read: ") + violation->reason);
        if (const auto* size = std::get_if<size_t>(&scanned)) {
            const std::string head(stream.unreadText().substr(0, *size));
            stream.consume(*size);
            return head;
        }
        if (!receiveMore(stream, deadline)) return {};
    }
}

std::string readErrorBody(ByteStream& stream, const ResponseHead& answer, Deadline deadline) {
    const auto wanted = answer.framing == BodyFraming::length
                            ? static_cast<size_t>(std::min<uint64_t>(answer.contentLength, maxErrorBody))
                            : maxErrorBody;
    try {
        while (answer.framing != BodyFraming::none && stream.unread().size() < wanted && stream.receive(deadline)) {}
    } catch (const Disconnected&) {
        // What came is enough.
    } catch (const TimedOut&) {
    }
    return std::string(stream.unreadText().substr(0, wanted));
}

[[noreturn]] void refuse(ByteStream& stream, const ResponseHead& answer, Deadline deadline) {
    constexpr auto patience = std::chrono::seconds(1);
    const auto until = std::min(deadline.at(), stream.loop().in(patience).at());
    const auto body = readErrorBody(stream, answer, Deadline(until));
    std::vector<Header> fields;
    for (const auto& field : answer.fields) fields.push_back({std::string(field.name), std::string(field.value)});
    const auto what = "the server answered " + std::to_string(answer.status) + " " + escapedForLog(answer.reason);
    if (answer.status == 401) throw Unauthorized(what, answer.status, std::move(fields), body);
    if (answer.status >= 300 && answer.status < 400) throw RedirectRefused(what, answer.status, std::move(fields), body);
    throw HandshakeError(what, answer.status, std::move(fields), body);
}

WebSocket shakeHands(std::unique_ptr<ByteStream> stream, const WebSocketUrl& url, const ClientOptions& options, Deadline deadline) {
    const auto request = makeRequest(url, options);
    stream->write(writeClientRequest(request));
    std::string head;
    ResponseHead answer;
    for (int interim = 0;; ++interim) {
        answer = {};
        head = readHead(*stream, options.maxHead, deadline);
        if (head.empty()) throw HandshakeError("the server closed the connection instead of answering");
        if (const auto violation = parseResponseHead(head, "GET", answer))
            throw HandshakeError(std::string("the answer cannot be read: ") + violation->reason);
        if (answer.status >= 200 || answer.status == 101) break;
        if (interim == maxInterimAnswers) throw HandshakeError("too many interim answers");
    }
    if (answer.status != 101) refuse(*stream, answer, deadline);
    auto checked = checkAnswer(answer, request);
    if (const auto* why = std::get_if<std::string>(&checked)) throw HandshakeError("the answer is no WebSocket's: " + *why, 101);
    auto& agreement = std::get<ClientAgreement>(checked);
    if (agreement.protocol.empty() && options.socket.requireProtocol)
        throw HandshakeError("the server speaks none of the subprotocols", 101);

    Established established;
    established.protocol = std::move(agreement.protocol);
    established.isClient = true;
    established.deflate = agreement.deflate;
    return WebSocket::overStream(std::move(stream), options.socket, std::move(established));
}

Deadline deadlineOf(const ClientOptions& options) { return Deadline::after(options.timeout, Loop::current().poller().now()); }

}

std::string HandshakeError::field(std::string_view name) const {
    const auto found = std::find_if(fields_.rbegin(), fields_.rend(),
                                    [&](const Header& field) { return equalsIgnoringCase(field.name, name); });
    return found == fields_.rend() ? std::string() : found->value;
}

WebSocket connectWebSocket(std::string_view text, const ClientOptions& options) {
    const auto url = readUrl(text);
    const auto deadline = deadlineOf(options);
    return shakeHands(connectStream(url, options, deadline), url, options, deadline);
}

WebSocket connectWebSocketOver(std::unique_ptr<ByteStream> stream, std::string_view text, const ClientOptions& options) {
    return shakeHands(std::move(stream), readUrl(text), options, deadlineOf(options));
}

}
