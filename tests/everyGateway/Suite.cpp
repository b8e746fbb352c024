// One suite of requests over every way in: the replies are the same.

#include "postern/gateway/CgiGateway.h"
#include "postern/io/Pipe.h"
#include "postern/protocol/Url.h"
#include "support/Catch.h"
#include "support/ForkedProgram.h"
#include "support/TestServer.h"
#include "support/WebServerTalk.h"

using namespace postern;

namespace {

// ── The program ──

std::string values(const NameValues& all) {
    std::string text;
    for (const auto& [name, value] : all) text += name + '=' + value + ';';
    return text;
}

void describe(Cgi& cgi) {
    std::string text;
    const auto add = [&](std::string_view name, std::string_view value) {
        text.append(name).append(": ").append(value).append("\n");
    };
    add("method", cgi.requestMethod());
    add("uri", cgi.requestUri());
    add("path", cgi.pathInfo());
    add("script", cgi.scriptName());
    add("query", cgi.queryString());
    add("host", cgi.host());
    add("remote", cgi.remoteAddress());
    add("https", cgi.https() ? "yes" : "no");
    add("get", values(cgi.get()));
    add("post", values(cgi.post()));
    add("cookies", values(cgi.cookies()));
    add("agent", cgi.userAgent());
    add("test", cgi.requestHeader("X-Test"));
    add("none", cgi.requestHeader("X-None"));
    const auto variables = cgi.environment();
    for (const char* name : {"REQUEST_METHOD", "QUERY_STRING", "PATH_INFO", "REQUEST_URI", "SERVER_NAME", "HTTP_X_TEST",
                             "CONTENT_TYPE", "HTTP_PROXY", "GATEWAY_INTERFACE"})
        add(name, variables[name]);
    add("body", cgi.postBody());
    cgi.setResponseContentType("text/plain");
    cgi.write(text, true);
}

const std::string megabyte = [] {
    std::string text(1 << 20, ' ');
    for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>('a' + i * i % 25);
    return text;
}();

void program(Cgi& cgi) {
    const auto path = cgi.pathInfo();
    if (path == "/stream") {
        for (int i = 0; i < 20; ++i) {
            cgi.write("piece " + std::to_string(i) + "\n");
            if (i % 5 == 0) cgi.flush();
        }
        return;
    }
    if (path == "/large") return cgi.write(megabyte, true);
    if (path == "/large-stream") {
        for (size_t at = 0; at < megabyte.size(); at += 10'000)
            cgi.write(std::string_view(megabyte).substr(at, 10'000));
        return;
    }
    if (path == "/upload") {
        size_t total = 0, sum = 0;
        for (auto piece = cgi.readBody(); !piece.empty(); piece = cgi.readBody()) {
            total += piece.size();
            for (const char c : piece) sum = sum * 31 + static_cast<unsigned char>(c);
        }
        return cgi.write(std::to_string(total) + ' ' + std::to_string(sum), true);
    }
    if (path == "/limited") {
        cgi.setMaxBody(10);
        return cgi.write(cgi.postBody(), true);
    }
    if (path == "/no-content") return cgi.setResponseStatus(204);
    if (path == "/not-modified") return cgi.setResponseStatus(304);
    if (path == "/nothing") return;
    if (path == "/redirect") {
        cgi.setCookie("seen", "yes");
        return cgi.setResponseLocation("/elsewhere?x=y", 303);
    }
    if (path == "/fields") {
        cgi.setResponseStatus("299 Fine");
        cgi.header("X-One", "1");
        cgi.header("X-One", "2");
        cgi.clearCookie("a");
        cgi.setCache(false);
        return cgi.writeJson("{\"a\":1}");
    }
    if (path == "/http-error") throw HttpError(404, "no such thing");
    if (path == "/exception") throw std::runtime_error("the password is 1234");
    if (path == "/injection") {
        cgi.header("X-One", "1\r\nX-Evil: 2");
        return cgi.write("never", true);
    }
    describe(cgi);
}

// ── The requests ──

struct Request {
    std::string method, target;
    std::vector<std::pair<std::string, std::string>> fields = {};
    std::string body = {};
};

const std::string formType = "application/x-www-form-urlencoded";

std::vector<Request> suite() {
    std::vector<Request> all = {
        {"GET", "/"},
        {"GET", "/plain/path?a=1&b=x+y&a=2&c=%C3%A4&d"},
        {"GET", "/?"},
        {"GET", "/a%20b/%C3%A4/./x/../y?%20"},
        {"GET", "//double//slash"},
        {"GET", "/%252e%252e/a+b;c=d"},
        {"GET", "/semi;colon,comma'quote!"},
        {"GET", "/..%2f..%2fetc"},
        {"GET", "/", {{"Cookie", "a=1; b=\"2\"; a=3"}, {"X-Test", "value"}, {"User-Agent", "suite/1"}}},
        {"GET", "/", {{"X-Test", "\xc3\xa4 \t x"}}},
        {"GET", "/", {{"Proxy", "http://evil"}}},
        {"POST", "/form?q=1", {{"Content-Type", formType}}, "a=1&b=x+y&a=%C3%A4&empty="},
        {"POST", "/raw", {{"Content-Type", "text/plain"}}, "a=1&b=2\r\nline\n"},
        {"PUT", "/put", {{"Content-Type", "application/json"}}, "{\"x\": [1, 2]}"},
        {"PATCH", "/patch", {{"Content-Type", "x/y"}}, "p"},
        {"DELETE", "/delete", {{"Content-Type", "x/y"}}, "d"},
        {"OPTIONS", "/options", {{"Content-Type", "x/y"}}, "o"},
        {"HEAD", "/"},
        {"HEAD", "/stream"},
        {"HEAD", "/large"},
        {"HEAD", "/http-error"},
        {"GET", "/stream"},
        {"GET", "/stream", {{"Accept-Encoding", "gzip"}}},
        {"GET", "/large", {{"Accept-Encoding", "gzip"}}},
        {"GET", "/large"},
        {"GET", "/large-stream"},
        {"GET", "/no-content"},
        {"GET", "/not-modified"},
        {"GET", "/nothing"},
        {"GET", "/redirect"},
        {"GET", "/fields"},
        {"GET", "/http-error"},
        {"GET", "/exception"},
        {"GET", "/injection"},
        {"POST", "/upload", {{"Content-Type", "x/y"}}, megabyte + megabyte},
        {"POST", "/limited", {{"Content-Type", "x/y"}}, "0123456789"},
        {"POST", "/limited", {{"Content-Type", "x/y"}}, "0123456789+"},
    };
    std::string many = "a=1";
    for (int i = 0; i < 1000; ++i) many += "&a=1";
    all.push_back({"POST", "/too-many", {{"Content-Type", formType}}, many});
    return all;
}

// ── The ways in ──

// What the handler decided: not what belongs to the way in.
struct Answer {
    int status = 0;
    std::vector<std::string> fields;
    std::string body;

    bool operator==(const Answer&) const = default;
};

std::ostream& operator<<(std::ostream& out, const Answer& answer) {
    out << answer.status << '\n';
    for (const auto& field : answer.fields) out << field << '\n';
    return out << '\n' << answer.body.substr(0, 1000);
}

void addField(Answer& answer, const std::string& name, const std::string& value) {
    for (const char* own : {"Date", "Connection", "Transfer-Encoding", "Content-Length"})
        if (equalsIgnoringCase(name, own)) return;
    answer.fields.push_back(name + ": " + value);
}

Answer fromHttp(const RawReply& reply) {
    Answer answer{reply.status, {}, reply.body};
    for (const auto& [name, value] : reply.fields) addField(answer, name, value);
    return answer;
}

// A head of lines, and all that follows is the body. `statusAt` in its first line.
Answer fromText(const std::string& text, std::string_view firstLine) {
    const auto end = text.find("\r\n\r\n");
    if (end == std::string::npos || !text.starts_with(firstLine))
        throw std::runtime_error("no reply: " + text.substr(0, 200));
    Answer answer;
    answer.status = std::stoi(text.substr(firstLine.size(), 3));
    answer.body = text.substr(end + 4);
    size_t at = text.find("\r\n") + 2;
    while (at < end + 2) {
        const auto lineEnd = text.find("\r\n", at);
        const auto line = text.substr(at, lineEnd - at);
        const auto colon = line.find(": ");
        if (colon == std::string::npos) throw std::runtime_error("no field: " + line);
        addField(answer, line.substr(0, colon), line.substr(colon + 2));
        at = lineEnd + 2;
    }
    return answer;
}

std::string httpBytes(const Request& request, bool chunked) {
    std::string lines;
    for (const auto& [name, value] : request.fields) lines += name + ": " + value + "\r\n";
    if (request.body.empty()) return rawRequest(request.method, request.target, lines);
    if (!chunked)
        return rawRequest(request.method, request.target,
                          lines + "Content-Length: " + std::to_string(request.body.size()) + "\r\n", request.body);
    std::string body;
    for (size_t at = 0; at < request.body.size(); at += 1000) {
        const auto piece = request.body.substr(at, 1000);
        char size[8];
        std::snprintf(size, sizeof size, "%zx", piece.size());
        body += size + ("\r\n" + piece + "\r\n");
    }
    return rawRequest(request.method, request.target, lines + "Transfer-Encoding: chunked\r\n", body + "0\r\n\r\n");
}

Answer overHttp(MemoryServer& server, const Request& request, bool chunked) {
    return fromHttp(RawReply::takeAll(server.answer({httpBytes(request, chunked)}), {request.method}).at(0));
}

std::vector<Answer> overOneConnection(const std::vector<Request>& requests) {
    TestServer server(program);
    RawClient client(server);
    std::vector<Answer> answers;
    for (const auto& request : requests) {
        // A refused body ends the connection.
        RawClient own(server);
        const bool mayClose = request.target == "/limited";
        answers.push_back(fromHttp((mayClose ? own : client).request(httpBytes(request, false), request.method)));
    }
    return answers;
}

ForkedProgram::Variables cgiVariables(const Request& request) {
    const auto question = request.target.find('?');
    std::string decoded;
    const std::string path(*decodePath(std::string_view(request.target).substr(0, question), decoded));
    ForkedProgram::Variables variables = {
        {"GATEWAY_INTERFACE", "CGI/1.1"},
        {"SERVER_SOFTWARE", "test"},
        {"SERVER_PROTOCOL", "HTTP/1.1"},
        {"SERVER_NAME", "test"},
        {"SERVER_PORT", "80"},
        {"REQUEST_METHOD", request.method},
        {"REQUEST_URI", request.target},
        {"SCRIPT_NAME", ""},
        {"PATH_INFO", path},
        {"QUERY_STRING", question == std::string::npos ? "" : request.target.substr(question + 1)},
        {"REMOTE_ADDR", "127.0.0.1"},
        {"HTTP_HOST", "test"},
    };
    for (const auto& [name, value] : request.fields) {
        std::string variable = "HTTP_";
        for (const char c : name) variable += c == '-' ? '_' : toUpper(c);
        variables.emplace_back(name == "Content-Type" ? "CONTENT_TYPE" : variable, value);
    }
    if (!request.body.empty()) variables.emplace_back("CONTENT_LENGTH", std::to_string(request.body.size()));
    return variables;
}

Answer overCgiProcess(const Request& request) {
    ForkedProgram child(program, {}, cgiVariables(request));
    child.write(request.body);
    child.closeInput();
    child.wait();
    return fromText(child.output, "Status: ");
}

Answer overCgiInMemory(const Request& request) {
    const auto variables = cgiVariables(request);
    FieldViews views;
    for (const auto& [name, value] : variables) views.push_back({name, value});
    const CgiSettings settings;
    const HandlerSettings handling;
    std::string output;
    LoopOptions options;
    options.log = [](LogLevel, std::string_view) {};
    Loop loop(options);
    auto ends = Pipe::make(loop);
    auto& gateway = *ends.second;
    loop.spawn([&] {
        try {
            gateway.write(request.body);
            gateway.finishSending();
        } catch (const Disconnected&) {
            // It answers without reading.
        }
    });
    loop.spawn([&] {
        serveCgi(std::move(ends.first), views, settings,
                 [&](Exchange& exchange) { serveExchange(exchange, handling, program); });
    });
    loop.spawn([&] {
        try {
            while (gateway.receive(loop.in(testPatience))) {
                output += gateway.unreadText();
                gateway.consume(gateway.unread().size());
            }
        } catch (const Disconnected&) {
            // What came before counts.
        }
        loop.stop();
    });
    loop.run();
    return fromText(output, "Status: ");
}

// Status is a field of a CGI head, at any place.
std::string withStatusFirst(const std::string& text) {
    const auto at = text.find("\r\nStatus: ");
    if (text.starts_with("Status: ") || at == std::string::npos || at > text.find("\r\n\r\n")) return text;
    const auto start = at + 2, end = text.find("\r\n", start) + 2;
    return text.substr(start, end - start) + text.substr(0, start) + text.substr(end);
}

Answer overWebServer(CgiProtocol protocol, const Request& request) {
    WebServerTalk talk(protocol, program);
    auto& line = talk.connect();
    line.send(wireRequest(protocol, cgiVariables(request), request.body));
    const auto reply = line.reply();
    if (!reply.complaint.empty()) throw std::runtime_error(reply.complaint);
    if (reply.ended != (protocol == CgiProtocol::fastCgi) || !line.ended()) throw std::runtime_error("the reply does not end");
    if (protocol == CgiProtocol::uwsgi) return fromText(reply.text, "HTTP/1.1 ");
    return fromText(withStatusFirst(reply.text), "Status: ");
}

Answer overCommandLine(const Request& request) {
    std::vector<std::string> arguments = {request.method, request.target, "--host", "test"};
    for (const auto& [name, value] : request.fields) arguments.insert(arguments.end(), {"-H", name + ": " + value});
    if (!request.body.empty()) arguments.insert(arguments.end(), {"-d", request.body});
    ForkedProgram child(program, arguments);
    child.closeInput();
    child.wait();
    return fromText(child.output, "HTTP/1.1 ");
}

} // namespace

TEST_CASE("every way in gives the same replies", "[everyGateway]") {
    MemoryServer server(program);
    const auto requests = suite();
    const auto connected = overOneConnection(requests);
    for (size_t i = 0; i < requests.size(); ++i) {
        const auto& request = requests[i];
        INFO(request.method << ' ' << request.target << ' ' << request.body.substr(0, 50));
        const auto expected = overHttp(server, request, false);
        CHECK(connected[i] == expected);
        if (request.body.size() > 0) CHECK(overHttp(server, request, true) == expected);
        CHECK(overCgiInMemory(request) == expected);
        CHECK(overCgiProcess(request) == expected);
        for (const auto protocol : wireProtocols) {
            CAPTURE(nameOf(protocol));
            CHECK(overWebServer(protocol, request) == expected);
        }
        CHECK(overCommandLine(request) == expected);
    }
}

TEST_CASE("the replies that every way in gives are the right ones", "[everyGateway]") {
    const auto get = [](const std::string& target, Request request = {"GET", ""}) {
        request.target = target;
        return overCgiProcess(request);
    };
    CHECK(get("/http-error") ==
          Answer{404, {"Content-Type: text/plain; charset=utf-8"}, "404 Not Found: no such thing\n"});
    CHECK(get("/exception") == Answer{500, {"Content-Type: text/plain; charset=utf-8"}, "500 Internal Server Error\n"});
    CHECK(get("/injection") == Answer{500, {"Content-Type: text/plain; charset=utf-8"}, "500 Internal Server Error\n"});
    CHECK(get("/no-content") == Answer{204, {}, ""});
    CHECK(get("/large").body == megabyte);
    const auto fields = get("/fields");
    CHECK(fields.status == 299);
    CHECK(fields.body == "{\"a\":1}");
    CHECK(std::count(fields.fields.begin(), fields.fields.end(), "X-One: 2") == 1);
    const auto described =
        get("/a%20b?x=1+2",
            {"POST", "", {{"Content-Type", formType}, {"Cookie", "c=d"}, {"Proxy", "evil"}}, "p=%C3%A4"})
            .body;
    for (const char* line : {"method: POST\n", "uri: /a%20b?x=1+2\n", "path: /a b\n", "query: x=1+2\n", "host: test\n",
                             "remote: 127.0.0.1\n", "get: x=1 2;\n", "post: p=ä;\n", "cookies: c=d;\n",
                             "HTTP_PROXY: \n", "body: p=%C3%A4\n"}) {
        CAPTURE(line, described);
        CHECK(described.find(line) != std::string::npos);
    }
}

TEST_CASE("requests that no front may pass on are refused as CGI, FastCGI, SCGI and uwsgi, too", "[everyGateway]") {
    const auto status = [](const std::string& name, const std::string& value) {
        auto variables = cgiVariables({"GET", "/"});
        std::erase_if(variables, [&](const auto& one) { return one.first == name; });
        variables.emplace_back(name, value);
        for (const auto protocol : wireProtocols) {
            WebServerTalk talk(protocol, program);
            const auto reply = talk.ask(wireRequest(protocol, variables));
            CHECK(talk.logged("refused a " + std::string(nameOf(protocol)) + " request") == 1);
            CAPTURE(nameOf(protocol), name, value);
            ForkedProgram cgi(program, {}, variables);
            cgi.closeInput();
            cgi.wait();
            CHECK(reply.status(protocol) == fromText(cgi.output, "Status: ").status);
        }
        ForkedProgram child(program, {}, variables);
        child.closeInput();
        CHECK(child.wait() == 1);
        CHECK(child.errors.find("refused a CGI request") != std::string::npos);
        return fromText(child.output, "Status: ").status;
    };
    CHECK(status("REQUEST_METHOD", "G T") == 400);
    CHECK(status("REQUEST_URI", "/a b") == 400);
    CHECK(status("REQUEST_URI", "/%00") == 400);
    CHECK(status("REQUEST_URI", "/" + std::string(8192, 'x')) == 414);
    CHECK(status("HTTP_HOST", "a/b") == 400);
    CHECK(status("HTTP_X", "a\r\nb") == 400);
    CHECK(status("HTTP_X", std::string(20'000, 'x')) == 431);
    CHECK(status("CONTENT_LENGTH", "5x") == 400);
    CHECK(status("CONTENT_LENGTH", "-5") == 400);
}

TEST_CASE("a query never becomes arguments of a CGI program", "[everyGateway]") {
    ForkedProgram child(program, {"--help", "-d", "x"}, cgiVariables({"GET", "/?--help"}));
    child.closeInput();
    CHECK(child.wait() == 0);
    CHECK(fromText(child.output, "Status: ").status == 200);
    CHECK(child.output.find("query: --help\n") != std::string::npos);
}

TEST_CASE("the exit code tells whether the reply is whole", "[everyGateway]") {
    const Handler late = [](Cgi& cgi) {
        cgi.write("part");
        cgi.flush();
        throw std::runtime_error("late");
    };
    {
        ForkedProgram child(late, {}, cgiVariables({"GET", "/"}));
        child.closeInput();
        CHECK(child.wait() == 1);
        CHECK(child.errors.find("late") != std::string::npos);
    }
    for (const auto& [target, code] : {std::pair("/", 0), std::pair("/http-error", 0), std::pair("/exception", 1)}) {
        CAPTURE(target);
        ForkedProgram child(program, {"GET", target});
        child.closeInput();
        CHECK(child.wait() == code);
    }
}

TEST_CASE("the command line turns its words into a query, a form, cookies and fields", "[everyGateway]") {
    const auto run = [](std::vector<std::string> arguments) {
        ForkedProgram child(program, arguments);
        child.closeInput();
        CHECK(child.wait() == 0);
        return fromText(child.output, "HTTP/1.1 ").body;
    };
    const auto get =
        run({"GET", "/x?a=0", "a=1", "b=x y&z=ä", "--cookie", "c=d", "--cookie", "e=f", "-H", "X-Test: t", "--https"});
    CHECK(get.find("get: a=0;a=1;b=x y&z=ä;\n") != std::string::npos);
    CHECK(get.find("cookies: c=d;e=f;\n") != std::string::npos);
    CHECK(get.find("test: t\n") != std::string::npos);
    CHECK(get.find("https: yes\n") != std::string::npos);
    const auto post = run({"POST", "/x?q=1", "a=1", "b=2+2", "--remote-address", "192.0.2.1"});
    CHECK(post.find("get: q=1;\n") != std::string::npos);
    CHECK(post.find("post: a=1;b=2+2;\n") != std::string::npos);
    CHECK(post.find("remote: 192.0.2.1\n") != std::string::npos);
}
