#include "support/Catch.h"
#include "support/Process.h"
#include "support/WebSocketClient.h"

#include <algorithm>
#include <functional>

using namespace postern;
using namespace std::chrono_literals;

namespace {

// What a case does with the testee. False, or an exception: it failed.
using Case = std::function<bool(WebSocket&)>;

// Is this sent back, as the same kind of message?
template <typename Data>
bool echoed(WebSocket& socket, const Data& data) {
    socket.send(data);
    const auto message = socket.recv();
    if constexpr (std::is_convertible_v<Data, ByteView>) return message.isBinary() && message.textData() == asText(data);
    else return message.isText() && message.textData() == data;
}

Case text(std::string data) {
    return [data](WebSocket& socket) { return echoed(socket, data); };
}
Case binary(std::string data) {
    return [data](WebSocket& socket) { return echoed(socket, asBytes(data)); };
}

bool manyAtOnce(WebSocket& socket) {
    for (int i = 0; i < 100; ++i) socket.send("number " + std::to_string(i));
    for (int i = 0; i < 100; ++i)
        if (socket.recv().textData() != "number " + std::to_string(i)) return false;
    return true;
}

bool inFragments(WebSocket& socket) {
    {
        auto message = socket.sendStream(WebSocketOpcode::binary);
        for (int i = 0; i < 65536; ++i) {
            message.write(std::string_view("f"));
            message.flush();
        }
        message.finish();
    }
    return socket.recv().textData() == std::string(65536, 'f');
}

bool pinged(WebSocket& socket) {
    socket.roundTrip();
    return echoed(socket, std::string("after the ping"));
}

bool closedWithReason(WebSocket& socket) {
    socket.close(3999, "that was it");
    return socket.wasClean() && socket.closeCode() == 3999;
}

bool cut(WebSocket& socket) {
    socket.send("half a mess");
    socket.abort();
    return true;
}

// The testee has to end it: its patience is shorter than ours.
bool silent(WebSocket& socket) { return socket.recv().closeCode() == 1006; }

using Cases = std::vector<std::pair<std::string, Case>>;

Cases mostCases() {
    return {
        {"nothing", text("")},
        {"a word", text("Hello")},
        {"every length of a character", text("$\u00a2\u20ac\U00010348")},
        {"bytes that are no text", binary(std::string("\0\xff\xc3\x28", 4))},
        {"125", binary(std::string(125, '1'))},
        {"126", binary(std::string(126, '2'))},
        {"65535", binary(std::string(65535, '3'))},
        {"65536", text(std::string(65536, '4'))},
        {"16 MiB", binary(std::string(16 << 20, '5'))},
        {"many at once", manyAtOnce},
        {"65,536 fragments", inFragments},
        {"a ping", pinged},
        {"a close with a reason", closedWithReason},
        {"a line that is cut", cut},
        {"the one after", text("still there")},
    };
}

// As the usual suites serve: /getCaseCount, /runCase?case=N&agent=NAME, /updateReports?agent=NAME.
class SuiteServer {
public:
    explicit SuiteServer(Cases cases) : cases_(std::move(cases)) {}

    std::string url() const { return "ws://" + server_.host(); }
    /// What happened, when all cases are over.
    std::vector<std::string> notes() const {
        CHECK(over_.wait("", cases_.size()));
        return notes_.all();
    }

private:
    void serve(Cgi& cgi) {
        if (!cgi.websocketRequested()) throw HttpError(404);
        const std::string path(cgi.pathInfo()), agent(cgi.get("agent"));
        // One of the cases is that there is none.
        const auto number = path == "/runCase" ? static_cast<size_t>(std::stoi(std::string(cgi.get("case")))) : 0;
        if (number > cases_.size()) {
            note(agent + " refused");
            throw HttpError(404, "no such case");
        }
        WebSocketOptions options;
        options.maxMessage = 32 << 20;
        options.deflate.emplace();
        options.sendTimeout = options.closeTimeout = testPatience;
        auto socket = cgi.acceptWebsocket(options);
        if (path == "/getCaseCount") return socket.send(std::to_string(cases_.size() + 1));
        if (path == "/updateReports") return note(agent + " report");
        const auto& [name, run] = cases_[number - 1];
        note(agent + (socket.compresses() ? " deflated " : " ") + name);
        try {
            if (!run(socket)) note(name + " failed");
        } catch (const std::exception& problem) {
            note(name + ": " + problem.what());
        }
        socket.close();
        over_.function()(LogLevel::info, name);
    }
    void note(const std::string& line) { notes_.function()(LogLevel::info, line); }

    const Cases cases_;
    LogLines notes_, over_;
    TestServer server_{[this](Cgi& cgi) { serve(cgi); }};
};

Finished runTestee(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), checkedApp("testee"));
    return runToEnd(arguments);
}

std::vector<std::string> expectedNotes(const Cases& cases, const std::string& prefix, const std::string& agent) {
    std::vector<std::string> lines;
    for (const auto& [name, run] : cases) lines.push_back(prefix + name);
    lines.push_back(agent + " refused");
    lines.push_back(agent + " report");
    return lines;
}

}

TEST_CASE("testee runs every case of a suite, sends back what comes, and asks for the report", "[conformance]") {
    SuiteServer suite(mostCases());
    const auto result = runTestee({suite.url()});
    CHECK(result.code == 0);
    CHECK(result.output == "16 cases\n");
    CHECK(result.errors.find("case 16: the server answered 404") != std::string::npos);
    CHECK(suite.notes() == expectedNotes(mostCases(), "postern deflated ", "postern"));
}

TEST_CASE("testee offers no compression when told so, and goes by the name it is given", "[conformance]") {
    SuiteServer suite(mostCases());
    CHECK(runTestee({suite.url() + "/", "--deflate", "off", "--agent", "a & b"}).code == 0);
    CHECK(suite.notes() == expectedNotes(mostCases(), "a & b ", "a & b"));
}

TEST_CASE("testee cuts a case that does not end", "[conformance]") {
    const Cases cases{{"a server that says nothing", silent}};
    SuiteServer suite(cases);
    const auto result = runTestee({suite.url(), "--case-time", "1"});
    CHECK(result.code == 0);
    CHECK(result.errors.find("case 1: not over after 1 s") != std::string::npos);
    CHECK(suite.notes() == expectedNotes(cases, "postern deflated ", "postern"));
}

TEST_CASE("testee says what is wrong with its arguments or the suite", "[conformance]") {
    CHECK(runTestee({}).code == 2);
    CHECK(runTestee({"ws://127.0.0.1:1", "--deflate", "perhaps"}).code == 2);
    const auto noUrl = runTestee({"127.0.0.1:9001"});
    CHECK(noUrl.code == 2);
    CHECK(noUrl.errors.find("it begins with ws://, wss:// or ws+unix:") != std::string::npos);
    const auto nobody = runTestee({"ws+unix:/nonexistent/socket"});
    CHECK(nobody.code == 1);
    CHECK(nobody.errors.find("cannot connect to /nonexistent/socket") != std::string::npos);
    WebSocketServer server([](WebSocket& socket, WebSocketServer&) { socket.send("many"); });
    const auto other = runTestee({"ws://" + server.http().host()});
    CHECK(other.code == 1);
    CHECK(other.errors.find("/getCaseCount gave no number but 'many'") != std::string::npos);
}
