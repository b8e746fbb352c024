#include "postern/io/TlsStream.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/io/Linger.h"
#include "postern/io/Pipe.h"
#include "support/Catch.h"
#include "support/Certificates.h"
#include "support/LeftoverCheck.h"

#include <openssl/err.h>
#include <openssl/ssl.h>

#include <functional>
#include <optional>
#include <string>

using namespace postern;
using namespace std::chrono_literals;

namespace {

using Stream = std::unique_ptr<ByteStream>;

// One authority for all tests: keys take a while.
struct World {
    Authority authority;
    TlsCertificate a = authority.issue({"a.example", {"DNS:a.example"}});
    std::shared_ptr<const TlsServerContext> server = context({});
    TlsClientOptions trusting = trust();

    std::shared_ptr<const TlsServerContext> context(TlsServerOptions options) const {
        if (options.certificates.empty()) options.certificates.push_back(a);
        return std::make_shared<TlsServerContext>(options);
    }
    TlsClientOptions trust() const {
        TlsClientOptions options;
        options.caFile = authority.file();
        return options;
    }
};

World& world() {
    static World it;
    return it;
}

Deadline soon() { return Loop::current().in(20s); }

// Runs on a fiber, with the log lines kept; nothing may be left.
void onLoop(const std::function<void(std::vector<std::string>& log)>& test) {
    world();
    std::vector<std::string> log;
    LoopOptions options;
    options.log = [&log](LogLevel, std::string_view line) { log.emplace_back(line); };
    run([&] { test(log); }, options);
}

std::pair<Stream, Stream> connected(size_t capacity = 64 * 1024, std::shared_ptr<const TlsServerContext> context = world().server,
                                    const TlsClientOptions& options = world().trusting, const std::string& host = "a.example") {
    auto [ours, theirs] = Pipe::make(Loop::current(), capacity);
    auto server = TlsStream::accept(std::move(ours), std::move(context), 20s);
    auto client = TlsStream::connect(std::move(theirs), host, options, soon());
    return {std::move(server), std::move(client)};
}

// Why the client refuses the server, or is refused.
std::string refusal(std::shared_ptr<const TlsServerContext> context, const TlsClientOptions& options, const std::string& host) {
    try {
        connected(64 * 1024, std::move(context), options, host);
        return "";
    } catch (const TlsError& problem) {
        return problem.what();
    }
}

std::string take(ByteStream& stream, size_t size) {
    while (stream.unread().size() < size)
        if (!stream.receive(soon())) throw Disconnected("ended early");
    std::string text(stream.unreadText().substr(0, size));
    stream.consume(size);
    return text;
}

std::string pattern(size_t size) {
    std::string text(size, ' ');
    for (size_t i = 0; i < size; ++i) text[i] = static_cast<char>(i * 31 + i / 257);
    return text;
}

void transfer(ByteStream& from, const std::string& text) {
    for (size_t at = 0, i = 0; at < text.size(); ++i) {
        const auto piece = std::string_view(text).substr(at, i * 977 % 70'000 + 1);
        from.write(piece);
        at += piece.size();
    }
    from.flush(soon());
}

// OpenSSL as anybody else uses it: a client of ours that is not made by us.
class Foreign {
public:
    explicit Foreign(ByteStream& wire, const std::function<void(SSL_CTX*)>& prepare = {}, SSL_SESSION* session = nullptr)
        : wire_(wire), context_(SSL_CTX_new(TLS_client_method())) {
        SSL_CTX_set_security_level(context_, 0);
        SSL_CTX_set_min_proto_version(context_, TLS1_VERSION);
        if (prepare) prepare(context_);
        ssl_ = SSL_new(context_);
        in_ = BIO_new(BIO_s_mem());
        out_ = BIO_new(BIO_s_mem());
        SSL_set_bio(ssl_, in_, out_);
        SSL_set_connect_state(ssl_);
        if (session) SSL_set_session(ssl_, session);
    }
    ~Foreign() {
        SSL_set_shutdown(ssl_, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);  // its session stays good
        SSL_free(ssl_);
        SSL_CTX_free(context_);
    }
    Foreign(const Foreign&) = delete;

    SSL* ssl() { return ssl_; }
    std::string pending() {
        char* data = nullptr;
        const auto size = BIO_get_mem_data(out_, &data);
        std::string text(data, static_cast<size_t>(size));
        BIO_reset(out_);
        return text;
    }
    // Empty: it went well.
    std::string handshake() {
        return until([&] { return SSL_do_handshake(ssl_); });
    }
    std::string write(std::string_view text) {
        return until([&] { return SSL_write(ssl_, text.data(), static_cast<int>(text.size())); });
    }
    std::string read(std::string& text) {
        char bytes[20'000];
        int size = 0;
        const auto problem = until([&] { return size = SSL_read(ssl_, bytes, sizeof bytes); });
        if (problem.empty()) text.append(bytes, static_cast<size_t>(size));
        return problem;
    }

private:
    std::string until(const std::function<int()>& step) {
        for (;;) {
            ERR_clear_error();
            const int result = step();
            const auto out = pending();
            if (!out.empty()) wire_.queue({std::string_view(out)});
            if (result > 0) return "";
            if (SSL_get_error(ssl_, result) != SSL_ERROR_WANT_READ) {
                const char* reason = ERR_reason_error_string(ERR_peek_error());
                return reason ? reason : "closed";
            }
            if (wire_.unread().empty() && !wire_.receive(soon())) return "ended";
            BIO_write(in_, wire_.unread().data(), static_cast<int>(wire_.unread().size()));
            wire_.consume(wire_.unread().size());
        }
    }

    ByteStream& wire_;
    SSL_CTX* context_;
    SSL* ssl_ = nullptr;
    BIO *in_ = nullptr, *out_ = nullptr;
};

struct ForeignTalk {
    Stream wire, server;
    explicit ForeignTalk(std::shared_ptr<const TlsServerContext> context = world().server) {
        auto [ours, theirs] = Pipe::make(Loop::current());
        server = TlsStream::accept(std::move(ours), std::move(context), 20s);
        wire = std::move(theirs);
    }
};

std::function<void(SSL_CTX*)> version(int number) {
    return [number](SSL_CTX* context) { SSL_CTX_set_max_proto_version(context, number); };
}

// How a server's stream ends when nothing is read from it.
int howItEnds(ByteStream& stream) {
    try {
        while (stream.receive(soon())) stream.consume(stream.unread().size());
        return 0;
    } catch (const Disconnected&) {
        return stream.error();
    }
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}

TEST_CASE("TLS: handshake and talk work however the line cuts the bytes", "[io][tls]") {
    const LeftoverCheck leftovers;
    for (const size_t capacity : {1u, 2u, 3u, 4u, 5u, 6u, 7u, 8u, 16u, 31u, 1000u, 65536u}) {
        CAPTURE(capacity);
        onLoop([&](auto& log) {
            auto [server, client] = connected(capacity);
            client->write("question");
            CHECK(take(*server, 8) == "question");
            server->write({"answer", "!"});
            CHECK(take(*client, 7) == "answer!");
            CHECK(log.empty());
        });
    }
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: a handshake that is cut at any byte breaks the stream and is told once", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        std::string hello;
        {
            auto [a, b] = Pipe::make(Loop::current());
            Foreign client(*a);
            SSL_do_handshake(client.ssl());
            hello = client.pending();
        }
        for (size_t size = 0; size <= hello.size(); ++size) {
            CAPTURE(size);
            log.clear();
            ForeignTalk talk;
            if (size > 0) talk.wire->write(std::string_view(hello).substr(0, size));
            talk.wire->finishSending();
            CHECK(howItEnds(*talk.server) != 0);
            // Nobody wants to read of everyone who looks whether a port is open.
            CHECK(log.size() == (size == 0 ? 0 : 1));
            if (size > 0) CHECK(contains(log.at(0), "TLS handshake failed: the client closed the connection"));
        }
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: megabytes go both ways at once, on a narrow line too", "[io][tls]") {
    const LeftoverCheck leftovers;
    for (const size_t capacity : {700u, 65536u}) {
        CAPTURE(capacity);
        onLoop([&](auto&) {
            const auto there = pattern(1'500'000), back = pattern(1'234'567);
            auto [server, client] = connected(capacity);
            FiberGroup group;
            group.spawn([&, &c = *client] { transfer(c, there); });
            group.spawn([&, &s = *server] { transfer(s, back); });
            group.spawn([&, &c = *client] {
                std::string got;
                while (got.size() < back.size()) got += take(c, 1 + (back.size() - got.size()) / 7 % 50'000);
                CHECK(got == back);
            });
            std::string got;
            while (got.size() < there.size()) got += take(*server, 1 + (there.size() - got.size()) / 5 % 50'000);
            CHECK(got == there);
            group.wait();
        });
    }
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: close_notify is an end in good order, and the other way stays open", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        auto [server, client] = connected();
        client->write("last words");
        client->finishSending();
        CHECK(take(*server, 10) == "last words");
        CHECK_FALSE(server->receive(soon()));
        CHECK(server->ended());
        CHECK_FALSE(server->broken());
        server->write("an answer nevertheless");
        CHECK(take(*client, 22) == "an answer nevertheless");
        server->finishSending();
        CHECK_FALSE(client->receive(soon()));
        CHECK(client->isSendingFinished());
        CHECK(log.empty());
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: an end without close_notify is a truncation, but what was written before still arrives", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        ForeignTalk talk;
        Foreign client(*talk.wire);
        REQUIRE(client.handshake() == "");
        REQUIRE(client.write("half a body") == "");
        talk.wire->finishSending();
        CHECK(take(*talk.server, 11) == "half a body");
        talk.server->queue({"too late, but here"});
        CHECK_THROWS_AS(talk.server->receive(soon()), Disconnected);
        CHECK(talk.server->error() == ECONNRESET);
        std::string got;
        CHECK(client.read(got) == "");
        CHECK(got == "too late, but here");
        CHECK(log.empty());
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: a certificate that is not good for this host is refused with the reason", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        auto& w = world();
        const auto with = [&](const TlsCertificate& certificate) { return w.context({{certificate}, {}, {}}); };
        Authority other("Other CA");

        CHECK(refusal(w.server, w.trusting, "a.example") == "");
        CHECK(refusal(w.server, w.trusting, "A.Example") == "");
        CHECK(refusal(w.server, w.trusting, "b.example") ==
              "certificate verify failed: hostname mismatch: the certificate is for a.example");
        CHECK(refusal(w.server, w.trusting, "sub.a.example") ==
              "certificate verify failed: hostname mismatch: the certificate is for a.example");
        CHECK(refusal(w.server, w.trusting, "127.0.0.1") ==
              "certificate verify failed: IP address mismatch: the certificate is for a.example");
        CHECK(refusal(with(w.authority.issue({"n", {"IP:127.0.0.1", "IP:::1", "DNS:n.example"}})), w.trusting, "127.0.0.1") == "");
        CHECK(refusal(with(w.authority.issue({"n", {"IP:127.0.0.1", "IP:::1", "DNS:n.example"}})), w.trusting, "::1") == "");
        CHECK(contains(refusal(with(w.authority.issue({"n", {"IP:127.0.0.1", "DNS:n.example"}})), w.trusting, "127.0.0.2"),
                       "the certificate is for 127.0.0.1, n.example"));
        CHECK(refusal(with(w.authority.issue({"w", {"DNS:*.w.example"}})), w.trusting, "x.w.example") == "");
        CHECK(contains(refusal(with(w.authority.issue({"w", {"DNS:*.w.example"}})), w.trusting, "y.x.w.example"), "hostname mismatch"));
        CHECK(contains(refusal(with(w.authority.issue({"w", {"DNS:*.w.example"}})), w.trusting, "w.example"), "hostname mismatch"));

        CHECK(contains(refusal(with(other.issue({"a.example", {"DNS:a.example"}})), w.trusting, "a.example"),
                       "certificate verify failed: unable to get local issuer certificate: nobody we trust is CN=Other CA"));
        CHECK(contains(refusal(with(w.authority.selfSigned({"a.example", {"DNS:a.example"}})), w.trusting, "a.example"),
                       "certificate verify failed: self-signed certificate"));
        CHECK(contains(refusal(with(w.authority.issue({"a.example", {"DNS:a.example"}, -48h, -24h})), w.trusting, "a.example"),
                       "certificate verify failed: certificate has expired: on 20"));
        CHECK(contains(refusal(with(w.authority.issue({"a.example", {"DNS:a.example"}, 24h, 48h})), w.trusting, "a.example"),
                       "certificate verify failed: certificate is not yet valid: before 20"));
        CHECK(contains(refusal(w.server, {}, "a.example"), "certificate verify failed"));  // the system does not trust our CA

        TlsClientOptions careless;
        careless.verify = false;
        CHECK(refusal(with(w.authority.selfSigned({"x", {}, -48h, -24h})), careless, "a.example") == "");
        auto named = w.trusting;
        named.serverName = "a.example";
        CHECK(refusal(w.server, named, "127.0.0.1") == "");
        // The server hears what its client thinks of it.
        log.clear();
        refusal(with(other.issue({"a.example", {"DNS:a.example"}})), w.trusting, "a.example");
        for (int i = 0; i < 100 && log.empty(); ++i) yield();
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: a server hears why its client went away", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        auto [ours, theirs] = Pipe::make(Loop::current());
        const auto server = TlsStream::accept(std::move(ours), world().server, 20s, "192.0.2.7");
        CHECK_THROWS_AS(TlsStream::connect(std::move(theirs), "elsewhere.example", world().trusting, soon()), TlsError);
        CHECK(howItEnds(*server) != 0);
        REQUIRE(log.size() == 1);
        CHECK(contains(log[0], "TLS handshake with 192.0.2.7 failed: the peer says: "));
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: a host that a client names gets its certificate, an exact name before a wildcard, else the first", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto&) {
        auto& w = world();
        const auto context = w.context({{w.a, w.authority.issue({"wild", {"DNS:*.b.example"}}),
                                         w.authority.issue({"exact", {"DNS:www.b.example", "DNS:c.example"}}),
                                         w.authority.issue({"only.common.example", {}})},
                                        {}, {}});
        const auto nameFor = [&](const char* host) {
            ForeignTalk talk(context);
            Foreign client(*talk.wire);
            if (host) SSL_set_tlsext_host_name(client.ssl(), host);
            REQUIRE(client.handshake() == "");
            char name[100] = "";
            X509_NAME_get_text_by_NID(X509_get_subject_name(SSL_get0_peer_certificate(client.ssl())), NID_commonName, name, sizeof name);
            return std::string(name);
        };
        CHECK(nameFor("a.example") == "a.example");
        CHECK(nameFor("x.b.example") == "wild");
        CHECK(nameFor("www.b.example") == "exact");
        CHECK(nameFor("WWW.B.Example") == "exact");
        CHECK(nameFor("c.example") == "exact");
        CHECK(nameFor("only.common.example") == "only.common.example");
        CHECK(nameFor("unknown.example") == "a.example");
        CHECK(nameFor("b.example") == "a.example");
        CHECK(nameFor(nullptr) == "a.example");
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: versions 1.2 and 1.3 are spoken and older ones refused", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        for (const int number : {TLS1_2_VERSION, TLS1_3_VERSION}) {
            ForeignTalk talk;
            Foreign client(*talk.wire, version(number));
            CHECK(client.handshake() == "");
            CHECK(SSL_version(client.ssl()) == number);
            CHECK(SSL_get_current_compression(client.ssl()) == nullptr);
            CHECK(client.write("hello") == "");
            CHECK(take(*talk.server, 5) == "hello");
        }
        CHECK(log.empty());
        for (const int number : {TLS1_VERSION, TLS1_1_VERSION}) {
            log.clear();
            ForeignTalk talk;
            Foreign client(*talk.wire, [&](SSL_CTX* context) {
                SSL_CTX_set_max_proto_version(context, number);
                SSL_CTX_set_cipher_list(context, "ALL:@SECLEVEL=0");
            });
            CHECK(client.handshake() == "tlsv1 alert protocol version");
            talk.wire->finishSending();
            CHECK(howItEnds(*talk.server) != 0);
            REQUIRE(log.size() == 1);
            CHECK(contains(log[0], "TLS handshake failed: unsupported protocol"));
        }
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: without forward secrecy or authenticated encryption there is no connection", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto&) {
        for (const char* weak : {"AES128-GCM-SHA256", "ECDHE-ECDSA-AES128-SHA256", "ECDHE-ECDSA-AES256-SHA"}) {
            CAPTURE(weak);
            ForeignTalk talk;
            Foreign client(*talk.wire, [&](SSL_CTX* context) {
                SSL_CTX_set_max_proto_version(context, TLS1_2_VERSION);
                REQUIRE(SSL_CTX_set_cipher_list(context, weak) == 1);
            });
            CHECK(contains(client.handshake(), "handshake failure"));
        }
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: a client that begins the handshake anew does not get one", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto&) {
        ForeignTalk talk;
        Foreign client(*talk.wire, version(TLS1_2_VERSION));
        REQUIRE(client.handshake() == "");
        REQUIRE(SSL_renegotiate(client.ssl()) == 1);
        FiberGroup group;
        group.spawn([&] { howItEnds(*talk.server); });
        CHECK(client.handshake() == "no renegotiation");
        talk.wire->finishSending();
        group.wait();
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: http/1.1 is chosen where it is offered, and an offer without it refused", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        const auto offering = [](std::string offer) {
            return [offer](SSL_CTX* context) {
                SSL_CTX_set_alpn_protos(context, reinterpret_cast<const unsigned char*>(offer.data()), static_cast<unsigned>(offer.size()));
            };
        };
        for (const char* offer : {"\x02h2\x08http/1.1", "\x08http/1.1", "\x08http/1.0\x08http/1.1\x02h2"}) {
            ForeignTalk talk;
            Foreign client(*talk.wire, offering(offer));
            CHECK(client.handshake() == "");
            const unsigned char* chosen = nullptr;
            unsigned size = 0;
            SSL_get0_alpn_selected(client.ssl(), &chosen, &size);
            CHECK(std::string(reinterpret_cast<const char*>(chosen), size) == "http/1.1");
        }
        CHECK(log.empty());
        for (const char* offer : {"\x02h2", "\x08http/1.0\x02h2", "\x07http/1."}) {
            log.clear();
            ForeignTalk talk;
            Foreign client(*talk.wire, offering(offer));
            CHECK(client.handshake() == "tlsv1 alert no application protocol");
            REQUIRE(log.size() == 1);
            CHECK(contains(log[0], "no application protocol"));
        }
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: clients are asked for certificates as the options say, and bad ones are refused", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        auto& w = world();
        Authority staff("Staff CA"), strangers("Strangers CA");
        const auto asking = [&](ClientCertificates mode) { return w.context({{}, staff.file(), mode}); };
        const auto ann = staff.issue({"ann", {}}), stranger = strangers.issue({"ann", {}}), late = staff.issue({"ann", {}, -48h, -24h});
        // "CN=…" of whom the server sees, "-" for nobody, "" if there is no connection.
        const auto seen = [&](ClientCertificates mode, const TlsCertificate& certificate) -> std::string {
            auto options = w.trusting;
            options.clientCertificate = certificate;
            log.clear();
            try {
                auto [server, client] = connected(64 * 1024, asking(mode), options);
                FiberGroup group;  // the client goes as soon as it hears that it is not wanted
                group.spawn([&, &c = client] {
                    c->write("x");
                    howItEnds(*c);
                    c.reset();
                });
                take(*server, 1);
                const auto& peer = dynamic_cast<TlsStream&>(*server).peer();
                if (mode == ClientCertificates::none) return peer ? "unexpected" : "-";
                return peer->verified ? peer->subject : "-";
            } catch (const Disconnected&) {
                return "";
            }
        };
        CHECK(seen(ClientCertificates::none, {}) == "-");
        CHECK(seen(ClientCertificates::none, ann) == "-");
        CHECK(seen(ClientCertificates::optional, {}) == "-");
        CHECK(seen(ClientCertificates::optional, ann) == "CN=ann");
        CHECK(seen(ClientCertificates::required, ann) == "CN=ann");
        CHECK(log.empty());
        for (const auto mode : {ClientCertificates::optional, ClientCertificates::required}) {
            CHECK(seen(mode, stranger) == "");
            CHECK(contains(log.at(0), "unable to get local issuer certificate: nobody we trust is CN=Strangers CA"));
            CHECK(seen(mode, late) == "");
            CHECK(contains(log.at(0), "certificate has expired"));
        }
        CHECK(seen(ClientCertificates::required, {}) == "");
        CHECK(contains(log.at(0), "peer did not return a certificate"));
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: files that are missing or wrong are named, with the reason", "[io][tls]") {
    auto& w = world();
    const TemporaryDirectory directory;
    const auto junk = directory / "junk.pem", both = directory / "both.pem";
    writeFile(junk, "no certificate\n");
    writeFile(both, readFile(w.a.certificateFile) + readFile(w.a.keyFile));
    const auto other = w.authority.issue({"b.example", {}});
    const auto complaint = [](const TlsServerOptions& options) -> std::string {
        try {
            const TlsServerContext context(options);
            return "";
        } catch (const std::invalid_argument& problem) {
            return problem.what();
        }
    };
    CHECK(complaint({}) == "TLS needs a certificate");
    CHECK(complaint({{w.a}, {}, {}}) == "");
    CHECK(complaint({{{both, ""}}, {}, {}}) == "");
    CHECK(complaint({{{directory / "none", w.a.keyFile}}, {}, {}}) ==
          "cannot use the certificate " + (directory / "none") + ": No such file or directory");
    CHECK(complaint({{{w.a.certificateFile, directory / "none"}}, {}, {}}) ==
          "cannot use the key " + (directory / "none") + ": No such file or directory");
    CHECK(complaint({{{junk, w.a.keyFile}}, {}, {}}) == "cannot use the certificate " + junk + ": no start line");
    CHECK(contains(complaint({{{w.a.certificateFile, junk}}, {}, {}}), "cannot use the key " + junk + ": "));
    CHECK(complaint({{{w.a.certificateFile, other.keyFile}}, {}, {}}) == "cannot use the key " + other.keyFile + ": key values mismatch");
    CHECK(contains(complaint({{w.a}, junk, ClientCertificates::optional}), "cannot use the CA file " + junk + ": "));
    CHECK(contains(complaint({{w.a}, {}, ClientCertificates::required}), "who signs them"));
    TlsClientOptions client;
    client.caFile = directory / "none";
    CHECK_THROWS_WITH(TlsClientContext(client), Catch::Contains("cannot use the CA file " + client.caFile));
    client = {};
    client.clientCertificate = {w.a.certificateFile, other.keyFile};
    CHECK_THROWS_AS(TlsClientContext(client), TlsError);
}

TEST_CASE("TLS: a handshake that stalls is cut when its time is up, whoever stalls", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        auto [ours, theirs] = Pipe::make(Loop::current());
        const auto server = TlsStream::accept(std::move(ours), world().server, 20ms);
        theirs->write("\x16\x03\x01");
        CHECK(howItEnds(*server) == ETIMEDOUT);
        REQUIRE(log.size() == 1);
        CHECK(log[0] == "TLS handshake failed: not done in time");
        auto [silentOurs, silentTheirs] = Pipe::make(Loop::current());
        const auto silent = TlsStream::accept(std::move(silentOurs), world().server, 20ms);
        CHECK(howItEnds(*silent) == ETIMEDOUT);
        CHECK(log.size() == 1);

        auto [a, b] = Pipe::make(Loop::current());
        CHECK_THROWS_AS(TlsStream::connect(std::move(a), "a.example", world().trusting, Loop::current().in(20ms)), TimedOut);
        CHECK(b->receive(soon()));  // a ClientHello
        CHECK_FALSE(b->receive(soon()));

        auto [c, d] = Pipe::make(Loop::current());
        d->finishSending();
        CHECK_THROWS_WITH(TlsStream::connect(std::move(c), "a.example", world().trusting, soon()),
                          "the server closed the connection during the TLS handshake");
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: what is written before the handshake goes out after it", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto&) {
        auto [ours, theirs] = Pipe::make(Loop::current());
        const auto server = TlsStream::accept(std::move(ours), world().server, 20s);
        server->write("welcome");
        const auto client = TlsStream::connect(std::move(theirs), "a.example", world().trusting, soon());
        CHECK(take(*client, 7) == "welcome");
        server->flush(soon());
        CHECK(server->queuedBytes() == 0);
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: who speaks http is told so by http, however the request is cut", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        for (const std::string request : {"GET / HTTP/1.1\r\nHost: a.example\r\n\r\n", "POST /x HTTP/1.0\r\n\r\n", "OPTIONS * HTTP/1.1\r\n\r\n"})
            for (const size_t first : {size_t{1}, size_t{2}, size_t{5}, request.size()}) {
                log.clear();
                ForeignTalk talk;
                talk.wire->write(std::string_view(request).substr(0, first));
                talk.wire->flush();
                yield();
                talk.wire->write(std::string_view(request).substr(first));
                talk.wire->finishSending();
                std::string reply;
                while (talk.wire->receive(soon())) continue;
                CHECK(contains(std::string(talk.wire->unreadText()), "HTTP/1.1 400 Bad Request\r\n"));
                CHECK(contains(std::string(talk.wire->unreadText()), "\r\n\r\n400 Bad Request: this port speaks https, you speak http.\n"));
                CHECK(howItEnds(*talk.server) != 0);
                REQUIRE(log.size() == 1);
                CHECK(contains(log[0], "TLS handshake failed: http request"));
            }
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: bytes that are no TLS end the connection with one log line", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        const std::string junk[] = {std::string(1, '\0'), "\x80\x01\x02\x03\x04\x05", "\x16\x03\x01\xff\xff", "\x17\x03\x03\x00\x01x",
                                    "\x15\x03\x01\x00\x02\x02\x28", "\r\n\r\n\r\n", std::string(50'000, 'x')};
        for (const auto& bytes : junk) {
            log.clear();
            ForeignTalk talk;
            talk.wire->write(bytes);
            talk.wire->finishSending();
            CHECK(howItEnds(*talk.server) != 0);
            CHECK(log.size() == 1);
        }
        // After the handshake, too.
        log.clear();
        ForeignTalk talk;
        Foreign client(*talk.wire);
        REQUIRE(client.handshake() == "");
        talk.wire->write(std::string("\x17\x03\x03\x00\x20", 5) + std::string(32, 'x'));
        CHECK(howItEnds(*talk.server) == EPROTO);
        REQUIRE(log.size() == 1);
        CHECK(contains(log[0], "cut a TLS connection: "));
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: what OpenSSL holds back counts as arrived", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto&) {
        auto [server, client] = connected();
        CHECK_FALSE(server->canReceive());
        const auto text = pattern(80'000);
        FiberGroup group;
        group.spawn([&, &c = *client] { transfer(c, text); });
        // More than a block of the pool: a record is open in the middle when the room is used up.
        while (server->unread().size() < BufferPool::blockSize) REQUIRE(server->receive(soon()));
        group.wait();
        CHECK(server->canReceive());
        CHECK(take(*server, BufferPool::blockSize) == text.substr(0, BufferPool::blockSize));
        CHECK(server->canReceive());
        CHECK(take(*server, text.size() - BufferPool::blockSize) == text.substr(BufferPool::blockSize));
        CHECK_FALSE(server->canReceive());
        client->finishSending();
        for (int i = 0; i < 10'000 && !server->canReceive(); ++i) yield();
        CHECK(server->canReceive());
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: a session is resumed on another connection of the same context, without early data", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto&) {
        auto& w = world();
        for (const int number : {TLS1_2_VERSION, TLS1_3_VERSION}) {
            CAPTURE(number);
            SSL_SESSION* session = nullptr;
            const auto resumes = [&](std::shared_ptr<const TlsServerContext> context) {
                ForeignTalk talk(std::move(context));
                Foreign client(*talk.wire, version(number), session);
                REQUIRE(client.handshake() == "");
                talk.server->write("tickets come first");
                std::string text;
                REQUIRE(client.read(text) == "");
                if (!session) session = SSL_get1_session(client.ssl());
                return SSL_session_reused(client.ssl()) == 1;
            };
            CHECK_FALSE(resumes(w.server));
            CHECK(SSL_SESSION_get_max_early_data(session) == 0);
            CHECK(resumes(w.server));
            CHECK_FALSE(resumes(w.context({})));
            SSL_SESSION_free(session);
        }
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: a client may ask for new keys as often as it likes, and the talk goes on", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto& log) {
        ForeignTalk talk;
        Foreign client(*talk.wire, version(TLS1_3_VERSION));
        REQUIRE(client.handshake() == "");
        std::string got, expected;
        for (int i = 0; i < 100; ++i) {
            REQUIRE(SSL_key_update(client.ssl(), i % 3 ? SSL_KEY_UPDATE_REQUESTED : SSL_KEY_UPDATE_NOT_REQUESTED) == 1);
            REQUIRE(client.write("x") == "");
            if (i % 2) continue;
            talk.server->write(take(*talk.server, talk.server->unread().size() + 1));
            REQUIRE(client.read(got) == "");
        }
        CHECK(log.empty());
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: a peer that takes nothing for the send time-out is cut", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto&) {
        auto [server, client] = connected(2000);
        server->setLimits({10'000, 20ms});
        const std::string piece(5000, 'x');
        const auto fill = [&, &s = *server] {
            for (int i = 0; i < 1000; ++i) s.write(piece);
        };
        CHECK_THROWS_AS(fill(), Disconnected);
        CHECK(server->error() == ETIMEDOUT);
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: a connection lingers until its peer has everything", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto&) {
        auto [server, client] = connected(500);
        Linger linger(Loop::current(), 10s);
        const auto text = pattern(30'000);
        server->queue({std::string_view(text)});
        linger.close(std::move(server));
        CHECK(take(*client, text.size()) == text);
        CHECK_FALSE(client->receive(soon()));
        CHECK(client->ended());
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("TLS: a stream may go at any moment", "[io][tls]") {
    const LeftoverCheck leftovers;
    onLoop([](auto&) {
        for (int steps = 0; steps < 60; ++steps) {
            auto [ours, theirs] = Pipe::make(Loop::current(), 100);
            auto server = TlsStream::accept(std::move(ours), world().server, 20s);
            server->queue({"never sent"});
            FiberGroup group;
            group.spawn([&, wire = std::make_shared<Stream>(std::move(theirs))] {
                try {
                    const auto client = TlsStream::connect(std::move(*wire), "a.example", world().trusting, soon());
                    while (client->receive(soon())) client->consume(client->unread().size());
                } catch (const Disconnected&) {
                }
            });
            for (int i = 0; i < steps; ++i) yield();
            server.reset();
            group.wait();
        }
    });
    CHECK(leftovers.find() == "");
}
