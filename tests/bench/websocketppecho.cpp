// An echo with websocketpp on one thread: its echo server, without logs, and without the locks that one thread does not need.

#include <websocketpp/concurrency/none.hpp>
#include <websocketpp/config/asio_no_tls.hpp>
#include <websocketpp/logger/stub.hpp>
#include <websocketpp/server.hpp>

#include <cstdio>

namespace {

struct Config : websocketpp::config::asio {
    using type = Config;
    using concurrency_type = websocketpp::concurrency::none;
    using elog_type = websocketpp::log::stub;
    using alog_type = websocketpp::log::stub;
    struct transport_config : websocketpp::config::asio::transport_config {
        using concurrency_type = type::concurrency_type;
        using elog_type = type::elog_type;
        using alog_type = type::alog_type;
        static const bool enable_multithreading = false;
    };
    using transport_type = websocketpp::transport::asio::endpoint<transport_config>;
};
using Server = websocketpp::server<Config>;

}

int main() {
    Server server;
    server.init_asio();
    server.set_tcp_post_init_handler([&](websocketpp::connection_hdl handle) {
        server.get_con_from_hdl(handle)->get_raw_socket().set_option(boost::asio::ip::tcp::no_delay(true));
    });
    server.set_message_handler([&](websocketpp::connection_hdl handle, const Server::message_ptr& message) {
        server.send(handle, message->get_payload(), message->get_opcode());
    });
    server.listen(boost::asio::ip::tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
    server.start_accept();
    boost::system::error_code error;
    std::printf("http://127.0.0.1:%u\n", server.get_local_endpoint(error).port());
    std::fflush(stdout);
    server.run();
}
