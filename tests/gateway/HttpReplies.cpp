// How replies are framed, and what a client sees of one that fails.

#include "support/Catch.h"
#include "support/TestServer.h"

#include <atomic>

using namespace postern;

namespace {

void reply(Cgi& cgi) {
    const auto path = cgi.pathInfo();
    cgi.setGzip(false);
    if (path == "/whole") return cgi.write("hello", true);
    if (path == "/empty") return cgi.write("", true);
    if (path == "/nothing") return;
    if (path == "/streamed") {
        cgi.write("hel");
        cgi.write("");
        cgi.flush();
        return cgi.write("lo");
    }
    if (path == "/no-content") return cgi.setResponseStatus(204);
    if (path == "/no-content-with-body") {
        cgi.setResponseStatus(204);
        return cgi.write("hello", true);
    }
    if (path == "/not-modified") {
        cgi.setResponseStatus(304);
        cgi.header("ETag", "\"x\"");
        return cgi.write("hello");
    }
    if (path == "/http-error") throw HttpError(404, "no such thing");
    if (path == "/bare-http-error") throw HttpError(410);
    if (path == "/odd-http-error") throw HttpError(200);
    if (path == "/early") throw std::runtime_error("the password is 1234");
    if (path == "/odd") throw 42;
    if (path == "/with-fields") {
        cgi.setCookie("a", "b");
        cgi.setResponseStatus(201);
        throw HttpError(409);
    }
    cgi.write("part");
    if (path == "/late-flushed") cgi.flush();
    if (path == "/late-http-error") throw HttpError(404);
    throw std::runtime_error("the password is 1234");
}

const std::string oldRequest(const std::string& path, const std::string& fields = {}) {
    return "GET " + path + " HTTP/1.0\r\n" + fields + "\r\n";
}

} // namespace

TEST_CASE("a whole reply has a length, a streamed one has chunks", "[gateway]") {
    MemoryServer server(reply);
    const auto replies =
        RawReply::takeAll(server.answer({rawRequest("GET", "/whole") + rawRequest("GET", "/streamed") +
                                         rawRequest("GET", "/empty") + rawRequest("GET", "/nothing")}));
    REQUIRE(replies.size() == 4);
    CHECK(replies[0].field("Content-Length") == "5");
    CHECK_FALSE(replies[0].chunked);
    CHECK(replies[0].body == "hello");
    CHECK(replies[1].chunked);
    CHECK(replies[1].body == "hello");
    CHECK(replies[2].field("Content-Length") == "0");
    CHECK(replies[3].field("Content-Length") == "0");
    for (const auto& one : replies) {
        CHECK(one.status == 200);
        CHECK(one.all("Date").size() == 1);
        CHECK(one.all("Content-Type").size() == 1);
    }
}

TEST_CASE("HTTP/1.0 gets no chunks: a streamed reply ends with the connection", "[gateway]") {
    MemoryServer server(reply);
    for (const std::string keep : {"", "Connection: keep-alive\r\n"}) {
        const auto replies = RawReply::takeAll(server.answer({oldRequest("/streamed", keep) + oldRequest("/whole")}));
        REQUIRE(replies.size() == 1);
        CHECK_FALSE(replies[0].chunked);
        CHECK_FALSE(replies[0].has("Content-Length"));
        CHECK(replies[0].saysClose());
        CHECK(replies[0].body == "hello");
    }
    const auto whole =
        RawReply::takeAll(server.answer({oldRequest("/whole", "Connection: keep-alive\r\n") + oldRequest("/whole")}));
    REQUIRE(whole.size() == 2);
    CHECK(whole[0].body == "hello");
}

TEST_CASE("the reply to HEAD is that to GET without its body", "[gateway]") {
    MemoryServer server(reply);
    for (const std::string path :
         {"/whole", "/streamed", "/empty", "/nothing", "/http-error", "/early", "/not-modified"}) {
        CAPTURE(path);
        const auto get = RawReply::takeAll(server.answer({rawRequest("GET", path)}));
        const auto head =
            RawReply::takeAll(server.answer({rawRequest("HEAD", path) + rawRequest("GET", "/whole")}), {"HEAD", "GET"});
        REQUIRE(get.size() == 1);
        REQUIRE(head.size() == 2);
        CHECK(head[0].status == get[0].status);
        CHECK(head[0].field("Content-Length") == get[0].field("Content-Length"));
        CHECK(head[0].field("Content-Type") == get[0].field("Content-Type"));
        CHECK(head[1].body == "hello");
    }
}

TEST_CASE("204 and 304 have no body and no length, whatever the handler writes", "[gateway]") {
    MemoryServer server(reply);
    for (const auto& [path, status] :
         {std::pair("/no-content", 204), std::pair("/no-content-with-body", 204), std::pair("/not-modified", 304)}) {
        CAPTURE(path);
        const auto answer =
            server.answer({rawRequest("GET", path) + rawRequest("GET", "/whole", "Connection: close\r\n")});
        const auto replies = RawReply::takeAll(answer);
        REQUIRE(replies.size() == 2);
        CHECK(replies[0].status == status);
        CHECK_FALSE(replies[0].chunked);
        CHECK_FALSE(replies[0].has("Content-Type"));
        if (status == 204)
            CHECK_FALSE(replies[0].has("Content-Length"));
        else
            CHECK(replies[0].field("ETag") == "\"x\"");
        CHECK(replies[1].body == "hello");
    }
}

TEST_CASE("a failure before the reply is a plain 500 that tells nothing, and the connection goes on",
          "[gateway][threads]") {
    TestServer server(reply);
    RawClient client(server);
    for (const std::string path : {"/early", "/odd", "/odd-http-error"}) {
        const auto failed = client.request(rawRequest("GET", path));
        CHECK(failed.status == 500);
        CHECK(failed.body == "500 Internal Server Error\n");
        CHECK(failed.field("Content-Type") == "text/plain; charset=utf-8");
        CHECK_FALSE(failed.saysClose());
    }
    CHECK(server.log().count("the handler failed for GET /early: the password is 1234") == 1);
    CHECK(server.log().count("the handler failed for GET /odd") == 1);
    CHECK(client.request(rawRequest("GET", "/whole")).body == "hello");
}

TEST_CASE("a failure tells its text when the program runs for its developer", "[gateway]") {
    HandlerSettings dev;
    dev.dev = true;
    MemoryServer server(reply, {}, dev);
    const auto replies = RawReply::takeAll(server.answer({rawRequest("GET", "/early")}));
    CHECK(replies.at(0).status == 500);
    CHECK(replies.at(0).body == "500 Internal Server Error: the password is 1234\n");
}

TEST_CASE("an HttpError is its status and its text, and nothing of what was set before", "[gateway]") {
    MemoryServer server(reply);
    const auto replies =
        RawReply::takeAll(server.answer({rawRequest("GET", "/http-error") + rawRequest("GET", "/bare-http-error") +
                                         rawRequest("GET", "/with-fields")}));
    REQUIRE(replies.size() == 3);
    CHECK(replies[0].status == 404);
    CHECK(replies[0].body == "404 Not Found: no such thing\n");
    CHECK(replies[1].body == "410 Gone\n");
    CHECK(replies[2].status == 409);
    CHECK_FALSE(replies[2].has("Set-Cookie"));
}

TEST_CASE("a failure in the middle of a reply cuts it so that the client notices", "[gateway][threads]") {
    TestServer server(reply);
    for (const std::string path : {"/late", "/late-flushed", "/late-http-error"}) {
        CAPTURE(path);
        RawClient client(server);
        client.send(rawRequest("GET", path) + rawRequest("GET", "/whole"));
        const auto answer = client.receiveAll();
        CHECK(answer.find("4\r\npart\r\n") != std::string::npos);
        CHECK(answer.find("0\r\n\r\n") == std::string::npos);
        CHECK(answer.find("hello") == std::string::npos);
    }
    RawClient old(server);
    old.send(oldRequest("/late-flushed"));
    CHECK(old.waitForEnd() == RawClient::End::reset); // a plain end would look like a whole reply
    CHECK(RawClient(server).request(rawRequest("GET", "/whole")).body == "hello");
}

TEST_CASE("what a request says appears in the log without its control characters", "[gateway]") {
    TestServer server(reply);
    RawClient client(server);
    CHECK(client.request(rawRequest("GET", "/early?%1b[31m")).status == 500);
    CHECK(client.request(rawRequest("GET", "/early", "X: \xff\xfe\r\n")).status != 0);
    for (const auto& line : server.log().all())
        for (const char c : line) CHECK((c >= ' ' && c < 0x7f));
}

TEST_CASE("the access record of each request has its status, its bytes and its head", "[gateway][threads]") {
    std::mutex mutex;
    std::vector<std::string> records;
    HttpSettings settings;
    settings.access = [&](const AccessRecord& record) {
        const std::lock_guard lock(mutex);
        records.push_back(std::string(record.head.method) + ' ' + std::string(record.head.target) + ' ' +
                          std::to_string(record.status) + ' ' + std::to_string(record.bodyBytes));
    };
    {
        TestServer server(reply, settings);
        RawClient client(server);
        client.send(rawRequest("GET", "/whole") + rawRequest("HEAD", "/whole") + rawRequest("GET", "/streamed") +
                    rawRequest("GET", "/http-error", "Connection: close\r\n"));
        CHECK(RawReply::takeAll(client.receiveAll(), {"GET", "HEAD", "GET"}).size() == 4);
    }
    const std::lock_guard lock(mutex);
    CHECK(records == std::vector<std::string>{"GET /whole 200 5", "HEAD /whole 200 0", "GET /streamed 200 5",
                                              "GET /http-error 404 29"});
}

TEST_CASE("a reply is sent when the handler waits, not only when it returns", "[gateway][threads]") {
    Event* release = nullptr;
    TestServer server([&](Cgi& cgi) {
        Event event;
        release = &event;
        cgi.setGzip(false);
        cgi.write("first");
        event.wait();
        cgi.write("second");
    });
    RawClient client(server);
    client.send(rawRequest("GET", "/"));
    std::string got;
    while (got.find("first\r\n") == std::string::npos) got += client.receive(1);
    server.onLoop([&] { release->set(); });
    CHECK(client.receive(13) == "6\r\nsecond\r\n0\r");
}
