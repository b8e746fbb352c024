#include "support/ScriptedServer.h"

#include "postern/gateway/HttpGateway.h"
#include "postern/protocol/Assembler.h"
#include "postern/protocol/Chunked.h"
#include "postern/protocol/HttpHead.h"

#include <algorithm>

namespace postern {

namespace {

constexpr uint64_t bodyLimit = 8 * 1024;
constexpr size_t maxTurns = 20'000;
constexpr std::string_view streamed = "part 0\npart 1\npart 2\npart 3\npart 4\n";

std::string manyBytes(size_t size) {
    std::string text(size, ' ');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>('a' + i * 7 % 26);
    return text;
}

void echoMessages(Cgi& cgi) {
    WebSocketOptions options;
    options.maxMessage = 4096;
    auto socket = cgi.acceptWebsocket(options);
    while (auto message = socket.recv()) {
        if (message.isText()) socket.send(message.textData());
        else socket.send(message.data());
    }
}

}

void answerEverything(Cgi& cgi) {
    const auto path = cgi.pathInfo();
    if (path == "/ws") return echoMessages(cgi);
    cgi.setGzip(false);
    cgi.setResponseContentType("text/plain");
    cgi.header("X-Target", cgi.requestUri());
    if (path == "/body") {
        cgi.write(cgi.postBody(), true);
    } else if (path == "/echo") {
        for (auto piece = cgi.readBody(); !piece.empty(); piece = cgi.readBody()) {
            cgi.write(piece);
            cgi.flush();
        }
    } else if (path == "/stream") {
        for (size_t at = 0; at < streamed.size(); at += 7) {
            cgi.write(streamed.substr(at, 7));
            cgi.flush();
            sleepFor(std::chrono::milliseconds(10));
        }
    } else if (path == "/large") {
        cgi.write(manyBytes(200'000), true);
    } else if (path == "/throw") {
        throw std::runtime_error("as asked");
    } else {
        cgi.write("hello " + std::string(cgi.requestUri()) + "\n", true);
    }
}

std::string clientFrame(WebSocketOpcode opcode, std::string payload, bool fin) {
    constexpr MaskKey key{1, 2, 3, 4};
    std::array<char, maxFrameHeader> header;
    const auto size = writeFrameHeader({fin, false, opcode, key, payload.size()}, header.data());
    applyMask(payload, key);
    return std::string(header.data(), size) + payload;
}

std::string webSocketRequest() {
    return "GET /ws HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
           "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
}

Phrases clientPhrases() {
    using enum WebSocketOpcode;
    const std::string plain = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    const auto webSocket = webSocketRequest();
    Phrases phrases;
    phrases.upgrade = "GET /ws ";
    phrases.requests = {
        plain,
        "GET /a?b=c HTTP/1.1\r\nHost: a\r\n\r\n" + plain + "HEAD /2 HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /3 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
        "GET /throw HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nHello",
        "POST /body HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n3;x=y\r\n wo\r\n0\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nstream\r\n0\r\nX: y\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 12\r\nExpect: 100-continue\r\n\r\nHello world\n",
        "POST /5 HTTP/1.1\r\nHost: a\r\nContent-Length: 300\r\n\r\n" + manyBytes(300),
        "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 8000\r\n\r\n" + manyBytes(8000),
        webSocket,
        webSocket + clientFrame(text, "early") + clientFrame(ping, "p"),
    };
    phrases.frames = {
        clientFrame(text, "Hello"),
        clientFrame(text, "one") + clientFrame(text, "two") + clientFrame(text, ""),
        clientFrame(binary, manyBytes(200)),
        clientFrame(text, "frag", false) + clientFrame(ping, "between") + clientFrame(continuation, "ment"),
        clientFrame(text, "three ", false) + clientFrame(continuation, "", false) + clientFrame(continuation, "parts"),
        clientFrame(binary, manyBytes(4096)),
        clientFrame(ping, "again"),
        clientFrame(pong, "unasked"),
    };
    phrases.odd = {
        "GET /stream HTTP/1.0\r\n\r\n",
        "GET /4 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
        "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 9000\r\n\r\n",
        "POST /6 HTTP/1.1\r\nHost: a\r\nContent-Length: 300000\r\n\r\n",
        "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\nx\r\n",
        manyBytes(9000),
        "GET /7 HTTP/1.1\r\nHost: a\r\nX-Slow: ",
        "y\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n",
        "GET /8 HTTP/1.1\nHost: a\n\n",
        "POST /9 HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        clientFrame(close, "\x03\xe8"),
        clientFrame(close, ""),
        clientFrame(continuation, "", false),
        clientFrame(text, "\xc3"),
        clientFrame(binary, manyBytes(5000)),
        "\x81\x03yes",
    };
    return phrases;
}

namespace {

struct Expected {
    std::string method;
    std::string target;
    std::string path;
    std::string body;          // as far as it came
    bool bodyComplete = false;
};

struct Questions {
    std::vector<Expected> requests;
    std::string afterUpgrade;  // what followed a request for /ws
    bool upgrade = false;      // the last one asks for /ws
    bool lastIsOpen = false;   // the last one is not complete, or broken
};

// What the bytes a server took ask for, by the codecs alone.
Questions readQuestions(std::string_view bytes) {
    Questions questions;
    while (!bytes.empty()) {
        HeadScanner scanner;
        const HeadLimits limits;
        const auto found = scanner.scan(bytes, limits);
        RequestHead head;
        const auto* size = std::get_if<size_t>(&found);
        if (!size || parseRequestHead(bytes.substr(0, *size), limits, head)) {
            questions.lastIsOpen = true;
            break;
        }
        bytes.remove_prefix(*size);
        auto& expected = questions.requests.emplace_back();
        expected = {std::string(head.method), std::string(head.target), std::string(head.pathInfo), {}, true};
        if (head.pathInfo == "/ws" && !head.field("Sec-WebSocket-Key").empty()) {
            questions.upgrade = true;
            questions.afterUpgrade = bytes;
        }
        if (head.framing == BodyFraming::length) {
            expected.body = bytes.substr(0, head.contentLength);
            expected.bodyComplete = expected.body.size() == head.contentLength;
            bytes.remove_prefix(expected.body.size());
        } else if (head.framing == BodyFraming::chunked) {
            expected.bodyComplete = false;
            ChunkedDecoder chunks;
            while (!expected.bodyComplete) {
                const auto next = chunks.next(bytes);
                const auto* piece = std::get_if<ChunkedDecoder::Piece>(&next);
                if (!piece) break;
                expected.body += piece->data;
                bytes.remove_prefix(piece->consumed);
                expected.bodyComplete = piece->done;
            }
        }
        if (!expected.bodyComplete) {
            questions.lastIsOpen = true;
            break;
        }
        if (questions.upgrade) break;
        if (!head.keepAlive) break;
    }
    return questions;
}

struct Answer {
    ResponseHead head;
    std::string body;
    bool complete = false;
};

// The body of a reply out of `bytes`; false when it breaks its coding.
bool readBody(std::string_view& bytes, bool lineEnded, Answer& answer) {
    switch (answer.head.framing) {
    case BodyFraming::none:
        answer.complete = true;
        return true;
    case BodyFraming::length:
        answer.body = bytes.substr(0, answer.head.contentLength);
        answer.complete = answer.body.size() == answer.head.contentLength;
        bytes.remove_prefix(answer.body.size());
        return true;
    case BodyFraming::untilEnd:
        answer.body = bytes;
        answer.complete = lineEnded;
        bytes = {};
        return true;
    case BodyFraming::chunked: break;
    }
    ChunkedDecoder chunks;
    while (!answer.complete) {
        const auto next = chunks.next(bytes);
        if (std::holds_alternative<Violation>(next)) return false;
        const auto* piece = std::get_if<ChunkedDecoder::Piece>(&next);
        if (!piece) {
            bytes = {};
            return true;
        }
        answer.body += piece->data;
        bytes.remove_prefix(piece->consumed);
        answer.complete = piece->done;
    }
    return true;
}

// Does a 200 say what answerEverything() says?
bool isRight(const Expected& expected, const Answer& answer) {
    if (expected.method == "HEAD") return answer.body.empty();
    std::string whole;
    if (expected.path == "/body" || expected.path == "/echo") whole = expected.body;
    else if (expected.path == "/stream") whole = streamed;
    else if (expected.path == "/large") whole = manyBytes(200'000);
    else whole = "hello " + expected.target + "\n";
    return answer.complete ? answer.body == whole : whole.starts_with(answer.body);
}

struct Talk {
    std::vector<std::string> messages, pings;
    bool closed = false;
    unsigned closeCode = 0;
    bool failed = false;
};

Talk readTalk(std::string bytes, Assembler::Role role) {
    AssemblerLimits limits;
    if (role == Assembler::Role::server) limits.messageBytes = 4096;
    Assembler assembler(role, limits);
    Talk talk;
    std::span<char> left(bytes);
    while (!talk.closed) {
        const auto step = assembler.next(left);
        left = left.subspan(step.consumed);
        if (std::holds_alternative<NeedMore>(step.result)) break;
        if (std::holds_alternative<FrameError>(step.result)) {
            talk.failed = true;
            break;
        }
        const auto& frame = std::get<Incoming>(step.result);
        const std::string payload = frame.assembled ? assembler.takeMessage()
                                                    : std::string(frame.payload.data(), frame.payload.size());
        if (frame.opcode == WebSocketOpcode::close) {
            talk.closed = true;
            talk.closeCode = readClose(payload).reason.code;
            continue;
        }
        if (frame.opcode == WebSocketOpcode::ping || frame.opcode == WebSocketOpcode::pong) talk.pings.push_back(payload);
        else talk.messages.push_back(payload);
    }
    // Nothing may follow a close frame.
    if (talk.closed && !left.empty() && role == Assembler::Role::client) talk.failed = true;
    return talk;
}

std::string judgeTalk(const Questions& questions, std::string_view bytes, bool calm, LineVerdict& verdict) {
    const auto said = readTalk(questions.afterUpgrade, Assembler::Role::server);
    const auto heard = readTalk(std::string(bytes), Assembler::Role::client);
    verdict.echoes = heard.messages;
    if (heard.failed) return "a frame the protocol forbids";
    if (heard.messages.size() > said.messages.size() ||
        !std::equal(heard.messages.begin(), heard.messages.end(), said.messages.begin()))
        return "an echo of what was not said";
    for (const auto& pong : heard.pings)
        if (!pong.empty() && std::find(said.pings.begin(), said.pings.end(), pong) == said.pings.end())
            return "a pong nobody asked for";
    verdict.isComplete = heard.messages.size() == said.messages.size();
    const bool goingAway = heard.closeCode == static_cast<unsigned>(CloseCode::goingAway);  // drops what was not taken
    if (calm && !verdict.isComplete && said.closed && !goingAway) return "an echo is missing";
    if (calm && (said.closed || said.failed) && !heard.closed) return "a close without its answer";
    return {};
}

}

LineVerdict judgeLine(const ScriptedLine& line) {
    LineVerdict verdict;
    const auto questions = readQuestions(std::string_view(line.sent).substr(0, line.readAtFin));
    verdict.asked = questions.requests.size();
    const bool calm = !line.reset && !line.faulty && !line.resetByServer && line.closed;
    const auto wrong = [&](const char* what) {
        verdict.complaint = what;
        return verdict;
    };
    std::string_view bytes = line.received;
    bool closing = false, cut = false;
    while (!bytes.empty()) {
        HeadScanner scanner;
        HeadLimits limits;
        limits.headBytes = 64 * 1024;
        const auto found = scanner.scan(bytes, limits);
        if (std::holds_alternative<Violation>(found)) return wrong("a reply's head cannot be read");
        if (closing) return wrong("something follows the last reply");
        if (std::holds_alternative<NeedMore>(found)) {
            if (calm) return wrong("half a head");
            cut = true;
            break;
        }
        const bool refused = verdict.answers == questions.requests.size();
        const Expected none;
        const auto& expected = refused ? none : questions.requests[verdict.answers];
        Answer answer;
        const auto size = std::get<size_t>(found);
        if (parseResponseHead(bytes.substr(0, size), expected.method, answer.head)) return wrong("a malformed reply");
        bytes.remove_prefix(size);
        if (answer.head.status == 100) {
            if (refused) return wrong("100 to no request");
            continue;
        }
        if (answer.head.status == 101) {
            if (refused || !questions.upgrade || verdict.answers + 1 != questions.requests.size())
                return wrong("101 to something else");
            ++verdict.answers;
            verdict.complaint = judgeTalk(questions, bytes, calm && line.finReceived, verdict);
            return verdict;
        }
        if (!readBody(bytes, calm, answer)) return wrong("a malformed chunk");
        closing = !answer.head.keepAlive;
        if (refused && (answer.head.status < 400 || !closing)) return wrong("a reply nobody asked for");
        if (!refused && answer.head.status == 200) {
            if (answer.head.field("X-Target") != expected.target) return wrong("replies out of order");
            if (!isRight(expected, answer)) return wrong("a reply with the wrong body");
        }
        if (!answer.complete) {
            const bool mayBeCut = expected.path == "/echo" && !expected.bodyComplete;
            if (calm && !mayBeCut) return wrong("half a reply");
            cut = true;
            break;
        }
        if (!refused) ++verdict.answers;
    }
    verdict.isComplete = !cut && (verdict.answers == questions.requests.size() || closing);
    if (calm && !cut && !verdict.isComplete) return wrong("a request without a reply");
    return verdict;
}

std::string playServer(Script& script) {
    HttpSettings settings;
    settings.limits.bodyBytes = bodyLimit;
    const unsigned choices = script.below(8);
    settings.maxConnections = choices & 1 ? 4 : 0;
    const size_t drainAt = choices & 2 ? 20 + script.below(200) : maxTurns;

    HandlerSettings handlerSettings;
    const Handler handler = answerEverything;
    const ExchangeHandler serveOne = [&](Exchange& exchange) { serveExchange(exchange, handlerSettings, handler); };
    LoopOptions options;
    options.log = [](LogLevel, std::string_view) {};

    std::string complaint;
    const auto complain = [&](const std::string& what) { complaint += (complaint.empty() ? "" : "; ") + what; };
    auto owned = std::make_unique<ScriptedPoller>(script, clientPhrases());
    auto& poller = *owned;
    poller.connect();
    Loop loop(options, std::move(owned));
    {
        HttpGateway gateway(loop, ScriptedPoller::listenFd, settings, serveOne);
        gateway.start();
        const auto isClosed = [](const auto& line) { return !line->accepted || line->closed; };
        const auto allClosed = [&] { return std::all_of(poller.lines().begin(), poller.lines().end(), isClosed); };
        const auto isDrained = [&] { return loop.isDraining() && allClosed() && loop.fiberCount() == 0; };
        size_t turns = 0;
        while (!poller.isOver() && !isDrained() && turns < maxTurns) {
            if (turns++ == drainAt) loop.drain(std::chrono::seconds(20));
            loop.turn(TimePoint::max());
        }
        if (turns == maxTurns) complain("it never comes to rest");
        if (!allClosed()) complain("a line stays open without its client");
        if (loop.fiberCount() != 0) complain("fibers stay behind");
        if (!poller.complaint().empty()) complain(poller.complaint());
    }
    for (const auto& line : poller.lines())
        if (const auto verdict = judgeLine(*line); !verdict.complaint.empty()) complain(verdict.complaint);
    return complaint;
}

}
