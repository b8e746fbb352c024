// Boost.Beast: the server asynchronous on one thread, the client as plain calls.

#include "Peer.h"

#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/version.hpp>
#include <boost/beast/websocket.hpp>

#include <iostream>
#include <memory>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using interop::Kind;

websocket::permessage_deflate extension(const std::string& mode) {
    websocket::permessage_deflate options;
    options.client_enable = mode != "off";
    options.server_enable = true;
    options.server_no_context_takeover = options.client_no_context_takeover = mode == "on";
    if (mode == "window") options.server_max_window_bits = 10, options.client_max_window_bits = 11;
    return options;
}

// Beast 1.74 takes a message for broken whose text ends both what it has read and the room it has for it. So there is
// room for the longest message.
constexpr size_t longest = 20 * interop::mebi;

class Session : public std::enable_shared_from_this<Session> {
public:
    Session(tcp::socket socket, size_t fragment) : stream_(std::move(socket)) {
        stream_.set_option(extension("takeover"));
        stream_.read_message_max(longest);
        stream_.write_buffer_bytes(fragment);  // longer messages are fragmented
        stream_.next_layer().set_option(tcp::no_delay(true));
    }
    void start() {
        stream_.async_accept([self = shared_from_this()](beast::error_code error) {
            if (!error) self->receive();
        });
    }

private:
    void receive() {
        const auto room = asio::buffer(message_.get() + size_, longest - size_);
        stream_.async_read_some(room, [self = shared_from_this()](beast::error_code error, size_t count) {
            if (error && error != websocket::error::closed) std::cerr << "receive: " << error.message() << '\n';
            if (error) return;
            self->size_ += count;
            self->stream_.is_message_done() ? self->answer() : self->receive();
        });
    }
    void answer() {
        stream_.text(stream_.got_text());
        stream_.async_write(asio::buffer(message_.get(), size_), [self = shared_from_this()](beast::error_code error, size_t) {
            if (error) std::cerr << "send: " << error.message() << '\n';
            else self->size_ = 0, self->receive();
        });
    }

    websocket::stream<tcp::socket> stream_;
    std::unique_ptr<char[]> message_{new char[longest]};  // the pages that nobody writes cost nothing
    size_t size_ = 0;
};

void accept(tcp::acceptor& acceptor, unsigned turn) {
    static constexpr size_t fragments[] = {512, 4096, 65536};
    acceptor.async_accept([&acceptor, turn](beast::error_code error, tcp::socket socket) {
        if (!error) std::make_shared<Session>(std::move(socket), fragments[turn % std::size(fragments)])->start();
        accept(acceptor, turn + 1);
    });
}

void serve(const std::function<void(unsigned)>& listening) {
    asio::io_context context{1};
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    listening(acceptor.local_endpoint().port());
    accept(acceptor, 0);
    context.run();
}

class Client {
public:
    Client(const std::string& mode, const interop::Address& address, interop::Told& told) : told_(told) {
        asio::connect(stream_.next_layer(), tcp::resolver(context_).resolve(address.host, address.port));
        stream_.next_layer().set_option(tcp::no_delay(true));
        stream_.set_option(extension(mode));
        stream_.read_message_max(longest);
        stream_.control_callback([this](websocket::frame_type kind, beast::string_view payload) {
            if (kind == websocket::frame_type::pong) pongs_.emplace_back(payload);
        });
        websocket::response_type answer;
        stream_.handshake(answer, address.host + ':' + address.port, address.path);
        const auto agreed = answer["Sec-WebSocket-Extensions"];
        told_.extension = agreed.empty() ? "-" : std::string(agreed);
    }
    void say(const interop::Step& step) {
        if (step.kind == Kind::ping) return stream_.ping({step.data.data(), step.data.size()});
        stream_.text(step.kind == Kind::text);
        if (step.cuts.empty()) {
            stream_.write(asio::buffer(step.data));
            return;
        }
        const auto fragments = step.fragments();
        for (size_t i = 0; i < fragments.size(); ++i)
            stream_.write_some(i + 1 == fragments.size(), asio::buffer(fragments[i].data(), fragments[i].size()));
    }
    void hear(const interop::Step& step) {
        if (step.kind == Kind::ping) return;
        size_t size = 0;
        do size += stream_.read_some(asio::buffer(message_.get() + size, longest - size));
        while (!stream_.is_message_done());
        told_.heard(step, stream_.got_text(), {message_.get(), size});
    }
    void close(const interop::Script& script) {
        told_.heardPongs(script, pongs_, true);
        websocket::close_reason reason(script.code);
        reason.reason.assign(script.reason.data(), script.reason.size());
        stream_.close(reason);
        told_.heardClose(script.code, stream_.reason().code);
    }

private:
    interop::Told& told_;
    asio::io_context context_{1};
    websocket::stream<tcp::socket> stream_{context_};
    std::unique_ptr<char[]> message_{new char[longest]};
    std::vector<std::string> pongs_;
};

void converse(const std::string& mode, const interop::Address& address, const interop::Script& script, interop::Told& told) {
    // Plain calls do not read while they write, so the lines must be able to hold what is said at once.
    constexpr size_t room = 32 * 1024;
    const bool pipelined = script.pipelined && script.bytes() <= room;
    Client client(mode, address, told);
    if (pipelined)
        for (const auto& step : script.steps) client.say(step);
    for (const auto& step : script.steps) {
        if (!pipelined) client.say(step);
        client.hear(step);
    }
    client.close(script);
}

}

int main(int count, char** arguments) {
    std::string version = BOOST_LIB_VERSION;
    std::replace(version.begin(), version.end(), '_', '.');
    return interop::run({version, serve, converse}, count, arguments);
}
