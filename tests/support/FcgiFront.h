#pragma once
// A small web server in front of a FastCGI program, for what no server in Debian does: it carries an upgrade over FastCGI, as
// lighttpd does from 1.4.74 on. Written apart from the framework that it talks to.

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

namespace postern {

struct FcgiFrontOptions {
    /// Behaves as gateways do that cannot upgrade (nginx, Apache): STDIN ends with the request also when an upgrade was asked
    /// for, and nothing that a client says later is passed on. Else STDIN stays open for every request with Upgrade.
    bool closesStdin = false;
    /// SCRIPT_NAME; the path behind it is PATH_INFO.
    std::string mount;
    /// Sent after the others; one with a name that is there already replaces it.
    std::vector<std::pair<std::string, std::string>> variables;
    std::string software = "lighttpd/1.4.79";
    /// An exchange in which nothing moves for so long ends.
    std::chrono::seconds idle{60};
};

/// Serves HTTP/1.1 on a port of loopback as soon as it is made, each client in a thread, each request on a connection of its
/// own to the program. Bodies are collected before the program is asked; replies stream. The destructor ends everything.
class FcgiFront {
public:
    /// `program`: its port on loopback in digits, or the path of its Unix socket.
    explicit FcgiFront(std::string program, FcgiFrontOptions options = {});
    ~FcgiFront();
    FcgiFront(const FcgiFront&) = delete;
    FcgiFront& operator=(const FcgiFront&) = delete;

    uint16_t port() const { return port_; }
    /// What the program said that FastCGI or CGI forbids, so far. Clients get 502 where no reply came.
    std::vector<std::string> complaints() const;
    /// What it wrote to STDERR, so far.
    std::string errors() const;
    /// END_REQUEST records with "request complete", so far.
    size_t completed() const;

private:
    class Line;

    void acceptAll();
    void serve(int client);
    void complain(const std::string& what);

    const std::string program_;
    const FcgiFrontOptions options_;
    int listener_ = -1, stop_ = -1;
    uint16_t port_ = 0;
    mutable std::mutex mutex_;
    std::condition_variable lineEnded_;
    size_t lines_ = 0;                      // the rest is guarded by mutex_
    std::vector<std::string> complaints_;
    std::string errors_;
    size_t completed_ = 0;
    std::thread acceptor_;
};

}
