// fcgiloop ADDRESS [THREADS]: the usual libfcgi program, as the measure for our FastCGI: THREADS threads (16), each in a loop
// around FCGX_Accept_r(). ADDRESS as FCGX_OpenSocket() takes it: ":9000" or a path. Replies as apps/hello does.
//
// A lock around FCGX_Accept_r(), as some examples have it, is not there: accept() on Linux needs none, and with connections
// that are kept a thread holds it while it waits for the next request on its own one, and nobody else gets a turn.

#include <fcgiapp.h>

#include <cstdio>
#include <cstdlib>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::string_view reply = "Status: 200 OK\r\n"
                                   "Content-Type: text/plain; charset=utf-8\r\n"
                                   "Content-Length: 14\r\n"
                                   "\r\n"
                                   "Hello, world!\n";

void serve(int listener) {
    FCGX_Request request;
    FCGX_InitRequest(&request, listener, 0);
    for (;;) {
        if (FCGX_Accept_r(&request) < 0) return;
        FCGX_PutStr(reply.data(), static_cast<int>(reply.size()), request.out);
        FCGX_Finish_r(&request);
    }
}

}

int main(int count, char** arguments) {
    if (count < 2 || FCGX_Init() != 0) return 2;
    const int listener = FCGX_OpenSocket(arguments[1], 4096);
    if (listener < 0) return 1;
    std::puts("ready");
    std::fflush(stdout);
    std::vector<std::jthread> threads;
    for (int i = count > 2 ? std::atoi(arguments[2]) : 16; i > 0; --i) threads.emplace_back(serve, listener);
}
