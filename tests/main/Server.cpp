#include "postern/main/Server.h"

#include "support/BlockingClient.h"
#include "support/Catch.h"
#include "support/Process.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <mutex>
#include <set>
#include <thread>

using namespace postern;

namespace {

using Clock = std::chrono::steady_clock;

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

// The value after "name:" in a file like /proc/PID/status.
std::string valueOf(const std::string& text, const std::string& name) {
    const auto at = text.find('\n' + name + ":");
    if (at == std::string::npos) return {};
    const auto start = text.find_first_not_of(" \t", at + name.size() + 2);
    return text.substr(start, text.find('\n', start) - start);
}

size_t descriptorsOf(pid_t pid) {
    size_t count = 0;
    for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/fd")) ++count;
    return count;
}

// A listening socket of our own, for programs that inherit one.
class Listening {
public:
    Listening() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t size = sizeof address;
        if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), size) != 0 || ::listen(fd_, 100) != 0) throw std::runtime_error("no socket");
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size);
        port_ = ntohs(address.sin_port);
    }
    ~Listening() { ::close(fd_); }
    Listening(const Listening&) = delete;
    Listening& operator=(const Listening&) = delete;
    int fd() const { return fd_; }
    uint16_t port() const { return port_; }

private:
    int fd_;
    uint16_t port_ = 0;
};

// What a service manager hears through NOTIFY_SOCKET.
class Notified {
public:
    Notified() : fd_(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0)), path_(directory_ / "notify") {
        sockaddr_un address{};
        address.sun_family = AF_UNIX;
        path_.copy(address.sun_path, sizeof address.sun_path - 1);
        if (::bind(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("no socket");
        const timeval limit{patience.count(), 0};
        ::setsockopt(fd_, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    }
    ~Notified() { ::close(fd_); }
    Notified(const Notified&) = delete;
    Notified& operator=(const Notified&) = delete;
    const std::string& path() const { return path_; }
    std::string next() {
        char text[256];
        const auto size = ::recv(fd_, text, sizeof text, 0);
        return size < 0 ? std::string() : std::string(text, static_cast<size_t>(size));
    }

private:
    TemporaryDirectory directory_;
    int fd_;
    std::string path_;
};

bool answers(uint16_t port) { return BlockingClient(port).get("/").body == "Hello, world!\n"; }

}

TEST_CASE("the first line that a server prints is its URL, and it answers there", "[main]") {
    Served served(checkedApp("hello"));
    CHECK(served.port() != 0);
    CHECK(answers(served.port()));
    served.process().waitForErrors("serving what --listen names");
    CHECK(served.stop() == 0);
}

TEST_CASE("one program serves TCP and Unix sockets at once", "[main]") {
    TemporaryDirectory directory;
    const auto path = directory / "app.sock";
    {
        Served served(checkedApp("hello"), {"--listen", "http+unix:" + path, "--listen", "http://127.0.0.2:0"});
        CHECK(served.process().line() == "http+unix:" + path);
        CHECK(served.process().line().starts_with("http://127.0.0.2:"));
        CHECK(answers(served.port()));
        CHECK(BlockingClient(path).get("/").body == "Hello, world!\n");
        struct stat status{};
        REQUIRE(::stat(path.c_str(), &status) == 0);
        CHECK((status.st_mode & 0777) == 0660);
        const auto second = runToEnd({checkedApp("hello"), "--listen", "http+unix:" + path});
        CHECK(second.code == 1);
        CHECK(contains(second.errors, "another program listens there"));
        CHECK(served.stop() == 0);
        CHECK(!std::filesystem::exists(path));
    }
    // One that was killed leaves its socket behind; the next takes the place.
    {
        Served killed(checkedApp("hello"), {"--listen", "http+unix:" + path});
        killed.process().signal(SIGKILL);
        CHECK(killed.process().wait() == 128 + SIGKILL);
        REQUIRE(std::filesystem::exists(path));
    }
    Served served(checkedApp("hello"), {"--listen", "http+unix:" + path});
    CHECK(BlockingClient(path).get("/").body == "Hello, world!\n");
}

TEST_CASE("a program that is still ending leaves the socket of its successor alone", "[main]") {
    TemporaryDirectory directory;
    const auto path = directory / "app.sock";
    Served first(checkedApp("echo"), {"--listen", "http+unix:" + path});
    BlockingClient client(path);
    REQUIRE(client.upgrade("/echo").status == 101);
    first.process().signal(SIGTERM);
    REQUIRE(client.next().closeCode() == 1001);
    Served second(checkedApp("hello"), {"--listen", "http+unix:" + path});
    client.closeFrame(1001);
    CHECK(first.process().wait() == 0);
    CHECK(BlockingClient(path).get("/").body == "Hello, world!\n");
}

TEST_CASE("a file that is no socket is not replaced by one", "[main]") {
    TemporaryDirectory directory;
    writeFile(directory / "precious", "data");
    const auto result = runToEnd({checkedApp("hello"), "--listen", "http+unix:" + directory / "precious"});
    CHECK(result.code == 1);
    CHECK(contains(result.errors, "no socket"));
    CHECK(readFile(directory / "precious") == "data");
}

TEST_CASE("a socket is taken over by its number", "[main]") {
    const Listening listening;
    ProcessOptions options;
    options.passed = {listening.fd()};
    Process process({checkedApp("hello"), "--listen", "fd:3", "--workers", "2"}, options);
    CHECK(process.line() == "http://localhost:" + std::to_string(listening.port()));
    for (int i = 0; i < 10; ++i) CHECK(answers(listening.port()));
    process.signal(SIGTERM);
    CHECK(process.wait() == 0);

    const auto wrong = runToEnd({checkedApp("hello"), "--listen", "fd:0"});
    CHECK(wrong.code == 1);
    CHECK(contains(wrong.errors, "no listening socket"));
}

TEST_CASE("sockets from systemd are served, and only by the process they are for", "[main]") {
    const Listening first, second;
    ProcessOptions options;
    options.passed = {first.fd(), second.fd()};
    options.environment = {{"LISTEN_FDS", "2"}};
    options.listenPid = true;
    for (const std::vector<std::string>& arguments : {std::vector<std::string>{}, {"--listen", "systemd"}}) {
        auto command = arguments;
        command.insert(command.begin(), checkedApp("hello"));
        Process process(command, options);
        CHECK(process.line() == "http://localhost:" + std::to_string(first.port()));
        CHECK(process.line() == "http://localhost:" + std::to_string(second.port()));
        CHECK(answers(first.port()));
        CHECK(answers(second.port()));
        process.waitForErrors(arguments.empty() ? "LISTEN_FDS" : "--listen");
        process.signal(SIGTERM);
        CHECK(process.wait() == 0);
    }
    options.listenPid = false;
    options.environment = {{"LISTEN_FDS", "2"}, {"LISTEN_PID", "1"}, {"PORT", "0"}};
    Process other({checkedApp("hello")}, options);
    CHECK(other.line().starts_with("http://127.0.0.1:"));
    other.waitForErrors("serving HTTP");

    const auto none = runToEnd({checkedApp("hello"), "--listen", "systemd"});
    CHECK(none.code == 1);
    CHECK(contains(none.errors, "LISTEN_FDS"));
}

TEST_CASE("a service manager hears when the server is ready and when it stops", "[main]") {
    Notified manager;
    ProcessOptions options;
    options.environment = {{"NOTIFY_SOCKET", manager.path()}};
    Served served(checkedApp("hello"), {}, options);
    CHECK(manager.next() == "READY=1");
    CHECK(answers(served.port()));
    CHECK(served.stop() == 0);
    CHECK(manager.next() == "STOPPING=1");
}

TEST_CASE("a port in use is named, with the way out", "[main]") {
    const Listening taken;
    const auto port = std::to_string(taken.port());
    for (const char* workers : {"1", "2"}) {
        const auto result = runToEnd({checkedApp("hello"), "--port", port, "--workers", workers});
        CAPTURE(result.errors);
        CHECK(result.code == 1);
        CHECK(contains(result.errors, port));
        CHECK(contains(result.errors, "--port 0"));
        CHECK(result.output.empty());
    }
}

TEST_CASE("two workers both serve", "[main]") {
    Served served(checkedApp("hello"), {"--workers", "2"});
    const auto tasks = "/proc/" + std::to_string(served.process().pid()) + "/task";
    const auto switches = [&] {
        std::vector<std::pair<std::string, long>> counts;
        for (const auto& entry : std::filesystem::directory_iterator(tasks))
            counts.emplace_back(entry.path().filename(), std::stol(valueOf(readFile(entry.path() / "status"), "voluntary_ctxt_switches")));
        return counts;
    };
    CHECK(answers(served.port()));
    const auto before = switches();
    for (int i = 0; i < 100; ++i) REQUIRE(answers(served.port()));
    int busy = 0;
    for (const auto& [task, count] : switches())
        for (const auto& [name, earlier] : before)
            if (name == task && count - earlier >= 10) ++busy;
    CHECK(busy == 2);
    CHECK(served.stop() == 0);
}

TEST_CASE("--user and --group are in force once the server serves", "[main]") {
    if (::geteuid() != 0) {
        const auto refused = runToEnd({checkedApp("hello"), "--port", "0", "--user", "root"});
        CHECK(refused.code == 1);
        CHECK(contains(refused.errors, "only root"));
        return;
    }
    const auto ids = [](const std::vector<std::string>& arguments) {
        Served served(optimisedApp("hello"), arguments);
        CHECK(answers(served.port()));
        std::set<std::string> seen;  // threads have identities of their own
        for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(served.process().pid()) + "/task")) {
            const auto status = readFile(entry.path() / "status");
            seen.insert(valueOf(status, "Uid") + '|' + valueOf(status, "Gid") + '|' + valueOf(status, "Groups") + '|' +
                        valueOf(status, "CapEff"));
        }
        CHECK(served.stop() == 0);
        REQUIRE(seen.size() == 1);
        return *seen.begin();
    };
    const auto nobody = ids({"--user", "nobody"});
    CHECK(nobody == "65534\t65534\t65534\t65534|65534\t65534\t65534\t65534|65534 |0000000000000000");
    const auto daemon = ids({"--user", "nobody", "--group", "daemon"});
    CHECK(daemon == "65534\t65534\t65534\t65534|1\t1\t1\t1|1 |0000000000000000");

    for (const std::vector<std::string>& wrong : {std::vector<std::string>{"--user", "nobody-there"}, {"--group", "nobody-there"}}) {
        auto command = wrong;
        command.insert(command.begin(), {checkedApp("hello"), "--port", "0"});
        const auto result = runToEnd(command);
        CHECK(result.code == 1);
        CHECK(contains(result.errors, "named nobody-there"));
        CHECK(result.output.empty());
    }
}

TEST_CASE("TERM and INT end an idle server with 0", "[main]") {
    for (const int number : {SIGTERM, SIGINT}) {
        Served served(checkedApp("hello"));
        BlockingClient idle(served.port());
        CHECK(idle.get("/").status == 200);
        served.process().signal(number);
        CHECK(idle.hasEnded());
        idle.close();
        CHECK(served.process().wait() == 0);
    }
}

TEST_CASE("requests that came before TERM are answered, also those nobody had accepted yet", "[main]") {
    Served served(checkedApp("hello"));
    BlockingClient idle(served.port());
    CHECK(idle.get("/").status == 200);
    const auto request = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";
    served.process().signal(SIGSTOP);
    std::vector<BlockingClient> clients;
    for (int i = 0; i < 50; ++i) {
        clients.emplace_back(served.port());
        clients.back().send(request);
    }
    idle.send(request);
    served.process().signal(SIGTERM);
    served.process().signal(SIGCONT);
    for (auto& client : clients) {
        const auto reply = client.reply();
        CHECK(reply.body == "Hello, world!\n");
        CHECK(client.hasEnded());
        client.close();
    }
    const auto last = idle.reply();
    CHECK(last.body == "Hello, world!\n");
    idle.close();
    CHECK(served.process().wait() == 0);
}

TEST_CASE("TERM under load costs no reply", "[main]") {
    Served served(checkedApp("hello"), {"--workers", "2"});
    std::atomic<int> replies{0}, lost{0};
    std::mutex mutex;
    std::string trouble;
    const auto load = [&](bool keepAlive) {
        bool begun = false;  // a connection that nobody accepted has lost nothing
        try {
            for (;;) {
                begun = false;
                BlockingClient client(served.port());
                for (bool open = true; open;) {
                    const auto reply = client.get("/", keepAlive ? "" : "Connection: close\r\n");
                    begun = true;
                    if (reply.status != 200 || reply.body != "Hello, world!\n") ++lost;
                    ++replies;
                    open = reply.field("Connection") != "close";
                }
            }
        } catch (const std::exception& problem) {
            if (!begun) return;
            ++lost;
            const std::lock_guard lock(mutex);
            trouble += problem.what();
        }
    };
    std::vector<std::thread> threads;
    for (int i = 0; i < 6; ++i) threads.emplace_back(load, i % 2 == 0);
    while (replies < 500) std::this_thread::yield();
    CHECK(served.stop() == 0);
    for (auto& thread : threads) thread.join();
    CAPTURE(replies.load(), trouble);
    CHECK(lost == 0);
}

TEST_CASE("TERM closes every WebSocket with 1001 and waits for the answer", "[main]") {
    Served served(checkedApp("echo"), {"--workers", "2"});
    std::vector<BlockingClient> clients;
    for (int i = 0; i < 30; ++i) {
        clients.emplace_back(served.port());
        REQUIRE(clients.back().upgrade("/echo").status == 101);
        clients.back().text("hello");
        REQUIRE(clients.back().next().payload == "hello");
    }
    served.process().signal(SIGTERM);
    for (auto& client : clients) {
        const auto frame = client.next();
        CHECK(frame.opcode == 8);
        CHECK(frame.closeCode() == 1001);
        client.closeFrame(1001);
        CHECK(client.hasEnded());
        client.close();
    }
    CHECK(served.process().wait() == 0);
}

TEST_CASE("work that does not end is cut when the shutdown time-out is over, and that is no failure", "[main]") {
    Served served(checkedApp("clock"), {"--shutdown-timeout", "200ms"});
    BlockingClient events(served.port());
    events.send("GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
    CHECK(contains(events.until("data: "), "text/event-stream"));
    BlockingClient mute(served.port());
    REQUIRE(mute.upgrade("/clock").status == 101);
    CHECK(served.stop() == 0);
}

TEST_CASE("a second signal ends the server at once", "[main]") {
    Notified manager;
    ProcessOptions options;
    options.environment = {{"NOTIFY_SOCKET", manager.path()}};
    Served served(checkedApp("clock"), {"--shutdown-timeout", "1h"}, options);
    CHECK(manager.next() == "READY=1");
    BlockingClient events(served.port());
    events.send("GET /events HTTP/1.1\r\nHost: h\r\n\r\n");
    events.until("data: ");
    served.process().signal(SIGTERM);
    CHECK(manager.next() == "STOPPING=1");
    CHECK(served.process().isRunning());
    served.process().signal(SIGTERM);
    CHECK(served.process().wait() == 0);
}

TEST_CASE("clients that vanish in the middle of anything leave nothing behind", "[main]") {
    Served served(checkedApp("echo"));
    CHECK(BlockingClient(served.port()).get("/").status == 200);
    BlockingClient probe(served.port());
    REQUIRE(probe.get("/").status == 200);
    const auto before = descriptorsOf(served.process().pid());
    const auto frame = maskedFrame(2, std::string(100'000, 'x'));
    for (const bool withReset : {false, true}) {
        for (const size_t cut : {size_t{1}, size_t{7}, size_t{50'000}, frame.size() - 1, frame.size()}) {
            BlockingClient client(served.port());
            REQUIRE(client.upgrade("/echo").status == 101);
            client.send(std::string_view(frame).substr(0, cut));
            if (withReset) client.reset();
        }
        for (const char* part : {"G", "GET / HTTP/1.1\r\nHost: h\r\n", "GET / HTTP/1.1\r\nHost: h\r\n\r\n",
                                 "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nabc"}) {
            BlockingClient client(served.port());
            client.send(part);
            if (withReset) client.reset();
        }
    }
    // Each request is time for the server to find out.
    const auto until = Clock::now() + patience;
    while (descriptorsOf(served.process().pid()) > before && Clock::now() < until) REQUIRE(probe.get("/").status == 200);
    CHECK(descriptorsOf(served.process().pid()) == before);
    probe.close();
    CHECK(served.stop() == 0);
}

TEST_CASE("without descriptors the server waits without spinning, and serves again once there are some", "[main]") {
    ProcessOptions options;
    options.descriptorLimit = 40;
    Served served(optimisedApp("hello"), {"--max-connections", "1000", "--head-timeout", "60s"}, options);
    const auto pid = served.process().pid();
    std::vector<BlockingClient> clients;
    for (int i = 0; i < 60; ++i) {
        clients.emplace_back(served.port());
        clients.back().send("G");  // a connection with a begun head is not idle: it is not closed to make room
    }
    served.process().waitForErrors("out of descriptors");

    BlockingClient waiting(served.port());
    waiting.send("GET / HTTP/1.1\r\nHost: h\r\n\r\n");
    const auto cpu = [&] {
        long long total = 0;  // of all threads, nanoseconds
        for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(pid) + "/task"))
            total += std::stoll(readFile(entry.path() / "schedstat"));
        return std::chrono::nanoseconds(total);
    };
    const auto spentBefore = cpu();
    const auto start = Clock::now();
    const timeval oneSecond{1, 0};
    ::setsockopt(waiting.fd(), SOL_SOCKET, SO_RCVTIMEO, &oneSecond, sizeof oneSecond);
    char byte;
    CHECK(::recv(waiting.fd(), &byte, 1, MSG_PEEK) < 0);  // nobody takes it: a second goes by
    CHECK(cpu() - spentBefore < (Clock::now() - start) / 20);

    const timeval patient{patience.count(), 0};
    ::setsockopt(waiting.fd(), SOL_SOCKET, SO_RCVTIMEO, &patient, sizeof patient);
    const auto freed = Clock::now();
    clients.clear();
    CHECK(waiting.reply().body == "Hello, world!\n");
    CHECK(Clock::now() - freed < std::chrono::seconds(3));
    served.process().waitForErrors("accepting connections again");
    CHECK(served.stop() == 0);
}

TEST_CASE("at the limit of connections an idle one makes room", "[main]") {
    Served served(checkedApp("hello"), {"--max-connections", "4"});
    std::vector<BlockingClient> clients;
    for (int i = 0; i < 10; ++i) {
        clients.emplace_back(served.port());
        CHECK(clients.back().get("/").status == 200);
    }
    CHECK(clients.front().hasEnded());
    CHECK(clients.back().get("/").status == 200);
    clients.clear();
    CHECK(served.stop() == 0);
}

TEST_CASE("system calls that fail cost at most the connection they were for", "[main]") {
    for (const char* fault : {"accept4:error=ECONNABORTED:when=2+3", "accept4:error=EMFILE:when=2+3", "accept4:error=EINTR:when=1+2",
                              "recvfrom:error=EINTR:when=1+2", "sendto:error=EINTR:when=1+2", "sendmsg:error=EINTR:when=1+2", "epoll_wait:error=EINTR:when=1+2",
                              "recvfrom:error=ECONNRESET:when=3+5", "sendto:error=EPIPE:when=3+5", "epoll_ctl:error=ENOMEM:when=6+9"}) {
        CAPTURE(fault);
        Process traced({"strace", "-f", "-qq", "-o", "/dev/null", "-e", std::string("trace=accept4,recvfrom,sendto,sendmsg,epoll_wait,epoll_ctl"), "-e",
                        std::string("inject=") + fault, optimisedApp("hello"), "--listen", "http://127.0.0.1:0"});
        const auto url = traced.line();
        const auto port = static_cast<uint16_t>(std::stoi(url.substr(url.rfind(':') + 1)));
        int served = 0;
        for (int i = 0; i < 30; ++i) {
            try {
                if (answers(port)) ++served;
            } catch (const std::exception&) {
                // This one was the connection.
            }
        }
        const bool harmless = !contains(fault, "RESET") && !contains(fault, "PIPE") && !contains(fault, "ENOMEM");
        CHECK(served >= (harmless ? 30 : 15));
        CHECK(traced.isRunning());
    }
}
