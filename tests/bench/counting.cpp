// A server like apps/hello and apps/echo in one that counts its allocations: GET /count gives their number so far.

#include <postern/postern.h>

#include <atomic>
#include <cstddef>

namespace {

std::atomic<unsigned long> allocations{0};

}

// glibc's own, under names that stay when a program defines malloc.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t size) {
    ++allocations;
    return __libc_malloc(size);
}
void* calloc(size_t count, size_t size) {
    ++allocations;
    return __libc_calloc(count, size);
}
void* realloc(void* memory, size_t size) {
    ++allocations;
    return __libc_realloc(memory, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
    ++allocations;
    return __libc_memalign(alignment, size);
}
}

void counting(postern::Cgi& cgi) {
    if (cgi.pathInfo() == "/echo") {
        auto websocket = cgi.acceptWebsocket();
        while (auto message = websocket.recv()) {
            if (message.isText()) websocket.send(message.textData());
            else websocket.send(message.data());
        }
        return;
    }
    cgi.setResponseContentType("text/plain; charset=utf-8");
    if (cgi.pathInfo() == "/count") return cgi.write(std::to_string(allocations), true);
    if (cgi.pathInfo() != "/") throw postern::HttpError(404);
    cgi.write("Hello, world!\n", true);
}

POSTERN_MAIN(counting)
