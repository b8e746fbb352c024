#include "postern/main/PrintConfig.h"

#include "postern/base/Text.h"
#include "postern/main/ListenSpec.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>
#include <stdexcept>

namespace postern {

namespace {

using Protocol = std::optional<CgiProtocol>;
constexpr Protocol http;

struct Route {
    ListenSpec spec;

    bool isUnix() const { return spec.kind == ListenSpec::Kind::unixPath; }
    Protocol protocol() const { return spec.protocol; }
    std::string host() const {
        if (spec.address.empty() || spec.address == "0.0.0.0") return "127.0.0.1";
        if (spec.address == "::") return "[::1]";
        return spec.address.find(':') == std::string::npos ? spec.address : '[' + spec.address + ']';
    }
    std::string authority() const { return host() + ':' + std::to_string(spec.port); }
    /// "unix:/run/app.sock" or "127.0.0.1:8080".
    std::string place() const { return isUnix() ? "unix:" + spec.address : authority(); }
};

// One text per line, so that a configuration here looks as it does in its file.
std::string lines(std::initializer_list<std::string_view> all, std::string_view indent = "") {
    std::string text;
    for (const auto line : all) text.append(indent).append(line).append("\n");
    return text;
}

// As a pattern that matches nothing else.
std::string quotedForPattern(std::string_view text) {
    std::string quoted;
    for (const char c : text) {
        if (!isDigit(c) && !isAlpha(c) && c != '/' && c != '-' && c != '_') quoted += '\\';
        quoted += c;
    }
    return quoted;
}

class Printer {
public:
    Printer(const ProgramOptions& options, const std::string& program)
        : options_(options), program_(program), name_(std::filesystem::path(program).filename()) {
        if (name_.empty()) name_ = "app";
        for (const auto& text : options.listen) {
            std::string why;
            const auto spec = ListenSpec::parse(text, why);
            if (!spec) throw std::invalid_argument(why);
            if (spec->kind == ListenSpec::Kind::systemd || spec->kind == ListenSpec::Kind::descriptor || spec->tls) continue;
            if (spec->kind == ListenSpec::Kind::tcp && spec->port == 0)
                throw std::invalid_argument("--print-config needs a port that stays: " + text + " takes a free one");
            routes_.push_back({*spec});
        }
        if (options.listen.empty()) {
            ListenSpec spec;
            spec.address = options.host;
            spec.port = options.port;
            routes_.push_back({spec});
        }
        if (routes_.empty()) throw std::invalid_argument("--print-config needs to know the sockets: name them by --listen");
    }

    std::string nginx();
    std::string lighttpd();
    std::string apache();
    std::string caddy();
    std::string haproxy();
    std::string systemd();

private:
    // The first listener of one of these protocols.
    const Route* find(std::initializer_list<Protocol> protocols) const {
        for (const auto& route : routes_)
            if (std::find(protocols.begin(), protocols.end(), route.protocol()) != protocols.end()) return &route;
        return nullptr;
    }
    const Route& need(std::initializer_list<Protocol> protocols, const char* server, const char* ways) const {
        if (const auto* route = find(protocols)) return *route;
        throw std::invalid_argument(std::string(server) + " reaches a program by " + ways + ": add such a --listen");
    }

    std::string command() const {
        std::string text = program_;
        for (const auto& route : options_.listen) text += " --listen " + route;
        if (!options_.mount.empty()) text += " --mount " + options_.mount;
        if (const auto* proxied = find({http}))
            text += proxied->isUnix() ? " --trusted-proxy unix" : " --trusted-proxy " + proxied->host();
        if (std::any_of(routes_.begin(), routes_.end(), [](const Route& route) { return route.isUnix(); }))
            text += " --socket-group " + (options_.socketGroup.empty() ? std::string("www-data") : options_.socketGroup);
        return text;
    }
    std::string opening(const std::string& what) const { return "# " + what + "\n# The program: " + command() + "\n\n"; }
    // For servers that cannot carry a WebSocket where the requests go, nor anywhere else.
    static std::string unableToUpgrade(const char* remedy) { return std::string("# WebSockets get a 501 this way: ") + remedy + "\n"; }
    std::string mountSlash() const { return options_.mount + "/"; }
    std::string mountPattern() const { return quotedForPattern(options_.mount); }
    // Names of nginx's variables have no other characters.
    std::string variable() const {
        auto text = name_;
        std::replace_if(text.begin(), text.end(), [](char c) { return !isDigit(c) && !isAlpha(c); }, '_');
        return '$' + text + "_connection";
    }
    std::string bodySize() const { return std::to_string((options_.maxBody + 1023) / 1024) + "k"; }

    std::string nginxVariables(std::string_view directive) const;

    const ProgramOptions& options_;
    const std::string program_;
    std::string name_;
    std::vector<Route> routes_;
};

// nginx's own lists leave the port out of HTTP_HOST on Debian, and a page would not be of the same host as its WebSocket.
std::string Printer::nginxVariables(std::string_view directive) const {
    std::string text = directive == "scgi_param" ? "    scgi_param SCGI 1;\n" : "";
    for (const std::string_view variable :
         {"GATEWAY_INTERFACE CGI/1.1", "SERVER_SOFTWARE nginx/$nginx_version", "SERVER_PROTOCOL $server_protocol",
          "SERVER_NAME $server_name", "SERVER_PORT $server_port", "REQUEST_METHOD $request_method", "REQUEST_URI $request_uri",
          "QUERY_STRING $query_string", "CONTENT_TYPE $content_type", "CONTENT_LENGTH $content_length",
          "REMOTE_ADDR $remote_addr", "REMOTE_PORT $remote_port", "HTTPS $https if_not_empty"}) {
        // SCGI sends its CONTENT_LENGTH first, by itself.
        if (directive == "scgi_param" && (variable.starts_with("CONTENT_LENGTH") || variable.starts_with("GATEWAY"))) continue;
        text.append("    ").append(directive).append(" ").append(variable).append(";\n");
    }
    return text;
}

std::string Printer::nginx() {
    const auto schemeOf = [](const Route& route) -> std::string {
        if (!route.protocol()) return "proxy";
        return route.protocol() == CgiProtocol::fastCgi ? "fastcgi" : route.protocol() == CgiProtocol::scgi ? "scgi" : "uwsgi";
    };
    const auto pass = [&](const Route& route) {
        return schemeOf(route) + "_pass " + (route.protocol() ? "" : "http://") + route.place() +
               (!route.protocol() && route.isUnix() ? ":" : "") + ";";
    };
    const auto& requests = routes_.front();
    const auto* upgrades = requests.protocol() == CgiProtocol::fastCgi ? find({CgiProtocol::scgi, CgiProtocol::uwsgi, http})
                                                                       : &requests;
    const bool proxies = !requests.protocol() || (upgrades && !upgrades->protocol());

    auto text = opening("nginx: put this into /etc/nginx/conf.d/" + name_ + ".conf and give it your own listen and server_name.");
    if (proxies) text += "map $http_upgrade " + variable() + " { default upgrade; '' ''; }\n\n";
    text += "server {\n    listen 80;\n    server_name localhost;\n    client_max_body_size " + bodySize() + ";\n";
    for (const auto* route : {&requests, upgrades == &requests ? nullptr : upgrades})
        if (route && route->protocol()) text += nginxVariables(schemeOf(*route) + "_param");
    text += "    location " + mountSlash() + " {\n        " + pass(requests) + "\n        " + schemeOf(requests) + "_buffering off;\n";
    if (proxies)
        text += lines({"proxy_http_version 1.1;", "proxy_set_header Upgrade $http_upgrade;",
                       "proxy_set_header Connection " + variable() + ";", "proxy_set_header Host $http_host;",
                       "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;",
                       "proxy_set_header X-Forwarded-Proto $scheme;", "proxy_set_header X-Forwarded-Host \"\";",
                       "proxy_set_header Forwarded \"\";"},
                      "        ");
    if (!requests.protocol()) text += "        proxy_request_buffering off;\n";
    if (upgrades && upgrades != &requests) text += "        if ($http_upgrade) {\n            " + pass(*upgrades) + "\n        }\n";
    text += "    }\n}\n";
    if (!upgrades) text += unableToUpgrade("add --listen scgi+unix:PATH and print this again");
    return text;
}

std::string Printer::lighttpd() {
    const auto& route = routes_.front();
    const auto backend = route.isUnix() ? "\"socket\" => \"" + route.spec.address + "\""
                                        : "\"host\" => \"" + route.host() + "\", \"port\" => " + std::to_string(route.spec.port);
    auto text = opening("lighttpd: put this into /etc/lighttpd/conf-available/50-" + name_ + ".conf and switch it on with lighty-enable-mod.");
    const auto condition = "$HTTP[\"url\"] =~ \"^" + mountPattern() + "(/|$)\" {\n";
    const std::string streaming = "    server.stream-response-body = 2\n}\n";
    if (!route.protocol()) {
        // mod_proxy names a Unix socket as the host.
        const auto proxied = route.isUnix() ? "\"host\" => \"" + route.spec.address + "\"" : backend;
        return text + "server.modules += ( \"mod_proxy\" )\n\n" + condition + "    proxy.server = ( \"\" => (( " + proxied + " )) )\n" +
               lines({"proxy.header = ( \"upgrade\" => \"enable\" )", "proxy.forwarded = ( \"for\" => 1, \"proto\" => 1 )"}, "    ") +
               streaming;
    }
    const bool fastCgi = route.protocol() == CgiProtocol::fastCgi;
    text += lines({"# WebSockets take lighttpd 1.4.74 or newer; older ones get a 501 from the program.",
                   std::string("server.modules += ( \"") + (fastCgi ? "mod_fastcgi" : "mod_scgi") + "\" )", "",
                   "# With TLS browsers ask for WebSockets over HTTP/2, which lighttpd does not carry this way.",
                   "server.feature-flags += ( \"server.h2proto\" => \"disable\" )", ""}) + condition;
    if (route.protocol() == CgiProtocol::uwsgi) text += "    scgi.protocol = \"uwsgi\"\n";
    return text + "    " + (fastCgi ? "fastcgi" : "scgi") + ".server = ( \"/\" => ((\n        " + backend + ",\n" +
           lines({"\"check-local\" => \"disable\",", "\"fix-root-scriptname\" => \"enable\",", "\"upgrade\" => \"enable\""}, "        ") +
           "    )) )\n" + streaming;
}

std::string Printer::apache() {
    const auto target = [&](const Route& route, const std::string& scheme) {
        return route.isUnix() ? "unix:" + route.spec.address + "|" + scheme + "://localhost" : scheme + "://" + route.authority();
    };
    const auto& requests = routes_.front();
    const auto* upgrades = find({http});
    auto text = opening("Apache 2.4.47 or newer: put this into /etc/apache2/sites-available/" + name_ + ".conf and switch it on:\n"
                        "#     a2enmod headers rewrite proxy proxy_http proxy_fcgi proxy_scgi proxy_uwsgi proxy_wstunnel && a2ensite " + name_);
    text += "<VirtualHost *:80>\n    AllowEncodedSlashes NoDecode\n";
    if (!requests.protocol()) {
        text += "    ProxyPass " + mountSlash() + " " + target(requests, "http") + mountSlash() + " upgrade=websocket nocanon\n";
    } else {
        if (upgrades)
            text += lines({"RewriteEngine On", "RewriteCond %{HTTP:Upgrade} =websocket [NC]",
                           "RewriteCond %{THE_REQUEST} \"^\\S+ (" + mountPattern() + "/[^?\\s]*)\"",
                           "RewriteRule ^ " + target(*upgrades, "ws") + "%1 [P,NE]"}, "    ");
        const std::string scheme = requests.protocol() == CgiProtocol::fastCgi ? "fcgi"
                                   : requests.protocol() == CgiProtocol::scgi  ? "scgi"
                                                                               : "uwsgi";
        text += "    ProxyPass " + mountSlash() + " " + target(requests, scheme) + mountSlash() + " flushpackets=on\n";
    }
    text += lines({"ProxyPreserveHost On", "RequestHeader unset Forwarded",
                   "RequestHeader set X-Forwarded-Proto expr=%{REQUEST_SCHEME}"}, "    ") + "</VirtualHost>\n";
    if (!upgrades) text += unableToUpgrade("add --listen http+unix:PATH and print this again");
    return text;
}

std::string Printer::caddy() {
    const auto& requests = need({http, CgiProtocol::fastCgi}, "Caddy", "HTTP and FastCGI");
    const auto* upgrades = find({http});
    const auto place = [](const Route& route) { return route.isUnix() ? "unix/" + route.spec.address : route.authority(); };
    auto text = opening("Caddy 2: put this into /etc/caddy/Caddyfile, with your domain instead of the port.");
    text += ":80 {\n";
    if (requests.protocol() && upgrades) text += "\t@websocket header Upgrade websocket\n";
    const bool mounted = !options_.mount.empty();
    if (mounted) text += "\troute " + mountSlash() + "* {\n";
    const auto proxy = [&](const std::string& to, std::initializer_list<std::string_view> how) {
        const std::string indent = mounted ? "\t\t" : "\t";
        text += indent + "reverse_proxy " + to + " {\n" + lines(how, indent + '\t') + indent + "}\n";
    };
    if (requests.protocol() && upgrades) proxy("@websocket " + place(*upgrades), {"header_up -Forwarded"});
    if (requests.protocol()) proxy(place(requests), {"transport fastcgi", "flush_interval -1", "header_up -Forwarded"});
    else proxy(place(requests), {"header_up -Forwarded"});
    text += mounted ? "\t}\n}\n" : "}\n";
    if (!upgrades) text += unableToUpgrade("add --listen http+unix:PATH and print this again");
    return text;
}

std::string Printer::haproxy() {
    const auto& requests = need({http, CgiProtocol::fastCgi}, "HAProxy", "HTTP and FastCGI");
    const auto* upgrades = find({http});
    const auto place = [](const Route& route) { return route.isUnix() ? "unix@" + route.spec.address : route.authority(); };
    const auto webBackend = [&](const Route& route) {
        return "backend " + name_ + "_http from " + name_ + "\n" +
               lines({"http-request del-header Forwarded", "http-request del-header X-Forwarded-Host",
                      "http-request set-header X-Forwarded-Proto http",
                      "http-request set-header X-Forwarded-Proto https if { ssl_fc }", "server " + name_ + " " + place(route)},
                     "    ");
    };
    auto text = opening("HAProxy 2.4 or newer: put this at the end of /etc/haproxy/haproxy.cfg.");
    text += "defaults " + name_ + "\n" +
            lines({"mode http", "option forwardfor", "option http-keep-alive", "timeout connect 5s", "timeout client 60s",
                   "timeout server 60s", "timeout tunnel 1h"}, "    ") +
            "\nfrontend " + name_ + " from " + name_ + "\n    bind :80\n";
    const auto path = options_.mount.empty() ? std::string() : " { path_beg " + mountSlash() + " }";
    const auto otherwise = [&](const char* backend) {
        return path.empty() ? "    default_backend " + name_ + backend + "\n" : "    use_backend " + name_ + backend + " if" + path + "\n";
    };
    if (!requests.protocol()) return text + otherwise("_http") + webBackend(requests);
    if (upgrades) text += "    use_backend " + name_ + "_http if { req.hdr(Upgrade) -i websocket }" + path + "\n";
    text += otherwise("_fcgi") + "fcgi-app " + name_ + "\n    docroot /\nbackend " + name_ + "_fcgi from " + name_ +
            "\n    use-fcgi-app " + name_ + "\n    server " + name_ + " " + place(requests) + " proto fcgi\n";
    return text + (upgrades ? webBackend(*upgrades) : unableToUpgrade("add --listen http+unix:PATH and print this again"));
}

std::string Printer::systemd() {
    // Sockets of one unit share a name, and the name says what is spoken.
    const auto unitOf = [&](const Route& route) {
        if (!route.protocol()) return name_ + ".socket";
        return name_ + (route.protocol() == CgiProtocol::fastCgi ? "-fcgi" : route.protocol() == CgiProtocol::scgi ? "-scgi" : "-uwsgi") +
               ".socket";
    };
    std::string text, units;
    for (const auto& route : routes_) {
        const auto unit = unitOf(route);
        if ((' ' + units + ' ').find(' ' + unit + ' ') != std::string::npos) continue;
        units += (units.empty() ? "" : " ") + unit;
        text += "# systemd: /etc/systemd/system/" + unit + "\n[Unit]\nDescription=Sockets of " + name_ + "\n\n[Socket]\n";
        for (const auto& other : routes_)
            if (unitOf(other) == unit) text += "ListenStream=" + (other.isUnix() ? other.spec.address : other.authority()) + "\n";
        const auto dash = unit.find('-', name_.size());
        text += "FileDescriptorName=" + (dash == std::string::npos ? "http" : unit.substr(dash + 1, unit.rfind('.') - dash - 1)) + "\n" +
                "Service=" + name_ + ".service\nSocketMode=0660\nSocketGroup=" +
                (options_.socketGroup.empty() ? "www-data" : options_.socketGroup) + "\nDirectoryMode=0755\n\n[Install]\nWantedBy=sockets.target\n\n";
    }
    const auto* proxied = find({http});
    std::error_code ignored;
    auto path = std::filesystem::weakly_canonical(program_, ignored).string();
    if (path.empty() || path.front() != '/') path = "/opt/" + name_ + "/" + name_;
    text += "# systemd: /etc/systemd/system/" + name_ + ".service\n# Then: systemctl daemon-reload && systemctl enable --now " + units +
            "\n[Unit]\nDescription=The program " + name_ + "\nRequires=" + units + "\nAfter=" + units + " network.target\n\n[Service]\n" +
            "Type=notify\nExecStart=" + path + " --listen systemd" + (options_.mount.empty() ? "" : " --mount " + options_.mount) +
            (!proxied ? "" : proxied->isUnix() ? " --trusted-proxy unix" : " --trusted-proxy " + proxied->host()) + "\n" +
            lines({"Restart=on-failure", "TimeoutStopSec=15", "LimitNOFILE=65536", "", "DynamicUser=yes", "UMask=0077",
                   "CapabilityBoundingSet=", "NoNewPrivileges=yes", "PrivateDevices=yes", "PrivateTmp=yes", "PrivateUsers=yes",
                   "ProtectClock=yes", "ProtectControlGroups=yes", "ProtectHome=yes", "ProtectHostname=yes",
                   "ProtectKernelLogs=yes", "ProtectKernelModules=yes", "ProtectKernelTunables=yes", "ProtectProc=invisible",
                   "ProcSubset=pid", "ProtectSystem=strict", "RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6",
                   "RestrictNamespaces=yes", "RestrictRealtime=yes", "RestrictSUIDSGID=yes", "LockPersonality=yes",
                   "MemoryDenyWriteExecute=yes", "SystemCallArchitectures=native", "SystemCallFilter=@system-service",
                   "SystemCallFilter=~@privileged @resources", "SystemCallErrorNumber=EPERM"});
    return text;
}

}

std::string printConfig(std::string_view server, const ProgramOptions& options, const std::string& program) {
    Printer printer(options, program);
    if (server == "nginx") return printer.nginx();
    if (server == "lighttpd") return printer.lighttpd();
    if (server == "apache") return printer.apache();
    if (server == "caddy") return printer.caddy();
    if (server == "haproxy") return printer.haproxy();
    if (server == "systemd") return printer.systemd();
    throw std::invalid_argument("no configuration for '" + std::string(server) + "'");
}

}
