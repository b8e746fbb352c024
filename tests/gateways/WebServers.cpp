// Our programs behind web servers that speak FastCGI, SCGI or uwsgi to them: ways 8003, 8004 and 8005 of docs/deploy.

#include "support/Catch.h"
#include "support/GatewaySuite.h"
#include "support/TestGateway.h"

#include <filesystem>
#include <memory>

using namespace postern;

namespace {

// A front with its ways to a program. "http" is there for the WebSockets of those whose FastCGI carries none.
struct WebServer {
    FrontKind kind;
    std::vector<int> ways;
    std::vector<std::string> protocols;
    std::string file;
    bool upgrades = true;

    Deployment::Options options(std::vector<std::string> arguments = {}, Replacements replacements = {}) const {
        Deployment::Options options;
        options.file = file;
        options.protocols = protocols;
        options.arguments = std::move(arguments);
        options.replacements = std::move(replacements);
        return options;
    }
};

const WebServer nginx{FrontKind::nginx, {8003, 8004, 8005}, {"fcgi", "scgi", "uwsgi"}, {}};
const WebServer oldLighttpd{FrontKind::lighttpd, {8003, 8004, 8005}, {"fcgi", "scgi", "uwsgi"}, "lighttpd-1.4.74.conf", false};
const WebServer apache{FrontKind::apache, {8003}, {"fcgi", "http"}, {}};
const WebServer caddy{FrontKind::caddy, {8003}, {"fcgi", "http"}, {}};
const WebServer haproxy{FrontKind::haproxy, {8003}, {"fcgi", "http"}, {}};
const WebServer* const webServers[] = {&nginx, &oldLighttpd, &apache, &caddy, &haproxy};

const std::vector<std::string> uploads{"--max-body", "64m"};

// The connections that a process has.
size_t sockets(const Process& process) {
    size_t count = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/" + std::to_string(process.pid()) + "/fd")) {
        std::error_code gone;
        if (std::filesystem::read_symlink(entry.path(), gone).string().starts_with("socket:")) ++count;
    }
    return count;
}

void checkRefusal(const WebServer& server, const char* remedy, int way, const Replacements& replacements, std::vector<std::string> protocols = {}) {
    auto options = server.options({}, replacements);
    if (!protocols.empty()) options.protocols = std::move(protocols);
    Deployment echo(server.kind, checkedApp("echo"), std::move(options));
    checkEchoPage(wayIn(echo, server.kind, way));
    checkUpgradeIsRefused(wayIn(echo, server.kind, way));
    echo.program().waitForErrors(remedy);
}

const Replacements apacheAlone{{"RewriteEngine On", "RewriteEngine Off"}};

Replacements apacheSpeaks(const std::string& protocol) {
    auto replacements = apacheAlone;
    replacements.emplace_back("fcgi.sock|fcgi://", protocol + ".sock|" + protocol + "://");
    return replacements;
}

}

TEST_CASE("web servers: pages come through by FastCGI, SCGI and uwsgi, many over one connection", "[gateways][webservers]") {
    for (const auto* server : webServers) {
        Deployment echo(server->kind, checkedApp("echo"), server->options());
        for (const int number : server->ways) {
            checkEchoPage(wayIn(echo, server->kind, number));
            checkKeepAlive(wayIn(echo, server->kind, number));
            checkTargetIsUntouched(wayIn(echo, server->kind, number));
        }
    }
}

TEST_CASE("web servers: forms of up to 20 MB arrive, with a length and in chunks, and one that breaks off holds nothing up",
          "[gateways][webservers]") {
    for (const auto* server : webServers) {
        Deployment form(server->kind, optimisedApp("form"), server->options(uploads));
        for (const int number : server->ways) {
            const auto way = wayIn(form, server->kind, number);
            checkForm(way);
            checkUploads(way, 7);
            checkUploadAborts(way);
            if (server == &nginx) checkUploads(way, 20'000'000);
        }
    }
}

TEST_CASE("web servers: an upload by FastCGI may stream", "[gateways][webservers]") {
    Deployment form(FrontKind::nginx, optimisedApp("form"),
                    nginx.options(uploads, {{"fastcgi_buffering off;", "fastcgi_buffering off; fastcgi_request_buffering off;"}}));
    checkUploads(wayIn(form, FrontKind::nginx, 8003), 1'000'000);
}

TEST_CASE("web servers: what a program sends by itself arrives at once, and it notices clients that go", "[gateways][webservers]") {
    std::vector<std::unique_ptr<Deployment>> deployments;
    std::vector<WayIn> clocks, withSockets, withoutSockets;
    for (const auto* server : webServers) {
        auto& clock = *deployments.emplace_back(std::make_unique<Deployment>(server->kind, checkedApp("clock"), server->options()));
        for (const int number : server->ways) {
            clocks.push_back(wayIn(clock, server->kind, number));
            (server->upgrades ? withSockets : withoutSockets).push_back(clocks.back());
        }
    }
    checkPushes(withSockets);
    checkPushes(withoutSockets, false);
    checkReplyAborts(clocks);
}

TEST_CASE("nginx: connections by FastCGI are kept and used again where it is told to", "[gateways][webservers]") {
    Deployment echo(FrontKind::nginx, checkedApp("echo"),
                    nginx.options({}, {{"upstream echo_tcp", "upstream echo_fcgi { server unix:/run/echo/fcgi.sock; keepalive 4; }\n\nupstream echo_tcp"},
                                       {"fastcgi_pass unix:/run/echo/fcgi.sock;", "fastcgi_pass echo_fcgi;\n        fastcgi_keep_conn on;"}}));
    const auto before = sockets(echo.program());
    checkKeepAlive(wayIn(echo, FrontKind::nginx, 8003));
    CHECK(sockets(echo.program()) == before + 1);
    checkEchoPage(wayIn(echo, FrontKind::nginx, 8003));
    checkConversation(wayIn(echo, FrontKind::nginx, 8003));
}

TEST_CASE("nginx: a WebSocket by SCGI and uwsgi, and beside FastCGI, holds its whole conversation, and either side may close it",
          "[gateways][webservers]") {
    Deployment echo(FrontKind::nginx, checkedApp("echo"), nginx.options());
    for (const int number : nginx.ways) {
        const auto way = wayIn(echo, FrontKind::nginx, number);
        checkConversation(way);
        checkProgramCloses(way);
        checkOrigins(way, "localhost");
        checkOrigins(way, "localhost:" + std::to_string(echo.port(number)));
        checkClientIsNotBelieved(way);
    }
    checkProgramStops(wayIn(echo, FrontKind::nginx, 8004));
}

TEST_CASE("nginx: a WebSocket by uwsgi gets 1001 from a program that is stopped", "[gateways][webservers]") {
    Deployment echo(FrontKind::nginx, checkedApp("echo"), nginx.options());
    checkProgramStops(wayIn(echo, FrontKind::nginx, 8005));
}

TEST_CASE("nginx: a drop on either side of a WebSocket by SCGI or uwsgi ends the other", "[gateways][webservers]") {
    for (const int killed : {8004, 8005}) {
        Deployment echo(FrontKind::nginx, checkedApp("echo"), nginx.options());
        checkClientDrops(wayIn(echo, FrontKind::nginx, killed));
        checkProgramDrops(wayIn(echo, FrontKind::nginx, killed));
    }
}

TEST_CASE("web servers whose FastCGI, SCGI or uwsgi carries no WebSocket: 501, and the log names the remedy", "[gateways][webservers]") {
    checkRefusal(nginx, "send Upgrade requests to scgi_pass", 8003,
                 {{"        if ($http_upgrade) {\n            scgi_pass unix:/run/echo/scgi.sock;\n        }\n", ""}});
    checkRefusal(apache, "'s FastCGI does not carry a WebSocket: use ProxyPass with upgrade=websocket", 8003, apacheAlone);
    checkRefusal(apache, "'s SCGI does not carry a WebSocket: use ProxyPass with upgrade=websocket", 8003, apacheSpeaks("scgi"), {"scgi"});
    checkRefusal(apache, "'s uwsgi does not carry a WebSocket: use ProxyPass with upgrade=websocket", 8003, apacheSpeaks("uwsgi"), {"uwsgi"});
    checkRefusal(caddy, "use reverse_proxy to a --listen http://", 8003,
                 {{"\t@websocket header Upgrade websocket\n\treverse_proxy @websocket unix//run/echo/http.sock {\n\t\theader_up -Forwarded\n\t}\n", ""}});
    checkRefusal(haproxy, "'s FastCGI does not carry a WebSocket: proxy Upgrade requests to a --listen http://", 8003,
                 {{"    use_backend echo_unix if { req.hdr(Upgrade) -i websocket }\n", ""}});
    const std::string lighttpd = " does not carry a WebSocket: set \"upgrade\" => \"enable\" in ";
    checkRefusal(oldLighttpd, (lighttpd + "fastcgi.server, which takes lighttpd 1.4.74").c_str(), 8003, {});
    checkRefusal(oldLighttpd, ("'s SCGI" + lighttpd + "scgi.server, which takes lighttpd 1.4.74").c_str(), 8004, {});
    checkRefusal(oldLighttpd, ("'s uwsgi" + lighttpd + "scgi.server, which takes lighttpd 1.4.74").c_str(), 8005, {});
}

TEST_CASE("nginx: the heartbeat keeps an idle WebSocket by SCGI or uwsgi open that it would close", "[gateways][webservers]") {
    const TestGateway scgi(CgiProtocol::scgi, serveWithHeartbeat), uwsgi(CgiProtocol::uwsgi, serveWithHeartbeat);
    const auto place = [](const TestGateway& gateway) { return "127.0.0.1:" + std::to_string(gateway.port()); };
    const DeployedFile file(FrontKind::nginx, 1, "/nowhere", {},
                            {{"        scgi_pass unix:/run/echo/scgi.sock", "        scgi_pass " + place(scgi)},
                             {"uwsgi_pass unix:/run/echo/uwsgi.sock", "uwsgi_pass " + place(uwsgi)}});
    const Front front(FrontKind::nginx, file, "scgi_read_timeout 3s; uwsgi_read_timeout 3s;");
    checkHeartbeat({[&] { return BlockingClient(file.ports.at(8004)); }, [&] { return BlockingClient(file.ports.at(8005)); }});
}
