#include "postern/io/Listener.h"

#include "postern/fiber/Run.h"
#include "postern/fiber/Sync.h"
#include "support/Catch.h"
#include "support/LeftoverCheck.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace postern;
using namespace std::chrono_literals;

namespace {

struct Directory {
    Directory() {
        char name[] = "/tmp/listenerXXXXXX";
        path = ::mkdtemp(name);
    }
    ~Directory() { std::filesystem::remove_all(path); }
    std::string path;
};

int connectTo(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, path.data(), path.size());
    REQUIRE(fd >= 0);
    REQUIRE(::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0);
    return fd;
}

struct Fds {
    ~Fds() {
        for (const int fd : all) ::close(fd);
    }
    void add(int fd) { all.push_back(fd); }
    std::vector<int> all;
};

void waitUntil(const std::function<bool()>& condition) {
    for (int i = 0; i < 20'000 && !condition(); ++i) sleepFor(1ms);
    CHECK(condition());
}

}

TEST_CASE("a listener accepts whoever calls, until it is paused, and again when it is resumed", "[io]") {
    const LeftoverCheck leftovers;
    run([] {
        const Directory directory;
        const auto path = directory.path + "/s";
        Fds clients, accepted;
        Listener listener(Loop::current(), ListenSocket::unixPath(path, 0600),
                          [&](int fd, const sockaddr_storage& peer) {
                              CHECK(peer.ss_family == AF_UNIX);
                              accepted.add(fd);
                          });
        listener.start();
        clients.add(connectTo(path));
        clients.add(connectTo(path));
        waitUntil([&] { return accepted.all.size() == 2; });
        listener.pause();
        // One accept may be under way when it is paused.
        for (int i = 0; i < 5; ++i) clients.add(connectTo(path));
        for (int i = 0; i < 20; ++i) sleepFor(1ms);
        CHECK(accepted.all.size() <= 3);
        listener.resume();
        waitUntil([&] { return accepted.all.size() == 7; });
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("a listener that finishes accepts who waits in its queue, and then nobody", "[io]") {
    run([] {
        const Directory directory;
        const auto path = directory.path + "/s";
        Fds clients, accepted;
        Listener listener(Loop::current(), ListenSocket::unixPath(path, 0600),
                          [&](int fd, const sockaddr_storage&) { accepted.add(fd); });
        for (int i = 0; i < 40; ++i) clients.add(connectTo(path));
        CHECK(accepted.all.empty());
        listener.finish();
        CHECK(accepted.all.size() == 40);
        CHECK_THROWS_AS(Socket::connect(path, 0), Disconnected);
    });
}

TEST_CASE("out of descriptors a listener waits, says so once, and serves again within a second", "[io]") {
    const pid_t child = ::fork();
    REQUIRE(child >= 0);
    if (child == 0) {
        std::string said;
        int accepted = 0;
        bool good = false;
        LoopOptions options;
        options.log = [&](LogLevel, std::string_view line) { said.append(line).append("\n"); };
        run(
            [&] {
                const Directory directory;
                const auto path = directory.path + "/s";
                Fds server;
                Listener listener(Loop::current(), ListenSocket::unixPath(path, 0600), [&](int fd, const sockaddr_storage&) {
                    ++accepted;
                    server.add(fd);
                });
                listener.start();
                Fds clients, hoard;
                for (int i = 0; i < 3; ++i) clients.add(connectTo(path));
                for (int i = 0; i < 5; ++i) hoard.add(::dup(0));
                const int next = ::dup(0);
                ::close(next);
                const rlimit few{static_cast<rlim_t>(next), static_cast<rlim_t>(next)};
                ::setrlimit(RLIMIT_NOFILE, &few);
                for (int i = 0; i < 300; ++i) sleepFor(1ms);
                const bool waited = accepted == 0;
                for (const int fd : std::exchange(hoard.all, {})) ::close(fd);
                const auto start = Clock::now();
                while (accepted < 3 && Clock::now() - start < 20s) sleepFor(1ms);
                good = waited && accepted == 3;
            },
            options);
        const auto first = said.find("out of descriptors");
        good = good && first != said.npos && said.find("out of descriptors", first + 1) == said.npos &&
               said.find("again") != said.npos;
        ::_exit(good ? 0 : 1);
    }
    int status = 0;
    REQUIRE(::waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status));
    CHECK(WEXITSTATUS(status) == 0);
}

TEST_CASE("a socket file has the mode asked for", "[io]") {
    const Directory directory;
    const auto path = directory.path + "/s";
    Fds fds;
    fds.add(ListenSocket::unixPath(path, 0660));
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0660);
    CHECK(S_ISSOCK(status.st_mode));
    CHECK(ListenSocket::isListening(fds.all[0]));
}

TEST_CASE("a socket file nobody listens on is replaced, one that is in use is not", "[io]") {
    const Directory directory;
    const auto path = directory.path + "/s";
    {
        Fds fds;
        fds.add(ListenSocket::unixPath(path, 0600));
        CHECK_THROWS_WITH(ListenSocket::unixPath(path, 0600), Catch::Contains("another program listens there"));
        ::close(connectTo(path));
    }
    CHECK(std::filesystem::exists(path));
    Fds fds;
    fds.add(ListenSocket::unixPath(path, 0600));
    ::close(connectTo(path));
}

TEST_CASE("nothing but a socket is ever removed to listen in its place", "[io]") {
    const Directory directory;
    const auto file = directory.path + "/file", link = directory.path + "/link", folder = directory.path + "/folder";
    std::ofstream(file) << "precious";
    std::filesystem::create_directory(folder);
    { Fds().add(ListenSocket::unixPath(directory.path + "/stale", 0600)); }
    std::filesystem::create_symlink(directory.path + "/stale", link);
    for (const auto& path : {file, link, folder}) {
        CAPTURE(path);
        CHECK_THROWS_WITH(ListenSocket::unixPath(path, 0600), Catch::Contains("cannot listen on " + path));
        CHECK(std::filesystem::exists(std::filesystem::symlink_status(path)));
    }
    CHECK(std::filesystem::file_size(file) == 8);
    CHECK(std::filesystem::is_symlink(link));
}

TEST_CASE("a socket path that is empty or too long is refused by name", "[io]") {
    CHECK_THROWS_WITH(ListenSocket::unixPath("", 0600), Catch::Contains("1 to 107 bytes"));
    CHECK_THROWS_WITH(ListenSocket::unixPath("/tmp/" + std::string(103, 'x'), 0600), Catch::Contains("1 to 107 bytes"));
    CHECK_THROWS_WITH(ListenSocket::unixPath("/nonexistent/s", 0600), Catch::Contains("/nonexistent/s"));
}

TEST_CASE("a port that is in use is named, with a way out; workers may share one", "[io]") {
    Fds fds;
    fds.add(ListenSocket::tcp("127.0.0.1", 0, false));
    const auto port = ListenSocket::portOf(fds.all[0]);
    CHECK(port != 0);
    CHECK_THROWS_WITH(ListenSocket::tcp("127.0.0.1", port, false),
                      Catch::Contains("127.0.0.1 port " + std::to_string(port)) && Catch::Contains("another program has it"));
    CHECK_THROWS_AS(ListenSocket::tcp("192.0.2.1", port, false), std::system_error);
    fds.add(ListenSocket::tcp("127.0.0.1", 0, true));
    fds.add(ListenSocket::tcp("127.0.0.1", ListenSocket::portOf(fds.all[1]), true));
    CHECK(ListenSocket::portOf(fds.all[1]) == ListenSocket::portOf(fds.all[2]));
    CHECK_FALSE(ListenSocket::isListening(0));
}
