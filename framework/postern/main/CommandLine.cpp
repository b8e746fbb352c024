#include "postern/main/CommandLine.h"

#include "postern/base/Crypto.h"
#include "postern/base/Utf8.h"
#include "postern/fiber/FiberGroup.h"
#include "postern/io/Pipe.h"
#include "postern/io/StandardStreams.h"
#include "postern/protocol/Assembler.h"
#include "postern/protocol/Chunked.h"
#include "postern/protocol/CloseCode.h"
#include "postern/protocol/Form.h"
#include "postern/protocol/Handshake.h"
#include "postern/protocol/HttpHead.h"

#include <algorithm>
#include <array>
#include <cstdio>

namespace postern {

namespace {

constexpr HeadLimits replyLimits{48 * 1024, 1000, 48 * 1024};

std::string writeRequest(const SimulatedRequest& request, const std::string& key) {
    const bool websocket = request.method == "WS";
    const bool inQuery = websocket || request.method == "GET" || request.method == "HEAD" || !request.body.empty();
    NameValues parameters;
    for (const auto& [name, value] : request.parameters) parameters.add(name, value);
    const auto form = writeForm(parameters);
    auto uri = request.uri;
    if (inQuery && !form.empty()) uri += (uri.find('?') == std::string::npos ? '?' : '&') + form;
    const auto& body = inQuery ? request.body : form;

    std::string text = (websocket ? "GET" : request.method) + ' ' + uri + " HTTP/1.1\r\nHost: " + request.host + "\r\n";
    for (const auto& header : request.headers) text += header + "\r\n";
    for (size_t i = 0; i < request.cookies.size(); ++i) text += (i == 0 ? "Cookie: " : "; ") + request.cookies[i];
    if (!request.cookies.empty()) text += "\r\n";
    if (websocket)
        text += "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + key + "\r\n";
    else
        text += "Connection: close\r\n";
    if (!inQuery) text += "Content-Type: application/x-www-form-urlencoded\r\n";
    if (!body.empty() || !inQuery) text += "Content-Length: " + std::to_string(body.size()) + "\r\n";
    return text + "\r\n" + body;
}

class Client {
public:
    Client(ByteStream& server, ByteStream& terminal, const SimulatedRequest& request)
        : server_(server), terminal_(terminal), request_(request) {}

    int run() {
        char random[16];
        fillRandom(random);
        const auto key = base64Encode({random, sizeof random});
        const auto text = writeRequest(request_, key);
        FiberGroup sending;
        sending.spawn([&] {
            try {
                server_.write(text);
                server_.flush();
            } catch (const Disconnected&) {
                // The server answers before it has read everything: its reply says why.
            }
        });
        if (!readHead()) return complain("the request was not answered");
        if (request_.method == "WS" && head_.status == 101) return talk();
        terminal_.write(headText_);
        readBody();
        terminal_.flush();
        return head_.status >= 500 || request_.method == "WS" ? 1 : 0;
    }

private:
    int complain(const char* what) {
        std::fprintf(stderr, "%s\n", what);
        return 1;
    }

    bool readHead() {
        HeadScanner scanner;
        for (;;) {
            const auto found = scanner.scan(server_.unreadText(), replyLimits);
            if (const auto* size = std::get_if<size_t>(&found)) {
                headText_ = server_.unreadText().substr(0, *size);
                server_.consume(*size);
                head_ = ResponseHead();
                if (parseResponseHead(headText_, request_.method == "WS" ? "GET" : request_.method, head_)) return false;
                if (head_.status >= 200 || head_.status == 101) return true;
                scanner.reset();
                continue;
            }
            if (std::holds_alternative<Violation>(found) || !server_.receive()) return false;
        }
    }

    void readBody() {
        ChunkedDecoder chunks;
        uint64_t left = head_.framing == BodyFraming::length ? head_.contentLength : UINT64_MAX;
        if (head_.framing == BodyFraming::none) return;
        while (left > 0) {
            if (server_.unread().empty() && !server_.receive()) return;
            const auto bytes = server_.unreadText();
            if (head_.framing != BodyFraming::chunked) {
                const auto piece = bytes.substr(0, left);
                terminal_.write(piece);
                left -= piece.size();
                server_.consume(piece.size());
                continue;
            }
            const auto found = chunks.next(bytes);
            if (std::holds_alternative<Violation>(found)) return;
            if (const auto* piece = std::get_if<ChunkedDecoder::Piece>(&found)) {
                terminal_.write(piece->data);
                server_.consume(piece->consumed);
                if (piece->done) return;
            } else {
                server_.consume(bytes.size());
            }
        }
    }

    // ── WebSocket over the terminal ──

    int talk() {
        FiberGroup typing;
        typing.spawn([this] { sendLines(); });
        return printMessages();
    }

    void sendFrame(WebSocketOpcode opcode, std::string payload) {
        MaskKey mask;
        fillRandom(mask);
        std::array<char, maxFrameHeader> header;
        const auto size = writeFrameHeader({true, false, opcode, mask, payload.size()}, header.data());
        applyMask(payload, mask);
        server_.write({{header.data(), size}, payload});
    }

    void sendLines() {
        std::string line;
        try {
            for (;;) {
                const auto text = terminal_.unreadText();
                const auto end = text.find('\n');
                line += text.substr(0, end);
                terminal_.consume(end == std::string_view::npos ? text.size() : end + 1);
                if (end != std::string_view::npos) {
                    sendLine(line);
                    line.clear();
                } else if (!terminal_.receive()) {
                    if (!line.empty()) sendLine(line);
                    return sendFrame(WebSocketOpcode::close, writeClose(1000, {}));
                }
            }
        } catch (const Disconnected&) {
            // Either side has gone; the other fiber sees it too.
        }
    }

    void sendLine(std::string_view line) {
        if (line.ends_with('\r')) line.remove_suffix(1);
        sendFrame(isValidUtf8(line) ? WebSocketOpcode::text : WebSocketOpcode::binary, std::string(line));
    }

    int printMessages() {
        Assembler assembler(Assembler::Role::client, {UINT64_MAX >> 1, SIZE_MAX});
        for (;;) {
            const auto step = assembler.next(server_.unread());
            if (std::holds_alternative<FrameError>(step.result)) return complain("the server broke the WebSocket protocol");
            if (std::holds_alternative<NeedMore>(step.result)) {
                server_.consume(step.consumed);
                if (!server_.receive()) return complain("the connection broke without a close");
                continue;
            }
            const auto& frame = std::get<Incoming>(step.result);
            if (frame.opcode == WebSocketOpcode::close) return ended(frame);
            if (frame.opcode == WebSocketOpcode::ping)
                sendFrame(WebSocketOpcode::pong, std::string(frame.payload.data(), frame.payload.size()));
            if (!isControl(frame.opcode)) {
                if (frame.assembled) terminal_.write({assembler.takeMessage(), "\n"});
                else terminal_.write({{frame.payload.data(), frame.payload.size()}, "\n"});
            }
            server_.consume(step.consumed);
        }
    }

    int ended(const Incoming& frame) {
        const auto close = readClose({frame.payload.data(), frame.payload.size()});
        sendFrame(WebSocketOpcode::close, std::string());
        server_.flush();
        terminal_.flush();
        if (close.reason.code == 1000 || close.reason.code == 1005) return 0;
        std::fprintf(stderr, "closed: %u %.*s\n", close.reason.code, static_cast<int>(close.reason.text.size()),
                     close.reason.text.data());
        return 1;
    }

    ByteStream& server_;
    ByteStream& terminal_;
    const SimulatedRequest& request_;
    std::string headText_;
    ResponseHead head_;
};

}

int runFromCommandLine(const SimulatedRequest& request, const HttpSettings& settings, const ExchangeHandler& handler) {
    auto& loop = Loop::current();
    auto ends = Pipe::make(loop);
    HttpGateway server(loop, -1, settings, handler);
    StandardStreams terminal(loop);
    server.serve(std::move(ends.first), {request.remoteAddress, 0}, settings.scheme == "https" ? 443 : 80);
    try {
        return Client(*ends.second, terminal, request).run();
    } catch (const Disconnected& problem) {
        std::fprintf(stderr, "%s\n", problem.what());
        return 1;
    }
}

}
