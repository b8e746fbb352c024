// Bodies of requests, and when the client is asked for them.

#include "support/Catch.h"
#include "support/TestServer.h"

using namespace postern;

namespace {

void tell(Cgi& cgi) {
    if (cgi.pathInfo() == "/deaf") return cgi.write("deaf", true);
    if (cgi.pathInfo() == "/refuse") throw HttpError(403, "not you");
    if (cgi.pathInfo() == "/one-byte") cgi.setMaxBody(1);
    if (cgi.pathInfo() == "/pieces") {
        size_t total = 0;
        for (auto piece = cgi.readBody(); !piece.empty(); piece = cgi.readBody()) total += piece.size();
        return cgi.write(std::to_string(total), true);
    }
    cgi.write("got " + cgi.postBody(), true);
}

std::string chunksOf(std::string_view body, size_t size) {
    std::string text;
    for (; !body.empty(); body.remove_prefix(std::min(size, body.size()))) {
        char line[20];
        const auto piece = body.substr(0, size);
        std::snprintf(line, sizeof line, "%zX\r\n", piece.size());
        text.append(line).append(piece).append("\r\n");
    }
    return text + "0\r\n\r\n";
}

const std::string expects = "Expect: 100-continue\r\n";
const std::string byChunks = "Transfer-Encoding: chunked\r\n";
std::string length(size_t size) { return "Content-Length: " + std::to_string(size) + "\r\n"; }

} // namespace

TEST_CASE("a body arrives whole whatever its size and its chunks", "[gateway][threads]") {
    TestServer server(tell);
    RawClient client(server);
    for (const size_t size : {0U, 1U, 15U, 16U, 4095U, 4096U, 65535U, 65536U, 300'000U}) {
        std::string body(size, 'x');
        for (size_t i = 0; i < size; ++i) body[i] = static_cast<char>('a' + i % 23);
        CAPTURE(size);
        CHECK((client.request(rawRequest("POST", "/", length(size), body)).body == "got " + body));
        for (const size_t chunk : {7U, 4096U, 1'000'000U}) {
            if (size / chunk > 20'000) continue;
            CHECK((client.request(rawRequest("POST", "/", byChunks, chunksOf(body, chunk))).body == "got " + body));
        }
    }
}

TEST_CASE("a body larger than any buffer is streamed piece by piece", "[gateway][threads]") {
    HttpSettings settings;
    settings.limits.bodyBytes = 64 << 20;
    TestServer server(tell, settings);
    RawClient client(server);
    const std::string body(5'000'000, 'x');
    CHECK(client.request(rawRequest("POST", "/pieces", length(body.size()), body)).body == "5000000");
    CHECK(client.request(rawRequest("POST", "/pieces", byChunks, chunksOf(body, 100'000))).body == "5000000");
}

TEST_CASE("extensions and trailers of chunks reach neither the body nor the fields", "[gateway]") {
    MemoryServer server([](Cgi& cgi) {
        const auto body = cgi.postBody();
        cgi.write(body + '|' + std::string(cgi.requestHeader("X-Trailer")) +
                      std::string(cgi.environment()["HTTP_X_TRAILER"]),
                  true);
    });
    const auto request =
        rawRequest("POST", "/", byChunks, "3;a=b\r\nabc\r\n2;c\r\nde\r\n0\r\nX-Trailer: 1\r\nHost: evil\r\n\r\n");
    forEachFragmentation(request, [&](const Fragments& pieces) {
        const auto replies = RawReply::takeAll(server.answer(pieces));
        REQUIRE(replies.size() == 1);
        CHECK(replies[0].body == "abcde|");
    });
}

TEST_CASE("a handler may lower and raise the limit for itself", "[gateway]") {
    HttpSettings settings;
    settings.limits.bodyBytes = 10;
    MemoryServer server(
        [](Cgi& cgi) {
            if (cgi.pathInfo() == "/less") cgi.setMaxBody(5);
            if (cgi.pathInfo() == "/more") cgi.setMaxBody(15);
            cgi.write(std::to_string(cgi.postBody().size()), true);
        },
        settings);
    const auto statusOf = [&](std::string_view path, size_t size) {
        const std::string body(size, 'x');
        const auto known = RawReply::takeAll(server.answer({rawRequest("POST", path, length(size), body)}));
        const auto chunked = RawReply::takeAll(server.answer({rawRequest("POST", path, byChunks, chunksOf(body, 4))}));
        CHECK(known.at(0).status == chunked.at(0).status);
        return known.at(0).status;
    };
    CHECK(statusOf("/", 10) == 200);
    CHECK(statusOf("/", 11) == 413);
    CHECK(statusOf("/less", 5) == 200);
    CHECK(statusOf("/less", 6) == 413);
    CHECK(statusOf("/more", 15) == 200);
    CHECK(statusOf("/more", 16) == 413);
}

TEST_CASE("a client that waits for 100 gets it when the handler reads, and then its reply", "[gateway][threads]") {
    TestServer server(tell);
    RawClient client(server);
    for (const auto& [field, body] :
         {std::pair(length(5), std::string("hello")), std::pair(byChunks, chunksOf("hello", 2))}) {
        client.send(rawRequest("POST", "/", field + expects));
        const auto go = client.receiveReply();
        CHECK(go.status == 100);
        CHECK(go.fields.empty());
        const auto reply = client.request(body);
        CHECK(reply.status == 200);
        CHECK(reply.body == "got hello");
        CHECK_FALSE(reply.saysClose());
    }
}

TEST_CASE("no 100 for a body that has come already", "[gateway]") {
    MemoryServer server(tell);
    const auto replies = RawReply::takeAll(server.answer({rawRequest("POST", "/", length(5) + expects, "hello")}));
    REQUIRE(replies.size() == 1);
    CHECK(replies[0].body == "got hello");
}

TEST_CASE("no 100 for a body that is refused, and the connection ends, since the body may come or not",
          "[gateway][threads]") {
    HttpSettings settings;
    settings.limits.bodyBytes = 100;
    TestServer server(tell, settings);
    for (const auto& [path, size, status] : {std::tuple("/", 101, 413), std::tuple("/one-byte", 2, 413),
                                             std::tuple("/refuse", 5, 403), std::tuple("/deaf", 5, 200)}) {
        CAPTURE(path);
        RawClient client(server);
        const auto reply = client.request(rawRequest("POST", path, length(static_cast<size_t>(size)) + expects));
        CHECK(reply.status == status);
        CHECK(reply.saysClose());
        client.trySend(rawRequest("GET", "/smuggled"));
        CHECK(client.waitForEnd() == RawClient::End::closed);
    }
}

TEST_CASE("no 100 for HTTP/1.0 or without a body", "[gateway]") {
    MemoryServer server(tell);
    const auto old =
        RawReply::takeAll(server.answer({"POST / HTTP/1.0\r\nContent-Length: 5\r\n" + expects + "\r\n", "hello"}));
    REQUIRE(old.size() == 1);
    CHECK(old[0].body == "got hello");
    const auto none = RawReply::takeAll(server.answer({rawRequest("POST", "/", expects), rawRequest("GET", "/next")}));
    REQUIRE(none.size() == 2);
    CHECK(none[0].body == "got ");
}

TEST_CASE("a body that ends early fails the handler's reading, and a client that only half-closed reads why",
          "[gateway][threads]") {
    TestServer server(tell);
    for (const auto& request :
         {rawRequest("POST", "/", length(10), "hello"), rawRequest("POST", "/", byChunks, "5\r\nhello\r\n")}) {
        RawClient client(server);
        client.send(request);
        client.finishSending();
        const auto reply = client.receiveReply();
        CHECK(reply.status == 400);
        CHECK(reply.saysClose());
        CHECK(client.waitForEnd() == RawClient::End::closed);
    }
}

TEST_CASE("a client that resets in the middle of its body ends its handler and nothing else", "[gateway][threads]") {
    std::atomic<int> ended{0};
    TestServer server([&](Cgi& cgi) {
        if (cgi.pathInfo() == "/next") return cgi.write("fine", true);
        try {
            cgi.postBody();
        } catch (const Disconnected&) {
            ++ended;
            throw;
        }
    });
    {
        RawClient client(server);
        client.send(rawRequest("POST", "/", length(10) + expects));
        CHECK(client.receiveReply().status == 100);
        client.send("hello");
        client.reset();
    }
    const auto until = std::chrono::steady_clock::now() + testPatience;
    while (ended == 0 && std::chrono::steady_clock::now() < until)
        CHECK(RawClient(server).request(rawRequest("GET", "/next")).body == "fine");
    CHECK(ended == 1);
}

TEST_CASE("a reply may begin while the request's body still comes", "[gateway][threads]") {
    TestServer server([](Cgi& cgi) {
        cgi.setGzip(false);
        for (auto piece = cgi.readBody(); !piece.empty(); piece = cgi.readBody()) {
            cgi.write(piece);
            cgi.flush();
        }
    });
    RawClient client(server);
    client.send(rawRequest("POST", "/", byChunks));
    std::string got;
    for (int i = 0; i < 5; ++i) {
        client.send("4\r\nping\r\n");
        while (got.find("4\r\nping\r\n", got.size() < 9 ? 0 : got.size() - 9) == std::string::npos)
            got += client.receive(1);
        got += '|';
    }
    client.send("0\r\n\r\n");
    CHECK(client.receive(5) == "0\r\n\r\n");
}
