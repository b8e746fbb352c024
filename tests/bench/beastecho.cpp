// beastecho off|on: an echo with Boost.Beast on one thread, as its asynchronous example has it; with `on` it compresses without
// context take-over.

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/websocket.hpp>

#include <cstdio>
#include <memory>
#include <string_view>

namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using asio::ip::tcp;

class Session : public std::enable_shared_from_this<Session> {
public:
    Session(tcp::socket socket, bool compresses) : stream_(std::move(socket)) {
        websocket::permessage_deflate deflate;
        deflate.server_enable = compresses;
        deflate.server_no_context_takeover = deflate.client_no_context_takeover = true;
        deflate.compLevel = 1;
        deflate.memLevel = 5;
        stream_.set_option(deflate);
        stream_.set_option(websocket::stream_base::timeout::suggested(beast::role_type::server));
        stream_.read_message_max(2 << 20);
        stream_.auto_fragment(false);
    }

    void start() {
        stream_.async_accept([self = shared_from_this()](beast::error_code error) {
            if (!error) self->read();
        });
    }

private:
    void read() {
        stream_.async_read(buffer_, [self = shared_from_this()](beast::error_code error, size_t) {
            if (!error) self->write();
        });
    }
    void write() {
        stream_.text(stream_.got_text());
        stream_.async_write(buffer_.data(), [self = shared_from_this()](beast::error_code error, size_t size) {
            self->buffer_.consume(size);
            if (!error) self->read();
        });
    }

    websocket::stream<beast::tcp_stream> stream_;
    beast::flat_buffer buffer_;
};

void accept(tcp::acceptor& acceptor, bool compresses) {
    acceptor.async_accept([&acceptor, compresses](beast::error_code error, tcp::socket socket) {
        if (!error) {
            socket.set_option(tcp::no_delay(true));
            std::make_shared<Session>(std::move(socket), compresses)->start();
        }
        accept(acceptor, compresses);
    });
}

}

int main(int count, char** arguments) {
    asio::io_context context(1);
    tcp::acceptor acceptor(context, {asio::ip::address_v4::loopback(), 0});
    std::printf("http://127.0.0.1:%u\n", acceptor.local_endpoint().port());
    std::fflush(stdout);
    accept(acceptor, count > 1 && std::string_view(arguments[1]) == "on");
    context.run();
}
