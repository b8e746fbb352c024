// httplibhello THREADS: an HTTP hello with cpp-httplib. A thread belongs to its connection as long as that stays, so there must be
// as many as connections; a connection may have any number of requests.

#include <httplib.h>

#include <cstdio>
#include <limits>
#include <string>

int main(int, char** arguments) {
    httplib::Server server;
    const auto threads = std::stoul(arguments[1]);
    server.new_task_queue = [threads] { return new httplib::ThreadPool(threads); };
    server.set_keep_alive_max_count(std::numeric_limits<size_t>::max());
    server.set_tcp_nodelay(true);
    server.Get("/", [](const httplib::Request&, httplib::Response& response) {
        response.set_content("Hello, world!\n", "text/plain; charset=utf-8");
    });
    std::printf("http://127.0.0.1:%d\n", server.bind_to_any_port("127.0.0.1"));
    std::fflush(stdout);
    server.listen_after_bind();
}
