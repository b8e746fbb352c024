#pragma once
// Web servers of Debian in front of our programs, configured by the files of docs/deploy.

#include "support/Process.h"

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

enum class FrontKind { nginx, lighttpd, apache, caddy, haproxy };
inline constexpr std::array allFronts{FrontKind::nginx, FrontKind::lighttpd, FrontKind::apache, FrontKind::caddy, FrontKind::haproxy};
std::string_view nameOf(FrontKind kind);

/// A server that "make check" has unpacked, or one of the system: "nginx", "cgi-fcgi", "spawn-fcgi", "uwsgi-core".
/// Throws std::runtime_error with an installation hint when there is none.
std::string serverProgram(std::string_view name);
/// The environment it runs in.
ProcessOptions serverOptions();

/// A port of the loopback interface that nobody else gets while the object is there. A server that sets SO_REUSEADDR, as
/// they all do, can listen on it.
class FreePort {
public:
    FreePort();
    ~FreePort();
    FreePort(FreePort&& other) noexcept : fd_(std::exchange(other.fd_, -1)), number_(other.number_) {}
    FreePort& operator=(FreePort&&) = delete;
    operator uint16_t() const { return number_; }

private:
    int fd_ = -1;
    uint16_t number_ = 0;
};

/// A text and what stands in its place.
using Replacements = std::vector<std::pair<std::string, std::string>>;
/// `text` with all of them. Throws std::runtime_error for one that does not occur.
std::string replaced(std::string text, const Replacements& replacements);
/// The file of that name in docs/deploy.
std::string deployFile(std::string_view name);

/// A file of docs/deploy with free ports of the loopback interface to listen on.
struct DeployedFile {
    /// `httpPort` and `directory` are where the program is: its Unix sockets, and the program itself, called "echo", where a
    /// front starts it. `file`: empty for the front's own. `more`: replacements beyond ports and paths.
    DeployedFile(FrontKind kind, uint16_t httpPort, const std::string& directory, const std::string& file = {},
                 const Replacements& more = {});

    std::string text;
    std::map<int, FreePort> ports;  ///< for each port that the file says, 8001 to 8009
};

/// A running server. `text` stands where its file in docs/deploy says; what Debian's own configuration says around it
/// (logs, modules, users, temporary files) is the tests'. Everything stays in a directory that goes with the object.
class Front {
public:
    /// `ports`: where `text` makes it listen; it has answered on each of them. `global`: further lines for the outermost
    /// level. Throws std::runtime_error with the server's own words when it does not serve.
    Front(FrontKind kind, const std::string& text, const std::vector<uint16_t>& ports, const std::string& global = {});
    Front(FrontKind kind, const DeployedFile& file, const std::string& global = {});

    pid_t pid() const { return process_->pid(); }
    /// Its standard error, which is also that of the CGI programs it starts, and its error log.
    std::string log() const;
    /// Waits until log() contains it.
    void waitForLog(std::string_view text);

private:
    std::vector<std::string> configure(const std::string& text, const std::string& global) const;
    std::string path(std::string_view name) const { return directory_ / name; }

    const FrontKind kind_;
    TemporaryDirectory directory_;
    std::optional<Process> process_;
};

/// One of our programs behind a front, as the front's file in docs/deploy says.
class Deployment {
public:
    struct Options {
        std::string file;                          ///< in docs/deploy; empty: the front's own
        std::vector<std::string> protocols{"http"};  ///< the program listens on PROTOCOL.sock for each of these
        std::vector<std::string> arguments;        ///< of the program
        bool cgi = false;                          ///< the program is where the file says that CGI programs are
        Replacements replacements;                 ///< beyond ports and paths
        std::string global;                        ///< see Front
        ProcessOptions process;                    ///< of the program
    };
    /// The program listens on HTTP over TCP besides, trusts fronts on Unix sockets, and writes its access log to its
    /// standard output.
    Deployment(FrontKind kind, std::string program, Options options);
    Deployment(FrontKind kind, std::string program) : Deployment(kind, std::move(program), Options{}) {}

    /// Where the front listens, for the port that the file says.
    uint16_t port(int documented) const { return file_->ports.at(documented); }
    Process& program() { return served_->process(); }
    int stopProgram() { return served_->stop(); }
    Front& front() { return *front_; }

private:
    TemporaryDirectory directory_;
    std::optional<Served> served_;
    std::optional<DeployedFile> file_;
    std::optional<Front> front_;
};

}
