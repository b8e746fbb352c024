// What a handler says in its reply.

#include "support/Catch.h"
#include "support/TestServer.h"

#include <random>
#include <zlib.h>

using namespace postern;

namespace {

RawReply ask(const Handler& handler, const std::string& fields = {}, const std::string& method = "GET") {
    MemoryServer server(handler);
    auto replies = RawReply::takeAll(server.answer({rawRequest(method, "/", fields)}), {method});
    REQUIRE(replies.size() == 1);
    return replies[0];
}

std::string inflated(const std::string& packed) {
    z_stream stream{};
    if (::inflateInit2(&stream, 15 + 16) != Z_OK) throw std::runtime_error("inflateInit2");
    std::string out;
    char buffer[8192];
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    int result = Z_OK;
    while (result == Z_OK) {
        stream.next_out = reinterpret_cast<Bytef*>(buffer);
        stream.avail_out = sizeof buffer;
        result = ::inflate(&stream, Z_NO_FLUSH);
        out.append(buffer, sizeof buffer - stream.avail_out);
    }
    const bool complete = result == Z_STREAM_END && stream.avail_in == 0;
    ::inflateEnd(&stream);
    if (!complete) throw std::runtime_error("no complete gzip data");
    return out;
}

// As much as inflates so far, of data that goes on.
std::string inflatedSoFar(const std::string& packed) {
    z_stream stream{};
    if (::inflateInit2(&stream, 15 + 16) != Z_OK) throw std::runtime_error("inflateInit2");
    std::string out(1 << 16, '\0');
    stream.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(packed.data()));
    stream.avail_in = static_cast<uInt>(packed.size());
    stream.next_out = reinterpret_cast<Bytef*>(out.data());
    stream.avail_out = static_cast<uInt>(out.size());
    ::inflate(&stream, Z_SYNC_FLUSH);
    out.resize(out.size() - stream.avail_out);
    ::inflateEnd(&stream);
    return out;
}

const std::string takesGzip = "Accept-Encoding: gzip\r\n";
const std::string text(5000, 'a');

struct Setter {
    const char* name;
    std::function<void(Cgi&, const std::string&)> call;
};

// Every call that puts a string of the handler's into the head.
std::vector<Setter> setters() {
    return {
        {"setResponseStatus", [](Cgi& cgi, const std::string& s) { cgi.setResponseStatus("200 " + s); }},
        {"setResponseContentType", [](Cgi& cgi, const std::string& s) { cgi.setResponseContentType(s); }},
        {"setResponseLocation", [](Cgi& cgi, const std::string& s) { cgi.setResponseLocation(s); }},
        {"setCookie value", [](Cgi& cgi, const std::string& s) { cgi.setCookie("a", s); }},
        {"setCookie name", [](Cgi& cgi, const std::string& s) { cgi.setCookie(s, "a"); }},
        {"setCookie path",
         [](Cgi& cgi, const std::string& s) {
             CookieOptions o;
             o.path = s;
             cgi.setCookie("a", "b", o);
         }},
        {"setCookie domain",
         [](Cgi& cgi, const std::string& s) {
             CookieOptions o;
             o.domain = s;
             cgi.setCookie("a", "b", o);
         }},
        {"clearCookie", [](Cgi& cgi, const std::string& s) { cgi.clearCookie(s); }},
        {"header value", [](Cgi& cgi, const std::string& s) { cgi.header("X-Set", s); }},
        {"header name", [](Cgi& cgi, const std::string& s) { cgi.header(s, "a"); }},
        {"header Content-Type", [](Cgi& cgi, const std::string& s) { cgi.header("Content-Type", s); }},
    };
}

} // namespace

TEST_CASE("status, type, location, caching and fields go out as they were set", "[cgi]") {
    const auto reply = ask([](Cgi& cgi) {
        cgi.setResponseStatus("299 Quite Fine");
        cgi.setResponseContentType("text/plain");
        cgi.header("X-One", "1");
        cgi.header("X-One", "2");
        cgi.header("X-Empty", "");
        cgi.setCache(false);
        cgi.setResponseExpires(std::chrono::system_clock::time_point(std::chrono::seconds(784111777)), true);
        cgi.write("body", true);
    });
    CHECK(reply.head.starts_with("HTTP/1.1 299 Quite Fine\r\n"));
    CHECK(reply.field("Content-Type") == "text/plain");
    CHECK(reply.all("X-One") == std::vector<std::string>{"1", "2"});
    CHECK(reply.all("X-Empty") == std::vector<std::string>{""});
    CHECK(reply.field("Expires") == "Sun, 06 Nov 1994 08:49:37 GMT");
    CHECK(reply.all("Cache-Control") == std::vector<std::string>{"public"});
}

TEST_CASE("a status may be set as a number, with or without a phrase of one's own", "[cgi]") {
    CHECK(ask([](Cgi& cgi) { cgi.setResponseStatus(404); }).head.starts_with("HTTP/1.1 404 Not Found\r\n"));
    CHECK(ask([](Cgi& cgi) { cgi.setResponseStatus("404"); }).head.starts_with("HTTP/1.1 404 Not Found\r\n"));
    CHECK(ask([](Cgi& cgi) { cgi.setResponseStatus(599); }).head.starts_with("HTTP/1.1 599 \r\n"));
    ask([](Cgi& cgi) {
        for (const int status : {-1, 0, 100, 101, 199, 600, 1000})
            CHECK_THROWS_AS(cgi.setResponseStatus(status), std::invalid_argument);
        for (const char* status : {"", "x", "20", "2000", "200OK", "abc Fine", "100 Continue", "600 x", " 200"})
            CHECK_THROWS_AS(cgi.setResponseStatus(status), std::invalid_argument);
    });
}

TEST_CASE("a redirect has its location and its status", "[cgi]") {
    auto reply = ask([](Cgi& cgi) { cgi.setResponseLocation("/elsewhere"); });
    CHECK(reply.status == 302);
    CHECK(reply.field("Location") == "/elsewhere");
    reply = ask([](Cgi& cgi) { cgi.setResponseLocation("https://example.org/?a=b", 308); });
    CHECK(reply.status == 308);
}

TEST_CASE("without a type the reply is HTML, JSON is JSON", "[cgi]") {
    CHECK(ask([](Cgi& cgi) { cgi.write("x", true); }).field("Content-Type") == "text/html; charset=utf-8");
    const auto json = ask([](Cgi& cgi) { cgi.writeJson("{}"); });
    CHECK(json.field("Content-Type") == "application/json");
    CHECK(json.body == "{}");
}

TEST_CASE("bytes are written as text is", "[cgi]") {
    const std::string bytes("\0\xff\r\n", 4);
    CHECK(ask([&](Cgi& cgi) { cgi.write(asBytes(bytes), true); }).body == bytes);
}

TEST_CASE("cookies are set with their options and cleared with the same", "[cgi]") {
    const auto reply = ask([](Cgi& cgi) {
        CookieOptions options;
        options.path = "/p";
        cgi.setCookie("a", "1", options);
        cgi.setCookie("b", "2");
        cgi.clearCookie("c", options);
    });
    const auto cookies = reply.all("Set-Cookie");
    REQUIRE(cookies.size() == 3);
    CHECK(cookies[0].starts_with("a=1"));
    CHECK(cookies[0].find("Path=/p") != std::string::npos);
    CHECK(cookies[1].starts_with("b=2"));
    CHECK(cookies[2].starts_with("c=;"));
    CHECK(cookies[2].find("Max-Age=0") != std::string::npos);
    CHECK(cookies[2].find("Path=/p") != std::string::npos);
}

TEST_CASE("no string that is set breaks out of its field", "[cgi]") {
    std::mt19937 random(1);
    const std::string dangerous[] = {
        "\r\nX-Evil: 1",        "\nX-Evil: 1", "\rX-Evil: 1", "a\r\n\r\nevil",     "a\r", "a\n",
        std::string("a\0b", 3), "\r\n",        "\n",          std::string(1, '\0')};
    for (const auto& setter : setters()) {
        for (const auto& value : dangerous) {
            CAPTURE(setter.name, value);
            const auto reply = ask([&](Cgi& cgi) {
                CHECK_THROWS_AS(setter.call(cgi, value), std::invalid_argument);
                cgi.write("whole", true);
            });
            CHECK(reply.status == 200);
            CHECK(reply.head.find("vil") == std::string::npos);
            CHECK(reply.body == "whole");
        }
        // Any bytes at all: refused, or a head that reads as one.
        for (int i = 0; i < 200; ++i) {
            std::string value(random() % 12, 'x');
            for (auto& c : value) c = "\r\n\0\t :;,=\"a\x7f\x1b\xc3\xa4/"[random() % 17];
            CAPTURE(setter.name, value);
            bool refused = false;
            const auto reply = ask([&](Cgi& cgi) {
                try {
                    setter.call(cgi, value);
                } catch (const std::invalid_argument&) {
                    refused = true;
                }
                cgi.write("whole", true);
            });
            if (value.find_first_of(std::string("\r\n\0", 3)) != std::string::npos) CHECK(refused);
            CHECK(reply.body == "whole");
            CHECK(reply.head.find_first_of(std::string("\0\x1b\x7f", 3)) == std::string::npos);
        }
    }
}

TEST_CASE("fields that frame the reply or the connection are not the handler's", "[cgi]") {
    const auto reply = ask([](Cgi& cgi) {
        for (const char* name : {"Connection", "content-length", "Transfer-Encoding", "Upgrade", "Keep-Alive",
                                 "Trailer", "TE", "Date", "Status", "Proxy-Connection", "Sec-WebSocket-Accept",
                                 "sec-websocket-protocol", "Sec-WebSocket-Extensions"})
            CHECK_THROWS_AS(cgi.header(name, "x"), std::invalid_argument);
        for (const char* name : {"", "a b", "a:", "ä", "a\tb"})
            CHECK_THROWS_AS(cgi.header(name, "x"), std::invalid_argument);
        cgi.write("whole", true);
    });
    CHECK(reply.body == "whole");
}

TEST_CASE("set-up calls come before the first byte; later they throw and change nothing", "[cgi]") {
    const auto tooLate = [](Cgi& cgi) {
        CHECK(cgi.isResponding());
        CHECK_THROWS_AS(cgi.setResponseStatus(404), std::logic_error);
        CHECK_THROWS_AS(cgi.setResponseStatus("404 Not Found"), std::logic_error);
        CHECK_THROWS_AS(cgi.setResponseContentType("text/plain"), std::logic_error);
        CHECK_THROWS_AS(cgi.setResponseLocation("/"), std::logic_error);
        CHECK_THROWS_AS(cgi.setResponseExpires(std::chrono::system_clock::now()), std::logic_error);
        CHECK_THROWS_AS(cgi.setCache(false), std::logic_error);
        CHECK_THROWS_AS(cgi.setCookie("a", "b"), std::logic_error);
        CHECK_THROWS_AS(cgi.clearCookie("a"), std::logic_error);
        CHECK_THROWS_AS(cgi.header("X", "y"), std::logic_error);
        CHECK_THROWS_AS(cgi.acceptWebsocket(), std::logic_error);
    };
    auto reply = ask([&](Cgi& cgi) {
        cgi.write("a");
        tooLate(cgi);
        CHECK_THROWS_AS(cgi.writeJson("{}"), std::logic_error);
        cgi.write("b");
    });
    CHECK(reply.status == 200);
    CHECK(reply.body == "ab");
    CHECK_FALSE(reply.has("X"));

    reply = ask([&](Cgi& cgi) {
        cgi.flush(); // the head is the first byte
        tooLate(cgi);
    });
    CHECK(reply.status == 200);

    reply = ask([&](Cgi& cgi) {
        cgi.write("all", true);
        tooLate(cgi);
        CHECK_THROWS_AS(cgi.write("more"), std::logic_error);
        CHECK_THROWS_AS(cgi.write("more", true), std::logic_error);
        cgi.flush();
        cgi.close();
        cgi.close();
    });
    CHECK(reply.body == "all");
}

TEST_CASE("a whole reply of text is packed for a client that takes gzip, and says on what that depends", "[cgi]") {
    const auto whole = [](Cgi& cgi) { cgi.write(text, true); };
    auto reply = ask(whole, takesGzip);
    CHECK(reply.field("Content-Encoding") == "gzip");
    CHECK(reply.field("Vary") == "Accept-Encoding");
    CHECK(reply.body.size() < text.size() / 10);
    CHECK((inflated(reply.body) == text));

    for (const std::string fields :
         {"", "Accept-Encoding: br\r\n", "Accept-Encoding: gzip;q=0\r\n", "Accept-Encoding: identity\r\n"}) {
        reply = ask(whole, fields);
        CAPTURE(fields);
        CHECK_FALSE(reply.has("Content-Encoding"));
        CHECK(reply.field("Vary") == "Accept-Encoding");
        CHECK((reply.body == text));
    }
    for (const std::string fields : {"Accept-Encoding: br, GZIP;q=0.1\r\n", "Accept-Encoding: *\r\n"})
        CHECK((inflated(ask(whole, fields).body) == text));
}

TEST_CASE("a streamed reply is packed as it goes, and each flush lets the client read on", "[cgi]") {
    const auto streamed = [](Cgi& cgi) {
        for (int i = 0; i < 50; ++i) {
            cgi.write("line " + std::to_string(i) + "\n");
            if (i % 10 == 0) cgi.flush();
        }
    };
    std::string expected;
    for (int i = 0; i < 50; ++i) expected += "line " + std::to_string(i) + "\n";
    auto reply = ask(streamed, takesGzip);
    CHECK(reply.chunked);
    CHECK(reply.field("Content-Encoding") == "gzip");
    CHECK(reply.field("Vary") == "Accept-Encoding");
    CHECK(inflated(reply.body) == expected);
    reply = ask(streamed);
    CHECK_FALSE(reply.has("Content-Encoding"));
    CHECK(reply.body == expected);
}

TEST_CASE("what was flushed can be unpacked before the reply goes on", "[cgi][threads]") {
    std::atomic<bool> go{false};
    TestServer server([&](Cgi& cgi) {
        cgi.write("first part");
        cgi.flush();
        while (!go) yield();
        cgi.write(", second part");
    });
    RawClient client(server);
    client.send(rawRequest("GET", "/", takesGzip));
    std::string bytes;
    while (bytes.find("\r\n\r\n") == std::string::npos) bytes += client.receive(1);
    std::string packed;
    while (inflatedSoFar(packed) != "first part") {
        std::string line;
        while (!line.ends_with("\r\n")) line += client.receive(1);
        packed += client.receive(std::stoul(line, nullptr, 16));
        client.receive(2);
    }
    go = true;
    std::string rest = client.receive(0);
    for (bool last = false; !last;) {
        std::string line;
        while (!line.ends_with("\r\n")) line += client.receive(1);
        const auto size = std::stoul(line, nullptr, 16);
        packed += client.receive(size);
        client.receive(2);
        last = size == 0;
    }
    CHECK(inflated(packed) == "first part, second part");
}

TEST_CASE("nothing is packed that is small, no text, packed already, a part, or unwanted", "[cgi]") {
    const auto isPacked = [](const Handler& handler) {
        const auto reply = ask(handler, takesGzip);
        const bool packed = reply.field("Content-Encoding") == "gzip" && reply.body.starts_with("\x1f\x8b");
        if (!packed) CHECK((reply.body == text || reply.body == "small"));
        return packed;
    };
    CHECK(isPacked([](Cgi& cgi) { cgi.write(text, true); }));
    CHECK(isPacked([](Cgi& cgi) { cgi.writeJson(text); }));
    CHECK_FALSE(isPacked([](Cgi& cgi) { cgi.write("small", true); }));
    CHECK_FALSE(isPacked([](Cgi& cgi) {
        cgi.setGzip(false);
        cgi.write(text, true);
    }));
    CHECK_FALSE(isPacked([](Cgi& cgi) {
        cgi.setGzip(false);
        cgi.write(text);
    }));
    CHECK_FALSE(isPacked([](Cgi& cgi) {
        cgi.setResponseContentType("image/png");
        cgi.write(text, true);
    }));
    CHECK_FALSE(isPacked([](Cgi& cgi) {
        cgi.setResponseContentType("text/event-stream");
        cgi.write(text);
    }));
    CHECK_FALSE(isPacked([](Cgi& cgi) {
        cgi.header("Content-Encoding", "br");
        cgi.write(text, true);
    }));
    CHECK_FALSE(isPacked([](Cgi& cgi) {
        cgi.header("content-encoding", "br");
        cgi.write(text, true);
    }));
    CHECK_FALSE(isPacked([](Cgi& cgi) {
        cgi.setResponseStatus(206);
        cgi.write(text, true);
    }));
}

TEST_CASE("HEAD tells the fields of GET for packed replies, too", "[cgi]") {
    for (const bool whole : {true, false}) {
        const auto handler = [&](Cgi& cgi) { cgi.write(text, whole); };
        const auto get = ask(handler, takesGzip), head = ask(handler, takesGzip, "HEAD");
        for (const char* name : {"Content-Encoding", "Vary", "Content-Type", "Content-Length"}) {
            CAPTURE(name, whole);
            CHECK(head.field(name) == get.field(name));
        }
    }
}

TEST_CASE("a failure after packing began leaves no trace of it in the error", "[cgi]") {
    const auto reply = ask(
        [](Cgi& cgi) {
            cgi.setResponseContentType("application/json");
            cgi.setCookie("a", "b");
            throw HttpError(418, "short and stout");
        },
        takesGzip);
    CHECK(reply.status == 418);
    CHECK(reply.body == "418 : short and stout\n");
    CHECK_FALSE(reply.has("Set-Cookie"));
    CHECK_FALSE(reply.has("Content-Encoding"));
}

TEST_CASE("a handler whose client has gone gets Disconnected, and need not mind", "[cgi][threads]") {
    std::atomic<int> gone{0};
    TestServer server([&](Cgi& cgi) {
        if (cgi.pathInfo() == "/fine") return cgi.write("fine", true);
        try {
            for (;;) {
                cgi.write("x");
                cgi.flush();
            }
        } catch (const Disconnected&) {
            ++gone;
            if (cgi.pathInfo() == "/rethrow") throw;
        }
    });
    for (const std::string path : {"/swallow", "/rethrow"}) {
        RawClient client(server);
        client.send(rawRequest("GET", path));
        client.receive(100);
        client.reset();
    }
    const auto until = std::chrono::steady_clock::now() + testPatience;
    while (gone < 2 && std::chrono::steady_clock::now() < until) std::this_thread::yield();
    CHECK(gone == 2);
    CHECK(RawClient(server).request(rawRequest("GET", "/fine")).body == "fine");
    CHECK(server.log().all().empty());
}
