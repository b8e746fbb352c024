// Many requests on one connection.

#include "support/Catch.h"
#include "support/TestServer.h"

#include <random>

#include "postern/fiber/Run.h"
#include "postern/gateway/HttpGateway.h"
#include "postern/io/Pipe.h"

using namespace postern;

namespace {

const std::string closing = "Connection: close\r\n";

// Names the request, its body and nothing else: what came of one is told from what came of another.
void tell(Cgi& cgi) {
    if (cgi.pathInfo() == "/deaf") return cgi.write("deaf", true);
    cgi.write(std::string(cgi.requestMethod()) + ' ' + std::string(cgi.requestUri()) + ' ' + cgi.postBody(), true);
}

std::string lengthOf(std::string_view body) { return "Content-Length: " + std::to_string(body.size()) + "\r\n"; }

} // namespace

TEST_CASE("a connection serves one request after the other until the client closes it", "[gateway][threads]") {
    TestServer server(tell);
    RawClient client(server);
    for (int i = 0; i < 20; ++i) {
        const auto path = "/" + std::to_string(i);
        const auto reply = client.request(rawRequest("GET", path));
        CHECK(reply.status == 200);
        CHECK(reply.body == "GET " + path + " ");
        CHECK_FALSE(reply.has("Connection"));
    }
    client.finishSending();
    CHECK(client.waitForEnd() == RawClient::End::closed);
}

TEST_CASE("a hundred requests in one segment get their replies in order", "[gateway][threads]") {
    TestServer server(tell);
    RawClient client(server);
    std::string all;
    for (int i = 0; i < 100; ++i) all += rawRequest("GET", "/" + std::to_string(i), i == 99 ? closing : "");
    client.send(all);
    const auto replies = RawReply::takeAll(client.receiveAll());
    REQUIRE(replies.size() == 100);
    for (size_t i = 0; i < 100; ++i) {
        CHECK(replies[i].body == "GET /" + std::to_string(i) + " ");
        CHECK(replies[i].saysClose() == (i == 99));
    }
}

TEST_CASE("a HEAD between other pipelined requests gets no body and shifts nothing", "[gateway]") {
    MemoryServer server(tell);
    const auto replies = RawReply::takeAll(
        server.answer({rawRequest("GET", "/1") + rawRequest("HEAD", "/2") + rawRequest("GET", "/3", closing)}),
        {"GET", "HEAD", "GET"});
    REQUIRE(replies.size() == 3);
    CHECK(replies[0].body == "GET /1 ");
    CHECK(replies[1].field("Content-Length") == std::to_string(std::string("HEAD /2 ").size()));
    CHECK(replies[2].body == "GET /3 ");
}

TEST_CASE("a malformed request behind good ones leaves their replies whole, and ends the connection", "[gateway]") {
    TestServer server(tell);
    RawClient client(server);
    client.send(rawRequest("GET", "/1") + rawRequest("POST", "/2", lengthOf("abc"), "abc") + "GET / HTTP/1.1\n\n" +
                rawRequest("GET", "/never"));
    const auto replies = RawReply::takeAll(client.receiveAll());
    REQUIRE(replies.size() == 3);
    CHECK(replies[0].body == "GET /1 ");
    CHECK(replies[1].body == "POST /2 abc");
    CHECK(replies[2].status == 400);
    CHECK(replies[2].saysClose());
}

TEST_CASE("what follows a request that asked to close is not served", "[gateway]") {
    MemoryServer server(tell);
    for (const std::string field : {"Connection: close\r\n", "Connection: Close\r\n", "Connection: x, close , y\r\n",
                                    "Connection: x\r\nConnection: close\r\n", "Connection: keep-alive, close\r\n"}) {
        CAPTURE(field);
        const auto replies =
            RawReply::takeAll(server.answer({rawRequest("GET", "/1", field) + rawRequest("GET", "/2")}));
        REQUIRE(replies.size() == 1);
        CHECK(replies[0].saysClose());
        CHECK(replies[0].body == "GET /1 ");
    }
}

TEST_CASE("only the token close closes", "[gateway]") {
    MemoryServer server(tell);
    for (const std::string field :
         {"Connection: closed\r\n", "Connection: not-close\r\n", "Connection: x\r\n", "X: close\r\n"}) {
        CAPTURE(field);
        const auto replies =
            RawReply::takeAll(server.answer({rawRequest("GET", "/1", field) + rawRequest("GET", "/2")}));
        REQUIRE(replies.size() == 2);
        CHECK_FALSE(replies[0].has("Connection"));
    }
}

TEST_CASE("HTTP/1.0 closes after the reply unless the client asked to keep the connection", "[gateway]") {
    MemoryServer server(tell);
    const std::string plain = "GET /1 HTTP/1.0\r\n\r\n", kept = "GET /1 HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n";
    auto replies = RawReply::takeAll(server.answer({plain + plain}));
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].saysClose());

    replies = RawReply::takeAll(server.answer({kept + kept + plain + plain}));
    REQUIRE(replies.size() == 3);
    CHECK(replies[0].field("Connection") == "keep-alive");
    CHECK(replies[1].field("Connection") == "keep-alive");
    CHECK(replies[2].saysClose());
}

TEST_CASE("requests sent before the client's half-close are all served", "[gateway][threads]") {
    TestServer server(tell);
    RawClient client(server);
    client.send(rawRequest("GET", "/1") + rawRequest("POST", "/2", lengthOf("body"), "body"));
    client.finishSending();
    const auto replies = RawReply::takeAll(client.receiveAll());
    REQUIRE(replies.size() == 2);
    CHECK(replies[1].body == "POST /2 body");
}

TEST_CASE("a body that the handler did not read is not taken for the next request", "[gateway]") {
    MemoryServer server(tell);
    const std::string smuggled = "GET /smuggled HTTP/1.1\r\nHost: evil\r\n\r\n";
    char size[8];
    std::snprintf(size, sizeof size, "%zx", smuggled.size());
    const std::string chunks = size + std::string("\r\n") + smuggled + "\r\n0\r\n\r\n";
    for (const std::string method : {"GET", "HEAD", "DELETE", "POST", "OPTIONS"}) {
        for (const auto& request : {rawRequest(method, "/deaf", lengthOf(smuggled), smuggled),
                                    rawRequest(method, "/deaf", "Transfer-Encoding: chunked\r\n", chunks)}) {
            CAPTURE(request);
            forEachFragmentation(request + rawRequest("GET", "/next"), [&](const Fragments& pieces) {
                if (pieces.size() == 2 && pieces[0].size() % 7 != 0) return;
                const auto replies = RawReply::takeAll(server.answer(pieces), {method, "GET"});
                REQUIRE(replies.size() == 2);
                CHECK(replies[0].status == 200);
                CHECK(replies[1].body == "GET /next ");
            });
        }
    }
}

TEST_CASE("a large body that the handler did not read ends the connection instead of being read", "[gateway]") {
    MemoryServer server(tell);
    const std::string small(256 * 1024, 'x'), large(256 * 1024 + 1, 'x');
    auto replies = RawReply::takeAll(
        server.answer({rawRequest("POST", "/deaf", lengthOf(small), small) + rawRequest("GET", "/next")}));
    REQUIRE(replies.size() == 2);
    CHECK_FALSE(replies[0].has("Connection"));
    CHECK(replies[1].body == "GET /next ");

    replies = RawReply::takeAll(
        server.answer({rawRequest("POST", "/deaf", lengthOf(large), large) + rawRequest("GET", "/next")}));
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].body == "deaf");
    CHECK(replies[0].saysClose());
}

TEST_CASE("one request leaves nothing behind for the next on its connection", "[gateway]") {
    MemoryServer server([](Cgi& cgi) {
        if (cgi.pathInfo() == "/first") {
            cgi.setCookie("secret", "1");
            cgi.header("X-First", "1");
            cgi.setResponseStatus(203);
            cgi.setMaxBody(1);
            cgi.setGzip(false);
        }
        cgi.write(std::string(cgi.host()) + ' ' + std::string(cgi.cookie("c")) + ' ' + std::string(cgi.queryString()) +
                      ' ' + std::string(cgi.authorization()) + ' ' + cgi.postBody(),
                  true);
    });
    const auto first = "GET /first?q HTTP/1.1\r\nHost: one\r\nCookie: c=1\r\nAuthorization: Basic x\r\n\r\n";
    const auto second = "POST / HTTP/1.1\r\nHost: two\r\nContent-Length: 3\r\n\r\nabc";
    const auto replies = RawReply::takeAll(server.answer({std::string(first) + second}));
    REQUIRE(replies.size() == 2);
    CHECK(replies[0].body == "one 1 q Basic x ");
    CHECK(replies[1].status == 200);
    CHECK(replies[1].body == "two    abc");
    CHECK_FALSE(replies[1].has("Set-Cookie"));
    CHECK_FALSE(replies[1].has("X-First"));
}

TEST_CASE("any mix of requests, cut anywhere, gives each its own reply in order", "[gateway]") {
    MemoryServer server(tell);
    std::mt19937 random(7);
    for (int round = 0; round < 60; ++round) {
        std::string bytes;
        std::vector<std::string> methods, expected;
        for (size_t i = 0, count = 1 + random() % 20; i < count; ++i) {
            const std::string body(random() % 50 == 0 ? 5000 + random() % 20'000 : random() % 40,
                                   static_cast<char>('a' + i));
            const std::string path = random() % 4 == 0 ? "/deaf" : "/" + std::to_string(i);
            methods.push_back(random() % 5 == 0 ? "HEAD" : random() % 2 ? "POST" : "GET");
            const auto& method = methods.back();
            char size[20];
            std::snprintf(size, sizeof size, "%zx", body.size());
            if (body.empty())
                bytes += rawRequest(method, path);
            else if (random() % 2)
                bytes += rawRequest(method, path, lengthOf(body), body);
            else
                bytes += rawRequest(method, path, "Transfer-Encoding: chunked\r\n",
                                    size + ("\r\n" + body + "\r\n0\r\n\r\n"));
            expected.push_back(method == "HEAD" ? "" : path == "/deaf" ? "deaf" : method + ' ' + path + ' ' + body);
        }
        Fragments pieces;
        for (std::string_view rest = bytes; !rest.empty();) {
            pieces.push_back(rest.substr(0, 1 + random() % (random() % 3 == 0 ? 4 : 400)));
            rest.remove_prefix(pieces.back().size());
        }
        const auto replies = RawReply::takeAll(server.answer(pieces), methods);
        CAPTURE(round);
        REQUIRE(replies.size() == expected.size());
        for (size_t i = 0; i < replies.size(); ++i) {
            CHECK(replies[i].status == 200);
            CHECK((replies[i].body == expected[i]));
        }
    }
}

TEST_CASE("a client that has sent thousands of requests does not keep others waiting until they are done", "[gateway]") {
    std::string flood;
    for (int i = 0; i < 2000; ++i) flood += "GET / HTTP/1.1\r\nHost: h\r\n\r\n";
    run([&] {
        int answered = 0, before = -1;
        const ExchangeHandler handler = [&](Exchange& exchange) {
            if (exchange.head().path == "/other") before = answered;
            else ++answered;
            ReplyHead head;
            head.contentLength = 0;
            exchange.sendHead(head);
            exchange.finish();
        };
        const HttpSettings settings;
        HttpGateway gateway(Loop::current(), -1, settings, handler);
        auto [busy, flooder] = Pipe::make(Loop::current(), 1 << 20);
        auto [calm, other] = Pipe::make(Loop::current());
        gateway.serve(std::move(busy), {}, 80);
        gateway.serve(std::move(calm), {}, 80);
        flooder->write(flood);
        other->write("GET /other HTTP/1.1\r\nHost: h\r\n\r\n");
        for (int i = 0; i < 100; ++i) yield();
        CHECK(answered == 2000);
        CHECK(before >= 0);
        CHECK(before <= 3 * 64);
    });
}
