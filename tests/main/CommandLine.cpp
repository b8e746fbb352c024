#include "postern/main/CommandLine.h"

#include "support/Catch.h"
#include "support/Process.h"

using namespace postern;

namespace {

Finished request(const char* app, std::vector<std::string> arguments, std::string_view input = {}) {
    arguments.insert(arguments.begin(), checkedApp(app));
    return runToEnd(arguments, {}, input);
}

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

}

TEST_CASE("a method and a URI run one request and print the reply", "[main]") {
    const auto result = request("hello", {"GET", "/"});
    CHECK(result.code == 0);
    CHECK(result.output.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(contains(result.output, "\r\nContent-Type: text/plain; charset=utf-8\r\n"));
    CHECK(result.output.ends_with("\r\n\r\nHello, world!\n"));
    CHECK(result.errors.empty());
}

TEST_CASE("parameters become the query of a GET and the form of a POST", "[main]") {
    const auto get = request("form", {"GET", "/show?x=1", "a=b c", "d=&="});
    CHECK(contains(get.output, "<h2>get</h2><ul><li>x = 1</li><li>a = b c</li><li>d = &amp;=</li></ul>"));
    const auto post = request("form", {"POST", "/show?x=1", "a=b c", "e="});
    CHECK(contains(post.output, "<h2>get</h2><ul><li>x = 1</li></ul>"));
    CHECK(contains(post.output, "<h2>post</h2><ul><li>a = b c</li><li>e = </li></ul>"));
    const auto data = request("form", {"POST", "/show", "q=1", "-d", "r=2", "-H", "Content-Type: application/x-www-form-urlencoded"});
    CHECK(contains(data.output, "<h2>get</h2><ul><li>q = 1</li></ul>"));
    CHECK(contains(data.output, "<h2>post</h2><ul><li>r = 2</li></ul>"));
}

TEST_CASE("cookies and header fields are as the command line says", "[main]") {
    const auto cookies = request("form", {"GET", "/", "--cookie", "name=Ada", "--cookie", "b=2"});
    CHECK(contains(cookies.output, "Hello, Ada"));
    CHECK(contains(cookies.output, "<li>name = Ada</li><li>b = 2</li>"));
    const auto packed = request("form", {"GET", "/show?a=" + std::string(900, 'x'), "-H", "Accept-Encoding: gzip"});
    CHECK(contains(packed.output, "\r\nContent-Encoding: gzip\r\n"));
    const auto head = request("hello", {"HEAD", "/"});
    CHECK(head.code == 0);
    CHECK(contains(head.output, "Content-Length: 14\r\n"));
    CHECK(head.output.ends_with("\r\n\r\n"));
}

TEST_CASE("--https and --host say how the request came", "[main]") {
    const auto accepted = [](std::vector<std::string> more) {
        more.insert(more.begin(), {"WS", "/echo"});
        const auto result = request("echo", more);
        CHECK((result.output.empty() || result.output.starts_with("HTTP/1.1 403")));
        return result.output.empty() && result.code == 0;
    };
    CHECK(accepted({"--https", "-H", "Origin: https://localhost"}));
    CHECK(!accepted({"-H", "Origin: https://localhost"}));
    CHECK(accepted({"--host", "example.com", "-H", "Origin: http://example.com"}));
    CHECK(!accepted({"-H", "Origin: http://example.com"}));
}

TEST_CASE("the exit code is 0 for an answer, 1 for a failing server, 2 for a wrong command line", "[main]") {
    CHECK(request("hello", {"GET", "/nowhere"}).code == 0);
    CHECK(request("hello", {"GET", "/", "-H", "Expect: miracles"}).code == 0);
    const auto refused = request("hello", {"GET", "/", "-H", "Transfer-Encoding: gzip"});
    CHECK(contains(refused.output, "HTTP/1.1 501"));
    CHECK(refused.code == 1);
    for (const std::vector<std::string>& wrong :
         {std::vector<std::string>{"GET", "/", "nopair"}, {"GET", "/", "-H", "no field"}, {"GET", "/", "-H", "A: b\r\nC: d"},
          {"GET", "/", "--cookie", "a\nb=c"}, {"GET", "/", "--lisen"}}) {
        const auto result = request("hello", wrong);
        CAPTURE(wrong, result.output, result.errors);
        CHECK(result.code == 2);
        CHECK(contains(result.errors, "--help"));
    }
    CHECK(request("hello", {"GET", "/", "--help"}).code == 0);
}

TEST_CASE("a control character in the URI cannot smuggle a field into a simulated request", "[main]") {
    for (const char* uri : {"/ HTTP/1.1\r\nX: y", "/\r\nX: y", "/a b", "/a\tb"}) {
        const auto result = request("hello", {"GET", uri});
        CAPTURE(result.errors);
        CHECK(result.code == 2);
        CHECK(result.output.empty());
    }
    CHECK(request("hello", {"GET", "/", "--host", "h\r\nX: y"}).code == 2);
}

TEST_CASE("WS talks WebSocket: lines become messages and messages lines", "[main]") {
    Process process({checkedApp("echo"), "WS", "/echo"});
    process.write("hello\n");
    CHECK(process.line() == "hello");
    process.write("Gr\xc3\xbc\xc3\x9f\x65\r\n\nlast");
    CHECK(process.line() == "Gr\xc3\xbc\xc3\x9f\x65");
    CHECK(process.line() == "");
    process.closeInput();
    CHECK(process.line() == "last");
    CHECK(process.wait() == 0);
    CHECK(process.errors().empty());
}

TEST_CASE("WS reports a refusal by printing it, and a close that is no success by exit code 1", "[main]") {
    const auto refused = request("echo", {"WS", "/nowhere"});
    CHECK(refused.output.starts_with("HTTP/1.1 404"));
    CHECK(refused.code == 1);
    const auto large = request("echo", {"WS", "/echo"}, std::string(1024 * 1024 + 1, 'x') + '\n');
    CHECK(large.code == 1);
    CHECK(contains(large.errors, "closed: 1009"));
}

TEST_CASE("a simulated request takes the same settings from the environment as a server", "[main]") {
    ProcessOptions options;
    options.environment = {{"POSTERN_MAX_TARGET", "50"}};
    const auto result = runToEnd({checkedApp("hello"), "GET", "/" + std::string(60, 'x')}, options);
    CHECK(result.output.starts_with("HTTP/1.1 414"));
}

TEST_CASE("a reader of the reply that has gone is no crash", "[main]") {
    Process process({checkedApp("clock"), "GET", "/events"});
    process.waitForOutput("data: ");
    process.closeOutput();
    CHECK(process.wait() < 128);
}
