// recorded/SERVER-PROTOCOL.txt: the CGI variables that real web servers send for four requests. They are what
// readCgiVariables() has to understand, and each server is asked whether it still sends the same names.
//
// The hidden case "[record]" writes the files anew, from the servers at hand.

#include "postern/gateway/CgiExchange.h"
#include "postern/io/Listener.h"
#include "postern/protocol/ScgiHead.h"
#include "postern/protocol/UwsgiPacket.h"
#include "support/Catch.h"
#include "support/GatewaySuite.h"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <set>
#include <sstream>
#include <thread>

using namespace postern;

namespace {

using Variables = std::vector<std::pair<std::string, std::string>>;
using Record = std::map<std::string, Variables>;  // by the name of the request

const std::string target = "/p/a%2fb/../c//d;p?x=y", user = "anybody";

// The requests, below a prefix.
std::map<std::string, std::string> requests(const std::string& prefix) {
    const std::string host = "Host: example.test:8080\r\nConnection: ", form = "Content-Type: application/x-www-form-urlencoded\r\n";
    const auto line = [&](const char* method, const std::string& path) { return std::string(method) + ' ' + prefix + path + " HTTP/1.1\r\n" + host; };
    return {{"get", line("GET", target) + "close\r\nCookie: a=1\r\nCookie: b=2\r\nX-Dup: one\r\nX-Dup: two\r\nX-Real-User: honest\r\n"
                    "X_Real_User: forged\r\nProxy: http://evil.example\r\nAuthorization: Basic YW55Ym9keTp4\r\n\r\n"},
            {"post", line("POST", "/form?x=y") + "close\r\n" + form + "Content-Length: 7\r\n\r\na=1&b=2"},
            {"chunked", line("POST", "/form?x=y") + "close\r\n" + form + "Transfer-Encoding: chunked\r\n\r\n7\r\na=1&b=2\r\n0\r\n\r\n"},
            {"upgrade", line("GET", "/echo") + "Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: http://example.test:8080\r\n\r\n"}};
}

// What a CGI program finds in its environment that is not of the request.
bool isOfTheProcess(const std::string& name) {
    for (const char* other : {"PATH", "PWD", "OLDPWD", "SHLVL", "_", "LD_LIBRARY_PATH", "HOME", "FCGI_ROLE", "TMPDIR", "LC_ALL", "LANG"})
        if (name == other) return true;
    return name.starts_with("XDG_") || name.starts_with("ASAN_") || name.starts_with("UBSAN_") || name.starts_with("POSTERN_");
}

Variables readVariables(const std::string& text) {
    Variables variables;
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line) && !line.empty();) {
        const auto at = line.find('=');
        if (at != std::string::npos && !isOfTheProcess(line.substr(0, at))) variables.emplace_back(line.substr(0, at), line.substr(at + 1));
    }
    return variables;
}

// Empty for what the web server refuses by itself.
Record ask(uint16_t port, const std::string& prefix = {}) {
    Record record;
    for (const auto& [name, request] : requests(prefix)) {
        BlockingClient client(port);
        client.send(request);
        const auto reply = client.reply();
        if (reply.status == 200) record[name] = readVariables(reply.body);
    }
    return record;
}

// Reads the variables of one SCGI or uwsgi request after another, and answers with them as they came.
class Teller {
public:
    Teller(CgiProtocol protocol, const std::string& path) : protocol_(protocol), listener_(ListenSocket::unixPath(path, 0666)) {
        ::fcntl(listener_, F_SETFL, 0);
        thread_ = std::thread([this] { serve(); });
    }
    ~Teller() {
        ::shutdown(listener_, SHUT_RDWR);
        thread_.join();
        ::close(listener_);
    }

private:
    void serve() {
        for (int fd; (fd = ::accept4(listener_, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
            answer(fd);
            ::shutdown(fd, SHUT_WR);
            for (std::string rest; receive(fd, rest);) continue;
            ::close(fd);
        }
    }
    static bool receive(int fd, std::string& bytes) {
        char some[4096];
        const auto got = ::recv(fd, some, sizeof some, 0);
        if (got > 0) bytes.append(some, static_cast<size_t>(got));
        return got > 0;
    }
    // SIZE_MAX: more must come to know it.
    size_t sizeOf(std::string_view bytes) const {
        const auto found = protocol_ == CgiProtocol::scgi ? scgiHeadSize(bytes, limit) : uwsgiPacketSize(bytes, limit);
        const auto* size = std::get_if<size_t>(&found);
        return size ? *size : SIZE_MAX;
    }
    void answer(int fd) const {
        std::string bytes;
        while (bytes.size() < sizeOf(bytes))
            if (!receive(fd, bytes)) return;
        const auto head = std::string_view(bytes).substr(0, sizeOf(bytes));
        FieldViews variables;
        const CgiVariableBudget budget(limit);
        if (protocol_ == CgiProtocol::scgi) readScgiHead(head, budget, variables);
        else readUwsgiPacket(head, budget, variables);
        std::string text(protocol_ == CgiProtocol::scgi ? "Status: 200 OK\r\n\r\n" : "HTTP/1.1 200 OK\r\n\r\n");
        for (const auto& [name, value] : variables) text.append(name).append("=").append(value).append("\n");
        ::send(fd, text.data(), text.size(), MSG_NOSIGNAL);  // less than a socket holds
    }

    static constexpr size_t limit = 64 * 1024;
    const CgiProtocol protocol_;
    const int listener_;
    std::thread thread_;
};

// A program for each protocol, on PROTOCOL.sock of its directory, that tells the variables as they came.
class Asked {
public:
    Asked()
        : responder_({optimisedApp("peers/fcgienv"), directory_ / "fcgi.sock"}), scgi_(CgiProtocol::scgi, directory_ / "scgi.sock"),
          uwsgi_(CgiProtocol::uwsgi, directory_ / "uwsgi.sock") {
        ::chmod(directory_.path().c_str(), 0755);
        responder_.waitForOutput("ready\n");
        ::chmod((directory_ / "fcgi.sock").c_str(), 0666);
    }
    const std::string& directory() const { return directory_.path(); }

private:
    TemporaryDirectory directory_;
    Process responder_;
    Teller scgi_, uwsgi_;
};

Record askAround(FrontKind kind, int way, const Replacements& replacements = {}, const std::string& file = {}) {
    const Asked asked;
    const DeployedFile deployed(kind, 1, asked.directory(), file, replacements);
    const Front front(kind, deployed);
    return ask(deployed.ports.at(way));
}

// By Debian's own lists of variables.
Record askNginx(const std::string& name, const std::string& socket) {
    const Asked asked;
    const FreePort port;
    auto list = requiredVariable("POSTERN_SERVERS") + "/etc/nginx/" + name + "_params";
    if (::access(list.c_str(), R_OK) != 0) list = "/etc/nginx/" + name + "_params";
    const Front front(FrontKind::nginx, "server { listen 127.0.0.1:" + std::to_string(port) + "; location / { include " + list + "; " +
                                            name + "_pass unix:" + asked.directory() + '/' + socket + "; } }", {port});
    return ask(port);
}

Record askLighttpd(int way) { return askAround(FrontKind::lighttpd, way, {}, "lighttpd-1.4.74.conf"); }

Record askApache(const std::string& name) {
    return askAround(FrontKind::apache, 8003, {{"RewriteEngine On", "RewriteEngine Off"},
                                               {"fcgi.sock|fcgi://", name + ".sock|" + name + "://"}});
}

Record askCaddy() {
    return askAround(FrontKind::caddy, 8003, {{"\t@websocket header Upgrade websocket\n\treverse_proxy @websocket unix//run/echo/http.sock {\n"
                                               "\t\theader_up -Forwarded\n\t}\n", ""}});
}

Record askHaproxy() {
    return askAround(FrontKind::haproxy, 8003, {{"    use_backend echo_unix if { req.hdr(Upgrade) -i websocket }\n", ""}});
}

// `program` is started by the web server.
Record askStarted(FrontKind kind, int way, const std::function<void(const std::string& path)>& makeProgram) {
    const TemporaryDirectory directory;
    ::chmod(directory.path().c_str(), 0755);
    makeProgram(directory / "echo");
    ::chmod((directory / "echo").c_str(), 0755);
    const DeployedFile deployed(kind, 1, directory.path());
    const Front front(kind, deployed);
    return ask(deployed.ports.at(way), "/echo");
}

void makeScript(const std::string& path) { writeFile(path, "#!/bin/sh\n[ $REQUEST_METHOD != POST ] || cat > /dev/null\nprintf 'Content-Type: text/plain\\r\\n\\r\\n'\nexec env\n"); }
void copyResponder(const std::string& path) { std::filesystem::copy_file(optimisedApp("peers/fcgienv"), path); }

struct Source {
    const char* file;
    std::function<Record()> ask;
    CgiVariableRules rules;
    const char* remoteUser = "";  // that the web server says without having asked for a password
    bool passesProxy = false;     // of the client: HTTP_PROXY
    bool passesUpgrade = true;
};

const CgiVariableRules fastCgi{{}, false, true, false, false}, counted{{}, false, false, true, false}, cgi{{}, true, false, false, false},
    mountedFastCgi{"/echo", false, true, false, false};

const std::vector<Source>& sources() {
    static const std::vector<Source> all{
        {"nginx-fastcgi", [] { return askNginx("fastcgi", "fcgi.sock"); }, fastCgi, "anybody", true},
        {"nginx-scgi", [] { return askNginx("scgi", "scgi.sock"); }, counted, "", true},
        {"nginx-uwsgi", [] { return askNginx("uwsgi", "uwsgi.sock"); }, counted, "", true},
        {"lighttpd-fastcgi", [] { return askLighttpd(8003); }, fastCgi},
        {"lighttpd-scgi", [] { return askLighttpd(8004); }, counted},
        {"lighttpd-uwsgi", [] { return askLighttpd(8005); }, counted},
        {"lighttpd-cgi", [] { return askStarted(FrontKind::lighttpd, 8006, makeScript); }, cgi},
        {"apache-fastcgi", [] { return askApache("fcgi"); }, fastCgi},
        {"apache-scgi", [] { return askApache("scgi"); }, counted},
        {"apache-uwsgi", [] { return askApache("uwsgi"); }, counted},
        {"apache-cgi", [] { return askStarted(FrontKind::apache, 8006, makeScript); }, cgi},
        {"apache-fcgid", [] { return askStarted(FrontKind::apache, 8007, copyResponder); }, mountedFastCgi, "", false, false},
        {"caddy-fastcgi", askCaddy, fastCgi, "", true},
        {"haproxy-fastcgi", askHaproxy, fastCgi, "anybody", false, false},
    };
    return all;
}

std::string fileOf(const Source& source) {
    return requiredVariable("POSTERN_SOURCE") + "/tests/gateways/recorded/" + source.file + ".txt";
}

Record readRecord(const std::string& text) {
    Record record;
    std::istringstream lines(text);
    std::string name, section;
    const auto close = [&] {
        if (!name.empty()) record[name] = readVariables(section);
        section.clear();
    };
    for (std::string line; std::getline(lines, line);) {
        if (!line.starts_with("# ")) {
            section += line + '\n';
            continue;
        }
        close();
        name = line.substr(2);
    }
    close();
    return record;
}

// Without what differs from run to run.
std::string steady(const std::string& name, std::string value) {
    if (name == "REMOTE_PORT") return "50000";
    if (name == "SERVER_PORT" && value != "8080") return "8003";
    if (name == "UNIQUE_ID") return "unique";
    for (const auto& place : {requiredVariable("POSTERN_SERVERS"), std::filesystem::temp_directory_path().string()})
        for (auto at = value.find(place); at != std::string::npos; at = value.find(place)) {
            const auto end = value.find('/', at + place.size() + 1);
            value.replace(at, end == std::string::npos ? end : end - at, "/srv");
        }
    for (auto at = value.find("127.0.0.1:"); at != std::string::npos; at = value.find("127.0.0.1:", at + 10))
        value.erase(at + 10, value.find_first_not_of("0123456789", at + 10) - at - 10).insert(at + 10, "9000");
    return value;
}

std::string writeRecord(const Record& record) {
    std::string text;
    for (const auto& [section, variables] : record) {
        text += (text.empty() ? "# " : "\n# ") + section + '\n';
        for (const auto& [name, value] : variables) text += name + '=' + steady(name, value) + '\n';
    }
    return text;
}

std::multiset<std::string> names(const Variables& variables) {
    std::multiset<std::string> all;
    for (const auto& [name, value] : variables) all.insert(name);
    return all;
}

void read(const Variables& variables, const CgiVariableRules& rules, RequestHead& head) {
    FieldViews views;
    for (const auto& [name, value] : variables) views.push_back({name, value});
    const auto violation = readCgiVariables(views, rules, {}, head);
    if (violation) FAIL(violation->reason);
    CHECK(head.host.starts_with("example.test"));
    CHECK(head.scheme == "http");
    CHECK(head.remoteAddress == "127.0.0.1");
    CHECK(head.remotePort == 50000);
    CHECK(head.minorVersion == 1);
}

}

TEST_CASE("what real web servers send for one request is one request", "[gateways][recorded]") {
    for (const auto& source : sources()) {
        INFO(source.file);
        const auto record = readRecord(readFile(fileOf(source)));
        const auto& variables = record.at("get");
        RequestHead head;
        read(variables, source.rules, head);
        CHECK(head.method == "GET");
        CHECK(head.pathInfo == "/p/a/c//d;p");
        CHECK(head.query == "x=y");
        CHECK(head.field("X-Dup") == "one, two");
        const std::string cookies(head.field("Cookie"));
        CHECK((cookies == "a=1; b=2" || cookies == "a=1, b=2"));
        CHECK(names(variables).contains("HTTP_PROXY") == source.passesProxy);
        CHECK_FALSE(findField(head.fields, "Proxy"));
        CHECK(head.remoteUser.empty());
        CHECK(head.framing != BodyFraming::length);

        auto trusting = source.rules;
        trusting.trustRemoteUser = true;
        RequestHead believed;
        read(variables, trusting, believed);
        CHECK(believed.remoteUser == source.remoteUser);
    }
}

TEST_CASE("what real web servers send for an upload is its length, or that it lasts to the end", "[gateways][recorded]") {
    for (const auto& source : sources()) {
        const auto record = readRecord(readFile(fileOf(source)));
        for (const char* name : {"post", "chunked"}) {
            if (!record.contains(name)) continue;  // a web server that wants a length
            INFO(source.file << ' ' << name);
            RequestHead head;
            read(record.at(name), source.rules, head);
            CHECK(head.method == "POST");
            CHECK(head.pathInfo == "/form");
            CHECK(head.field("Content-Type") == "application/x-www-form-urlencoded");
            if (head.framing == BodyFraming::length) CHECK(head.contentLength == 7);
            else CHECK((head.framing == BodyFraming::untilEnd && std::string_view(name) == "chunked"));
        }
        CHECK(record.contains("post"));
    }
}

TEST_CASE("what real web servers send for a WebSocket is a handshake, unless they drop the Upgrade", "[gateways][recorded]") {
    for (const auto& source : sources()) {
        INFO(source.file);
        const auto record = readRecord(readFile(fileOf(source)));
        RequestHead head;
        read(record.at("upgrade"), source.rules, head);
        CHECK(head.pathInfo == "/echo");
        CHECK(head.field("Sec-WebSocket-Key") == "dGhlIHNhbXBsZSBub25jZQ==");
        CHECK(head.field("Origin") == "http://example.test:8080");
        CHECK(head.field("Upgrade") == (source.passesUpgrade ? "websocket" : ""));
    }
}

TEST_CASE("web servers still send the variables that were recorded", "[gateways][recorded]") {
    for (const auto& source : sources()) {
        INFO(source.file);
        const auto recorded = readRecord(readFile(fileOf(source))), now = source.ask();
        CHECK(recorded.size() == now.size());
        for (const auto& [request, variables] : recorded) {
            INFO(request);
            REQUIRE(now.contains(request));
            CHECK(names(variables) == names(now.at(request)));
        }
    }
}

TEST_CASE("records what web servers send", "[.][record]") {
    for (const auto& source : sources()) writeFile(fileOf(source), writeRecord(source.ask()));
}
