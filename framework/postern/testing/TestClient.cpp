#include "postern/testing/TestClient.h"

#include "postern/io/Pipe.h"
#include "postern/protocol/Form.h"
#include "postern/testing/CookieJar.h"
#include "postern/testing/TestLine.h"
#include "postern/testing/TestLoop.h"

#include <algorithm>
#include <stdexcept>

namespace postern {

namespace {

TestClientOptions completed(TestClientOptions options) {
    options.http.scheme = options.https ? "https" : "http";
    options.http.tls = nullptr;
    options.http.proxyProtocol = false;
    return options;
}

}

struct TestClient::State {
    State(Handler given, TestClientOptions chosen)
        : options(completed(std::move(chosen))),
          handler(std::move(given)),
          handle([this](Exchange& exchange) { serveExchange(exchange, options.handling, handler); }),
          loop(std::make_shared<TestLoop>(options.patience, [this](LogLevel level, std::string_view line) {
              log.push_back({level, std::string(line)});
          })),
          gateway(loop->loop(), -1, options.http, handle) {}

    TimePoint now() const { return loop->loop().poller().now(); }

    std::unique_ptr<ByteStream> connect() {
        auto [near, far] = Pipe::make(loop->loop());
        gateway.serve(std::move(far), {options.remoteAddress, ++port}, options.https ? 443 : 80);
        return std::move(near);
    }

    std::shared_ptr<TestLine> idleLine() {
        std::erase_if(lines, [](const auto& line) { return !line->isBusy() && !line->isIdle(); });
        const auto idle = std::find_if(lines.begin(), lines.end(), [](const auto& line) { return line->isIdle(); });
        return idle != lines.end() ? *idle : lines.emplace_back(std::make_shared<TestLine>(connect()));
    }

    const TestClientOptions options;
    const Handler handler;
    const ExchangeHandler handle;
    std::vector<TestLogLine> log;
    std::shared_ptr<TestLoop> loop;
    HttpGateway gateway;
    uint16_t port = 50'000;  // of the last connection
    std::vector<std::shared_ptr<TestLine>> lines;
    std::vector<Header> headers;
    std::shared_ptr<CookieJar> jar = std::make_shared<CookieJar>();
};

namespace {

void require(bool kept, const std::string& promise) {
    if (!kept) throw std::invalid_argument(promise);
}

void check(const Header& header) {
    require(isFieldName(header.name) && isFieldValue(header.value), "'" + escapedForLog(header.name) + "' cannot stand in a request");
    for (const std::string_view name : {"Content-Length", "Transfer-Encoding"})
        require(!equalsIgnoringCase(header.name, name), std::string(name) + " is set by the client");
}

bool hasField(const std::vector<Header>& headers, std::string_view name) {
    return std::any_of(headers.begin(), headers.end(), [&](const Header& header) { return equalsIgnoringCase(header.name, name); });
}

// Those of all requests that this one does not replace, then its own.
std::vector<Header> merged(const std::vector<Header>& always, const std::vector<Header>& own) {
    std::vector<Header> all;
    for (const auto& header : always)
        if (!hasField(own, header.name)) all.push_back(header);
    all.insert(all.end(), own.begin(), own.end());
    return all;
}

std::string pathOf(std::string_view target) { return std::string(target.substr(0, target.find('?'))); }

std::string writeRequest(std::string_view method, std::string_view target, const std::vector<Header>& headers, std::string_view body) {
    std::string text;
    text.append(method).append(" ").append(target).append(" HTTP/1.1\r\n");
    for (const auto& header : headers) text.append(header.name).append(": ").append(header.value).append("\r\n");
    const bool usual = method == "POST" || method == "PUT" || method == "PATCH";
    if (!body.empty() || usual) text.append("Content-Length: ").append(std::to_string(body.size())).append("\r\n");
    return text.append("\r\n").append(body);
}

}

TestClient::TestClient(Handler handler, TestClientOptions options)
    : state_(std::make_unique<State>(std::move(handler), std::move(options))) {}

TestClient::~TestClient() = default;

TestExchange TestClient::start(std::string_view method, std::string_view target, const std::vector<Header>& headers,
                               std::string_view body) {
    auto& state = *state_;
    require(isToken(method), "a method is one word");
    require(!target.empty() && target.find_first_of(" \t\r\n") == std::string_view::npos, "a target has no spaces: encode them");
    auto all = merged(state.headers, headers);
    for (const auto& header : all) check(header);
    const auto path = pathOf(target);
    const auto cookies = state.jar->field(path, state.options.https, state.now());
    if (!cookies.empty() && !hasField(all, "Cookie")) all.push_back({"Cookie", cookies});
    if (!hasField(all, "Host")) all.insert(all.begin(), {"Host", state.options.host});

    state.loop->settle();  // the server may have closed what was idle
    const auto line = state.idleLine();
    line->send(method, writeRequest(method, target, all, body));
    state.loop->settle();
    return TestExchange(state.loop, line, state.jar, std::string(method) + " " + escapedForLog(target), path);
}

TestReply TestClient::request(std::string_view method, std::string_view target, const std::vector<Header>& headers,
                              std::string_view body) {
    return start(method, target, headers, body).reply();
}

TestReply TestClient::post(std::string_view target, std::string_view body, std::string_view type) {
    return request("POST", target, {{"Content-Type", std::string(type)}}, body);
}

TestReply TestClient::postForm(std::string_view target, const std::vector<Header>& form) {
    NameValues values;
    for (const auto& [name, value] : form) values.add(name, value);
    return post(target, writeForm(values), "application/x-www-form-urlencoded");
}

TestWebSocket TestClient::websocket(std::string_view target, const ClientOptions& options) {
    auto& state = *state_;
    const auto path = pathOf(target);
    auto asked = options;
    auto host = state.options.host;
    asked.headers.clear();
    for (auto& header : merged(state.headers, options.headers)) {
        if (equalsIgnoringCase(header.name, "Host")) host = header.value;
        else if (!equalsIgnoringCase(header.name, "Origin")) asked.headers.push_back(header);
        else if (options.origin.empty()) asked.origin = header.value;
    }
    auto cookies = state.jar->field(path, state.options.https, state.now());
    for (const auto& [name, value] : options.cookies) cookies += (cookies.empty() ? "" : "; ") + name + "=" + value;
    asked.cookies.clear();
    if (!cookies.empty()) asked.headers.push_back({"Cookie", cookies});
    const auto url = (state.options.https ? "wss://" : "ws://") + host + std::string(target);

    WebSocket socket;
    const auto name = "WebSocket " + escapedForLog(target);
    try {
        state.loop->run(name, [&] { socket = connectWebSocketOver(state.connect(), url, asked); });
    } catch (const HandshakeError& refusal) {
        for (const auto& field : refusal.fields())
            if (equalsIgnoringCase(field.name, "Set-Cookie")) state.jar->store(field.value, path, state.now());
        throw;
    }
    return TestWebSocket(state.loop, std::move(socket), name);
}

void TestClient::setHeader(std::string_view name, std::string_view value) {
    const Header header{std::string(name), std::string(value)};
    check(header);
    std::erase_if(state_->headers, [&](const Header& other) { return equalsIgnoringCase(other.name, name); });
    if (!value.empty()) state_->headers.push_back(header);
}

void TestClient::setCookie(std::string_view name, std::string_view value) { state_->jar->set(name, value); }
std::optional<std::string> TestClient::cookie(std::string_view name) const { return state_->jar->find(name, state_->now()); }
void TestClient::clearCookies() { state_->jar->clear(); }

void TestClient::advance(Duration time) { state_->loop->advance(time); }
void TestClient::run(const std::function<void()>& function) { state_->loop->run("run", function); }
void TestClient::settle() { state_->loop->settle(); }

const std::vector<TestLogLine>& TestClient::log() const { return state_->log; }

bool TestClient::logged(std::string_view part) const {
    return std::any_of(state_->log.begin(), state_->log.end(),
                       [&](const TestLogLine& line) { return line.text.find(part) != std::string::npos; });
}

}
