// Requests from a web server by FastCGI, SCGI and uwsgi, and their replies.

#include "postern/gateway/WebServerGateway.h"

#include "support/Catch.h"
#include "support/Fragments.h"
#include "support/WebServerPipe.h"
#include "support/WebServerTalk.h"

#include <map>

using namespace postern;
using namespace std::chrono_literals;
using namespace std::literals;

namespace {

void tell(Cgi& cgi) {
    cgi.setGzip(false);
    if (cgi.pathInfo() == "/deaf") return cgi.write("deaf", true);
    cgi.write(std::string(cgi.requestMethod()) + ' ' + std::string(cgi.pathInfo()) + ' ' + cgi.postBody(), true);
}

WireVariables post(std::string_view target, const WireVariables& more = {}) { return wireVariables("POST", target, more); }
std::string get(CgiProtocol protocol, std::string_view target, bool keeps = false) {
    return wireRequest(protocol, wireVariables("GET", target), {}, keeps);
}

}

TEST_CASE("each protocol of web servers gets its own form of a reply", "[gateway]") {
    const std::map<CgiProtocol, std::string> lines = {{CgiProtocol::fastCgi, "Status: 200 OK\r\n"},
                                                      {CgiProtocol::scgi, "Status: 200 OK\r\n"},
                                                      {CgiProtocol::uwsgi, "HTTP/1.1 200 OK\r\n"}};
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        WebServerTalk talk(protocol, tell);
        auto& line = talk.connect();
        line.send(get(protocol, "/a%20b?c"));
        const auto reply = line.reply();
        CHECK(reply.text.starts_with(lines.at(protocol)));
        CHECK(reply.body() == "GET /a b ");
        CHECK(reply.text.find("\r\nContent-Length: 9\r\n") != std::string::npos);
        CHECK(reply.text.find("Transfer-Encoding") == std::string::npos);
        CHECK(reply.complaint.empty());
        CHECK(reply.ended == (protocol == CgiProtocol::fastCgi));
        CHECK(line.received.empty());
        CHECK(line.ended());
        CHECK(talk.log().empty());
    }
}

TEST_CASE("a request from a web server gets the same reply however it arrives", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        const auto bytes = wireRequest(protocol, post("/x"), "the body");
        WebServerTalk talk(protocol, tell);
        forEachFragmentation(bytes, [&](const Fragments& pieces) {
            auto& line = talk.connect();
            for (const auto piece : pieces) line.send(piece);
            const auto reply = line.reply();
            if (reply.body() != "POST /x the body" || !reply.complaint.empty() || !line.ended()) FAIL(reply.text << pieces[0].size());
        });
        CHECK(talk.log().empty());
        CHECK(talk.loop().fiberCount() == 0);
    }
}

TEST_CASE("a FastCGI connection that is to be kept serves one request after the other", "[gateway]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    WebServerTalk talk(protocol, tell);
    auto& line = talk.connect();
    for (const auto& body : {""s, "one"s, ""s, std::string(100'000, 'x'), "last"s}) {
        line.send(wireRequest(protocol, post("/x"), body, true));
        const auto reply = line.reply();
        CHECK((reply.body() == "POST /x " + body));
        CHECK(reply.ended);
        CHECK(reply.complaint.empty());
        CHECK(!line.ended());
    }
    line.send(get(protocol, "/end"));  // this one asks to close
    CHECK(line.reply().body() == "GET /end ");
    CHECK(line.ended());
}

TEST_CASE("requests in one segment of a kept FastCGI connection are answered in order", "[gateway]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    WebServerTalk talk(protocol, tell);
    const auto three = wireRequest(protocol, post("/1"), "one", true) + wireRequest(protocol, post("/deaf"), "two", true) +
                       get(protocol, "/3");
    forEachFragmentation(three, [&](const Fragments& pieces) {
        auto& line = talk.connect();
        for (const auto piece : pieces) line.send(piece);
        std::string bodies;
        for (int i = 0; i < 3; ++i) {
            const auto reply = line.reply();
            bodies += reply.body() + (reply.ended ? ";" : "?") + reply.complaint;
        }
        if (bodies != "POST /1 one;deaf;GET /3 ;" || !line.received.empty() || !line.ended()) FAIL(bodies << pieces[0].size());
    });
    CHECK(talk.log().empty());
}

TEST_CASE("a FastCGI connection that is not to be kept ends with its first request", "[gateway]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    WebServerTalk talk(protocol, tell);
    auto& line = talk.connect();
    line.send(get(protocol, "/1") + get(protocol, "/2"));
    CHECK(line.reply().body() == "GET /1 ");
    CHECK(line.received.empty());
    CHECK(line.ended());
}

TEST_CASE("a reply reaches the web server while it is made, and a body the handler while it comes", "[gateway]") {
    const Handler echoPieces = [](Cgi& cgi) {
        cgi.setGzip(false);
        cgi.write("begun;");
        cgi.flush();
        for (auto piece = cgi.readBody(); !piece.empty(); piece = cgi.readBody()) {
            cgi.write(std::string(piece) + ';');
            cgi.flush();
        }
        cgi.write("done");
    };
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        WebServerTalk talk(protocol, echoPieces);
        auto& line = talk.connect();
        line.send(wireHead(protocol, post("/", {{"CONTENT_LENGTH", "9"}})));
        CHECK(line.reply().body() == "begun;");
        for (const auto* piece : {"one", "two", "six"}) {
            line.send(wirePiece(protocol, piece));
            CHECK(line.reply().text.starts_with(piece + ";"s));
        }
        line.send(wireEnd(protocol));
        CHECK(line.ended());
    }
}

TEST_CASE("a large reply reaches a web server that takes it in small portions", "[gateway]") {
    std::string large(3'000'000, ' ');
    for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i * i % 23);
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        WebServerTalk talk(protocol, [&](Cgi& cgi) {
            cgi.setGzip(false);
            cgi.write(large, true);
        });
        auto& line = talk.connect(4096);
        line.send(get(protocol, "/"));
        const auto reply = line.reply();
        CHECK((reply.body() == large));
        CHECK(reply.complaint.empty());
        CHECK(line.ended());
    }
}

TEST_CASE("a body that nobody reads is dropped, and the kept FastCGI connection goes on", "[gateway]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    WebServerTalk talk(protocol, tell);
    auto& line = talk.connect();
    const std::string half(60'000, 'x');
    line.send(wireHead(protocol, post("/deaf", {{"CONTENT_LENGTH", "120000"}}), true) + wirePiece(protocol, half));
    CHECK(line.reply().body() == "deaf");
    line.send(wirePiece(protocol, half) + wireEnd(protocol) + get(protocol, "/next", true));
    CHECK(line.reply().body() == "GET /next ");
    CHECK(!line.ended());
}

TEST_CASE("a large body that nobody reads ends the FastCGI connection instead of being read", "[gateway]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    WebServerTalk talk(protocol, tell);
    auto& line = talk.connect();
    line.send(wireHead(protocol, post("/deaf", {{"CONTENT_LENGTH", "1000000"}}), true));
    CHECK(line.reply().body() == "deaf");
    for (int i = 0; i < 5 && !line.ended(); ++i) line.send(wirePiece(protocol, std::string(60'000, 'x')));
    CHECK(line.ended());
}

TEST_CASE("the reply to a body that nobody reads is whole by SCGI and uwsgi, too", "[gateway]") {
    for (const auto protocol : {CgiProtocol::scgi, CgiProtocol::uwsgi}) {
        WebServerTalk talk(protocol, tell);
        auto& line = talk.connect();
        line.send(wireHead(protocol, post("/deaf", {{"CONTENT_LENGTH", "500000"}})) + std::string(100'000, 'x'));
        CHECK(line.reply().body() == "deaf");
        CHECK(line.ended());
    }
}

TEST_CASE("CONTENT_LENGTH says where a body ends, and a shorter one is a 400", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        WebServerTalk talk(protocol, tell);
        const auto ask = [&](const char* length, std::string_view body, bool ends = true) {
            auto& line = talk.connect();
            line.send(wireHead(protocol, post("/", {{"CONTENT_LENGTH", length}})) + wirePiece(protocol, body) + (ends ? wireEnd(protocol) : ""));
            if (ends) line.finishSending();
            const auto reply = line.reply();
            return std::to_string(reply.status(protocol)) + ' ' + reply.body();
        };
        CHECK(ask("5", "hello") == "200 POST / hello");
        CHECK(ask("5", "hello", false) == "200 POST / hello");  // as lighttpd does with its upgrade on
        CHECK(ask("5", "hello and more") == "200 POST / hello");
        CHECK(ask("6", "hello").starts_with("400 "));
        CHECK(ask("6", "").starts_with("400 "));
        CHECK(ask("0", "") == "200 POST / ");
        CHECK(ask("0", "hello") == "200 POST / ");
        for (const auto* odd : {"5x", " 5", "+5", "-5", "0x5", "5,5", "18446744073709551616", "1000000000000000000"})
            CHECK(ask(odd, "hello").starts_with("400 "));
        CHECK(talk.logged("refused a " + std::string(nameOf(protocol)) + " request") == 8);
    }
}

TEST_CASE("without CONTENT_LENGTH a FastCGI body ends with STDIN, and other bodies are unknown", "[gateway]") {
    const auto ask = [](CgiProtocol protocol, const WireVariables& more, std::string_view body) {
        WebServerTalk talk(protocol, tell);
        const auto reply = talk.ask(wireHead(protocol, post("/", more)) + wirePiece(protocol, body) + wireEnd(protocol));
        return std::to_string(reply.status(protocol)) + ' ' + reply.body();
    };
    CHECK(ask(CgiProtocol::fastCgi, {}, "hello") == "200 POST / hello");
    CHECK(ask(CgiProtocol::fastCgi, {{"CONTENT_LENGTH", ""}}, "hello") == "200 POST / hello");
    CHECK(ask(CgiProtocol::fastCgi, {{"CONTENT_LENGTH", "-1"}}, "hello") == "200 POST / hello");
    CHECK(ask(CgiProtocol::fastCgi, {{"HTTP_TRANSFER_ENCODING", "chunked"}}, "5\r\nhello\r\n0\r\n\r\n") ==
          "200 POST / 5\r\nhello\r\n0\r\n\r\n");
    CHECK(ask(CgiProtocol::uwsgi, {}, "") == "200 POST / ");
    CHECK(ask(CgiProtocol::uwsgi, {{"CONTENT_LENGTH", ""}}, "") == "200 POST / ");
    for (const auto protocol : {CgiProtocol::scgi, CgiProtocol::uwsgi}) CHECK(ask(protocol, {{"CONTENT_LENGTH", "-1"}}, "hello").starts_with("411 "));
    for (const auto protocol : wireProtocols)
        CHECK(ask(protocol, {{"CONTENT_LENGTH", "0"}, {"HTTP_CONTENT_LENGTH", "10"}}, "").starts_with("500 "));
}

TEST_CASE("a web server that ends within a body it promised has no answer to wait for", "[gateway]") {
    bool disconnected = false;
    WebServerTalk talk(CgiProtocol::fastCgi, [&](Cgi& cgi) {
        try {
            cgi.write(cgi.postBody(), true);
        } catch (const Disconnected&) {
            disconnected = true;
            throw;
        }
    });
    auto& line = talk.connect();
    line.send(wireHead(CgiProtocol::fastCgi, post("/")) + wirePiece(CgiProtocol::fastCgi, "half"));
    line.finishSending();
    CHECK(disconnected);
    CHECK(line.ended());
    CHECK(!line.reply().ended);
}

TEST_CASE("an abort ends a FastCGI request wherever it is", "[gateway]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    const auto abortion = fastCgiRecord(2, 1, "");
    int stopped = 0;
    WebServerTalk talk(protocol, [&](Cgi& cgi) {
        try {
            cgi.write(cgi.postBody(), true);
        } catch (const Disconnected&) {
            ++stopped;
            throw;
        }
    });
    SECTION("before its handler runs: END_REQUEST") {
        const auto reply = talk.ask(fastCgiRecord(1, 1, "\0\1\1\0\0\0\0\0"sv) + abortion);
        CHECK(reply.ended);
        CHECK(reply.text.empty());
        CHECK(stopped == 0);
    }
    SECTION("within its body") {
        auto& line = talk.connect();
        line.send(wireHead(protocol, post("/"), true) + wirePiece(protocol, "half") + abortion);
        CHECK(stopped == 1);
        CHECK(line.ended());
    }
    SECTION("after its end, where it crossed the reply") {
        auto& line = talk.connect();
        line.send(wireRequest(protocol, post("/"), "one", true));
        CHECK(line.reply().body() == "one");
        line.send(abortion + wireRequest(protocol, post("/"), "two", true));
        CHECK(line.reply().body() == "two");
        CHECK(stopped == 0);
    }
}

TEST_CASE("limits of bodies and heads hold behind a web server, on both sides", "[gateway]") {
    WebServerSettings settings;
    settings.cgi.limits.bodyBytes = 10;
    settings.cgi.limits.head = {1000, 5, 50};
    settings.variableBytes = 8000;
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        WebServerTalk talk(protocol, tell, settings);
        const auto status = [&](const WireVariables& variables, std::string_view body = {}) {
            auto& line = talk.connect();
            line.send(wireRequest(protocol, variables, body));
            const auto reply = line.reply();
            CHECK(line.ended());
            return reply.status(protocol);
        };
        CHECK(status(post("/"), std::string(10, 'x')) == 200);
        CHECK(status(post("/"), std::string(11, 'x')) == 413);
        CHECK(status(wireVariables("GET", "/" + std::string(49, 'x'))) == 200);
        CHECK(status(wireVariables("GET", "/" + std::string(50, 'x'))) == 414);
        const auto host = "HTTP_HOST"s.size() + "test"s.size();
        CHECK(status(wireVariables("GET", "/", {{"HTTP_X", std::string(1000 - host - 6, 'x')}})) == 200);
        CHECK(status(wireVariables("GET", "/", {{"HTTP_X", std::string(1000 - host - 6 + 1, 'x')}})) == 431);
        WireVariables fields;
        for (int i = 0; i < 4; ++i) fields.emplace_back("HTTP_X" + std::to_string(i), "");
        CHECK(status(wireVariables("GET", "/", fields)) == 200);
        fields.emplace_back("HTTP_X4", "");
        CHECK(status(wireVariables("GET", "/", fields)) == 431);
        if (protocol == CgiProtocol::fastCgi) {
            WebServerTalk unknown(protocol, tell, settings);
            for (const size_t size : {10, 11}) {
                auto& line = unknown.connect();
                line.send(wireHead(protocol, post("/")) + wirePiece(protocol, std::string(size, 'x')) + wireEnd(protocol));
                CHECK(line.reply().status(protocol) == (size == 10 ? 200 : 413));
            }
        }
    }
}

TEST_CASE("more variables than --max-variables allows are a 431 before they are kept, and a log line", "[gateway]") {
    WebServerSettings settings;
    settings.variableBytes = 4000;
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        WebServerTalk talk(protocol, tell, settings);
        size_t used = 0;
        auto variables = wireVariables("GET", "/", {{"CONTENT_LENGTH", "0"}, {"PADDING", ""}});
        for (const auto& [name, value] : variables) used += name.size() + value.size() + CgiVariableBudget::overhead;
        if (protocol == CgiProtocol::scgi) used += "SCGI1"s.size() + CgiVariableBudget::overhead;
        for (auto& [name, value] : variables)
            if (name == "PADDING") value.assign(4000 - used, 'p');
        CHECK(talk.ask(wireRequest(protocol, variables)).status(protocol) == 200);
        CHECK(talk.log().empty());
        for (auto& [name, value] : variables)
            if (name == "PADDING") value += 'p';
        auto& line = talk.connect();
        line.send(wireRequest(protocol, variables));
        const auto reply = line.reply();
        CHECK(reply.status(protocol) == 431);
        CHECK(reply.ended == (protocol == CgiProtocol::fastCgi));
        CHECK(line.ended());
        CHECK(talk.log().size() == 1);
        CHECK(talk.logged("cut a " + std::string(nameOf(protocol)) + " connection from 127.0.0.1: ") == 1);
    }
}

TEST_CASE("what a web server sends amiss closes its connection with one log line and no reply", "[gateway]") {
    const auto twice = fastCgiRecord(1, 1, "\0\1\0\0\0\0\0\0"sv);
    const auto hugeSize = "\xff\xff\xff\xff\xff\xff\xff\xff"s;
    const std::vector<std::pair<CgiProtocol, std::string>> rows = {
        {CgiProtocol::fastCgi, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
        {CgiProtocol::fastCgi, twice + twice},
        {CgiProtocol::fastCgi, twice + fastCgiRecord(5, 1, "body")},
        {CgiProtocol::fastCgi, twice + fastCgiRecord(4, 1, "\1") + fastCgiRecord(4, 1, "")},
        {CgiProtocol::fastCgi, twice + fastCgiRecord(4, 1, fastCgiPair("A=B", "c"))},
        {CgiProtocol::fastCgi, twice + fastCgiRecord(4, 1, fastCgiPair("A", "\0"sv))},
        {CgiProtocol::fastCgi, twice + fastCgiRecord(4, 2, "")},
        {CgiProtocol::fastCgi, fastCgiRecord(9, 0, hugeSize)},
        {CgiProtocol::fastCgi, fastCgiRecord(1, 0, "\0\1\0\0\0\0\0\0"sv)},
        {CgiProtocol::scgi, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
        {CgiProtocol::scgi, "5:hello,"},
        {CgiProtocol::scgi, "24:CONTENT_LENGTH\0000\0SCGI\0001\0;"s},
        {CgiProtocol::scgi, "007:"},
        {CgiProtocol::uwsgi, "GET / HTTP/1.1\r\nHost: h\r\n\r\n"},
        {CgiProtocol::uwsgi, "\0\4\0\0\xff\xff\1\0"s},
        {CgiProtocol::uwsgi, "\0\4\0\1"s},
    };
    for (const auto& [protocol, bytes] : rows) {
        CAPTURE(nameOf(protocol), bytes);
        forEachFragmentation(bytes, [&, protocol = protocol](const Fragments& pieces) {
            WebServerTalk talk(protocol, tell);
            auto& line = talk.connect();
            for (const auto piece : pieces) line.send(piece);
            if (!line.ended() || !line.received.empty() || talk.log().size() != 1 ||
                talk.logged("cut a " + std::string(nameOf(protocol)) + " connection from 127.0.0.1: ") != 1 ||
                talk.loop().fiberCount() != 0)
                FAIL(pieces[0].size() << line.received);
        });
    }
}

TEST_CASE("a FastCGI record out of order behind the variables ends the request", "[gateway]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    for (const auto& wrong : {fastCgiRecord(4, 1, ""), fastCgiRecord(8, 1, "x"), fastCgiRecord(5, 9, "x"), "GET / HTTP"s}) {
        bool disconnected = false;
        WebServerTalk talk(protocol, [&](Cgi& cgi) {
            try {
                cgi.write(cgi.postBody(), true);
            } catch (const Disconnected&) {
                disconnected = true;
                throw;
            }
        });
        auto& line = talk.connect();
        line.send(wireHead(protocol, post("/"), true) + wirePiece(protocol, "x") + wrong);
        CHECK(disconnected);
        CHECK(line.ended());
        CHECK(!line.reply().ended);
        CHECK(talk.log().size() == 1);
        CHECK(talk.logged("cut a FastCGI connection: ") == 1);
    }
}

TEST_CASE("other roles and other requests on a connection are refused by FastCGI's own answers", "[gateway]") {
    WebServerTalk talk(CgiProtocol::fastCgi, tell);
    for (const char role : {'\0', '\2', '\3', '\x63'}) {
        auto& line = talk.connect();
        line.send(fastCgiRecord(1, 1, std::string{0, role, 1, 0, 0, 0, 0, 0}) + wireEnd(CgiProtocol::fastCgi));
        CHECK((line.received == "\1\3\0\1\0\10\0\0\0\0\0\0\3\0\0\0"s));
        CHECK(line.ended());
    }
    auto& line = talk.connect();
    line.send(fastCgiRecord(1, 1, "\0\1\0\0\0\0\0\0"sv) + fastCgiRecord(1, 2, "\0\1\0\0\0\0\0\0"sv));
    CHECK((line.received == "\1\3\0\2\0\10\0\0\0\0\0\0\1\0\0\0"s));
    CHECK(!line.ended());
    CHECK(talk.log().empty());
}

TEST_CASE("variables that no request can have get a status of their own and a log line", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        size_t lines = 0;
        WebServerTalk talk(protocol, tell);
        const auto status = [&](WireVariables variables) {
            const auto reply = talk.ask(wireRequest(protocol, variables));
            CHECK(talk.logged("refused a " + std::string(nameOf(protocol)) + " request: ") == ++lines);
            CHECK(reply.complaint.empty());
            return reply.status(protocol);
        };
        CHECK(status(wireVariables("G T", "/")) == 400);
        CHECK(status(wireVariables("GET", "/a b")) == 400);
        CHECK(status(wireVariables("GET", "/%00")) == 400);
        CHECK(status(wireVariables("GET", "/", {{"HTTP_X", "a\r\nb"}})) == 400);
        auto twice = wireVariables("GET", "/");
        twice.emplace_back("HTTP_HOST", "other");
        CHECK(status(twice) == 400);
        twice.back() = {"REMOTE_ADDR", "192.0.2.8"};
        CHECK(status(twice) == 400);
        WireVariables none = {{"SERVER_PROTOCOL", "HTTP/1.1"}};
        CHECK(status(none) == 400);
        CHECK(talk.log().size() == lines);
    }
}

TEST_CASE("REMOTE_USER counts only where it is trusted, and HTTP_PROXY never", "[gateway]") {
    for (const auto protocol : wireProtocols)
        for (const bool trusted : {false, true}) {
            WebServerSettings settings;
            settings.cgi.trustRemoteUser = trusted;
            std::string user, proxy, field;
            WebServerTalk talk(
                protocol,
                [&](Cgi& cgi) {
                    user = cgi.remoteUser();
                    proxy = cgi.environment()["HTTP_PROXY"];
                    field = cgi.requestHeader("Proxy");
                },
                settings);
            talk.ask(wireRequest(protocol, wireVariables("GET", "/", {{"REMOTE_USER", "ann"}, {"HTTP_PROXY", "http://evil"}})));
            CHECK(user == (trusted ? "ann" : ""));
            CHECK(proxy.empty());
            CHECK(field.empty());
        }
}

TEST_CASE("a handler that fails within its reply cuts the FastCGI connection without END_REQUEST", "[gateway]") {
    WebServerTalk talk(CgiProtocol::fastCgi, [](Cgi& cgi) {
        cgi.write("part");
        cgi.flush();
        cgi.readBody();
        throw std::runtime_error("late");
    });
    auto& line = talk.connect();
    line.send(wireHead(CgiProtocol::fastCgi, post("/"), true));
    CHECK(line.reply().body() == "part");
    line.send(wireEnd(CgiProtocol::fastCgi));
    CHECK(!line.reply().ended);
    CHECK(line.ended());
    CHECK(talk.logged("late") == 1);
}

TEST_CASE("a handler that fails before its reply gets a 500 out, and the connection is kept", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        WebServerTalk talk(protocol, [](Cgi&) { throw std::runtime_error("early"); });
        auto& line = talk.connect();
        line.send(get(protocol, "/", true));
        CHECK(line.reply().status(protocol) == 500);
        CHECK(line.ended() == (protocol != CgiProtocol::fastCgi));
    }
}
