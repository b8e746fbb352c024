// load KIND PORT CONNECTIONS SECONDS [BYTES [INFLIGHT]]: keeps INFLIGHT messages of BYTES bytes on their way on each connection:
// for each answer that comes the next one goes. Client.h has the kinds; for http, a message is a request.
//
// It says "ready" when all connections are there, begins with a line on standard input, and prints the number of answers and the
// seconds they took. The connections are closed after another line, so that their end costs the server nothing yet.

#include "bench/Answers.h"

#include <algorithm>
#include <chrono>

using namespace bench;

namespace {

void keepBusy(const std::vector<int>& sockets, double seconds, const std::string& message, size_t inFlight,
              const Answers& answers) {
    using Clock = std::chrono::steady_clock;
    Epoll epoll;
    for (const int fd : sockets) epoll.add(fd, EPOLLIN);
    std::vector<size_t> places(static_cast<size_t>(*std::max_element(sockets.begin(), sockets.end())) + 1);
    std::string batch;
    for (size_t i = 0; i < inFlight; ++i) batch += message;
    static char buffer[Answers::most];
    const auto start = Clock::now();
    const auto elapsed = [&] { return std::chrono::duration<double>(Clock::now() - start).count(); };
    for (const int fd : sockets) send(fd, batch);
    size_t count = 0, waiting = sockets.size() * inFlight;
    for (bool over = false; waiting > 0; over = over || elapsed() >= seconds) {
        epoll.wait(1000, [&](int fd) {
            const auto size = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (size == 0) throw std::runtime_error("the server closed a connection");
            const auto complete = answers.take(buffer, size < 0 ? 0 : static_cast<size_t>(size), places[static_cast<size_t>(fd)]);
            count += complete;
            if (over) waiting -= complete;
            else send(fd, std::string_view(batch).substr(0, complete * message.size()));
        });
        if (elapsed() > seconds + 10) throw std::runtime_error("an answer is missing");
    }
    std::printf("%zu %.6f\n", count, elapsed());
}

}

int main(int count, char** arguments) {
    if (count < 5) {
        std::fputs("usage: load http|echo|events|deflate PORT CONNECTIONS SECONDS [BYTES [INFLIGHT]]\n", stderr);
        return 2;
    }
    try {
        const std::string_view kind = arguments[1];
        const size_t size = count > 5 ? std::stoul(arguments[5]) : kind == "deflate" ? 1024 : 20;
        const auto message = messageOf(kind, size);
        const auto sockets = connectAll(static_cast<uint16_t>(std::stoul(arguments[2])), kind, std::stoul(arguments[3]));
        const Answers answers(sockets.front(), kind, message, size);
        std::puts("ready");
        waitForLine();
        keepBusy(sockets, std::stod(arguments[4]), message, count > 6 ? std::stoul(arguments[6]) : 1, answers);
        waitForLine();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "load: %s\n", problem.what());
        return 1;
    }
}
