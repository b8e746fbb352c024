#pragma once
// A small HTTP and WebSocket client over a blocking socket, written apart from the framework that it talks to.

#include <cstdint>
#include <string>
#include <string_view>

namespace postern {

struct ClientReply {
    int status = 0;
    std::string head;   ///< with the status line and the empty line
    std::string body;   ///< decoded
    std::string field(std::string_view name) const;   ///< the first of that name, or empty
};

struct ClientFrame {
    int opcode = 0;
    bool final = true;
    std::string payload;
    /// Of a close frame; 1005: none.
    int closeCode() const;
};

/// Every wait is bounded; running into the bound, a reset, and an end where more must follow throw std::runtime_error.
class BlockingClient {
public:
    explicit BlockingClient(uint16_t port);
    explicit BlockingClient(const std::string& unixPath);
    ~BlockingClient();
    BlockingClient(BlockingClient&& other) noexcept : fd_(other.fd_), bytes_(std::move(other.bytes_)) { other.fd_ = -1; }
    BlockingClient& operator=(BlockingClient&&) = delete;

    int fd() const { return fd_; }
    void send(std::string_view bytes);
    void finishSending();
    void close();
    void reset();   ///< ends the connection with an RST

    /// The reply to a request that was sent; one without a body for HEAD.
    ClientReply reply(bool toHead = false);
    ClientReply get(std::string_view target, std::string_view fields = {});
    /// Everything up to the end of the connection.
    std::string rest();
    /// Up to and including `mark`.
    std::string until(std::string_view mark);
    std::string exactly(size_t size);
    bool hasEnded();   ///< waits for the end, or for the first byte that comes instead

    ClientReply upgrade(std::string_view target, std::string_view fields = {});
    void frame(int opcode, std::string_view payload, bool final = true);
    void text(std::string_view payload) { frame(1, payload); }
    void closeFrame(int code, std::string_view reason = {});
    ClientFrame next();

private:
    bool receive();

    int fd_ = -1;
    std::string bytes_;   // received, not used yet
};

/// As the client sends it: masked.
std::string maskedFrame(int opcode, std::string_view payload, bool final = true);

}
