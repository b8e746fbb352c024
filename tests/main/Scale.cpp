#include "support/BlockingClient.h"
#include "support/Catch.h"
#include "support/Process.h"
#include "support/RawDeflate.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <string>

using namespace postern;

namespace {

using Clock = std::chrono::steady_clock;

constexpr int many = 10'000;

long statusOf(pid_t pid, const std::string& name) {
    const auto text = readFile("/proc/" + std::to_string(pid) + "/status");
    return std::stol(text.substr(text.find(name + ":") + name.size() + 1)) * 1024;
}
long residentOf(pid_t pid) { return statusOf(pid, "VmRSS"); }
long peakOf(pid_t pid) { return statusOf(pid, "VmHWM"); }

// On a processor so far, all threads.
std::chrono::nanoseconds cpuTimeOf(pid_t pid) {
    std::chrono::nanoseconds sum{};
    for (const auto& task : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task"))
        sum += std::chrono::nanoseconds(std::stoll(readFile(task.path() / "schedstat")));
    return sum;
}

void allowDescriptors(rlim_t count) {
    rlimit limit{};
    ::getrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur >= count) return;
    limit.rlim_cur = std::min(count, limit.rlim_max);
    ::setrlimit(RLIMIT_NOFILE, &limit);
    if (limit.rlim_cur < count) throw std::runtime_error("this test opens more files at a time than the system lets it");
}

// Connections that have said something and had their answer; each family has a source address of its own, so that
// there are ports enough.
class Crowd {
public:
    Crowd(const Served& served, int count, const char* from, const std::string& says, std::string_view answered) {
        sockaddr_in source{}, target{};
        source.sin_family = target.sin_family = AF_INET;
        ::inet_pton(AF_INET, from, &source.sin_addr);
        target.sin_port = htons(served.port());
        target.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        for (int i = 0; i < count; ++i) {
            const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
            fds_.push_back(fd);
            const int on = 1;
            ::setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
            if (fd < 0 || ::bind(fd, reinterpret_cast<sockaddr*>(&source), sizeof source) != 0 ||
                ::connect(fd, reinterpret_cast<sockaddr*>(&target), sizeof target) != 0)
                throw std::runtime_error("cannot connect number " + std::to_string(i));
            const linger reset{1, 0};  // leaves no port in TIME_WAIT
            ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
            const timeval limit{patience.count(), 0};
            ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
            say(fd, says);
            if (!answered.empty()) hear(fd, answered);
        }
    }
    ~Crowd() {
        for (const int fd : fds_) ::close(fd);
    }
    Crowd(const Crowd&) = delete;
    Crowd& operator=(const Crowd&) = delete;

    void sayAll(std::string_view text) {
        for (const int fd : fds_) say(fd, text);
    }
    void checkLife(std::string_view says, std::string_view answered) {
        for (size_t i = 0; i < fds_.size(); i += 1000) {
            say(fds_[i], says);
            hear(fds_[i], answered);
        }
    }

private:
    static void say(int fd, std::string_view text) {
        if (::send(fd, text.data(), text.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(text.size())) throw std::runtime_error("cannot send");
    }
    static void hear(int fd, std::string_view mark) {
        std::string text;
        char bytes[4096];
        while (text.find(mark) == std::string::npos) {
            const auto got = ::recv(fd, bytes, sizeof bytes, 0);
            if (got <= 0) throw std::runtime_error("no answer but: " + text);
            text.append(bytes, static_cast<size_t>(got));
        }
    }

    std::vector<int> fds_;
};

// The server gives memory of idle connections back after a while: waits until it has, or patience is over.
double settledShare(pid_t pid, long before, double enough) {
    const auto until = Clock::now() + patience;
    double share;
    while ((share = static_cast<double>(residentOf(pid) - before) / many) >= enough && Clock::now() < until) ::poll(nullptr, 0, 100);
    return share;
}

std::chrono::nanoseconds medianRequest(uint16_t port) {
    std::vector<std::chrono::nanoseconds> times;
    BlockingClient client(port);
    for (int i = 0; i < 301; ++i) {
        const auto start = Clock::now();
        REQUIRE(client.get("/").status == 200);
        times.push_back(Clock::now() - start);
    }
    std::nth_element(times.begin(), times.begin() + 150, times.end());
    return times[150];
}

}

TEST_CASE("10,000 idle WebSockets on one worker take less than 8 KiB each", "[main][scale]") {
    allowDescriptors(many + 200);
    Served served(optimisedApp("echo"), {"--max-connections", std::to_string(many + 100)});
    CHECK(BlockingClient(served.port()).get("/").status == 200);
    const auto before = residentOf(served.process().pid());
    Crowd crowd(served, many, "127.0.1.1",
                "GET /echo HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + maskedFrame(1, "hello"),
                "\x81\x05hello");
    const auto share = settledShare(served.process().pid(), before, 8 * 1024);
    CAPTURE(share);
    CHECK(share < 8 * 1024);
    crowd.checkLife(maskedFrame(1, "again"), "\x81\x05" "again");
}

TEST_CASE("10,000 idle keep-alive connections on one worker take at most 400 bytes each", "[main][scale]") {
    allowDescriptors(many + 200);
    Served served(optimisedApp("hello"), {"--max-connections", std::to_string(many + 100)});
    CHECK(BlockingClient(served.port()).get("/").status == 200);
    const auto before = residentOf(served.process().pid());
    const std::string request = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    Crowd crowd(served, many, "127.0.1.2", request, "Hello, world!\n");
    const auto share = settledShare(served.process().pid(), before, 400);
    CAPTURE(share);
    CHECK(share <= 400);
    crowd.checkLife(request, "Hello, world!\n");
}

TEST_CASE("10,000 idle WebSockets with callbacks take at most 800 bytes each", "[main][scale]") {
    allowDescriptors(many + 200);
    Served served(optimisedApp("echo"), {"--max-connections", std::to_string(many + 100)});
    CHECK(BlockingClient(served.port()).get("/").status == 200);
    const auto before = residentOf(served.process().pid());
    Crowd crowd(served, many, "127.0.1.4",
                "GET /events HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n" + maskedFrame(1, "hello"),
                "\x81\x05hello");
    const auto share = settledShare(served.process().pid(), before, 800);
    CAPTURE(share);
    CHECK(share <= 800);
    crowd.checkLife(maskedFrame(1, "again"), "\x81\x05" "again");
}

TEST_CASE("a bomb of 10 MiB that stands for 10 GiB costs a program twice the limit of memory and 50 ms at most", "[main][scale]") {
    RawDeflater deflater;
    const auto part = deflater.flush(std::string(16 << 20, '\0'));
    std::string bomb;
    while (bomb.size() < (10u << 20)) bomb += part;
    for (const size_t limit : {size_t{1} << 20, size_t{16} << 20}) {
        CAPTURE(limit);
        Served served(optimisedApp("echo"), {"--websocket-deflate", "on", "--max-message", std::to_string(limit)});
        const auto pid = served.process().pid();
        const auto ask = [&](std::string_view compressed) {
            BlockingClient client(served.port());
            CHECK(client.upgrade("/echo", "Sec-WebSocket-Extensions: permessage-deflate\r\n").status == 101);
            auto frame = maskedFrame(2, compressed);
            frame[0] |= 0x40;
            client.send(frame);
            return client.next();
        };
        CHECK(ask(rawDeflated(std::string(10'000, 'x'))).opcode == 2);  // what only the first message costs
        const auto memory = residentOf(pid);
        const auto spent = cpuTimeOf(pid);
        // In a frame as long as the limit lets it be, else it would be refused by its length.
        const auto answer = ask(std::string_view(bomb).substr(0, limit));
        CHECK(answer.opcode == 8);
        CHECK(answer.payload.substr(0, 2) == "\x03\xf1");
        const auto peak = peakOf(pid) - memory;
        CAPTURE(peak);
        CHECK(peak <= static_cast<long>(2 * limit));
        if (limit == 1 << 20) CHECK(cpuTimeOf(pid) - spent < std::chrono::milliseconds(50));  // the default
    }
}

TEST_CASE("1,000 clients that send their head a byte at a time do not slow the others", "[main][scale]") {
    allowDescriptors(1200);
    Served served(optimisedApp("hello"), {"--head-timeout", "60s"});
    const auto alone = medianRequest(served.port());
    Crowd slow(served, 1000, "127.0.1.3", "G", "");
    std::vector<std::chrono::nanoseconds> medians;
    for (const char* byte : {"E", "T", " ", "/", " "}) {
        slow.sayAll(byte);
        medians.push_back(medianRequest(served.port()));
    }
    std::nth_element(medians.begin(), medians.begin() + 2, medians.end());
    CAPTURE(alone.count(), medians[2].count());
    CHECK(medians[2] < 4 * alone + std::chrono::milliseconds(1));
    CHECK(served.process().isRunning());
}
