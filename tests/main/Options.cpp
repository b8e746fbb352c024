#include "postern/main/Options.h"

#include "postern/main/ListenSpec.h"
#include "support/BlockingClient.h"
#include "support/Catch.h"
#include "support/Process.h"

using namespace postern;

namespace {

Finished hello(std::vector<std::string> arguments, std::vector<std::pair<std::string, std::string>> environment = {}) {
    arguments.insert(arguments.begin(), checkedApp("hello"));
    ProcessOptions options;
    options.environment = std::move(environment);
    return runToEnd(arguments, options);
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}

TEST_CASE("sizes read like 512, 64k, 10m and 1g, in powers of 1024", "[main]") {
    const std::pair<const char*, uint64_t> good[] = {{"0", 0},           {"512", 512},         {"7b", 7},       {"64k", 65536},
                                                     {"64K", 65536},     {"10m", 10u << 20},   {"1g", 1u << 30}, {"3G", 3ull << 30},
                                                     {"18446744073709551615", UINT64_MAX}};
    for (const auto& [text, bytes] : good) {
        CAPTURE(text);
        CHECK(parseSize(text) == bytes);
    }
    for (const char* text : {"", "k", "-1", "+1", " 1", "1 ", "1 k", "1kb", "1.5m", "0x10", "1t", "18446744073709551616",
                             "17179869184g", "99999999999999999999"}) {
        CAPTURE(text);
        CHECK(!parseSize(text));
    }
    CHECK(parseSize("17179869183g") == (17179869183ull << 30));
}

TEST_CASE("times read like 250ms, 10s, 5m and 1h, and need their unit", "[main]") {
    using namespace std::chrono;
    CHECK(parseDuration("250ms") == Duration(milliseconds(250)));
    CHECK(parseDuration("10s") == Duration(seconds(10)));
    CHECK(parseDuration("5M") == Duration(minutes(5)));
    CHECK(parseDuration("1h") == Duration(hours(1)));
    CHECK(parseDuration("0s") == Duration(0));
    CHECK(parseDuration("4294967295ms") == Duration(milliseconds(4294967295)));
    for (const char* text : {"", "10", "s", "-1s", "1.5s", "1 s", "1d", "4294967296ms", "1194h", "99999999999s"}) {
        CAPTURE(text);
        CHECK(!parseDuration(text));
    }
}

TEST_CASE("the nearest word is found, and none where none is near", "[main]") {
    const std::vector<std::string> known{"listen", "port", "max-body", "max-message", "log-level"};
    CHECK(nearestWord("lisen", known) == "listen");
    CHECK(nearestWord("max-bdoy", known) == "max-body");
    CHECK(nearestWord("maxmessage", known) == "max-message");
    CHECK(nearestWord("prot", known) == "port");
    CHECK(nearestWord("port", known) == "port");
    CHECK(nearestWord("zebra-crossing", known).empty());
    CHECK(nearestWord("listen", {}).empty());
}

TEST_CASE("a listen specification names a host and port, a path, a descriptor or systemd", "[main]") {
    using Kind = ListenSpec::Kind;
    struct Row {
        const char* text;
        Kind kind;
        const char* address;
        uint16_t port;
        int fd;
    };
    for (const auto& row : {Row{"http://127.0.0.1:8080", Kind::tcp, "127.0.0.1", 8080, -1},
                            Row{"http://127.0.0.1:0", Kind::tcp, "127.0.0.1", 0, -1},
                            Row{"http://localhost:65535/", Kind::tcp, "localhost", 65535, -1},
                            Row{"http://[::1]:80", Kind::tcp, "::1", 80, -1}, Row{"http://*:80", Kind::tcp, "", 80, -1},
                            Row{"http://:80", Kind::tcp, "", 80, -1},
                            Row{"http+unix:/run/app.sock", Kind::unixPath, "/run/app.sock", 0, -1},
                            Row{"systemd", Kind::systemd, "", 0, -1}, Row{"fd:3", Kind::descriptor, "", 0, 3}}) {
        CAPTURE(row.text);
        std::string why;
        const auto spec = ListenSpec::parse(row.text, why);
        REQUIRE(spec);
        CHECK(spec->kind == row.kind);
        CHECK(spec->address == row.address);
        CHECK(spec->port == row.port);
        CHECK(spec->fd == row.fd);
    }
    for (const char* text : {"", "8080", "127.0.0.1:8080", "http:/127.0.0.1:80", "http://127.0.0.1", "http://[::1]", "http://h:",
                             "http://h:65536", "http://h:-1", "http://h:8o", "http://h:80/path", "https:/h:443", "ftp://h:21",
                             "http+unix:", "http+unix:relative", "fd:", "fd:-1", "fd:x", "systemd:"}) {
        CAPTURE(text);
        std::string why;
        CHECK(!ListenSpec::parse(text, why));
        CHECK(contains(why, text));
    }
}

TEST_CASE("a listen specification names what web servers speak there, and whether WebSockets come through", "[main]") {
    using Kind = ListenSpec::Kind;
    std::string why;
    for (const auto& [scheme, protocol] : {std::pair("fcgi", CgiProtocol::fastCgi), std::pair("scgi", CgiProtocol::scgi), std::pair("uwsgi", CgiProtocol::uwsgi)}) {
        struct Row {
            const char* place;
            Kind kind;
            const char* address;
            uint16_t port;
            int fd;
        };
        for (const auto& row : {Row{"://127.0.0.1:9000", Kind::tcp, "127.0.0.1", 9000, -1}, Row{"://[::1]:0/", Kind::tcp, "::1", 0, -1},
                                Row{"://*:80", Kind::tcp, "", 80, -1}, Row{"+unix:/run/app.sock", Kind::unixPath, "/run/app.sock", 0, -1},
                                Row{"+fd:0", Kind::descriptor, "", 0, 0}, Row{"+fd:17", Kind::descriptor, "", 0, 17}})
            for (const auto& [option, over] : {std::pair("", std::optional<WebsocketOver>()), std::pair("?websocket=auto", std::optional(WebsocketOver::findOut)),
                                               std::pair("?websocket=yes", std::optional(WebsocketOver::yes)), std::pair("?websocket=no", std::optional(WebsocketOver::no))}) {
                const auto text = std::string(scheme) + row.place + option;
                CAPTURE(text);
                const auto spec = ListenSpec::parse(text, why);
                REQUIRE(spec);
                CHECK(spec->protocol == protocol);
                CHECK(spec->kind == row.kind);
                CHECK(spec->address == row.address);
                CHECK(spec->port == row.port);
                CHECK(spec->fd == row.fd);
                CHECK(spec->websocket == over);
            }
        for (const char* wrong : {"", ":", ":9000", "://", "://127.0.0.1", "://h:65536", "://h:1/path", "+unix:", "+unix:relative", "+fd:", "+fd:x", "+fd:-1",
                                  "+tcp:80", "://127.0.0.1:9000?websocket=maybe", "://127.0.0.1:9000?websocket=", "://127.0.0.1:9000?other=yes"}) {
            const auto text = std::string(scheme) + wrong;
            CAPTURE(text);
            CHECK(!ListenSpec::parse(text, why));
            CHECK(contains(why, text));
        }
    }
    for (const char* text : {"http://127.0.0.1:80?websocket=no", "http+unix:/run/app.sock?websocket=no", "http+fd:3?websocket=no", "fd:3?websocket=no", "systemd?websocket=no"}) {
        CAPTURE(text);
        const auto spec = ListenSpec::parse(text, why);
        REQUIRE(spec);
        CHECK(!spec->protocol);
        CHECK(spec->websocket == WebsocketOver::no);
    }
}

TEST_CASE("--help tells of every option and --version of the features", "[main]") {
    const auto help = hello({"--help"});
    CHECK(help.code == 0);
    CHECK(help.errors.empty());
    for (const char* option :
         {"--listen", "--port", "--host", "--mount", "--workers", "--socket-group", "--user", "--group", "--max-body",
          "--max-message", "--max-fragments", "--max-head", "--max-target", "--max-fields", "--max-parameters", "--max-connections", "--stack-size",
          "--head-timeout", "--idle-timeout", "--body-timeout", "--send-timeout", "--shutdown-timeout", "--allowed-origin",
          "--refuse-absent-origin", "--trusted-proxy", "--proxy-protocol", "--trust-remote-user", "--allow-gateway", "--max-variables",
          "--upgrade-timeout", "--busy-warning", "--websocket-deflate", "--websocket-over", "--log-level", "--log-format",
          "--log-file", "--access-log", "--access-log-file", "--dev", "--check-config", "--config", "--version"}) {
        CAPTURE(option);
        CHECK(contains(help.output, option));
    }
    const auto version = hello({"--version"});
    CHECK(version.code == 0);
    CHECK(version.output.starts_with("hello"));
    CHECK(contains(version.output, std::string("postern ") + frameworkVersion + " ("));
    CHECK(contains(version.output, "websocket"));
}

TEST_CASE("every option takes a right value, together with all others", "[main]") {
    const auto checked = hello(
        {"--check-config", "--listen", "http://127.0.0.1:0", "--listen", "http+unix:/nowhere/app.sock", "-p", "0", "--host",
         "127.0.0.1", "--mount", "/app", "--workers", "2", "--socket-group", "nogroup", "--user", "nobody", "--group", "nogroup",
         "--max-body", "1g", "--max-message", "64m", "--max-fragments", "1", "--max-head", "32k", "--max-target", "4k", "--max-fields", "50",
         "--max-parameters", "10", "--max-connections", "100", "--stack-size", "128k", "--head-timeout", "1s", "--idle-timeout",
         "1m", "--body-timeout", "500ms", "--send-timeout", "1h", "--shutdown-timeout", "0s", "--allowed-origin",
         "https://example.com", "--allowed-origin", "https://*.example.com", "--allowed-origin", "null", "--allowed-origin", "any",
         "--refuse-absent-origin", "--trusted-proxy", "10.0.0.0/8", "--trusted-proxy", "unix", "--trusted-proxy", "::1",
         "--proxy-protocol", "--trust-remote-user", "--listen", "fcgi://127.0.0.1:0", "--listen", "scgi+unix:/nowhere/app.scgi?websocket=yes",
         "--listen", "uwsgi+fd:5", "--allow-gateway", "192.0.2.1", "--allow-gateway", "2001:db8::/32", "--max-variables", "1k", "--upgrade-timeout",
         "1s", "--websocket-deflate", "takeover", "--websocket-over", "no", "--log-level", "debug", "--log-format", "json", "--log-file",
         "/nowhere/log", "--access-log", "combined", "--access-log-file", "/nowhere/access", "--dev"});
    CAPTURE(checked.errors);
    CHECK(checked.code == 0);
    CHECK(contains(checked.output, "right"));
}

TEST_CASE("a wrong command line ends with 2 and says what is wrong", "[main]") {
    struct Row {
        std::vector<std::string> arguments;
        const char* says;
    };
    for (const auto& row : {Row{{"--lisen", "http://127.0.0.1:0"}, "did you mean --listen"},
                            Row{{"--max-bdoy=1m"}, "did you mean --max-body"},
                            Row{{"--qqqqqqqqqqqqqq"}, "unknown option --qqqqqqqqqqqqqq"},
                            Row{{"stray"}, "METHOD URI"},
                            Row{{"--workers", "many"}, "many"},
                            Row{{"--workers", "-1"}, "workers"},
                            Row{{"--workers", "257"}, "256"},
                            Row{{"--port", "65536"}, "65536"},
                            Row{{"--max-body", "5q"}, "'5q' is no size"},
                            Row{{"--max-body"}, "max-body"},
                            Row{{"--head-timeout", "5"}, "'5' is no time"},
                            Row{{"--listen", "ftp://h:1"}, "ways to listen"},
                            Row{{"--listen", "http://h"}, "the port is missing"},
                            Row{{"--allowed-origin", "example"}, "'example' is no origin"},
                            Row{{"--trusted-proxy", "proxy"}, "'proxy' is no address"},
                            Row{{"--proxy-protocol"}, "say by --trusted-proxy"},
                            Row{{"--allow-gateway", "server"}, "'server' is no address"},
                            Row{{"--max-variables", "1023"}, "max-variables"},
                            Row{{"--max-fragments", "0"}, "at least 1"},
                            Row{{"--websocket-deflate", "maybe"}, "takeover"},
                            Row{{"--upgrade-timeout", "10"}, "'10' is no time"},
                            Row{{"--listen", "scgi://h"}, "the port is missing: scgi://HOST:PORT"},
                            Row{{"--listen", "fcgi://h:1?websocket=maybe"}, "auto, yes or no"},
                            Row{{"--mount", "app"}, "mount"},
                            Row{{"--mount", "/app/"}, "mount"},
                            Row{{"--max-head", "255"}, "max-head"},
                            Row{{"--max-head", "49k"}, "max-head"},
                            Row{{"--max-target", "17k"}, "max-target"},
                            Row{{"--log-level", "loud"}, "loud"},
                            Row{{"--log-format", "xml"}, "xml"},
                            Row{{"--access-log", "some"}, "some"},
                            Row{{"--websocket-over", "maybe"}, "maybe"}}) {
        const auto result = hello(row.arguments);
        CAPTURE(row.arguments, result.errors);
        CHECK(result.code == 2);
        CHECK(contains(result.errors, row.says));
        CHECK(contains(result.errors, "--help"));
        CHECK(result.output.empty());
    }
}

TEST_CASE("a bad configuration ends with 78, with the nearest name for an unknown one", "[main]") {
    TemporaryDirectory directory;
    const auto file = directory / "config";
    const auto check = [&] { return hello({"--config", file, "--check-config"}); };

    CHECK(check().code == 78);  // there is none

    writeFile(file, "max-body = 1m\nworkers = 2\nallowed-origin = https://example.com\ndev = true\n");
    const auto good = check();
    CAPTURE(good.errors);
    CHECK(good.code == 0);

    writeFile(file, "max-bdoy = 1m\n");
    const auto unknown = check();
    CAPTURE(unknown.errors);
    CHECK(unknown.code == 78);
    CHECK(contains(unknown.errors, "max-bdoy"));
    CHECK(contains(unknown.errors, "did you mean max-body"));

    for (const char* wrong : {"max-body = 5q\n", "workers = many\n", "listen = ftp://h:1\n", "max-head = 1\n", "access-log = some\n"}) {
        writeFile(file, wrong);
        const auto result = check();
        CAPTURE(wrong, result.errors);
        CHECK(result.code == 78);
    }

    writeFile(file, "max-body = 1m\n");
    CHECK(hello({"--config", file, "--workers", "many"}).code == 2);  // the flag is to blame
}

TEST_CASE("a flag wins over the environment, that over the file, and that over the default", "[main]") {
    TemporaryDirectory directory;
    writeFile(directory / "config", "workers = 4\n");
    const auto workers = [&](std::vector<std::string> arguments, const char* environment) {
        ProcessOptions options;
        if (environment) options.environment = {{"POSTERN_WORKERS", environment}};
        Served served(checkedApp("hello"), arguments, options);
        const auto text = served.process().line();
        CHECK(served.stop() == 0);
        return text.substr(0, text.find(';'));
    };
    const auto file = directory / "config";
    CHECK(workers({"--config", file, "--workers", "2"}, "3") == "Serving with 2 workers");
    CHECK(workers({"--config", file}, "3") == "Serving with 3 workers");
    CHECK(workers({"--config", file}, nullptr) == "Serving with 4 workers");
    CHECK(workers({}, nullptr) == "Serving with 1 worker");
}

TEST_CASE("PORT and HOST in the environment say where to serve, and flags win over them", "[main]") {
    const auto url = [](std::vector<std::string> arguments, std::vector<std::pair<std::string, std::string>> environment) {
        arguments.insert(arguments.begin(), checkedApp("hello"));
        ProcessOptions options;
        options.environment = std::move(environment);
        Process process(arguments, options);
        return process.line();
    };
    CHECK(url({}, {{"PORT", "0"}}).starts_with("http://127.0.0.1:"));
    CHECK(url({}, {{"PORT", "0"}, {"HOST", "127.0.0.2"}}).starts_with("http://127.0.0.2:"));
    CHECK(url({"--host", "127.0.0.3"}, {{"PORT", "0"}, {"HOST", "127.0.0.2"}}).starts_with("http://127.0.0.3:"));
    CHECK(url({"-p", "0"}, {{"PORT", "1"}}).starts_with("http://127.0.0.1:"));
    CHECK(url({"--port=0"}, {}).starts_with("http://127.0.0.1:"));
    CHECK(hello({}, {{"PORT", "high"}}).code == 2);
}

TEST_CASE("the banner tells which options differ from the defaults", "[main]") {
    Served served(checkedApp("hello"), {"--max-body", "1m", "--dev"});
    served.process().waitForOutput("Set:");
    const auto said = served.process().output();
    const auto set = said.substr(said.find("Set:"));
    CHECK(contains(set, "--max-body"));
    CHECK(contains(set, "--dev"));
    CHECK(!contains(set, "--max-message"));
}

TEST_CASE("limits given on the command line hold, on both sides", "[main]") {
    Served served(checkedApp("form"), {"--max-body", "100", "--max-target", "60", "--max-fields", "5", "--max-parameters", "3"});
    const auto status = [&](const std::string& request) {
        BlockingClient client(served.port());
        client.send(request);
        return client.reply().status;
    };
    const auto post = [&](size_t size) {
        return status("POST /show HTTP/1.1\r\nHost: h\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: " +
                      std::to_string(size) + "\r\n\r\n" + std::string(size, 'a'));
    };
    CHECK(post(100) == 200);
    CHECK(post(101) == 413);
    const auto get = [&](const std::string& target, int extra = 0) {
        std::string text = "GET " + target + " HTTP/1.1\r\nHost: h\r\n";
        for (int i = 0; i < extra; ++i) text += "X: y\r\n";
        return status(text + "\r\n");
    };
    CHECK(get("/?" + std::string(58, 'a')) == 200);
    CHECK(get("/?" + std::string(59, 'a')) == 414);
    CHECK(get("/", 4) == 200);
    CHECK(get("/", 5) == 431);
    CHECK(get("/?a&b&c") == 200);
    CHECK(get("/?a&b&c&d") == 413);
    CHECK(served.stop() == 0);
}
