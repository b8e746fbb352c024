// libwebsockets.

#include "Peer.h"

#include <libwebsockets.h>

#include <cstring>
#include <deque>
#include <memory>

namespace {

using interop::Kind;

// Where a message does not fit the buffers of permessage-deflate, libwebsockets 4.1 aborts at some sizes. The one for
// receiving is bounded by that of the protocol.
constexpr size_t receiveSize = 32 * interop::mebi;
constexpr const char* deflateBufferBits = "25";

struct Message {
    bool text = false;
    std::string data;
};

// Data frames as they come, made messages again.
class Gathered {
public:
    /// True: the message is complete.
    bool add(lws* wsi, const void* bytes, size_t size) {
        if (lws_is_first_fragment(wsi)) message = {!lws_frame_is_binary(wsi), {}};
        message.data.append(static_cast<const char*>(bytes), size);
        return lws_is_final_fragment(wsi) && lws_remaining_packet_payload(wsi) == 0;
    }
    Message message;
};

// One frame behind the room that libwebsockets wants for its head.
void sendFrame(lws* wsi, std::string_view payload, int how) {
    static std::vector<unsigned char> buffer;
    buffer.resize(LWS_PRE + payload.size() + 1);
    std::memcpy(buffer.data() + LWS_PRE, payload.data(), payload.size());
    if (lws_write(wsi, buffer.data() + LWS_PRE, payload.size(), static_cast<lws_write_protocol>(how)) < static_cast<int>(payload.size()))
        throw std::runtime_error("lws_write failed");
}

void enlargeDeflateBuffers(lws* wsi) {
    for (const char* buffer : {"rx_buf_size", "tx_buf_size"})
        lws_set_extension_option(wsi, "permessage-deflate", buffer, deflateBufferBits);
}

// Sends what is queued, a fragment each time the socket can take one.
class Queue {
public:
    // libwebsockets hangs in fragments that it compresses.
    void neverFragment() { fragments_ = false; }
    void add(interop::Step step) {
        if (!fragments_) step.cuts.clear();
        steps_.push_back(std::move(step));
    }
    void sendOne(lws* wsi) {
        if (steps_.empty()) return;
        const auto& step = steps_.front();
        if (step.kind == Kind::ping) {
            sendFrame(wsi, step.data, LWS_WRITE_PING);
            steps_.pop_front();
        } else {
            const auto fragments = step.fragments();
            const bool last = sent_ + 1 == fragments.size();
            const int opcode = sent_ > 0 ? LWS_WRITE_CONTINUATION : step.kind == Kind::text ? LWS_WRITE_TEXT : LWS_WRITE_BINARY;
            sendFrame(wsi, fragments[sent_++], opcode | (last ? 0 : LWS_WRITE_NO_FIN));
            if (last) steps_.pop_front(), sent_ = 0;
        }
        if (!steps_.empty()) lws_callback_on_writable(wsi);
    }

private:
    std::deque<interop::Step> steps_;
    size_t sent_ = 0;
    bool fragments_ = true;
};

struct ServerSession {
    Gathered gathered;
    Queue queue;
};

interop::Step echoOf(Message& message, interop::Chance& chance) {
    interop::Step step;
    step.kind = message.text ? Kind::text : Kind::binary;
    step.data = std::move(message.data);
    const auto size = static_cast<uint32_t>(step.data.size());
    step.cuts.resize(chance.below(3) == 0 ? chance.below(9) : 0);
    for (auto& cut : step.cuts) cut = chance.below(size + 1);
    std::sort(step.cuts.begin(), step.cuts.end());
    return step;
}

int onServer(lws* wsi, lws_callback_reasons reason, void* user, void* bytes, size_t size) {
    static interop::Chance chance(7);
    auto* session = user ? *static_cast<ServerSession**>(user) : nullptr;
    switch (static_cast<int>(reason)) {
        case LWS_CALLBACK_ESTABLISHED:
            *static_cast<ServerSession**>(user) = session = new ServerSession;
            if (lws_hdr_total_length(wsi, WSI_TOKEN_EXTENSIONS) > 0) session->queue.neverFragment(), enlargeDeflateBuffers(wsi);
            break;
        case LWS_CALLBACK_CLOSED: delete session; break;
        case LWS_CALLBACK_RECEIVE:
            if (!session->gathered.add(wsi, bytes, size)) break;
            session->queue.add(echoOf(session->gathered.message, chance));
            lws_callback_on_writable(wsi);
            break;
        case LWS_CALLBACK_SERVER_WRITEABLE: session->queue.sendOne(wsi); break;
    }
    return 0;
}

struct Conversation {
    const interop::Script& script;
    interop::Told& told;
    Gathered gathered = {};
    Queue queue = {};
    std::vector<std::string> pongs = {};
    size_t said = 0, heard = 0;
    bool finished = false, over = false;

    void sayMore(lws* wsi) {
        const auto& steps = script.steps;
        const auto passPings = [&] {
            while (heard < said && steps[heard].kind == Kind::ping) ++heard;
        };
        for (passPings(); said < steps.size() && (script.pipelined || heard == said); passPings()) queue.add(steps[said++]);
        lws_callback_on_writable(wsi);
    }
    void receive(lws* wsi, const void* bytes, size_t size) {
        if (!gathered.add(wsi, bytes, size)) return;
        while (heard < script.steps.size() && script.steps[heard].kind == Kind::ping) ++heard;
        if (heard == script.steps.size()) throw std::runtime_error("more messages than were sent");
        told.heard(script.steps[heard++], gathered.message.text, gathered.message.data);
        sayMore(wsi);
    }
    // Not 0: libwebsockets closes.
    int write(lws* wsi) {
        queue.sendOne(wsi);
        if (heard != script.steps.size() || finished) return 0;
        finished = true;
        told.heardPongs(script, pongs, true);
        auto text = script.reason;
        if (script.code != 0)
            lws_close_reason(wsi, static_cast<lws_close_status>(script.code), reinterpret_cast<unsigned char*>(text.data()), text.size());
        return -1;
    }
};

int onClient(lws* wsi, lws_callback_reasons reason, void* user, void* bytes, size_t size) {
    auto* talk = static_cast<Conversation*>(user);
    switch (static_cast<int>(reason)) {
        case LWS_CALLBACK_CLIENT_FILTER_PRE_ESTABLISH: {
            char text[512];
            const int length = lws_hdr_copy(wsi, text, sizeof text, WSI_TOKEN_EXTENSIONS);
            talk->told.extension = length > 0 ? std::string(text, static_cast<size_t>(length)) : "-";
            if (length > 0) talk->queue.neverFragment();
            break;
        }
        case LWS_CALLBACK_CLIENT_ESTABLISHED:
            enlargeDeflateBuffers(wsi);
            talk->sayMore(wsi);
            break;
        case LWS_CALLBACK_CLIENT_RECEIVE: talk->receive(wsi, bytes, size); break;
        case LWS_CALLBACK_CLIENT_RECEIVE_PONG: talk->pongs.emplace_back(static_cast<const char*>(bytes), size); break;
        case LWS_CALLBACK_CLIENT_WRITEABLE: return talk->write(wsi);
        case LWS_CALLBACK_CLIENT_CONNECTION_ERROR:
            talk->told.differs(std::string("no handshake: ") + (bytes ? static_cast<const char*>(bytes) : ""));
            talk->over = true;
            break;
        case LWS_CALLBACK_CLIENT_CLOSED:
            if (!talk->finished) talk->told.differs("closed early");
            talk->over = true;
            break;
    }
    return 0;
}

const lws_protocols serverProtocols[] = {{"echo", onServer, sizeof(ServerSession*), receiveSize, 0, nullptr, 0},
                                         {nullptr, nullptr, 0, 0, 0, nullptr, 0}};
const lws_protocols clientProtocols[] = {{"echo", onClient, 0, receiveSize, 0, nullptr, 0}, {nullptr, nullptr, 0, 0, 0, nullptr, 0}};

class Context {
public:
    Context(const lws_protocols* protocols, const char* offer, int port) {
        lws_set_log_level(LLL_ERR, nullptr);
        lws_context_creation_info info{};
        info.port = port;
        info.iface = port == CONTEXT_PORT_NO_LISTEN ? nullptr : "127.0.0.1";
        info.protocols = protocols;
        if (offer) {
            extensions_[0] = {"permessage-deflate", lws_extension_callback_pm_deflate, offer};
            info.extensions = extensions_;
        }
        info.gid = info.uid = static_cast<decltype(info.uid)>(-1);
        context_.reset(lws_create_context(&info));
        if (!context_) throw std::runtime_error("lws_create_context failed");
    }
    lws_context* get() { return context_.get(); }

private:
    struct Destroy {
        void operator()(lws_context* context) { lws_context_destroy(context); }
    };
    lws_extension extensions_[2] = {};
    std::unique_ptr<lws_context, Destroy> context_;
};

void serve(const std::function<void(unsigned)>& listening) {
    Context context(serverProtocols, "permessage-deflate; client_no_context_takeover; client_max_window_bits", 0);
    listening(static_cast<unsigned>(lws_get_vhost_listen_port(lws_get_vhost_by_name(context.get(), "default"))));
    while (lws_service(context.get(), 0) >= 0) {}
}

const char* offerOf(const std::string& mode) {
    return mode == "off"        ? nullptr
           : mode == "on"       ? "permessage-deflate; server_no_context_takeover; client_no_context_takeover"
           : mode == "takeover" ? "permessage-deflate; client_max_window_bits"
                                : "permessage-deflate; server_max_window_bits=10; client_max_window_bits";
}

void converse(const std::string& mode, const interop::Address& address, const interop::Script& script, interop::Told& told) {
    static Context context(clientProtocols, offerOf(mode), CONTEXT_PORT_NO_LISTEN);
    Conversation talk{script, told};
    const auto host = address.host + ':' + address.port;
    lws_client_connect_info info{};
    info.context = context.get();
    info.address = address.host.c_str();
    info.port = std::atoi(address.port.c_str());
    info.path = address.path.c_str();
    info.host = info.origin = host.c_str();
    info.ietf_version_or_minus_one = -1;
    info.userdata = &talk;
    info.local_protocol_name = "echo";
    if (!lws_client_connect_via_info(&info)) throw std::runtime_error("lws_client_connect_via_info failed");
    while (!talk.over && lws_service(context.get(), 0) >= 0) {}
}

}

int main(int count, char** arguments) {
    const std::string version = std::to_string(LWS_LIBRARY_VERSION_MAJOR) + '.' + std::to_string(LWS_LIBRARY_VERSION_MINOR) + '.' +
                                std::to_string(LWS_LIBRARY_VERSION_PATCH);
    return interop::run({version, serve, converse}, count, arguments);
}
