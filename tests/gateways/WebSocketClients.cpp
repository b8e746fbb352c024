#include "support/Catch.h"
#include "support/Process.h"

using namespace postern;

namespace {

std::string echoUrl(const Served& served) { return "ws://127.0.0.1:" + std::to_string(served.port()) + "/echo"; }

std::vector<std::string> nodeCommand(const std::string& url, const char* promise) {
    return {"node", requiredVariable("POSTERN_SOURCE") + "/tests/gateways/WsClient.js", url, promise};
}

ProcessOptions withNodeModules() {
    ProcessOptions options;
    options.environment = {{"NODE_PATH", requiredVariable("POSTERN_NODE") + "/node_modules"}};
    return options;
}

void keepsToWs(const char* promise, const std::vector<std::string>& arguments = {}) {
    Served served(checkedApp("echo"), arguments);
    const auto result = runToEnd(nodeCommand(echoUrl(served), promise), withNodeModules());
    CAPTURE(promise, result.output, result.errors);
    CHECK(result.code == 0);
    CHECK(served.stop() == 0);
}

void keepsToWebsockets(const char* promise, const std::vector<std::string>& arguments = {}) {
    Served served(checkedApp("echo"), arguments);
    const auto result = runToEnd({requiredVariable("POSTERN_PYTHON"),
                                  requiredVariable("POSTERN_SOURCE") + "/tests/gateways/WebsocketsClient.py", echoUrl(served), promise});
    CAPTURE(promise, result.output, result.errors);
    CHECK(result.code == 0);
    CHECK(served.stop() == 0);
}

}

TEST_CASE("npm ws: messages of every size come back, text as text and bytes as bytes", "[gateways]") { keepsToWs("sizes"); }
TEST_CASE("npm ws: 16 MiB come back with --max-message", "[gateways]") { keepsToWs("large", {"--max-message", "16m"}); }
TEST_CASE("npm ws: a message over the limit closes with 1009", "[gateways]") { keepsToWs("tooLarge"); }
TEST_CASE("npm ws: fragments become one message, with a ping answered between them", "[gateways]") { keepsToWs("fragments"); }
TEST_CASE("npm ws: pings get their pong", "[gateways]") { keepsToWs("pings"); }
TEST_CASE("npm ws: a close code is echoed, no code by none", "[gateways]") { keepsToWs("closeCodes"); }
TEST_CASE("npm ws: text that is no UTF-8 closes with 1007", "[gateways]") { keepsToWs("badText"); }
TEST_CASE("npm ws: no subprotocol is chosen where none is spoken", "[gateways]") { keepsToWs("noSubprotocol"); }
TEST_CASE("npm ws: compression is declined", "[gateways]") { keepsToWs("compressionIsDeclined"); }
TEST_CASE("npm ws: only pages of the same host may connect", "[gateways]") { keepsToWs("origin"); }
TEST_CASE("npm ws: 200 random conversations are echoed", "[gateways]") { keepsToWs("random", {"--workers", "2"}); }

TEST_CASE("npm ws: a server that stops says 1001", "[gateways]") {
    Served served(checkedApp("echo"));
    Process client(nodeCommand(echoUrl(served), "serverStops"), withNodeModules());
    CHECK(client.line() == "open");
    CHECK(served.stop() == 0);
    const int code = client.wait();
    CAPTURE(client.errors());
    CHECK(code == 0);
}

TEST_CASE("python websockets: messages of every size come back", "[gateways]") { keepsToWebsockets("sizes"); }
TEST_CASE("python websockets: 16 MiB come back with --max-message", "[gateways]") {
    keepsToWebsockets("large", {"--max-message", "16m"});
}
TEST_CASE("python websockets: fragments become one message", "[gateways]") { keepsToWebsockets("fragments"); }
TEST_CASE("python websockets: pings get their pong", "[gateways]") { keepsToWebsockets("pings"); }
TEST_CASE("python websockets: a close code is echoed", "[gateways]") { keepsToWebsockets("closeCodes"); }
TEST_CASE("python websockets: compression is declined", "[gateways]") { keepsToWebsockets("compressionIsDeclined"); }
TEST_CASE("python websockets: no subprotocol is chosen where none is spoken", "[gateways]") { keepsToWebsockets("noSubprotocol"); }
TEST_CASE("python websockets: 200 random conversations are echoed", "[gateways]") {
    keepsToWebsockets("conversations", {"--workers", "2"});
}
