// websocketpp, on Boost.Asio.

#include "Peer.h"

#include <websocketpp/client.hpp>
#include <websocketpp/config/asio_no_tls.hpp>
#include <websocketpp/config/asio_no_tls_client.hpp>
#include <websocketpp/extensions/permessage_deflate/enabled.hpp>
#include <websocketpp/server.hpp>
#include <websocketpp/version.hpp>

#include <memory>

namespace {

using interop::Kind;
using websocketpp::connection_hdl;
namespace opcode = websocketpp::frame::opcode;

// What the next connection of the client offers; websocketpp itself always offers the same.
std::string offer;

class Deflate : public websocketpp::extensions::permessage_deflate::enabled<websocketpp::config::core::permessage_deflate_config> {
public:
    std::string generate_offer() const { return offer; }
};
struct ServerConfig : websocketpp::config::asio {
    using permessage_deflate_type = Deflate;
};
struct ClientConfig : websocketpp::config::asio_client {
    using permessage_deflate_type = Deflate;
};
using Server = websocketpp::server<ServerConfig>;
using Client = websocketpp::client<ClientConfig>;

size_t onCharacter(std::string_view text, size_t at) {
    while (at < text.size() && (static_cast<unsigned char>(text[at]) & 0xc0) == 0x80) ++at;
    return at;
}

// Fragments of text end between characters, and are not compressed: websocketpp can do no other.
template <typename Connection>
void sendFragments(Connection& connection, bool text, const std::string& data, const std::vector<size_t>& cuts) {
    size_t from = 0;
    for (size_t i = 0; i <= cuts.size(); ++i) {
        const bool last = i == cuts.size();
        const size_t until = last ? data.size() : text ? onCharacter(data, cuts[i]) : cuts[i];
        auto frame = connection->get_message(i > 0 ? opcode::continuation : text ? opcode::text : opcode::binary, until - from);
        frame->append_payload(data.substr(from, until - from));
        frame->set_fin(last);
        frame->set_compressed(false);
        if (const auto error = connection->send(frame)) throw std::runtime_error(error.message());
        from = until;
    }
}

template <typename Endpoint>
void quiet(Endpoint& endpoint) {
    endpoint.clear_access_channels(websocketpp::log::alevel::all);
    endpoint.clear_error_channels(websocketpp::log::elevel::all);
    endpoint.init_asio();
}

template <typename Connection>
void withoutDelay(const Connection& connection) {
    connection->get_raw_socket().set_option(boost::asio::ip::tcp::no_delay(true));
}

void serve(const std::function<void(unsigned)>& listening) {
    Server server;
    quiet(server);
    interop::Chance chance(7);
    server.set_message_handler([&](connection_hdl handle, Server::message_ptr message) {
        auto connection = server.get_con_from_hdl(handle);
        const auto& data = message->get_payload();
        const auto size = static_cast<uint32_t>(data.size());
        std::vector<size_t> cuts(chance.below(3) == 0 ? 1 + chance.below(8) : 0);
        for (auto& cut : cuts) cut = chance.below(size + 1);
        std::sort(cuts.begin(), cuts.end());
        if (cuts.empty()) connection->send(data, message->get_opcode());
        else sendFragments(connection, message->get_opcode() == opcode::text, data, cuts);
    });
    server.set_open_handler([&](connection_hdl handle) { withoutDelay(server.get_con_from_hdl(handle)); });
    server.listen(boost::asio::ip::tcp::endpoint(boost::asio::ip::address_v4::loopback(), 0));
    server.start_accept();
    boost::system::error_code error;
    listening(server.get_local_endpoint(error).port());
    server.run();
}

class Conversation {
public:
    Conversation(Client& client, const std::string& url, const interop::Script& script, interop::Told& told)
        : script_(script), told_(told) {
        websocketpp::lib::error_code error;
        connection_ = client.get_connection(url, error);
        if (error) throw std::runtime_error(error.message());
        connection_->set_open_handler([this](connection_hdl) { opened(); });
        connection_->set_message_handler([this](connection_hdl, Client::message_ptr message) { heard(message); });
        connection_->set_pong_handler([this](connection_hdl, std::string payload) { pongs_.push_back(std::move(payload)); });
        connection_->set_fail_handler([this](connection_hdl) { told_.differs("no handshake: " + connection_->get_ec().message()); });
        connection_->set_close_handler([this](connection_hdl) { closed(); });
        client.connect(connection_);
    }

private:
    void opened() {
        withoutDelay(connection_);
        const auto& agreed = connection_->get_response_header("Sec-WebSocket-Extensions");
        told_.extension = agreed.empty() ? "-" : agreed;
        while (said_ < script_.steps.size() && (script_.pipelined || waitsFor() == said_)) sayNext();
    }
    // The step whose echo comes next.
    size_t waitsFor() {
        while (heard_ < said_ && script_.steps[heard_].kind == Kind::ping) ++heard_;
        return heard_;
    }
    void sayNext() {
        const auto& step = script_.steps[said_++];
        if (step.kind == Kind::ping) return connection_->ping(step.data);
        if (!step.cuts.empty()) return sendFragments(connection_, step.kind == Kind::text, step.data, step.cuts);
        const auto error = connection_->send(step.data, step.kind == Kind::text ? opcode::text : opcode::binary);
        if (error) throw std::runtime_error(error.message());
    }
    void heard(const Client::message_ptr& message) {
        while (script_.steps[heard_].kind == Kind::ping) ++heard_;
        told_.heard(script_.steps[heard_++], message->get_opcode() == opcode::text, message->get_payload());
        if (heard_ == script_.steps.size()) return close();
        while (said_ < script_.steps.size() && !script_.pipelined && waitsFor() == said_) sayNext();
    }
    void close() {
        told_.heardPongs(script_, pongs_, true);
        finished_ = true;
        connection_->close(code(), script_.reason);
    }
    // With codes that tell of an error websocketpp waits for no answer.
    uint16_t code() const {
        namespace status = websocketpp::close::status;
        return script_.code == 0 ? status::no_status : status::terminal(script_.code) ? status::normal : script_.code;
    }
    void closed() {
        if (!finished_) told_.differs("closed early: " + connection_->get_remote_close_reason());
        told_.heardClose(code(), connection_->get_remote_close_code());
    }

    const interop::Script& script_;
    interop::Told& told_;
    Client::connection_ptr connection_;
    std::vector<std::string> pongs_;
    size_t said_ = 0, heard_ = 0;
    bool finished_ = false;
};

void converse(const std::string& mode, const interop::Address& address, const interop::Script& script, interop::Told& told) {
    offer = mode == "off"        ? ""
            : mode == "on"       ? "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
            : mode == "takeover" ? "permessage-deflate; client_max_window_bits"
                                 : "permessage-deflate; server_max_window_bits=10; client_max_window_bits";
    Client client;
    quiet(client);
    Conversation conversation(client, "ws://" + address.host + ':' + address.port + address.path, script, told);
    client.run();
}

}

int main(int count, char** arguments) {
    const std::string version = std::to_string(websocketpp::major_version) + '.' + std::to_string(websocketpp::minor_version) + '.' +
                                std::to_string(websocketpp::patch_version);
    return interop::run({version, serve, converse}, count, arguments);
}
