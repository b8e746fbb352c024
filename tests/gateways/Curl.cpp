#include "support/Catch.h"
#include "support/Process.h"

using namespace postern;

namespace {

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

Finished curl(std::vector<std::string> arguments, std::string_view input = {}) {
    arguments.insert(arguments.begin(), {"curl", "-q", "-sS", "--noproxy", "*", "--max-time", "20"});
    const auto result = runToEnd(arguments, {}, input);
    CAPTURE(result.errors);
    CHECK(result.code == 0);
    return result;
}

}

TEST_CASE("curl: several requests share one connection", "[gateways]") {
    Served served(checkedApp("hello"));
    const auto result = curl({"-v", served.url() + "/", served.url() + "/nowhere", served.url() + "/"});
    CHECK(result.output == "Hello, world!\n404 Not Found\nHello, world!\n");
    CHECK(contains(result.errors, "Re-using existing connection"));
    CHECK(!contains(result.errors, "Connected to 127.0.0.1 (127.0.0.1) port " + std::to_string(served.port()) + " (#1)"));
    CHECK(served.stop() == 0);
}

TEST_CASE("curl: HEAD gets the length and no body", "[gateways]") {
    Served served(checkedApp("hello"));
    const auto result = curl({"--head", served.url() + "/"});
    CHECK(result.output.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(contains(result.output, "\r\nContent-Length: 14\r\n"));
    CHECK(result.output.ends_with("\r\n\r\n"));
}

TEST_CASE("curl: forms arrive with a length and in chunks", "[gateways]") {
    Served served(checkedApp("form"));
    CHECK(contains(curl({"-d", "a=1", "--data-urlencode", "b=x & y", served.url() + "/show"}).output,
                   "<li>a = 1</li><li>b = x &amp; y</li>"));
    const auto chunked = curl({"-v", "-H", "Transfer-Encoding: chunked", "-H", "Content-Type: application/x-www-form-urlencoded",
                               "--data-binary", "@-", served.url() + "/show"},
                              "a=" + std::string(200'000, 'x') + "&b=2");
    CHECK(contains(chunked.output, "<li>b = 2</li>"));
    CHECK(contains(chunked.output, "<li>a = " + std::string(200'000, 'x') + "</li>"));
    CHECK(served.stop() == 0);
}

TEST_CASE("curl: --compressed gets gzip and reads the same", "[gateways]") {
    Served served(checkedApp("form"));
    const auto target = served.url() + "/show?a=" + std::string(3000, 'y');
    const auto plain = curl({target});
    const auto packed = curl({"--compressed", "-v", target});
    CHECK(contains(packed.errors, "Content-Encoding: gzip"));
    CHECK(packed.output == plain.output);
    CHECK(contains(plain.output, std::string(3000, 'y')));
}

TEST_CASE("curl: a client that expects 100 gets it, and 413 instead when the body is too large", "[gateways]") {
    Served served(checkedApp("form"), {"--max-body", "3m"});
    const std::vector<std::string> post{"-v", "-H", "Expect: 100-continue", "--expect100-timeout", "15", "-H",
                                        "Content-Type: application/x-www-form-urlencoded", "--data-binary", "@-", "-o", "/dev/null",
                                        "-w", "%{http_code} %{size_upload}", served.url() + "/show"};
    const auto taken = curl(post, std::string(2'000'000, 'x'));
    CHECK(contains(taken.errors, "100 Continue"));
    CHECK(taken.output == "200 2000000");
    const auto refused = curl(post, std::string(4'000'000, 'x'));
    CHECK(!contains(refused.errors, "100 Continue"));
    CHECK(refused.output == "413 0");
    CHECK(served.stop() == 0);
}

TEST_CASE("curl: a Unix socket serves as TCP does", "[gateways]") {
    TemporaryDirectory directory;
    Served served(checkedApp("hello"), {"--listen", "http+unix:" + directory / "app.sock"});
    served.process().waitForOutput("to stop.\n");
    CHECK(curl({"--unix-socket", directory / "app.sock", "http://localhost/"}).output == "Hello, world!\n");
    CHECK(served.stop() == 0);
}

TEST_CASE("curl: HTTP/1.0 gets a reply that ends with the connection", "[gateways]") {
    Served served(checkedApp("hello"));
    const auto result = curl({"--http1.0", "-i", served.url() + "/"});
    CHECK(result.output.starts_with("HTTP/1.1 200 OK\r\n"));
    CHECK(contains(result.output, "\r\nConnection: close\r\n"));
    CHECK(!contains(result.output, "chunked"));
    CHECK(result.output.ends_with("\r\n\r\nHello, world!\n"));
    Served clock(checkedApp("clock"));
    // A streamed body has no length: it goes on until curl has had enough.
    const auto events = runToEnd({"curl", "-q", "-sS", "--noproxy", "*", "--http1.0", "-N", "-i", "--max-time", "2", clock.url() + "/events"});
    CHECK(events.code == 28);
    CHECK(contains(events.output, "Connection: close\r\n"));
    CHECK(!contains(events.output, "chunked"));
    CHECK(contains(events.output, "\r\n\r\ndata: 20"));
}
