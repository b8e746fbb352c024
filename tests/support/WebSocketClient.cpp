#include "support/WebSocketClient.h"

#include "support/Catch.h"

#include <poll.h>
#include <sys/socket.h>

#include <array>
#include <stdexcept>

namespace postern {

namespace {

std::string bigEndian(uint64_t number, int bytes) {
    std::string text;
    for (int i = bytes - 1; i >= 0; --i) text += static_cast<char>(number >> (8 * i));
    return text;
}

uint64_t readBigEndian(std::string_view bytes) {
    uint64_t number = 0;
    for (const char c : bytes) number = number << 8 | static_cast<unsigned char>(c);
    return number;
}

void demand(bool kept, const char* rule) {
    if (!kept) throw std::runtime_error(std::string("a server's frame breaks a rule: ") + rule);
}

std::string describeClose(std::string_view payload) {
    if (payload.empty()) return "close";
    auto text = "close " + std::to_string(readBigEndian(payload.substr(0, 2)));
    if (payload.size() > 2) text.append(" ").append(payload.substr(2));
    return text;
}

}

std::string WireFrame::describe() const {
    if (opcode == 8) return describeClose(payload);
    constexpr std::array names = {"continuation", "text", "binary", "", "", "", "", "", "close", "ping", "pong"};
    auto text = (fin ? "" : "+") + std::string(names[static_cast<size_t>(opcode)]);
    return payload.empty() ? text : text + " " + payload;
}

std::string ClientBytes::bytes() const {
    std::string frame(1, static_cast<char>((fin ? 0x80 : 0) | reservedBits << 4 | opcode));
    const int maskBit = masked ? 0x80 : 0;
    if (payload.size() < 126) frame += static_cast<char>(maskBit | static_cast<int>(payload.size()));
    else if (payload.size() < 65536) frame += static_cast<char>(maskBit | 126) + bigEndian(payload.size(), 2);
    else frame += static_cast<char>(maskBit | 127) + bigEndian(payload.size(), 8);
    if (!masked) return frame.append(payload);
    constexpr std::string_view mask = "\x37\xfa\x21\x3d";
    frame += mask;
    for (size_t i = 0; i < payload.size(); ++i) frame += static_cast<char>(payload[i] ^ mask[i % 4]);
    return frame;
}

std::string closePayload(int code, std::string_view reason) {
    return bigEndian(static_cast<uint64_t>(code), 2).append(reason);
}

std::string WebSocketClient::request(std::string_view lines, std::string_view target) {
    std::string text = "GET " + std::string(target) + " HTTP/1.1\r\nHost: test\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n";
    text.append("Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: ").append(key).append("\r\n");
    return text.append(lines).append("\r\n");
}

WebSocketClient::WebSocketClient(const TestServer& server, std::string_view lines, std::string_view after, int receiveBuffer)
    : line_(server.port(), receiveBuffer) {
    send(request(lines).append(after));
    const auto head = readHead();
    if (!head.starts_with("HTTP/1.1 101 ") || head.find(accept) == std::string::npos)
        throw std::runtime_error("no WebSocket: " + head);
}

// False: the line ended before so many bytes had come.
bool WebSocketClient::fill(size_t size) {
    while (bytes_.size() < size && end_ == End::none) {
        pollfd ready{line_.fd(), POLLIN, 0};
        if (::poll(&ready, 1, static_cast<int>(std::chrono::milliseconds(testPatience).count())) == 0)
            throw std::runtime_error("the server sends nothing");
        std::array<char, 65536> buffer;
        const auto got = ::recv(line_.fd(), buffer.data(), buffer.size(), 0);
        if (got > 0) bytes_.append(buffer.data(), static_cast<size_t>(got));
        else end_ = got == 0 ? End::fin : End::reset;
    }
    return bytes_.size() >= size;
}

std::string WebSocketClient::readHead() {
    size_t end;
    while ((end = bytes_.find("\r\n\r\n")) == std::string::npos)
        if (!fill(bytes_.size() + 1)) throw std::runtime_error("the line ended within a head: " + bytes_);
    auto head = bytes_.substr(0, end + 4);
    bytes_.erase(0, end + 4);
    return head;
}

std::optional<WireFrame> WebSocketClient::read() {
    if (!fill(2)) return {};
    const auto first = static_cast<unsigned char>(bytes_[0]), second = static_cast<unsigned char>(bytes_[1]);
    WireFrame frame{(first & 0x80) != 0, first & 0x0f, {}};
    demand((first & 0x70 & ~allowedBits_) == 0, "a reserved bit is set");
    demand(frame.opcode <= 2 || (frame.opcode >= 8 && frame.opcode <= 10), "a reserved opcode");
    demand((second & 0x80) == 0, "it is masked");
    const size_t lengthBytes = second == 127 ? 8 : second == 126 ? 2 : 0;
    if (!fill(2 + lengthBytes)) return {};
    const uint64_t size = lengthBytes == 0 ? second : readBigEndian(std::string_view(bytes_).substr(2, lengthBytes));
    demand(size >= (lengthBytes == 8 ? 65536u : lengthBytes == 2 ? 126u : 0u), "its length is not in the shortest form");
    demand(frame.opcode < 8 || (frame.fin && size <= 125), "a control frame is long or fragmented");
    demand(frame.opcode != 8 || size != 1, "a close frame with half a code");
    if (!fill(2 + lengthBytes + size)) return {};
    frame.payload = bytes_.substr(2 + lengthBytes, size);
    bytes_.erase(0, 2 + lengthBytes + size);
    return frame;
}

std::string WebSocketClient::next() {
    if (const auto frame = read()) return frame->describe();
    return std::string(bytes_.empty() ? "" : "cut ") + (end_ == End::fin ? "FIN" : "reset");
}

std::string WebSocketClient::rest() {
    std::string text;
    for (;;) {
        const auto one = next();
        text.append(text.empty() ? "" : "; ").append(one);
        if (end_ != End::none && (one.ends_with("FIN") || one == "reset" || one == "cut reset")) return text;
    }
}

WebSocketServer::WebSocketServer(Serve serve, WebSocketOptions options, HttpSettings settings) {
    http_.emplace(
        [this, serve = std::move(serve), options = std::move(options)](Cgi& cgi) {
            auto socket = cgi.acceptWebsocket(options);
            serve(socket, *this);
        },
        std::move(settings));
}

WebSocketServer::~WebSocketServer() {
    http_.reset();
    for (const auto& promise : broken_.all()) FAIL_CHECK("in the handler: " << promise);
}

void WebSocketServer::expect(bool kept, std::string_view promise) {
    if (!kept) broken_.function()(LogLevel::error, promise);
}

bool WebSocketServer::noted(std::string_view part, size_t times) const {
    if (notes_.wait(part, times)) return true;
    for (const auto& line : notes_.all()) UNSCOPED_INFO("noted: " << line);
    return false;
}

std::string describe(const Message& message) {
    if (message.isClose()) {
        const auto text = "close " + std::to_string(message.closeCode());
        return message.closeReason().empty() ? text : text + " " + std::string(message.closeReason());
    }
    const std::string kind = message.isText() ? "text" : "binary";
    return message.textData().empty() ? kind : kind + " " + message.toString();
}

void echo(WebSocket& socket, WebSocketServer& server) {
    while (auto message = socket.recv()) {
        if (message.isText()) socket.send(message.textData());
        else socket.send(message.data());
    }
    const auto end = describe(socket.recv());
    server.note(end + (socket.wasClean() ? " clean" : ""));
}

}
