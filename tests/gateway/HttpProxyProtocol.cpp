// Proxies that say by the PROXY protocol who the client of a connection is.

#include "support/Catch.h"
#include "support/ScriptedServer.h"
#include "support/TestServer.h"

using namespace postern;
using namespace std::chrono_literals;
using namespace std::literals;

namespace {

const auto lineHeader = "PROXY TCP4 192.0.2.1 198.51.100.2 56324 443\r\n"s;
const auto binaryHeader = "\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x01\xc6\x33\x64\x02\xdc\x04\x01\xbb"s;
const auto localHeader = "\r\n\r\n\0\r\nQUIT\n\x20\x00\x00\x00"s;

void who(Cgi& cgi) {
    const auto variables = cgi.environment();
    cgi.write(std::string(cgi.remoteAddress()) + ' ' + std::string(variables["REMOTE_ADDR"]) + ' ' +
                  std::string(variables["REMOTE_PORT"]) + ' ' + std::to_string(cgi.port()) + (cgi.https() ? " https" : " http"),
              true);
}

constexpr auto theClient = "192.0.2.1 192.0.2.1 56324 443 http";
constexpr auto theConnection = "127.0.0.1 127.0.0.1 1 80 http";

HttpSettings trusting(std::initializer_list<std::string_view> ranges) {
    HttpSettings settings;
    for (const auto range : ranges) settings.trustedProxies.push_back(*AddressRange::parse(range));
    settings.proxyProtocol = true;
    return settings;
}

std::string bodiesOf(std::string_view answered) {
    std::string bodies;
    for (const auto& reply : RawReply::takeAll(answered)) bodies += std::to_string(reply.status) + ' ' + reply.body + '\n';
    return bodies;
}

std::string ok(std::string_view body) { return "200 " + std::string(body) + '\n'; }

constexpr auto closedLine = "closed a connection from 127.0.0.1: ";

}

TEST_CASE("a trusted proxy's header names the client of every request on its connection", "[gateway]") {
    MemoryServer server(who, trusting({"127.0.0.1"}));
    const auto requests = rawRequest("GET", "/") + rawRequest("POST", "/", "Content-Length: 2\r\n", "ab") + rawRequest("GET", "/");
    for (const auto& header : {lineHeader, binaryHeader}) {
        CAPTURE(header);
        CHECK(bodiesOf(server.answer({header + requests})) == ok(theClient) + ok(theClient) + ok(theClient));
        CHECK(bodiesOf(server.answer({header, requests})) == ok(theClient) + ok(theClient) + ok(theClient));
    }
    const auto v6 = "PROXY TCP6 2001:DB8::0:7 2001:db8::1 4711 80\r\n"s;
    CHECK(bodiesOf(server.answer({v6 + rawRequest("GET", "/")})) == ok("2001:db8::7 2001:db8::7 4711 80 http"));
}

TEST_CASE("a PROXY header and the request behind it are understood however they arrive", "[gateway]") {
    MemoryServer server(who, trusting({"127.0.0.1"}));
    for (const auto& header : {lineHeader, binaryHeader}) {
        CAPTURE(header);
        forEachFragmentation(header + rawRequest("GET", "/"), [&](const Fragments& pieces) {
            if (const auto bodies = bodiesOf(server.answer(pieces)); bodies != ok(theClient)) FAIL(bodies);
        });
    }
}

TEST_CASE("a PROXY header without a client leaves the connection's own address", "[gateway]") {
    MemoryServer server(who, trusting({"127.0.0.1"}));
    const auto binary = localHeader.substr(0, 12);
    for (const auto& header : {localHeader, "PROXY UNKNOWN\r\n"s, "PROXY UNKNOWN ::1 ::1 1 2\r\n"s, binary + "\x21\x00\x00\x00"s,
                               binary + "\x21\x31\x00\xd8"s + std::string(216, 'p')}) {
        CAPTURE(header);
        CHECK(bodiesOf(server.answer({header + rawRequest("GET", "/")})) == ok(theConnection));
        const auto forwarded = rawRequest("GET", "/", "X-Forwarded-For: 203.0.113.5\r\n");
        CHECK(bodiesOf(server.answer({header + forwarded})) == ok("203.0.113.5 203.0.113.5  80 http"));
    }
}

TEST_CASE("the client a PROXY header names is the one whose forwarded fields are trusted or not", "[gateway]") {
    const auto request = rawRequest("GET", "/", "X-Forwarded-For: 203.0.113.5\r\nX-Forwarded-Proto: https\r\n");
    MemoryServer far(who, trusting({"127.0.0.1"}));
    CHECK(bodiesOf(far.answer({lineHeader + request})) == ok(theClient));
    MemoryServer chain(who, trusting({"127.0.0.1", "192.0.2.0/24"}));
    CHECK(bodiesOf(chain.answer({lineHeader + request})) == ok("203.0.113.5 203.0.113.5  443 https"));
}

TEST_CASE("a peer that is not trusted speaks plain HTTP, and its PROXY header is a 400", "[gateway]") {
    auto off = trusting({"127.0.0.1"});
    off.proxyProtocol = false;
    for (const auto& settings : {trusting({"10.0.0.0/8", "unix"}), off}) {
        MemoryServer server(who, settings);
        CHECK(bodiesOf(server.answer({rawRequest("GET", "/")})) == ok(theConnection));
        for (const auto& header : {lineHeader, binaryHeader, localHeader}) {
            CAPTURE(header);
            const auto replies = RawReply::takeAll(server.answer({header + rawRequest("GET", "/")}));
            REQUIRE(replies.size() == 1);
            CHECK(replies[0].status == 400);
        }
    }
}

TEST_CASE("a PROXY header comes once, before the first request", "[gateway]") {
    MemoryServer server(who, trusting({"127.0.0.1", "192.0.2.1"}));
    for (const auto& header : {lineHeader, binaryHeader}) {
        CAPTURE(header);
        for (const auto& before : {""s, rawRequest("GET", "/")}) {
            const auto replies = RawReply::takeAll(server.answer({lineHeader + before + header + rawRequest("GET", "/")}));
            REQUIRE(replies.size() == (before.empty() ? 1 : 2));
            CHECK(replies.back().status == 400);
        }
    }
}

TEST_CASE("a trusted proxy without its PROXY header is closed without an answer, and one log line names the fix",
          "[gateway][threads]") {
    TestServer server(who, trusting({"127.0.0.1"}));
    size_t lines = 0;
    for (const auto& bytes : {rawRequest("GET", "/"), "\r\n" + rawRequest("GET", "/"), "PROXY TCP4 192.0.2.1 198.51.100.2 1 080\r\n"s,
                              "\r\n\r\n\0\r\nQUIT\n\x11"s, localHeader.substr(0, 14) + "\x7f\xff"s}) {
        CAPTURE(bytes);
        RawClient client(server);
        client.send(bytes);
        CHECK(client.receiveAll().empty());
        CHECK(server.log().wait(closedLine, ++lines));
    }
    CHECK(server.log().all().size() == lines);
    CHECK(server.log().count("--proxy-protocol") == lines);
    CHECK(server.log().count("send-proxy-v2") == lines);
    CHECK(server.log().count("no PROXY protocol header") == 2);
    CHECK(RawClient(server).request(localHeader + rawRequest("GET", "/")).status == 200);
}

TEST_CASE("a proxy that closes before its PROXY header is complete only looked whether anybody is there",
          "[gateway][threads]") {
    TestServer server(who, trusting({"127.0.0.1"}));
    for (const auto& bytes : {""s, lineHeader.substr(0, 20), binaryHeader.substr(0, 14)}) {
        RawClient client(server);
        client.send(bytes);
        client.finishSending();
        CHECK(client.receiveAll().empty());
    }
    CHECK(server.log().all().empty());
}

TEST_CASE("a PROXY header that is not complete in time ends the connection without an answer", "[gateway][threads]") {
    auto settings = trusting({"127.0.0.1"});
    settings.headTimeout = 100ms;
    settings.idleTimeout = 1h;
    TestServer server(who, settings);
    RawClient client(server);
    SECTION("nothing comes") {}
    SECTION("a part of a line") { client.send(lineHeader.substr(0, 30)); }
    SECTION("a part of a binary header") { client.send(binaryHeader.substr(0, 27)); }
    SECTION("a drip") {
        client.send("PROXY UNKNOWN ");
        for (int i = 0; i < 90 && !client.hasArrived(5ms); ++i) client.trySend("x");
    }
    CHECK(client.receiveAll().empty());
    CHECK(server.log().count("no PROXY protocol header in time; with --proxy-protocol") == 1);
    CHECK(server.log().all().size() == 1);
    CHECK(RawClient(server).request(lineHeader + rawRequest("GET", "/")).body == theClient);
}

TEST_CASE("behind a PROXY header a request has the time it has without one", "[gateway][threads]") {
    auto settings = trusting({"127.0.0.1"});
    SECTION("an idle connection is closed without a word") {
        settings.headTimeout = 1h;
        settings.idleTimeout = 100ms;
        TestServer server(who, settings);
        RawClient client(server);
        client.send(lineHeader);
        CHECK(client.receiveAll().empty());
        CHECK(server.log().all().empty());
    }
    SECTION("a head that does not end gets a 408") {
        settings.headTimeout = 100ms;
        settings.idleTimeout = 1h;
        TestServer server(who, settings);
        RawClient client(server);
        client.send(lineHeader + "GET /");
        CHECK(client.receiveReply().status == 408);
        CHECK(server.log().count("refused a request from 192.0.2.1") == 1);
    }
    SECTION("an idle connection is not held to the time for a header") {
        settings.headTimeout = 100ms;
        settings.idleTimeout = 400ms;
        TestServer server(who, settings);
        RawClient client(server);
        const auto start = std::chrono::steady_clock::now();
        client.send(lineHeader);
        CHECK(client.receiveAll().empty());
        CHECK(std::chrono::steady_clock::now() - start >= 400ms);
        CHECK(server.log().all().empty());
    }
}

TEST_CASE("a WebSocket opens behind a PROXY header and knows its client", "[gateway]") {
    MemoryServer server(
        [](Cgi& cgi) {
            auto socket = cgi.acceptWebsocket();
            socket.send(cgi.remoteAddress());
            while (auto message = socket.recv()) socket.send(message.textData());
        },
        trusting({"127.0.0.1"}));
    using enum WebSocketOpcode;
    const auto conversation = webSocketRequest() + clientFrame(text, "Hello") + clientFrame(close, "\x03\xe8");
    for (const auto& header : {lineHeader, binaryHeader}) {
        CAPTURE(header);
        const auto answered = server.answer({header + conversation});
        CHECK(answered.starts_with("HTTP/1.1 101 "));
        CHECK(answered.substr(answered.find("\r\n\r\n") + 4) == "\x81\x09" "192.0.2.1" "\x81\x05" "Hello" "\x88\x02\x03\xe8");
    }
}

TEST_CASE("an orderly end does not wait for PROXY headers that do not come", "[gateway][threads]") {
    auto settings = trusting({"127.0.0.1"});
    settings.headTimeout = settings.idleTimeout = 1h;
    settings.drainGrace = settings.lingerTimeout = 50ms;
    TestServer server(who, settings);
    RawClient silent(server), slow(server), named(server);
    slow.send(lineHeader.substr(0, 20));
    named.send(lineHeader);
    CHECK(RawClient(server).request(lineHeader + rawRequest("GET", "/")).status == 200);
    server.drain(1h);
    CHECK(server.waitForEnd());
    for (auto* client : {&silent, &slow, &named}) CHECK(client->receiveAll().empty());
    CHECK(server.log().all().empty());
}

TEST_CASE("an orderly end still serves whoever completes a PROXY header and a request", "[gateway][threads]") {
    auto settings = trusting({"127.0.0.1"});
    settings.drainGrace = 1h;
    TestServer server(who, settings);
    RawClient client(server);
    client.send(binaryHeader.substr(0, 20));
    CHECK(RawClient(server).request(lineHeader + rawRequest("GET", "/")).status == 200);
    server.drain(1h);
    server.onLoop([] {});  // it has begun
    client.send(binaryHeader.substr(20));
    const auto reply = client.request(rawRequest("GET", "/"));
    CHECK(reply.body == theClient);
    CHECK(reply.saysClose());
    client.finishSending();
    CHECK(client.receiveAll().empty());
    CHECK(server.waitForEnd());
}
