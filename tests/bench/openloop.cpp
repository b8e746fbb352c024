// openloop KIND PORT CONNECTIONS SECONDS RATE: RATE messages a second (20 bytes, or a request), each with a time when it is due,
// whether or not earlier ones are answered. A latency counts from that time: a server that stops for a while pays for every
// message that had to wait, and so does a load that comes late. It never sleeps; its own waking up is no part of a latency.
//
// It says "ready" when all connections are there, begins with a line on standard input, and prints the number of answers, the
// seconds they took, and in microseconds the latencies that 50 %, 99 % and 99.9 % of them did not exceed, and the largest. The
// connections are closed after another line.

#include "bench/Answers.h"

#include <algorithm>
#include <chrono>

using namespace bench;

namespace {

using Clock = std::chrono::steady_clock;

// The messages go round the connections: the n-th on connection c is number n × CONNECTIONS + c of all.
class Timetable {
public:
    Timetable(size_t connections, double rate) : connections_(connections), interval_(1 / rate) {}
    void start() { start_ = Clock::now(); }
    double now() const { return std::chrono::duration<double>(Clock::now() - start_).count(); }
    double due(size_t number) const { return static_cast<double>(number) * interval_; }
    double due(size_t connection, size_t nth) const { return due(nth * connections_ + connection); }

private:
    size_t connections_;
    double interval_;
    Clock::time_point start_;
};

struct Line {
    size_t connection = 0, answered = 0, place = 0;
};

std::vector<double> measure(const std::vector<int>& sockets, size_t total, const std::string& message, const Answers& answers,
                            Timetable& timetable) {
    Epoll epoll;
    std::vector<Line> lines(static_cast<size_t>(*std::max_element(sockets.begin(), sockets.end())) + 1);
    for (size_t i = 0; i < sockets.size(); ++i) {
        lines[static_cast<size_t>(sockets[i])].connection = i;
        epoll.add(sockets[i], EPOLLIN);
    }
    std::vector<double> latencies;
    latencies.reserve(total);
    static char buffer[Answers::most];
    timetable.start();
    for (size_t sent = 0; latencies.size() < total;) {
        // A few at a time, so that a load that is late hears the answers meanwhile.
        for (int few = 8; few > 0 && sent < total && timetable.due(sent) <= timetable.now(); --few, ++sent)
            send(sockets[sent % sockets.size()], message);
        epoll.wait(0, [&](int fd) {
            auto& line = lines[static_cast<size_t>(fd)];
            const auto size = ::recv(fd, buffer, sizeof buffer, MSG_DONTWAIT);
            if (size == 0) throw std::runtime_error("the server closed a connection");
            const auto complete = answers.take(buffer, size < 0 ? 0 : static_cast<size_t>(size), line.place);
            const auto now = timetable.now();
            for (size_t i = 0; i < complete; ++i) latencies.push_back(now - timetable.due(line.connection, line.answered++));
        });
        if (timetable.now() > timetable.due(total) + 10) throw std::runtime_error("the server does not keep up");
    }
    return latencies;
}

double notExceededBy(double share, const std::vector<double>& sorted) {
    return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1))] * 1e6;
}

}

int main(int count, char** arguments) {
    if (count != 6) {
        std::fputs("usage: openloop http|echo|events PORT CONNECTIONS SECONDS RATE\n", stderr);
        return 2;
    }
    try {
        const std::string_view kind = arguments[1];
        const auto message = messageOf(kind, 20);
        const auto sockets = connectAll(static_cast<uint16_t>(std::stoul(arguments[2])), kind, std::stoul(arguments[3]));
        const Answers answers(sockets.front(), kind, message, 20);
        const double rate = std::stod(arguments[5]);
        const auto total = std::max<size_t>(1, static_cast<size_t>(std::stod(arguments[4]) * rate));
        Timetable timetable(sockets.size(), rate);
        std::puts("ready");
        waitForLine();
        auto latencies = measure(sockets, total, message, answers, timetable);
        const double seconds = timetable.now();
        std::sort(latencies.begin(), latencies.end());
        std::printf("%zu %.6f %.3f %.3f %.3f %.3f\n", latencies.size(), seconds, notExceededBy(0.5, latencies),
                    notExceededBy(0.99, latencies), notExceededBy(0.999, latencies), latencies.back() * 1e6);
        waitForLine();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "openloop: %s\n", problem.what());
        return 1;
    }
}
