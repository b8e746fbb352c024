#include "support/Catch.h"
#include "support/Process.h"

using namespace postern;

TEST_CASE("Chromium: a message typed into the page of echo comes back, and other origins are refused", "[gateways]") {
    Served served(checkedApp("echo"));
    ProcessOptions options;
    options.environment = {{"NODE_PATH", requiredVariable("POSTERN_NODE") + "/node_modules"}};
    const auto result = runToEnd({"node", requiredVariable("POSTERN_SOURCE") + "/tests/gateways/Browser.js", served.url() + "/"}, options);
    CAPTURE(result.output, result.errors);
    CHECK(result.code == 0);
    CHECK(served.stop() == 0);
    CHECK(served.process().errors().find("--allowed-origin") != std::string::npos);
}
