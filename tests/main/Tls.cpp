// The programs by https and wss, with clients of others: curl, openssl s_client and python3-websockets.

#include "postern/main/ListenSpec.h"
#include "support/BlockingClient.h"
#include "support/Catch.h"
#include "support/Certificates.h"
#include "support/Process.h"
#include "support/TestServer.h"

#include <signal.h>

#include <filesystem>

using namespace postern;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

void copyOver(const std::string& from, const std::string& to) {
    std::filesystem::copy_file(from, to, std::filesystem::copy_options::overwrite_existing);
}

// A program of ours that serves https on a free port, with a certificate whose files a test may exchange.
class Secure {
public:
    explicit Secure(const std::string& name = "echo", std::vector<std::string> more = {})
        : served_(checkedApp(name), arguments(std::move(more))), url_(served_.process().line()) {
        if (!url_.starts_with("https://127.0.0.1:")) throw std::runtime_error("no address for https: " + url_);
        port_ = static_cast<uint16_t>(std::stoi(url_.substr(url_.rfind(':') + 1)));
    }

    const std::string& url() const { return url_; }
    uint16_t port() const { return port_; }
    std::string place() const { return url_.substr(8); }
    Process& process() { return served_.process(); }
    int stop() { return served_.stop(); }
    Authority& authority() { return authority_; }
    void use(const TlsCertificate& certificate) {
        copyOver(certificate.certificateFile, certificateFile_);
        copyOver(certificate.keyFile, keyFile_);
    }
    const std::string& certificateFile() const { return certificateFile_; }

private:
    std::vector<std::string> arguments(std::vector<std::string> more) {
        use(authority_.issue({"127.0.0.1", {"IP:127.0.0.1", "DNS:a.example"}}));
        std::vector<std::string> all{"--listen", "https://127.0.0.1:0", "--tls-cert", certificateFile_, "--tls-key", keyFile_};
        all.insert(all.end(), more.begin(), more.end());
        return all;
    }

    Authority authority_;
    TemporaryDirectory directory_;
    const std::string certificateFile_ = directory_ / "cert.pem", keyFile_ = directory_ / "key.pem";
    Served served_;
    std::string url_;
    uint16_t port_ = 0;
};

// The same in a thread, for handlers of the test's own.
class SecureTestServer {
public:
    explicit SecureTestServer(Handler handler, HttpSettings settings = {}, ClientCertificates mode = ClientCertificates::none)
        : server_(std::move(handler), secured(std::move(settings), mode)) {}

    std::string url(const std::string& path = "/") const { return "https://" + server_.host() + path; }
    TestServer& server() { return server_; }
    Authority& authority() { return authority_; }
    Authority& staff() { return staff_; }
    /// curl with these arguments, which trusts the server.
    Finished curl(std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), {"curl", "-sS", "--noproxy", "*", "--max-time", "30", "--cacert", authority_.file()});
        return runToEnd(arguments);
    }

private:
    HttpSettings secured(HttpSettings settings, ClientCertificates mode) {
        TlsServerOptions options;
        options.certificates.push_back(authority_.issue({"127.0.0.1", {"IP:127.0.0.1"}}));
        options.clientCertificates = mode;
        if (mode != ClientCertificates::none) options.clientCaFile = staff_.file();
        settings.tls = std::make_shared<TlsSource>(std::make_shared<TlsServerContext>(options));
        settings.scheme = "https";
        return settings;
    }

    Authority authority_, staff_{"Staff CA"};
    TestServer server_;
};

Finished curl(const Authority& authority, std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), {"curl", "-sS", "--noproxy", "*", "--max-time", "30", "--cacert", authority.file()});
    return runToEnd(arguments);
}

std::vector<std::string> sClient(const std::string& place, std::vector<std::string> more) {
    more.insert(more.begin(), {"openssl", "s_client", "-connect", place});
    return more;
}

std::string pattern(size_t size) {
    std::string text(size, ' ');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 257);
    return text;
}

ProcessOptions trusting(const Authority& authority) {
    ProcessOptions options;
    options.environment = {{"SSL_CERT_FILE", authority.file()}};
    return options;
}

// python3-websockets: sizes, then one message for each line of input.
constexpr const char* webSocketClient = R"(
import asyncio, os, ssl, sys, websockets

async def main():
    trust = ssl.create_default_context(cafile=os.environ['SSL_CERT_FILE'])
    async with websockets.connect(sys.argv[1], ssl=trust, max_size=None, compression=None) as socket:
        for size in (0, 1, 125, 126, 65535, 65536, 1000000):
            data = os.urandom(size)
            await socket.send(data)
            assert await socket.recv() == data, size
        print('open', flush=True)
        loop = asyncio.get_running_loop()
        while line := await loop.run_in_executor(None, sys.stdin.readline):
            await socket.send(line.strip())
            print(await socket.recv(), flush=True)
    print('closed', socket.close_code, flush=True)

asyncio.run(main())
)";

}

TEST_CASE("https: curl gets a page, and nothing if it does not trust the certificate", "[main][tls]") {
    Secure secure("hello");
    const auto page = curl(secure.authority(), {secure.url()});
    CHECK(page.output == "Hello, world!\n");
    const Authority other("Other CA");
    const auto refused = curl(other, {secure.url()});
    CHECK(refused.code == 60);
    CHECK(refused.output.empty());
    secure.process().waitForErrors("TLS handshake with 127.0.0.1 failed: the peer says: ");
    CHECK(secure.stop() == 0);
}

TEST_CASE("https: 20 MB come up and go down whole", "[main][tls]") {
    const auto data = pattern(20'000'000);
    SecureTestServer server([&](Cgi& cgi) {
        if (cgi.requestMethod() == "GET") return cgi.write(data, true);
        if (cgi.requestMethod() == "POST") {
            cgi.setMaxBody(30'000'000);
            return cgi.write(cgi.postBody() == data ? "equal" : "different", true);
        }
        for (size_t at = 0; at < data.size(); at += 10'000) cgi.write(std::string_view(data).substr(at, 10'000));
    });
    const TemporaryDirectory directory;
    writeFile(directory / "data", data);
    for (const char* version : {"--tlsv1.3", "--tls-max"}) {
        const std::vector<std::string> speaking = version == std::string("--tls-max") ? std::vector<std::string>{"--tls-max", "1.2"}
                                                                                      : std::vector<std::string>{version};
        CAPTURE(version);
        auto down = speaking, up = speaking, pieces = speaking;
        down.insert(down.end(), {server.url(), "-o", directory / "down"});
        CHECK(server.curl(down).code == 0);
        CHECK(readFile(directory / "down") == data);
        pieces.insert(pieces.end(), {"-X", "PUT", server.url(), "-o", directory / "pieces"});
        CHECK(server.curl(pieces).code == 0);
        CHECK(readFile(directory / "pieces") == data);
        up.insert(up.end(), {"--data-binary", "@" + (directory / "data"), server.url()});
        CHECK(server.curl(up).output == "equal");
    }
}

TEST_CASE("https: a connection is kept for the next request, and requests may be pipelined", "[main][tls]") {
    Secure secure("hello");
    const auto both = curl(secure.authority(), {"-w", "%{num_connects},", secure.url(), secure.url()});
    CHECK(both.output == "Hello, world!\n1,Hello, world!\n0,");

    const std::string request = "GET / HTTP/1.1\r\nHost: a.example\r\n";
    const auto piped = runToEnd(sClient(secure.place(), {"-quiet"}), {}, request + "\r\n" + request + "\r\n" + request + "Connection: close\r\n\r\n");
    size_t replies = 0;
    for (size_t at = 0; (at = piped.output.find("Hello, world!", at)) != std::string::npos; ++at) ++replies;
    CHECK(replies == 3);
    CHECK(secure.stop() == 0);
}

TEST_CASE("https: openssl s_client gets TLS 1.2 and 1.3, nothing older, http/1.1 and no new handshake", "[main][tls]") {
    Secure secure("hello");
    CHECK(contains(runToEnd(sClient(secure.place(), {"-tls1_2"})).output, "Protocol  : TLSv1.2"));
    const auto current = runToEnd(sClient(secure.place(), {"-alpn", "h2,http/1.1"})).output;
    CHECK(contains(current, "New, TLSv1.3"));
    CHECK(contains(current, "ALPN protocol: http/1.1"));
    CHECK(contains(current, "No ALPN negotiated") == false);
    CHECK(contains(runToEnd(sClient(secure.place(), {"-tls1_1", "-cipher", "DEFAULT@SECLEVEL=0"})).errors, "alert protocol version"));
    CHECK(contains(runToEnd(sClient(secure.place(), {"-alpn", "h2"})).errors, "alert no application protocol"));

    Process renegotiating(sClient(secure.place(), {"-tls1_2"}));
    renegotiating.waitForOutput("---");
    renegotiating.write("R\n");
    renegotiating.waitForErrors("no renegotiation");
    CHECK(secure.stop() == 0);
}

TEST_CASE("https: a handler sees https and the client's certificate", "[main][tls]") {
    const auto show = [](Cgi& cgi) {
        const auto variables = cgi.environment();
        cgi.write(std::string(cgi.https() ? "https " : "http ") + std::string(variables["HTTPS"]) + " " +
                      std::string(variables["SSL_CLIENT_VERIFY"]) + " " + std::string(variables["SSL_CLIENT_S_DN"]),
                  true);
    };
    SecureTestServer plain(show), asking(show, {}, ClientCertificates::optional), strict(show, {}, ClientCertificates::required);
    CHECK(plain.curl({plain.url()}).output == "https on  ");
    CHECK(asking.curl({asking.url()}).output == "https on NONE ");
    const auto ann = asking.staff().issue({"ann", {}}), bob = strict.staff().issue({"bob", {}});
    CHECK(asking.curl({"--cert", ann.certificateFile, "--key", ann.keyFile, asking.url()}).output == "https on SUCCESS CN=ann");
    CHECK(strict.curl({"--cert", bob.certificateFile, "--key", bob.keyFile, strict.url()}).output == "https on SUCCESS CN=bob");
    CHECK(strict.curl({strict.url()}).code != 0);
    CHECK(strict.server().log().wait("TLS handshake with 127.0.0.1 failed: peer did not return a certificate"));
    CHECK(strict.curl({"--cert", ann.certificateFile, "--key", ann.keyFile, strict.url()}).code != 0);
    CHECK(strict.server().log().wait("failed: certificate verify failed: "));
}

TEST_CASE("https: of several certificates the host name chooses", "[main][tls]") {
    Authority authority;
    const auto a = authority.issue({"a", {"DNS:a.example"}}), b = authority.issue({"b", {"DNS:*.b.example"}});
    Served served(checkedApp("hello"), {"--listen", "https://127.0.0.1:0", "--tls-cert", a.certificateFile, "--tls-key", a.keyFile,
                                        "--tls-cert", b.certificateFile, "--tls-key", b.keyFile});
    const auto url = served.process().line();
    const auto port = url.substr(url.rfind(':') + 1);
    for (const std::string host : {"a.example", "x.b.example"})
        CHECK(curl(authority, {"--resolve", host + ":" + port + ":127.0.0.1", "https://" + host + ":" + port}).output == "Hello, world!\n");
    CHECK(curl(authority, {"--resolve", "c.example:" + port + ":127.0.0.1", "https://c.example:" + port}).code == 60);
    CHECK(served.stop() == 0);
}

TEST_CASE("https: it is served on Unix sockets and inherited ones, too", "[main][tls]") {
    Authority authority;
    const TemporaryDirectory directory;
    const auto a = authority.issue({"a", {"DNS:a.example"}});
    const auto path = directory / "app.sock";
    Served served(checkedApp("hello"), {"--listen", "https+unix:" + path, "--tls-cert", a.certificateFile, "--tls-key", a.keyFile});
    CHECK(served.process().line() == "https+unix:" + path);
    CHECK(curl(authority, {"--unix-socket", path, "https://a.example/"}).output == "Hello, world!\n");
    CHECK(served.stop() == 0);

    std::string why;
    for (const char* text : {"https://127.0.0.1:0", "https+unix:/x", "https+fd:3", "https://[::1]:443?websocket=no"}) {
        const auto spec = ListenSpec::parse(text, why);
        REQUIRE(spec);
        CHECK(spec->tls);
        CHECK(!spec->protocol);
    }
    CHECK(!ListenSpec::parse("http://127.0.0.1:0", why)->tls);
    CHECK(!ListenSpec::parse("https://127.0.0.1", why));
    CHECK(why == "'https://127.0.0.1': the port is missing: https://HOST:PORT");
}

TEST_CASE("wss: python3-websockets talks to the echo and closes in good order", "[main][tls]") {
    Secure secure;
    Process client({requiredVariable("POSTERN_PYTHON"), "-c", webSocketClient, "wss://" + secure.place() + "/echo"}, trusting(secure.authority()));
    CHECK(client.line() == "open");
    client.write("one\n");
    CHECK(client.line() == "one");
    client.closeInput();
    CHECK(client.line() == "closed 1000");
    CHECK(client.wait() == 0);
    CHECK(secure.stop() == 0);
}

TEST_CASE("HUP reads the certificates anew and cuts no connection; bad files change nothing", "[main][tls]") {
    Secure secure("echo", {"--workers", "2"});
    Authority next("Next CA");
    Process webSocket({requiredVariable("POSTERN_PYTHON"), "-c", webSocketClient, "wss://" + secure.place() + "/echo"},
                      trusting(secure.authority()));
    CHECK(webSocket.line() == "open");
    Process keptAlive(sClient(secure.place(), {"-quiet"}));
    keptAlive.write("GET /nowhere HTTP/1.1\r\nHost: a.example\r\n\r\n");
    keptAlive.waitForOutput("404 Not Found");

    secure.use(next.issue({"127.0.0.1", {"IP:127.0.0.1"}}));
    secure.process().signal(SIGHUP);
    secure.process().waitForErrors("read the TLS certificates anew");
    CHECK(curl(next, {secure.url()}).code == 0);
    CHECK(curl(secure.authority(), {secure.url()}).code == 60);
    webSocket.write("still here\n");
    CHECK(webSocket.line() == "still here");
    keptAlive.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    keptAlive.waitForOutput("<title>Postern echo</title>");

    writeFile(secure.certificateFile(), "no certificate\n");
    secure.process().signal(SIGHUP);
    secure.process().waitForErrors("the old TLS certificates stay in use: cannot use the certificate " + secure.certificateFile());
    CHECK(curl(next, {secure.url()}).code == 0);
    webSocket.write("and here\n");
    CHECK(webSocket.line() == "and here");
    webSocket.closeInput();
    CHECK(webSocket.wait() == 0);
    CHECK(secure.stop() == 0);
}

TEST_CASE("https: a client that does not finish its handshake is cut when the time is up, and the log says so", "[main][tls]") {
    Secure secure("hello", {"--tls-handshake-timeout", "500ms"});
    BlockingClient silent(secure.port()), slow(secure.port());
    slow.send("\x16\x03\x01\x02");
    CHECK_THROWS(silent.rest());  // a reset: the line is cut
    CHECK_THROWS(slow.rest());
    secure.process().waitForErrors("TLS handshake with 127.0.0.1 failed: not done in time");
    CHECK(curl(secure.authority(), {secure.url()}).output == "Hello, world!\n");
    CHECK(secure.stop() == 0);
}

TEST_CASE("https: handshakes under way count as connections, and make room for who comes", "[main][tls]") {
    HttpSettings settings;
    settings.maxConnections = 2;
    SecureTestServer server([](Cgi& cgi) { cgi.write("served", true); }, settings);
    RawClient first(server.server()), second(server.server());
    CHECK(server.curl({server.url()}).output == "served");
    CHECK(first.waitForEnd() == RawClient::End::closed);
    CHECK_FALSE(second.hasArrived());
}

TEST_CASE("https: who speaks http to its port is told so", "[main][tls]") {
    Secure secure("hello");
    const auto reply = BlockingClient(secure.port()).get("/");
    CHECK(reply.status == 400);
    CHECK(reply.body == "400 Bad Request: this port speaks https, you speak http.\n");
    secure.process().waitForErrors("TLS handshake with 127.0.0.1 failed: http request: the client speaks http to a port for https");
    CHECK(curl(secure.authority(), {secure.url()}).output == "Hello, world!\n");
    CHECK(secure.stop() == 0);
}

TEST_CASE("https: a trusted proxy's PROXY header comes before the handshake", "[main][tls]") {
    HttpSettings settings;
    settings.trustedProxies.push_back(*AddressRange::parse("127.0.0.1"));
    settings.proxyProtocol = true;
    SecureTestServer server([](Cgi& cgi) { cgi.write(cgi.remoteAddress(), true); }, settings);
    CHECK(server.curl({"--haproxy-protocol", server.url()}).output == "127.0.0.1");
    CHECK(server.curl({server.url()}).code != 0);
    CHECK(server.server().log().wait("with --proxy-protocol each --trusted-proxy sends a PROXY protocol header first"));
}

TEST_CASE("https: a server that stops says close_notify on idle connections", "[main][tls]") {
    Secure secure("hello");
    Process idle(sClient(secure.place(), {"-msg"}));
    idle.write("GET / HTTP/1.1\r\nHost: a.example\r\n\r\n");
    idle.waitForOutput("Hello, world!");
    CHECK(secure.stop() == 0);
    idle.waitForOutput("warning close_notify");
    CHECK(idle.wait() == 0);
}

TEST_CASE("TLS options that do not fit each other are told at the start", "[main][tls]") {
    Authority authority;
    const auto a = authority.issue({"a.example", {}}), b = authority.issue({"b.example", {}});
    const auto complaint = [](std::vector<std::string> arguments) {
        arguments.insert(arguments.begin(), checkedApp("hello"));
        const auto result = runToEnd(arguments);
        return std::to_string(result.code) + " " + result.errors;
    };
    const std::string https = "https://127.0.0.1:0";
    CHECK(contains(complaint({"--listen", https}), "2 hello: --listen: '" + https + "' needs a certificate: add --tls-cert FILE and --tls-key FILE"));
    CHECK(contains(complaint({"--port", "0", "--tls-cert", a.certificateFile}), "2 hello: --tls-cert: nothing uses it: serve by --listen https://HOST:PORT"));
    CHECK(contains(complaint({"--listen", https, "--tls-cert", a.certificateFile, "--tls-cert", b.certificateFile, "--tls-key", a.keyFile}),
                   "2 hello: --tls-key: one for each --tls-cert, in the same order"));
    const std::vector<std::string> right{"--check-config", "--listen", https, "--tls-cert", a.certificateFile, "--tls-key", a.keyFile};
    const auto with = [&](std::vector<std::string> more) {
        more.insert(more.begin(), right.begin(), right.end());
        return complaint(more);
    };
    CHECK(with({}) == "0 ");
    CHECK(contains(with({"--tls-client-ca", authority.file()}), "2 hello: --tls-client-ca: say by --tls-client-certificates whether"));
    CHECK(contains(with({"--tls-client-certificates", "required"}), "2 hello: --tls-client-certificates: say by --tls-client-ca FILE"));
    CHECK(with({"--tls-client-certificates", "required", "--tls-client-ca", authority.file()}) == "0 ");
    CHECK(contains(with({"--tls-cert", b.certificateFile, "--tls-key", a.keyFile}), "2 hello: --tls-cert: cannot use the key " + a.keyFile + ": key values mismatch"));
    const auto unreadable = complaint({"--listen", https, "--tls-cert", a.certificateFile, "--tls-key", "/nowhere"});
    CHECK(unreadable.starts_with("1 "));
    CHECK(contains(unreadable, "cannot use the key /nowhere: No such file or directory\n"));
    CHECK(contains(complaint({"--listen", https, "--tls-cert", a.certificateFile, "--print-config", "nginx"}), "2 hello: --print-config: "));
}
