#include "support/Fronts.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace postern {

namespace {

bool isRoot() { return ::geteuid() == 0; }

// Apache refuses to serve as root, so it serves as www-data then: what it is to reach must be open to others.
void openToOthers(const std::string& directory) {
    if (isRoot()) ::chmod(directory.c_str(), 0755);
}

sockaddr_in loopback(uint16_t port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

bool answers(uint16_t port) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const auto address = loopback(port);
    const bool connected = ::connect(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address) == 0;
    ::close(fd);
    return connected;
}

std::string unpackedRoot() { return requiredVariable("POSTERN_SERVERS"); }

// The first of `places` that is there, below the unpacked root or in the system.
std::string findServerFile(const std::vector<std::string>& places, std::string_view name) {
    for (const auto& root : {unpackedRoot(), std::string()})
        for (const auto& place : places)
            if (const auto file = root + place + std::string(name); ::access(file.c_str(), R_OK) == 0) return file;
    throw std::runtime_error("there is no " + std::string(name) + ": tests/support/servers unpacks it for \"make check\", or install it");
}

std::string lines(const std::vector<std::string>& list) {
    std::string text;
    for (const auto& line : list) text += line + '\n';
    return text;
}

std::string nginxAround(const TemporaryDirectory& directory, const std::string& text) {
    std::string temporary;
    for (const char* what : {"client_body", "proxy", "fastcgi", "scgi", "uwsgi"})
        temporary += std::string(what) + "_temp_path " + directory / what + ";\n";
    return lines({"daemon off;", "master_process off;", isRoot() ? "user root;" : "", "pid " + directory / "pid" + ";",
                  "error_log stderr info;", "events { worker_connections 500; }", "http {", "access_log off;",
                  temporary + text, "}"});
}

std::string apacheAround(const TemporaryDirectory& directory, const std::string& text) {
    std::string modules;
    for (const char* name : {"mpm_event", "authz_core", "alias", "headers", "rewrite", "proxy", "proxy_http", "proxy_fcgi",
                             "proxy_scgi", "proxy_uwsgi", "proxy_wstunnel", "cgid", "fcgid"})
        modules += std::string("LoadModule ") + name + "_module " +
                   findServerFile({"/usr/lib/apache2/modules/"}, std::string("mod_") + name + ".so") + '\n';
    return lines({modules, isRoot() ? "User www-data\nGroup www-data" : "", "ServerRoot " + directory.path(), "ServerName localhost",
                  "DefaultRuntimeDir " + directory.path(), "PidFile " + directory / "pid", "ScriptSock " + directory / "cgid",
                  "FcgidIPCDir " + directory / "fcgid", "FcgidProcessTableFile " + directory / "fcgid-table",
                  "ErrorLog " + directory / "log", "StartServers 1", "ServerLimit 1", "ThreadsPerChild 32",
                  "MaxRequestWorkers 32", "MinSpareThreads 1", "MaxSpareThreads 32", "KeepAliveTimeout 60", text});
}

}

std::string_view nameOf(FrontKind kind) {
    switch (kind) {
    case FrontKind::nginx: return "nginx";
    case FrontKind::lighttpd: return "lighttpd";
    case FrontKind::apache: return "apache";
    case FrontKind::caddy: return "caddy";
    case FrontKind::haproxy: return "haproxy";
    }
    return {};
}

std::string serverProgram(std::string_view name) { return findServerFile({"/usr/sbin/", "/usr/bin/"}, name); }

ProcessOptions serverOptions() {
    std::string libraries;
    std::error_code none;
    for (const auto& entry : std::filesystem::directory_iterator(unpackedRoot() + "/usr/lib", none))
        if (entry.path().filename().string().find("-linux-") != std::string::npos) libraries = entry.path().string();
    ProcessOptions options;
    if (!libraries.empty()) options.environment.emplace_back("LD_LIBRARY_PATH", libraries);
    return options;
}

FreePort::FreePort() : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
    const int on = 1;
    ::setsockopt(fd_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    auto address = loopback(0);
    socklen_t size = sizeof address;
    if (::bind(fd_, reinterpret_cast<const sockaddr*>(&address), size) != 0 ||
        ::getsockname(fd_, reinterpret_cast<sockaddr*>(&address), &size) != 0)
        throw std::system_error(errno, std::system_category(), "no free port");
    number_ = ntohs(address.sin_port);
}

FreePort::~FreePort() {
    if (fd_ >= 0) ::close(fd_);
}

std::string replaced(std::string text, const Replacements& replacements) {
    for (const auto& [from, to] : replacements) {
        auto at = text.find(from);
        if (at == std::string::npos) throw std::runtime_error("the text does not contain: " + from);
        for (; at != std::string::npos; at = text.find(from, at + to.size())) text.replace(at, from.size(), to);
    }
    return text;
}

std::string deployFile(std::string_view name) {
    return readFile(requiredVariable("POSTERN_SOURCE") + "/docs/deploy/" + std::string(name));
}

namespace {

// For a file that makes this front listen on port `documented` of every interface: on `port` of the loopback interface.
Replacements listeningOn(FrontKind kind, int documented, uint16_t port) {
    const auto from = std::to_string(documented), to = std::to_string(port);
    switch (kind) {
    case FrontKind::nginx: return {{"listen " + from + ';', "listen 127.0.0.1:" + to + ';'}};
    case FrontKind::lighttpd: return {{"\":" + from + '"', "\"127.0.0.1:" + to + '"'}};
    case FrontKind::apache: return {{"Listen " + from + '\n', "Listen 127.0.0.1:" + to + '\n'}, {"*:" + from + '>', "*:" + to + '>'}};
    case FrontKind::caddy: return {{'\n' + (':' + from) + " {\n", '\n' + (':' + to) + " {\n\tbind 127.0.0.1\n"}};
    case FrontKind::haproxy: return {{"bind :" + from + '\n', "bind 127.0.0.1:" + to + '\n'}};
    }
    return {};
}

std::string fileOf(FrontKind kind) {
    switch (kind) {
    case FrontKind::nginx: return "nginx.conf";
    case FrontKind::lighttpd: return "lighttpd.conf";
    case FrontKind::apache: return "apache.conf";
    case FrontKind::caddy: return "Caddyfile";
    case FrontKind::haproxy: return "haproxy.cfg";
    }
    return {};
}

bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::vector<uint16_t> numbers(const std::map<int, FreePort>& ports) {
    std::vector<uint16_t> list;
    for (const auto& entry : ports) list.push_back(entry.second);
    return list;
}

}

DeployedFile::DeployedFile(FrontKind kind, uint16_t httpPort, const std::string& directory, const std::string& file,
                           const Replacements& more)
    : text(deployFile(file.empty() ? fileOf(kind) : file)) {
    auto replacements = more;
    for (const auto& [from, to] : Replacements{{"8080", std::to_string(httpPort)}, {"/run/echo", directory}, {"/usr/lib/cgi-bin", directory}})
        if (contains(text, from)) replacements.emplace_back(from, to);
    for (int documented = 8001; documented < 8010; ++documented) {
        if (!contains(text, listeningOn(kind, documented, 0).front().first)) continue;
        const auto port = uint16_t{ports.try_emplace(documented).first->second};
        for (auto& replacement : listeningOn(kind, documented, port)) replacements.push_back(std::move(replacement));
    }
    text = replaced(std::move(text), replacements);
}

Front::Front(FrontKind kind, const std::string& text, const std::vector<uint16_t>& ports, const std::string& global) : kind_(kind) {
    openToOthers(directory_.path());
    auto options = serverOptions();
    for (const char* name : {"HOME", "XDG_DATA_HOME", "XDG_CONFIG_HOME"}) options.environment.emplace_back(name, directory_.path());
    options.errors = ::open(path("log").c_str(), O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0644);
    process_.emplace(configure(text, global), options);
    ::close(options.errors);

    const auto until = std::chrono::steady_clock::now() + patience;
    for (const auto port : ports)
        while (!answers(port))
            if (!process_->isRunning() || std::chrono::steady_clock::now() > until)
                throw std::runtime_error(std::string(nameOf(kind)) + " does not serve: " + process_->output() + log());
}

// Writes the configuration and gives the command.
std::vector<std::string> Front::configure(const std::string& text, const std::string& global) const {
    const auto file = path("conf");
    const auto all = global + '\n' + text;
    switch (kind_) {
    case FrontKind::nginx:
        writeFile(file, nginxAround(directory_, all));
        return {serverProgram("nginx"), "-p", directory_.path(), "-c", file, "-e", "stderr"};
    case FrontKind::lighttpd:
        writeFile(file, lines({"server.document-root = \"" + directory_.path() + '"', "server.upload-dirs = ( server.document-root )",
                               "server.bind = \"" + path("main.sock") + '"', "server.modules = ()", all}));
        return {serverProgram("lighttpd"), "-D", "-f", file};
    case FrontKind::apache:
        writeFile(file, apacheAround(directory_, all));
        return {serverProgram("apache2"), "-D", "FOREGROUND", "-f", file};
    case FrontKind::caddy:
        writeFile(file, lines({"{", "\tadmin off", global, "}", text}));
        return {serverProgram("caddy"), "run", "--config", file, "--adapter", "caddyfile"};
    case FrontKind::haproxy:
        writeFile(file, lines({"global", "    log stderr format raw local0", "    maxconn 500", all}));
        return {serverProgram("haproxy"), "-db", "-f", file};
    }
    return {};
}

std::string Front::log() const { return readFile(path("log")); }

void Front::waitForLog(std::string_view text) {
    const auto until = std::chrono::steady_clock::now() + patience;
    while (log().find(text) == std::string::npos)
        if (!process_->isRunning() || std::chrono::steady_clock::now() > until)
            throw std::runtime_error(std::string(nameOf(kind_)) + " did not log: " + std::string(text) + "\nlog: " + log());
}

Front::Front(FrontKind kind, const DeployedFile& file, const std::string& global) : Front(kind, file.text, numbers(file.ports), global) {}

Deployment::Deployment(FrontKind kind, std::string program, Options options) {
    openToOthers(directory_.path());
    std::vector<std::string> arguments{"--access-log", "common", "--trusted-proxy", "unix"};
    if (isRoot()) arguments.insert(arguments.end(), {"--socket-group", "www-data"});
    for (const auto& protocol : options.protocols)
        arguments.insert(arguments.end(), {"--listen", protocol + "+unix:" + directory_ / (protocol + ".sock")});
    arguments.insert(arguments.end(), options.arguments.begin(), options.arguments.end());
    served_.emplace(program, arguments, options.process);
    served_->process().waitForOutput("to stop.\n");
    if (options.cgi) std::filesystem::copy_file(program, directory_ / "echo");
    file_.emplace(kind, served_->port(), directory_.path(), options.file, options.replacements);
    front_.emplace(kind, *file_, options.global);
}

}
