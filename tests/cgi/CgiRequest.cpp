// What a handler learns of its request.

#include "support/Catch.h"
#include "support/TestServer.h"

using namespace postern;

namespace {

// Runs the handler for this request; gives its reply.
RawReply ask(const std::string& request, const Handler& handler, const HandlerSettings& handling = {},
             const HttpSettings& settings = {}) {
    MemoryServer server(handler, settings, handling);
    auto replies = RawReply::takeAll(server.answer({request}));
    REQUIRE(replies.size() == 1);
    return replies[0];
}

std::string joined(const std::vector<std::string_view>& values) {
    std::string text;
    for (const auto value : values) text.append("[").append(value).append("]");
    return text;
}

std::string listed(const NameValues& values) {
    std::string text;
    for (const auto& [name, value] : values) text += name + "=" + value + ";";
    return text;
}

std::string form(std::string_view body, std::string_view type = "application/x-www-form-urlencoded") {
    return rawRequest(
        "POST", "/",
        "Content-Type: " + std::string(type) + "\r\nContent-Length: " + std::to_string(body.size()) + "\r\n", body);
}

} // namespace

TEST_CASE("a handler sees its request as it was sent", "[cgi]") {
    std::string seen;
    ask("PATCH /a%20b/./../c%2Fd?x=%201&y HTTP/1.1\r\nHost: example.org:8080\r\nOrigin: http://o\r\nReferer: "
        "http://r/\r\n"
        "User-Agent: tester/1\r\nAccept: text/*\r\nAuthorization: Basic eDp5\r\n\r\n",
        [&](Cgi& cgi) {
            for (const auto part : {cgi.requestMethod(), cgi.requestUri(), cgi.pathInfo(), cgi.scriptName(),
                                    cgi.queryString(), cgi.host(), cgi.origin(), cgi.referrer(), cgi.userAgent(),
                                    cgi.accept(), cgi.authorization(), cgi.remoteAddress(), cgi.remoteUser()})
                seen.append(part).append("|");
            seen += std::to_string(cgi.port()) + (cgi.https() ? " https" : " http");
        });
    CHECK(seen == "PATCH|/a%20b/./../c%2Fd?x=%201&y|/c/d||x=%201&y|example.org:8080|http://o|http://r/|tester/1|text/"
                  "*|Basic eDp5|"
                  "127.0.0.1||80 http");
}

TEST_CASE("what a request does not say is empty", "[cgi]") {
    std::string seen;
    ask("GET / HTTP/1.0\r\n\r\n", [&](Cgi& cgi) {
        for (const auto part :
             {cgi.queryString(), cgi.host(), cgi.origin(), cgi.referrer(), cgi.userAgent(), cgi.accept(),
              cgi.authorization(), cgi.requestHeader("X"), cgi.get("x"), cgi.post("x"), cgi.cookie("x")})
            seen.append(part);
        seen += cgi.postBody();
        CHECK(cgi.get().empty());
        CHECK(cgi.post().empty());
        CHECK(cgi.cookies().empty());
        CHECK(cgi.getArray("x").empty());
        CHECK(cgi.postArray("x").empty());
        CHECK(cgi.cookieArray("x").empty());
        CHECK(cgi.requestHeaderArray("x").empty());
        CHECK(cgi.requestedProtocols().empty());
        CHECK_FALSE(cgi.websocketRequested());
        CHECK_FALSE(cgi.isResponding());
        CHECK(cgi.get("x", "fallback") == "fallback");
        CHECK(cgi.post("x", "fallback") == "fallback");
        CHECK(cgi.cookie("x", "fallback") == "fallback");
    });
    CHECK(seen.empty());
}

TEST_CASE("paths are decoded once and their dots resolved, never above the root", "[cgi]") {
    const auto pathOf = [](const std::string& target) {
        std::string path;
        ask("GET " + target + " HTTP/1.1\r\nHost: h\r\n\r\n", [&](Cgi& cgi) { path = cgi.pathInfo(); });
        return path;
    };
    CHECK(pathOf("/") == "/");
    CHECK(pathOf("/%2e%2e/%2e%2e/etc/passwd") == "/etc/passwd");
    CHECK(pathOf("/a/../../b") == "/b");
    CHECK(pathOf("/a/..") == "/");
    CHECK(pathOf("/a/.") == "/a/");
    CHECK(pathOf("/%252e%252e/x") == "/%2e%2e/x");
    CHECK(pathOf("/a+b") == "/a+b");
    CHECK(pathOf("/%C3%A4") == "/ä");
    CHECK(pathOf("http://h/a?b") == "/a");
    CHECK(pathOf("//a//b") == "//a//b");
    CHECK(pathOf("/..\\x") == "/..\\x");
    CHECK(pathOf("/a;x=y") == "/a;x=y");
}

TEST_CASE("get gives the last value of a name, getArray all in order", "[cgi]") {
    ask("GET /?a=1&b=2&a=3&A=4&empty=&bare&=nameless&&c=%2B+%26 HTTP/1.1\r\nHost: h\r\n\r\n", [](Cgi& cgi) {
        CHECK(cgi.get("a") == "3");
        CHECK(cgi.get("A") == "4");
        CHECK(cgi.get("b") == "2");
        CHECK(cgi.get("c") == "+ &");
        CHECK(cgi.get("empty", "fallback").empty());
        CHECK(cgi.get("bare", "fallback").empty());
        CHECK(cgi.get("missing", "fallback") == "fallback");
        CHECK(joined(cgi.getArray("a")) == "[1][3]");
        CHECK(cgi.get().contains("bare"));
        CHECK(cgi.get()["a"] == "3");
        CHECK(cgi.post("a").empty());
    });
}

TEST_CASE("escapes that are none stand for themselves, and what is no UTF-8 is replaced", "[cgi]") {
    ask("GET /?a=%&b=%4&c=%zz&d=%00x&e=%ff&f=%c0%af&g=%F0%9F%90%98&%61=z HTTP/1.1\r\nHost: h\r\n\r\n", [](Cgi& cgi) {
        CHECK(cgi.get("b") == "%4");
        CHECK(cgi.get("c") == "%zz");
        CHECK(cgi.get("d") == std::string_view("\0x", 2));
        CHECK(cgi.get("e") == "\xef\xbf\xbd");
        CHECK(cgi.get("f") == "\xef\xbf\xbd\xef\xbf\xbd");
        CHECK(cgi.get("g") == "🐘");
        CHECK(joined(cgi.getArray("a")) == "[%][z]");
    });
}

TEST_CASE("post reads a form, and only a form", "[cgi]") {
    ask(form("a=1&b=x+y&a=%C3%A4"), [](Cgi& cgi) {
        CHECK(cgi.post("a") == "ä");
        CHECK(joined(cgi.postArray("a")) == "[1][ä]");
        CHECK(cgi.post("b") == "x y");
        CHECK(listed(cgi.post()) == "a=1;b=x y;a=ä;");
        CHECK(cgi.postBody() == "a=1&b=x+y&a=%C3%A4"); // still there
        CHECK(cgi.get().empty());
    });
    ask(form("a=1", "Application/X-WWW-Form-URLEncoded ; charset=utf-8"),
        [](Cgi& cgi) { CHECK(cgi.post("a") == "1"); });
    for (const char* type :
         {"text/plain", "application/json", "multipart/form-data; boundary=x", "application/x-www-form-urlencodedx"})
        ask(form("a=1", type), [](Cgi& cgi) {
            CHECK(cgi.post().empty());
            CHECK(cgi.postBody() == "a=1");
        });
}

TEST_CASE("cookies are given as sent, the last of a name by look-up and all of them by the array", "[cgi]") {
    ask(rawRequest("GET", "/", "Cookie: a=1; b=\"x y\"; a=2; c=%20; d; e=f=g\r\nCookie: a=3\r\n"), [](Cgi& cgi) {
        CHECK(cgi.cookie("a") == "3");
        CHECK(joined(cgi.cookieArray("a")) == "[1][2][3]");
        CHECK(cgi.cookie("c") == "%20");
        CHECK(cgi.cookie("e") == "f=g");
        CHECK(cgi.cookie("A", "fallback") == "fallback");
    });
}

TEST_CASE("request fields are found without regard to case, the last of a name first", "[cgi]") {
    ask(rawRequest("GET", "/", "X-A: 1\r\nx-a: 2\r\nX-B:\t b \r\n"), [](Cgi& cgi) {
        CHECK(cgi.requestHeader("x-A") == "2");
        CHECK(joined(cgi.requestHeaderArray("X-A")) == "[1][2]");
        CHECK(cgi.requestHeader("X-B") == "b");
        CHECK(cgi.requestHeaders().size() == 4);
        CHECK(cgi.requestHeaders()[0].name == "Host");
    });
}

TEST_CASE("more parameters than allowed are a 413, as many as allowed are not", "[cgi]") {
    const auto query = [](size_t count) {
        std::string text = "a=1";
        for (size_t i = 1; i < count; ++i) text += "&a=1";
        return text;
    };
    const auto getStatus = [&](size_t count) {
        return ask("GET /?" + query(count) + " HTTP/1.1\r\nHost: h\r\n\r\n", [](Cgi& cgi) { cgi.get(); }).status;
    };
    const auto postStatus = [&](size_t count, HandlerSettings handling = {}) {
        return ask(
                   form(query(count)), [](Cgi& cgi) { cgi.post(); }, handling)
            .status;
    };
    CHECK(getStatus(1000) == 200);
    CHECK(getStatus(1001) == 413);
    CHECK(postStatus(1000) == 200);
    CHECK(postStatus(1001) == 413);
    HandlerSettings few;
    few.maxParameters = 3;
    CHECK(postStatus(3, few) == 200);
    CHECK(postStatus(4, few) == 413);
}

TEST_CASE("a body is read in pieces, or whole, and once", "[cgi]") {
    const std::string body(100'000, 'b');
    ask(form(body, "text/plain"), [&](Cgi& cgi) {
        std::string got;
        size_t pieces = 0;
        for (auto piece = cgi.readBody(); !piece.empty(); piece = cgi.readBody()) got += piece, ++pieces;
        CHECK((got == body));
        CHECK(pieces >= 1);
        CHECK(cgi.readBody().empty());
        CHECK(cgi.postBody().empty());
    });
    ask(form(body, "text/plain"), [&](Cgi& cgi) {
        CHECK((cgi.postBody() == body));
        CHECK((cgi.postBody() == body));
        CHECK(cgi.readBody().empty());
    });
}

TEST_CASE("a handler may answer a body that is too large itself", "[cgi]") {
    HttpSettings settings;
    settings.limits.bodyBytes = 2;
    const auto reply = ask(
        form("too large", "text/plain"),
        [](Cgi& cgi) {
            try {
                cgi.postBody();
            } catch (const HttpError& error) {
                cgi.setResponseStatus(error.status());
                cgi.write("mine", true);
            }
        },
        {}, settings);
    CHECK(reply.status == 413);
    CHECK(reply.body == "mine");
    CHECK(reply.saysClose());
}

TEST_CASE("the environment is what a CGI program would have", "[cgi]") {
    NameValues variables;
    ask(rawRequest("POST", "/a%20b?c=d", "Content-Type: text/x\r\nContent-Length: 2\r\nX-Y: z\r\nCookie: k=v\r\n",
                   "ab"),
        [&](Cgi& cgi) { variables = cgi.environment(); });
    for (const auto& [name, value] :
         {std::pair("GATEWAY_INTERFACE", "CGI/1.1"), std::pair("SERVER_PROTOCOL", "HTTP/1.1"),
          std::pair("REQUEST_METHOD", "POST"), std::pair("REQUEST_URI", "/a%20b?c=d"), std::pair("PATH_INFO", "/a b"),
          std::pair("QUERY_STRING", "c=d"), std::pair("SCRIPT_NAME", ""), std::pair("SERVER_NAME", "test"),
          std::pair("SERVER_PORT", "80"), std::pair("REMOTE_ADDR", "127.0.0.1"), std::pair("CONTENT_TYPE", "text/x"),
          std::pair("CONTENT_LENGTH", "2"), std::pair("HTTP_X_Y", "z"), std::pair("HTTP_COOKIE", "k=v"),
          std::pair("HTTP_HOST", "test")}) {
        CAPTURE(name);
        CHECK(variables.contains(name));
        CHECK(variables[name] == value);
    }
    CHECK_FALSE(variables.contains("HTTPS"));
    CHECK_FALSE(variables.contains("HTTP_CONTENT_TYPE"));
    CHECK_FALSE(variables.contains("HTTP_CONTENT_LENGTH"));
}
