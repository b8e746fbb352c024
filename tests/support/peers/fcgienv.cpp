// fcgienv [ADDRESS]: a responder that is all libfcgi's. It answers with the variables of the request, an empty line and the
// body, and tells the size of the body on the error stream. An upgrade of /upgrade gets a 101, and whatever it says,
// back. ADDRESS as FCGX_OpenSocket() takes it; none: descriptor 0 is the listening socket.

#include <fcgiapp.h>

#include <cstdio>
#include <string>
#include <string_view>

namespace {

void upgrade(FCGX_Request& request) {
    FCGX_PutS("Status: 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n", request.out);
    FCGX_FFlush(request.out);
    for (int byte; (byte = FCGX_GetChar(request.in)) != -1;) {
        FCGX_PutChar(byte, request.out);
        FCGX_FFlush(request.out);
    }
}

void answer(FCGX_Request& request) {
    std::string body;
    for (int byte; (byte = FCGX_GetChar(request.in)) != -1;) body += static_cast<char>(byte);
    FCGX_PutS("Content-Type: text/plain\r\n\r\n", request.out);
    for (char** variable = request.envp; *variable; ++variable) {
        FCGX_PutS(*variable, request.out);
        FCGX_PutS("\n", request.out);
    }
    FCGX_PutS("\n", request.out);
    FCGX_PutStr(body.data(), static_cast<int>(body.size()), request.out);
    FCGX_PutS((std::to_string(body.size()) + " bytes\n").c_str(), request.err);
}

}

int main(int count, char** arguments) {
    if (FCGX_Init() != 0) return 2;
    const int listener = count > 1 ? FCGX_OpenSocket(arguments[1], 64) : 0;
    if (listener < 0) return 1;
    if (count > 1) {
        std::puts("ready");
        std::fflush(stdout);
    }
    FCGX_Request request;
    FCGX_InitRequest(&request, listener, 0);
    while (FCGX_Accept_r(&request) == 0) {
        const char* target = FCGX_GetParam("REQUEST_URI", request.envp);
        if (target && std::string_view(target) == "/upgrade" && FCGX_GetParam("HTTP_UPGRADE", request.envp)) upgrade(request);
        else answer(request);
        request.keepConnection = 0;  // one that nobody uses would hold up the next
        FCGX_Finish_r(&request);
    }
}
