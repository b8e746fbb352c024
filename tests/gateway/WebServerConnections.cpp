// Connections of web servers: their times, their ends, and who may have one.

#include "postern/gateway/WebServerGateway.h"

#include "postern/fiber/Sync.h"
#include "support/Catch.h"
#include "support/TestGateway.h"
#include "support/WebServerPipe.h"
#include "support/WebServerTalk.h"

#include <arpa/inet.h>
#include <netinet/in.h>

using namespace postern;
using namespace std::chrono_literals;
using namespace std::literals;

namespace {

void tell(Cgi& cgi) {
    cgi.setGzip(false);
    cgi.write(std::string(cgi.pathInfo()) + ' ' + cgi.postBody(), true);
}

std::string get(CgiProtocol protocol, std::string_view target = "/", bool keeps = false) {
    return wireRequest(protocol, wireVariables("GET", target), {}, keeps);
}
std::string promised(CgiProtocol protocol, std::string_view length = "10") {
    return wireHead(protocol, wireVariables("POST", "/", {{"CONTENT_LENGTH", std::string(length)}}), true);
}

}

TEST_CASE("variables that are not complete in time are a 408, however steadily they drip", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        WebServerTalk talk(protocol, tell);
        const auto request = get(protocol);
        const auto cut = "cut a " + std::string(nameOf(protocol)) + " connection from 127.0.0.1: ";
        auto& stalled = talk.connect();
        stalled.send(request.substr(0, 30));
        auto& drips = talk.connect();
        for (size_t i = 0; i < 9; ++i) {
            drips.send(request.substr(i, 1));
            talk.pass(1s);
        }
        drips.send(request.substr(9, 11));
        talk.pass(999ms);
        CHECK(!stalled.ended());
        CHECK(!drips.ended());
        CHECK(talk.log().empty());
        talk.pass(2ms);
        CHECK(stalled.ended());
        CHECK(drips.ended());
        CHECK(talk.logged(cut) == 2);
        CHECK(stalled.reply().status(protocol) == 408);
        CHECK(drips.reply().status(protocol) == 408);
        auto& inTime = talk.connect();
        inTime.send(request.substr(0, 30));
        talk.pass(9999ms);
        inTime.send(request.substr(30));
        CHECK(inTime.reply().body() == "/ ");
    }
}

TEST_CASE("a connection without a request is closed without a word when its time is up", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        WebServerTalk talk(protocol, tell);
        auto& idle = talk.connect();
        auto& kept = talk.connect();
        talk.pass(74s);
        kept.send(get(protocol, "/", true));
        CHECK(kept.reply().body() == "/ ");
        CHECK(!idle.ended());
        talk.pass(1001ms);
        CHECK(idle.ended());
        CHECK(idle.received.empty());
        if (protocol == CgiProtocol::fastCgi) {
            CHECK(!kept.ended());
            talk.pass(73s);
            CHECK(!kept.ended());
            talk.pass(1s);
            CHECK(kept.ended());
            CHECK(kept.received.empty());
        }
        CHECK(talk.log().empty());
    }
}

TEST_CASE("questions about the application do not keep a FastCGI connection for ever", "[gateway]") {
    WebServerTalk talk(CgiProtocol::fastCgi, tell);
    auto& line = talk.connect();
    const auto question = fastCgiRecord(9, 0, fastCgiPair("FCGI_MPXS_CONNS", ""));
    for (int i = 0; i < 64 && !line.ended(); ++i) {
        line.send(question);
        talk.pass(2s);
    }
    CHECK(line.ended());
}

TEST_CASE("a body from a web server that stops coming, or only drips, is a 408", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        WebServerTalk talk(protocol, tell);
        auto& stops = talk.connect();
        stops.send(promised(protocol) + wirePiece(protocol, "half"));
        auto& continues = talk.connect();
        continues.send(promised(protocol) + wirePiece(protocol, "half"));
        talk.pass(29'999ms);
        CHECK(stops.received.empty());
        continues.send(wirePiece(protocol, " rest.") + wireEnd(protocol));
        CHECK(continues.reply().body() == "/ half rest.");
        talk.pass(2ms);
        CHECK(stops.reply().status(protocol) == 408);

        auto& drips = talk.connect();
        drips.send(promised(protocol, "1000000"));
        for (int i = 0; i < 60 && drips.received.empty(); ++i) {
            talk.pass(1s);
            drips.send(wirePiece(protocol, "x"));
        }
        CHECK(drips.reply().status(protocol) == 408);
    }
}

TEST_CASE("a web server that takes nothing of a reply is cut, and its handler learns of it", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        int disconnected = 0;
        WebServerTalk talk(protocol, [&](Cgi& cgi) {
            cgi.setGzip(false);
            try {
                for (int i = 0; i < 100; ++i) cgi.write(std::string(10'000, 'x'));
            } catch (const Disconnected&) {
                ++disconnected;
                throw;
            }
        });
        auto& stalled = talk.connect(1000);
        auto& resumes = talk.connect(1000);
        stalled.stall();
        resumes.stall();
        stalled.send(get(protocol));
        resumes.send(get(protocol));
        talk.pass(29'900ms);
        CHECK(disconnected == 0);
        resumes.stall(false);
        talk.settle();
        CHECK(resumes.reply().body().size() == 1'000'000);
        talk.pass(200ms);
        CHECK(disconnected == 1);
        CHECK(talk.loop().fiberCount() == 0);
    }
}

TEST_CASE("told to stop, a gateway finishes the request under way and closes what is idle", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        WebServerTalk talk(protocol, tell);
        auto& idle = talk.connect();
        auto& busy = talk.connect();
        auto& begun = talk.connect();
        busy.send(promised(protocol) + wirePiece(protocol, "half"));
        begun.send(get(protocol).substr(0, 30));
        talk.loop().drain(10s);
        talk.settle();
        talk.pass(200ms);
        CHECK(!idle.ended());
        talk.pass(100ms);
        CHECK(idle.ended());
        CHECK(idle.received.empty());
        begun.send(get(protocol).substr(30));
        CHECK(begun.reply().body() == "/ ");
        CHECK(begun.ended());
        busy.send(wirePiece(protocol, " rest.") + wireEnd(protocol));
        const auto reply = busy.reply();
        CHECK(reply.body() == "/ half rest.");
        CHECK(reply.ended == (protocol == CgiProtocol::fastCgi));
        CHECK(busy.ended());  // though it was to be kept
        CHECK(talk.log().empty());
    }
}

TEST_CASE("a last request on an idle connection is answered while the gateway stops", "[gateway]") {
    WebServerTalk talk(CgiProtocol::fastCgi, tell);
    auto& line = talk.connect();
    line.send(get(CgiProtocol::fastCgi, "/1", true));
    CHECK(line.reply().body() == "/1 ");
    talk.loop().drain(10s);
    talk.settle();
    line.send(get(CgiProtocol::fastCgi, "/2", true));
    CHECK(line.reply().body() == "/2 ");
    CHECK(line.ended());
}

TEST_CASE("work that does not end is cancelled when the time to stop is over, and its connection is cut", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        int cancelled = 0;
        WebServerTalk talk(protocol, [&](Cgi& cgi) {
            try {
                cgi.write("part");
                cgi.flush();
                Event never;
                never.wait();
            } catch (const Cancelled&) {
                ++cancelled;
                throw;
            }
        });
        auto& line = talk.connect();
        line.send(get(protocol));
        talk.loop().drain(10s);
        talk.settle();
        talk.pass(9900ms);
        CHECK(cancelled == 0);
        talk.pass(200ms);
        CHECK(cancelled == 1);
        CHECK(line.ended());
        CHECK(!line.reply().ended);
        CHECK(talk.loop().fiberCount() == 0);
    }
}

TEST_CASE("a gateway may go while its requests are anywhere", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        int stopped = 0;
        WebServerTalk talk(protocol, [&](Cgi& cgi) {
            try {
                if (cgi.pathInfo() == "/wait") {
                    Event never;
                    never.wait();
                }
                if (cgi.pathInfo() == "/large") cgi.write(std::string(1'000'000, 'x'), true);
                cgi.postBody();
            } catch (...) {
                ++stopped;
                throw;
            }
        });
        talk.connect();
        talk.connect().send(get(protocol).substr(0, 30));
        talk.connect().send(promised(protocol) + wirePiece(protocol, "half"));
        talk.connect().send(get(protocol, "/wait"));
        auto& stalled = talk.connect(1000);
        stalled.stall();
        stalled.send(wireRequest(protocol, wireVariables("GET", "/large")));
        auto& lingers = talk.connect();
        lingers.send("garbage that is no request");
        auto& half = talk.connect();
        half.send(promised(protocol, "1000000"));
        talk.destroyGateway();
        talk.settle();
        CHECK(stopped == 4);
        CHECK(talk.loop().fiberCount() == 0);
        CHECK(half.ended());
    }
}

TEST_CASE("web servers that go away at any byte leave nothing behind", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        const auto whole = wireRequest(protocol, wireVariables("POST", "/"), "the body", true);
        WebServerTalk talk(protocol, tell);
        for (size_t size = 0; size <= whole.size(); ++size) {
            auto& drops = talk.connect();
            drops.send(std::string_view(whole).substr(0, size));
            drops.drop();
            auto& ends = talk.connect();
            ends.send(std::string_view(whole).substr(0, size));
            ends.finishSending();
            if (!ends.ended()) FAIL("it stays open at " << size);
            if (talk.loop().fiberCount() != 0) FAIL("a fiber stays at " << size);
            // Only a whole request, or one whose body ends early, has an answer.
            const auto reply = ends.reply();
            if ((reply.status(protocol) == 200) != (reply.body() == "/ the body") || !reply.complaint.empty()) FAIL(reply.text);
        }
        CHECK(talk.log().empty());
        talk.loop().drain(10s);
        talk.settle();
        CHECK(talk.loop().fiberCount() == 0);
    }
}

TEST_CASE("an announced length of gigabytes costs no memory before its bytes come", "[gateway]") {
    // The sanitizer's allocator refuses what is that large.
    const auto giga = "\xff\xff\xff\xff\xff\xff\xff\xff"s;
    const std::pair<CgiProtocol, std::string> rows[] = {
        {CgiProtocol::fastCgi, fastCgiRecord(1, 1, "\0\1\0\0\0\0\0\0"sv) + fastCgiRecord(4, 1, giga)},
        {CgiProtocol::scgi, "4294967295:"},
    };
    for (const auto& [protocol, bytes] : rows) {
        WebServerTalk talk(protocol, tell);
        auto& line = talk.connect();
        line.send(bytes);
        CHECK(line.reply().status(protocol) == 431);
        CHECK(line.ended());
    }
    for (const auto protocol : wireProtocols) {
        WebServerSettings settings;
        settings.cgi.limits.bodyBytes = uint64_t{1} << 40;
        WebServerTalk talk(protocol, tell, settings);
        auto& line = talk.connect();
        line.send(promised(protocol, "4294967295") + wirePiece(protocol, "x"));
        line.finishSending();
        CHECK(line.ended());
        CHECK(line.reply().status(protocol) != 200);
    }
}

TEST_CASE("a reply that a handler cannot complete is a reset for the web server, never whole", "[gateway][threads]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        TestGateway gateway(protocol, [](Cgi& cgi) {
            cgi.write("part");
            cgi.flush();
            cgi.readBody();
            throw std::runtime_error("late");
        });
        RawClient client(gateway.port());
        client.send(promised(protocol, "1") + wirePiece(protocol, "x") + wireEnd(protocol));
        CHECK(client.waitForEnd() == RawClient::End::reset);
        CHECK(gateway.log().wait("late"));
    }
}

TEST_CASE("by TCP only the web servers that FCGI_WEB_SERVER_ADDRS names may connect", "[gateway][threads]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    WebServerSettings settings;
    settings.only = {*AddressRange::parse("10.0.0.0/8")};
    TestGateway others(protocol, tell, settings);
    RawClient refused(others.port());
    refused.trySend(get(protocol));
    CHECK_NOTHROW(refused.waitForEnd());
    CHECK(others.log().wait("refused a FastCGI connection from 127.0.0.1"));
    settings.only = {*AddressRange::parse("10.0.0.0/8"), *AddressRange::parse("127.0.0.1")};
    TestGateway us(protocol, tell, settings);
    RawClient client(us.port());
    client.send(get(protocol));
    auto bytes = client.receiveAll();
    CHECK(takeWireReply(protocol, bytes).body() == "/ ");
}

namespace {

// A kernel in which callers from anywhere connect. It notes which connections were closed.
class Callers final : public Poller {
public:
    static constexpr int listenFd = 1 << 20;

    TimePoint now() override { return TimePoint(1h); }
    void attach(Descriptor&) override {}
    void close(Descriptor& descriptor, bool) override {
        if (descriptor.fd > listenFd) closed.push_back(descriptor.fd - listenFd);
        descriptor.fd = -1;
    }
    void shutdownSend(Descriptor&) override {}
    bool submit(Operation& operation) override {
        operation.pending = true;
        if (operation.kind == Operation::Kind::accept) accepting_ = &operation;
        return false;
    }
    void cancel(Operation& operation) override {
        operation.pending = false;
        if (accepting_ == &operation) accepting_ = nullptr;
    }
    void wait(TimePoint) override {}
    void wake() override {}

    /// Connection number `number`, from 1 on.
    void call(int number, const char* from) {
        REQUIRE(accepting_);
        auto& operation = *std::exchange(accepting_, nullptr);
        auto& address = *operation.address;
        address = {};
        auto& v4 = reinterpret_cast<sockaddr_in&>(address);
        auto& v6 = reinterpret_cast<sockaddr_in6&>(address);
        if (*from == '\0') {
            address.ss_family = AF_UNIX;
        } else if (::inet_pton(AF_INET, from, &v4.sin_addr) == 1) {
            address.ss_family = AF_INET;
        } else {
            REQUIRE(::inet_pton(AF_INET6, from, &v6.sin6_addr) == 1);
            address.ss_family = AF_INET6;
        }
        operation.result = listenFd + number;
        operation.pending = false;
        operation.complete();
    }

    std::vector<int> closed;

private:
    Operation* accepting_ = nullptr;
};

std::vector<int> closedOf(const WebServerSettings& settings, const std::vector<const char*>& callers, std::vector<std::string>& log) {
    LoopOptions options;
    options.log = [&](LogLevel, std::string_view line) { log.emplace_back(line); };
    auto owned = std::make_unique<Callers>();
    auto& kernel = *owned;
    Loop loop(options, std::move(owned));
    const ExchangeHandler nothing = [](Exchange&) {};
    WebServerGateway gateway(loop, Callers::listenFd, CgiProtocol::scgi, settings, nothing);
    gateway.start();
    int number = 0;
    for (const auto* from : callers) {
        kernel.call(++number, from);
        loop.turn(TimePoint::min());
    }
    return kernel.closed;
}

}

TEST_CASE("a web server on another machine may connect only if it is allowed to", "[gateway]") {
    const std::vector<const char*> callers = {"127.0.0.1", "127.9.9.9", "::1", "", "::ffff:127.0.0.1", "192.0.2.1", "192.0.3.1",
                                              "2001:db8::1", "::ffff:192.0.2.1", "0.0.0.0", "128.0.0.1"};
    std::vector<std::string> log;
    CHECK(closedOf({}, callers, log) == std::vector<int>{6, 7, 8, 9, 10, 11});
    CHECK(log.size() == 6);
    CHECK(log[0] == "refused a SCGI connection from 192.0.2.1: only web servers named by --allow-gateway may connect");
    WebServerSettings settings;
    settings.allowed = {*AddressRange::parse("192.0.2.0/24"), *AddressRange::parse("2001:db8::/32")};
    log.clear();
    CHECK(closedOf(settings, callers, log) == std::vector<int>{7, 10, 11});
    CHECK(log.size() == 3);
    settings.only = {*AddressRange::parse("192.0.2.1")};
    CHECK(closedOf(settings, callers, log) == std::vector<int>{1, 2, 3, 5, 7, 8, 10, 11});
}

TEST_CASE("at the limit of connections further web servers wait until one has gone", "[gateway][threads]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    WebServerSettings settings;
    settings.maxConnections = 2;
    TestGateway gateway(protocol, tell, settings);
    const auto ask = [&](RawClient& client) {
        client.send(get(protocol, "/", true));
        std::string bytes;
        for (auto header = client.receive(8); header.size() == 8; header = client.receive(8)) {
            const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(header[i])); };
            bytes += header + client.receive((byte(4) << 8 | byte(5)) + byte(6));
            if (byte(1) == 3) break;
        }
        return takeWireReply(protocol, bytes).body();
    };
    RawClient first(gateway.port()), second(gateway.port());
    CHECK(ask(first) == "/ ");
    CHECK(ask(second) == "/ ");
    RawClient third(gateway.port());
    third.send(get(protocol, "/third", true));
    for (int i = 0; i < 20; ++i) CHECK(ask(first) == "/ ");
    CHECK(!third.hasArrived());
    second.finishSending();
    CHECK(third.receive(8).size() == 8);
}
