// An echo with libwebsockets on one thread: a message is kept until the socket can take it, as its documentation asks for. The
// messages here are short enough to come in one piece.

#include <libwebsockets.h>

#include <cstdio>
#include <string>

namespace {

// What waits for the socket, behind the room that libwebsockets wants for the header. While it waits, nothing more is read.
struct Session {
    std::string* echo;
    lws_write_protocol kind;
};

int onEvent(lws* wsi, lws_callback_reasons reason, void* user, void* bytes, size_t size) {
    auto* session = static_cast<Session*>(user);
    switch (static_cast<int>(reason)) {
        case LWS_CALLBACK_ESTABLISHED: session->echo = new std::string; break;
        case LWS_CALLBACK_CLOSED: delete session->echo; break;
        case LWS_CALLBACK_RECEIVE:
            session->kind = lws_frame_is_binary(wsi) ? LWS_WRITE_BINARY : LWS_WRITE_TEXT;
            session->echo->assign(LWS_PRE, '\0').append(static_cast<const char*>(bytes), size);
            lws_rx_flow_control(wsi, 0);
            lws_callback_on_writable(wsi);
            break;
        case LWS_CALLBACK_SERVER_WRITEABLE: {
            if (session->echo->empty()) break;
            const auto length = session->echo->size() - LWS_PRE;
            auto* const data = reinterpret_cast<unsigned char*>(session->echo->data()) + LWS_PRE;
            if (lws_write(wsi, data, length, session->kind) < static_cast<int>(length)) return -1;
            session->echo->clear();
            lws_rx_flow_control(wsi, 1);
            break;
        }
    }
    return 0;
}

const lws_protocols protocols[] = {{"echo", onEvent, sizeof(Session), 4096, 0, nullptr, 0},
                                   {nullptr, nullptr, 0, 0, 0, nullptr, 0}};

}

int main() {
    lws_set_log_level(0, nullptr);
    lws_context_creation_info info{};
    info.iface = "127.0.0.1";
    info.protocols = protocols;
    info.gid = info.uid = static_cast<decltype(info.uid)>(-1);
    lws_context* const context = lws_create_context(&info);
    if (!context) return 1;
    std::printf("http://127.0.0.1:%d\n", lws_get_vhost_listen_port(lws_get_vhost_by_name(context, "default")));
    std::fflush(stdout);
    while (lws_service(context, 0) >= 0) {}
    lws_context_destroy(context);
}
