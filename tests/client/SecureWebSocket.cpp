// connectWebSocket() by wss, to the built-in server.

#include "postern/client/ConnectWebSocket.h"
#include "postern/client/ReconnectingWebSocket.h"
#include "postern/client/Resolve.h"
#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "support/Catch.h"
#include "support/Certificates.h"
#include "support/LeftoverCheck.h"
#include "support/Process.h"
#include "support/WebSocketClient.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace postern;
using namespace std::chrono_literals;
using Catch::Matchers::Contains;

namespace {

// One for all tests: keys take a while.
struct World {
    Authority authority, staff{"Staff CA"}, strangers{"Strangers CA"};
    TlsCertificate address = authority.issue({"127.0.0.1", {"IP:127.0.0.1"}});
    TlsCertificate a = authority.issue({"a.example", {"DNS:a.example"}}), b = authority.issue({"b.example", {"DNS:b.example"}});
    TlsCertificate ann = staff.issue({"ann", {}}), stranger = strangers.issue({"ann", {}});
};

World& world() {
    static World it;
    return it;
}

// Says what the request's Host and the client's certificate are, then echoes.
void introduce(Cgi& cgi) {
    const auto variables = cgi.environment();
    const auto said = std::string(cgi.https() ? "wss " : "ws ") + std::string(variables["HTTP_HOST"]) + " " +
                      std::string(variables["SSL_CLIENT_S_DN"]);
    auto socket = cgi.acceptWebsocket();
    socket.send(said);
    while (auto message = socket.recv()) socket.send(message.textData());
}

class SecureServer {
public:
    explicit SecureServer(std::vector<TlsCertificate> certificates = {world().address}, ClientCertificates mode = ClientCertificates::none)
        : server_(introduce, settings(std::move(certificates), mode)) {}

    std::string place(const std::string& host = "127.0.0.1") const { return host + ":" + std::to_string(server_.port()); }
    LogLines& log() { return server_.log(); }

private:
    static HttpSettings settings(std::vector<TlsCertificate> certificates, ClientCertificates mode) {
        TlsServerOptions options;
        options.certificates = std::move(certificates);
        options.clientCertificates = mode;
        if (mode != ClientCertificates::none) options.clientCaFile = world().staff.file();
        HttpSettings settings;
        settings.tls = std::make_shared<TlsSource>(std::make_shared<TlsServerContext>(options));
        settings.scheme = "https";
        return settings;
    }

    TestServer server_;
};

ClientOptions trusting() {
    ClientOptions options;
    options.tls.caFile = world().authority.file();
    return options;
}

// What the server said first, or why there was no TLS with it. Every name leads to this machine.
std::string meet(const std::string& place, const ClientOptions& options) {
    std::string said;
    LoopOptions quiet;
    quiet.log = [](LogLevel, std::string_view) {};
    run(
        [&] {
            Loop::current().local<NameLookUp>().function = [](const std::string&) { return std::vector<std::string>{"127.0.0.1"}; };
            try {
                auto socket = connectWebSocket("wss://" + place + "/", options);
                said = socket.recv().toString();
            } catch (const TlsError& problem) {
                said = std::string("TlsError: ") + problem.what();
            }
        },
        quiet);
    return said;
}

}

TEST_CASE("wss: a server is talked to whose authority the client is told to trust", "[client][tls]") {
    const LeftoverCheck leftovers;
    {
        SecureServer server;
        run([&] {
            auto socket = connectWebSocket("wss://" + server.place() + "/", trusting());
            CHECK(socket.recv().toString() == "wss " + server.place() + " ");
            const std::string large(300'000, 'x');
            socket.send(large);
            CHECK(socket.recv().toString() == large);
            socket.close(1000, "bye");
            CHECK(socket.wasClean());
        });
    }
    CHECK(leftovers.find() == "");
}

TEST_CASE("wss: without a word about it the server's certificate is verified", "[client][tls]") {
    SecureServer server;
    CHECK_THAT(meet(server.place(), {}), Contains("TlsError: certificate verify failed: ") && Contains("nobody we trust is CN=Test CA"));
    ClientOptions wrong;
    wrong.tls.caFile = world().strangers.file();
    CHECK_THAT(meet(server.place(), wrong), Contains("TlsError: certificate verify failed: ") && Contains("nobody we trust is CN=Test CA"));
    ClientOptions careless;
    careless.tls.verify = false;
    CHECK(meet(server.place(), careless) == "wss " + server.place() + " ");
}

TEST_CASE("wss: the certificate is to be for the URL's host, or else for serverName", "[client][tls]") {
    SecureServer server({world().a, world().b});
    auto options = trusting();
    CHECK(meet(server.place("a.example"), options) == "wss " + server.place("a.example") + " ");
    CHECK(meet(server.place("b.example"), options) == "wss " + server.place("b.example") + " ");
    CHECK(meet(server.place("c.example"), options) == "TlsError: certificate verify failed: hostname mismatch: the certificate is for a.example");
    CHECK(meet(server.place(), options) == "TlsError: certificate verify failed: IP address mismatch: the certificate is for a.example");
    // It is asked for, too: a server gives its first certificate to whoever asks for none.
    options.tls.serverName = "b.example";
    CHECK(meet(server.place("a.example"), options) == "wss " + server.place("a.example") + " ");
    CHECK(meet(server.place(), options) == "wss " + server.place() + " ");
    options.tls.serverName = "c.example";
    CHECK(meet(server.place("a.example"), options) == "TlsError: certificate verify failed: hostname mismatch: the certificate is for a.example");
}

TEST_CASE("wss: a server that wants a certificate gets it, and refuses a client without a good one", "[client][tls]") {
    SecureServer strict({world().address}, ClientCertificates::required), asking({world().address}, ClientCertificates::optional);
    auto known = trusting(), stranger = trusting();
    known.tls.clientCertificate = world().ann;
    stranger.tls.clientCertificate = world().stranger;
    CHECK(meet(strict.place(), known) == "wss " + strict.place() + " CN=ann");
    CHECK(meet(asking.place(), known) == "wss " + asking.place() + " CN=ann");
    CHECK(meet(asking.place(), trusting()) == "wss " + asking.place() + " ");
    CHECK_THAT(meet(strict.place(), trusting()), Contains("TlsError: ") && Contains("certificate required"));
    CHECK(strict.log().wait("failed: peer did not return a certificate"));
    CHECK_THAT(meet(strict.place(), stranger), Contains("TlsError: ") && Contains("unknown ca"));
    CHECK_THAT(meet(asking.place(), stranger), Contains("TlsError: ") && Contains("unknown ca"));
}

TEST_CASE("wss: files that cannot be used and servers without TLS are told as such", "[client][tls]") {
    SecureServer server;
    auto options = trusting();
    options.tls.clientCertificate = {"/nowhere/cert.pem", {}};
    CHECK(meet(server.place(), options) == "TlsError: cannot use the certificate /nowhere/cert.pem: No such file or directory");
    options = trusting();
    options.tls.caFile = world().ann.keyFile;
    CHECK_THAT(meet(server.place(), options), Contains("TlsError: cannot use the CA file " + world().ann.keyFile));
    TestServer plain(introduce);
    CHECK_THAT(meet(plain.host(), trusting()), Contains("TlsError: TLS handshake failed: "));
}

TEST_CASE("wss: the time-out counts while the files of TLS are read", "[client][tls]") {
    const LeftoverCheck leftovers;
    {
        SecureServer server;
        TemporaryDirectory directory;
        auto options = trusting();
        options.timeout = 50ms;
        options.tls.caFile = directory / "slow.pem";
        REQUIRE(::mkfifo(options.tls.caFile.c_str(), 0600) == 0);
        run([&] {
            bool released = false;
            // Whoever reads goes on, and finds nothing.
            const auto release = [&] {
                const int fd = ::open(options.tls.caFile.c_str(), O_WRONLY | O_NONBLOCK | O_CLOEXEC);
                if (fd < 0) return false;
                ::close(fd);
                return released = true;
            };
            FiberGroup patience;
            patience.spawn([&] {
                sleepFor(5s);
                release();
            });
            CHECK_THROWS_AS(connectWebSocket("wss://" + server.place() + "/", options), TimedOut);
            CHECK_FALSE(released);
            while (!released && !release()) yield();
        });
    }
    CHECK(leftovers.find() == "");
}
