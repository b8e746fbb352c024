// A WebSocket client for the terminal, for scripts, and for measuring servers that echo.

#include <postern/postern.h>
#include <postern/base/Crypto.h>
#include <postern/base/Text.h>
#include <postern/base/Utf8.h>
#include <postern/io/StandardStreams.h>
#include <postern/main/Options.h>

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <cstdio>
#include <ctime>
#include <deque>
#include <fstream>
#include <iomanip>
#include <sstream>

using namespace postern;
using namespace std::chrono_literals;

namespace {

constexpr int exitFailed = 1, exitUsage = 2;

constexpr const char* commands = R"(Each line is sent as a text message; Ctrl+D closes. What begins with a slash is a command:
  /binary FILE            send the file's bytes as one binary message
  /ping                   send a ping, and show how long its pong took
  /close [CODE [REASON]]  close, with 1000 unless there is another code
  /help                   show this list
  //TEXT                  send /TEXT)";

struct Settings {
    std::string url;
    ClientOptions client;
    std::optional<std::string> execute;
    bool keepOpen = false, verbose = false;

    bool bench = false;
    unsigned connections = 1, inFlight = 1;
    size_t size = 125;
    Duration time = 5s;
};

// ── What is shown ──

// A server must not steer the terminal.
std::string withoutControls(std::string_view text) {
    std::string shown;
    for (size_t i = 0; i < text.size(); ++i) {
        const char c = text[i];
        const bool isC1 = c == '\xc2' && i + 1 < text.size() && static_cast<unsigned char>(text[i + 1]) < 0xa0;  // U+0080…U+009F
        if (isC1) shown += escapedForLog(text.substr(i++, 2));
        else if ((c < ' ' && c >= 0 && c != '\t' && c != '\n') || c == 0x7f) shown += escapedForLog({&c, 1});
        else shown += c;
    }
    return shown;
}

std::string describe(const Message& message) {
    const auto bytes = message.textData();
    if (message.isText()) return ::isatty(STDOUT_FILENO) ? withoutControls(bytes) : std::string(bytes);
    constexpr size_t most = 32;
    std::ostringstream line;
    line << "binary, " << bytes.size() << (bytes.size() == 1 ? " byte:" : " bytes:") << std::hex << std::setfill('0');
    for (const char c : bytes.substr(0, most)) line << ' ' << std::setw(2) << int{static_cast<unsigned char>(c)};
    return line.str() + (bytes.size() > most ? " ..." : "");
}

void say(const std::string& line) { std::fprintf(stderr, "%s\n", withoutControls(line).c_str()); }

// ── A conversation ──

class Conversation {
public:
    Conversation(WebSocket& socket, const Settings& settings) : socket_(socket), settings_(settings) {}

    int talk() {
        FiberGroup typing;
        typing.spawn([this] { readLines(); });
        while (const auto message = socket_.recv()) print(message);
        return end();
    }

    int execute() {
        socket_.send(*settings_.execute);
        const auto message = socket_.recv(settings_.client.timeout);
        if (!message) return end();
        print(message);
        socket_.close();
        return 0;
    }

private:
    void print(const Message& message) {
        terminal_.write({describe(message), "\n"});
        terminal_.flush();
    }

    int end() const {
        const auto code = socket_.closeCode();
        const bool good = !settings_.execute && (closedByUs_ ? socket_.wasClean() : code == 1000 || code == 1005);
        if (!good || settings_.verbose) say("closed: " + std::to_string(code) + " " + socket_.closeReasonString());
        return good ? 0 : exitFailed;
    }

    void readLines() {
        std::string line;
        for (;;) {
            const auto text = terminal_.unreadText();
            const auto end = text.find('\n');
            line += text.substr(0, end);
            terminal_.consume(end == std::string_view::npos ? text.size() : end + 1);
            if (end != std::string_view::npos) {
                take(line);
                line.clear();
            } else if (!terminal_.receive()) {
                if (!line.empty()) take(line);
                if (!settings_.keepOpen) closeAfterAnswers(1000, {});
                return;
            }
        }
    }

    // What a server sends in answer to the lines before comes before its pong.
    void closeAfterAnswers(uint16_t code, std::string_view reason) {
        try {
            socket_.roundTrip(limit());
        } catch (const TimedOut&) {
            // Then without them.
        }
        closedByUs_ = socket_.isOpen();
        socket_.close(code, reason);
    }

    void take(std::string_view line) {
        if (line.ends_with('\r')) line.remove_suffix(1);
        try {
            if (!line.starts_with('/')) return sendText(line);
            if (line.starts_with("//")) return sendText(line.substr(1));
            const auto name = takeUntil(line, ' ');
            obey(name, line);
        } catch (const std::invalid_argument& problem) {
            say(problem.what());
        } catch (const TimedOut&) {
            say("no pong in time; --timeout waits longer");
        }
    }

    void obey(std::string_view name, std::string_view arguments) {
        if (name == "/binary") return socket_.send(asBytes(readFile(std::string(arguments))));
        if (name == "/ping") return ping();
        if (name == "/help") return say(commands);
        if (name != "/close")
            throw std::invalid_argument("there is no " + std::string(name) + "; /help lists the commands, //TEXT sends /TEXT");
        const auto number = takeUntil(arguments, ' ');
        const auto code = number.empty() ? uint16_t{1000} : parseDecimal<uint16_t>(number).value_or(0);
        if (!isValidCloseCode(code))
            throw std::invalid_argument("a close code is 1000-1003, 1007-1014 or 3000-4999, not '" + std::string(number) + "'");
        closeAfterAnswers(code, arguments);
    }

    void sendText(std::string_view text) {
        if (!isValidUtf8(text)) throw std::invalid_argument("this line is no UTF-8 and was not sent; /binary FILE sends any bytes");
        socket_.send(text);
    }

    void ping() {
        const auto took = std::chrono::duration_cast<std::chrono::microseconds>(socket_.roundTrip(limit()));
        say("pong after " + std::to_string(took.count()) + " us");
    }

    Deadline limit() const { return Loop::current().in(settings_.client.timeout); }

    static std::string readFile(const std::string& name) {
        std::ifstream file(name, std::ios::binary);
        file.peek();  // which is where a directory fails
        if (!file.is_open() || file.bad()) throw std::invalid_argument("cannot read the file '" + name + "'");
        return {std::istreambuf_iterator<char>(file), {}};
    }

    WebSocket& socket_;
    const Settings& settings_;
    StandardStreams terminal_{Loop::current()};
    bool closedByUs_ = false;
};

// ── Measuring ──

class Bench {
public:
    explicit Bench(const Settings& settings) : settings_(settings) {
        while (payload_.size() < settings.size) payload_ += static_cast<char>('a' + payload_.size() * 7 % 26);
    }

    int run() {
        for (auto i = settings_.connections; i > 0; --i) sockets_.push_back(connectWebSocket(settings_.url, settings_.client));
        const auto cpu = std::clock();
        const auto begun = Clock::now();
        until_ = begun + settings_.time;
        limit_ = Deadline::after(settings_.client.timeout, until_);
        FiberGroup fibers;
        for (auto& socket : sockets_) fibers.spawn([&] { measure(socket); });
        fibers.wait();
        report(std::chrono::duration<double>(Clock::now() - begun).count(), double(std::clock() - cpu) / CLOCKS_PER_SEC);
        return 0;
    }

private:
    // Servers that echo keep the order, so each message that comes belongs to the oldest that is under way.
    void measure(WebSocket& socket) {
        std::deque<TimePoint> underWay;
        auto allowed = settings_.inFlight;
        WaitQueue room;
        FiberGroup sending;  // apart, for it may have to wait until we have received
        sending.spawn([&] {
            for (;;) {
                while (allowed == 0) throwUnlessReady(room.wait());
                --allowed;
                underWay.push_back(Clock::now());
                socket.send(payload_);
            }
        });
        do {
            if (!socket.recv(limit_))
                throw std::runtime_error("the server closed: " + std::to_string(socket.closeCode()) + " " + socket.closeReasonString());
            if (underWay.empty()) throw std::runtime_error("the server sends unasked: --bench needs one that echoes");
            const auto now = Clock::now();
            latencies_.push_back(std::chrono::duration<float, std::micro>(now - underWay.front()).count());
            underWay.pop_front();
            if (now >= until_) continue;
            ++allowed;
            room.notifyOne();
        } while (allowed > 0 || !underWay.empty());
    }

    void report(double seconds, double cpu) {
        const auto count = static_cast<double>(latencies_.size());
        std::sort(latencies_.begin(), latencies_.end());
        const auto percentile = [&](size_t p) { return double{latencies_[(latencies_.size() - 1) * p / 100]}; };
        std::printf("%.0f messages in %.2f s: %.0f/s, %.1f MB/s each way\n", count, seconds, count / seconds,
                    count * static_cast<double>(payload_.size()) / seconds / 1e6);
        std::printf("latency: p50 %.1f us, p99 %.1f us, most %.1f us\n", percentile(50), percentile(99), percentile(100));
        std::printf("CPU of the client: %.2f s, %.2f us per message\n", cpu, cpu / count * 1e6);
    }

    const Settings& settings_;
    std::string payload_;
    TimePoint until_;
    Deadline limit_;
    std::vector<WebSocket> sockets_;
    std::vector<float> latencies_;  // microseconds
};

// ── The program ──

int work(const Settings& settings) {
    if (settings.bench) return Bench(settings).run();
    auto socket = connectWebSocket(settings.url, settings.client);
    const auto protocol = socket.protocol().empty() ? "" : ", subprotocol " + std::string(socket.protocol());
    if (settings.verbose) say("connected to " + settings.url + protocol + (socket.compresses() ? ", with permessage-deflate" : ""));
    Conversation conversation(socket, settings);
    return settings.execute ? conversation.execute() : conversation.talk();
}

// What to do about an answer that is no WebSocket.
std::string advice(const HandshakeError& answer) {
    switch (answer.status()) {
    case 401: return "give --user NAME:PASSWORD, or what it wants (" + answer.field("WWW-Authenticate") + ") by --header";
    case 403: return "it may want an --origin, a --cookie or a --header that it knows";
    case 200:
    case 404: return "is the path right?";
    case 101: return "the other end does not keep to RFC 6455, or wants a --subprotocol";
    default: break;
    }
    if (answer.status() >= 300 && answer.status() < 400)
        return "it leads to " + answer.field("Location") + " instead: give that address, with ws: for http:";
    return answer.status() >= 500 ? "the server, or what stands before it, has a problem" : "";
}

int complain(const std::string& what, const std::string& advice = {}, int code = exitFailed) {
    say("wscat: " + what + (advice.empty() ? "" : "\n" + advice));
    return code;
}

int runAll(const Settings& settings) {
    try {
        int status = exitFailed;
        run([&] { status = work(settings); });
        return status;
    } catch (const HandshakeError& answer) {
        return complain(answer.what(), advice(answer));
    } catch (const TlsError& problem) {
        return complain(problem.what(), "is it a TLS server? --ca FILE trusts a certificate or its issuer, --insecure anybody");
    } catch (const TimedOut&) {
        return complain("no answer in time", "--timeout gives the server longer");
    } catch (const Disconnected& problem) {
        return complain(settings.url + ": " + problem.what(), "is a server running there, and can it be reached?");
    } catch (const std::invalid_argument& problem) {
        return complain(problem.what(), "--help shows how it is used", exitUsage);
    } catch (const std::exception& problem) {
        return complain(problem.what());
    }
}

// A size or a time.
template <typename Value, typename Parse>
CLI::Option* addAmount(CLI::App& app, const std::string& name, Value& target, Parse parse, const std::string& help) {
    const auto read = [=, &target](const std::string& text) {
        const auto value = parse(text);
        if (!value) throw CLI::ValidationError(name, "'" + text + "' is none; sizes are like 512 or 64k, times like 250ms or 10s");
        target = *value;
    };
    return app.add_option_function<std::string>(name, read, help)->type_name(std::is_same_v<Value, Duration> ? "TIME" : "SIZE");
}

// Names and values, which stand on both sides of a character.
CLI::Option* addPairs(CLI::App& app, const std::string& name, char separator, std::vector<Header>& target, const char* help) {
    const auto read = [name, separator, &target](const std::vector<std::string>& texts) {
        for (const auto& text : texts) {
            const auto at = text.find(separator);
            if (at == std::string::npos) throw CLI::ValidationError(name, "'" + text + "' has no '" + separator + "'");
            target.push_back({text.substr(0, at), std::string(trim(std::string_view(text).substr(at + 1)))});
        }
    };
    return app.add_option_function<std::vector<std::string>>(name, read, help)->take_all()->expected(1);
}

void addOptions(CLI::App& app, Settings& settings) {
    auto& client = settings.client;
    client.socket.maxMessage = 64 * 1024 * 1024;
    client.socket.maxFragments = 1024 * 1024;
    app.footer(commands);
    app.get_formatter()->column_width(36);
    app.add_option("URL", settings.url, "ws://HOST[:PORT]/PATH, wss://... or ws+unix:SOCKET[:/PATH]")->required();
    addPairs(app, "-H,--header", ':', client.headers, "One more field of the request; repeatable")->type_name("'NAME: VALUE'");
    addPairs(app, "--cookie", '=', client.cookies, "A cookie; repeatable")->type_name("NAME=VALUE");
    const auto addUser = [&](const std::string& user) { client.headers.push_back({"Authorization", "Basic " + base64Encode(user)}); };
    app.add_option_function<std::string>("-u,--user", addUser, "Credentials, if the server answers 401")->type_name("NAME:PASSWORD");
    app.add_option("--origin", client.origin, "The page this would come from in a browser")->type_name("ORIGIN");
    app.add_option("-s,--subprotocol", client.socket.protocols, "A subprotocol to ask for, the best first; repeatable")
        ->type_name("NAME")->take_all()->expected(1);
    app.add_flag_callback("--deflate", [&] { client.socket.deflate.emplace(); }, "Offer permessage-deflate");
    app.add_option("--ca", client.tls.caFile, "Trust the certificates in this file (PEM), not the system's")->type_name("FILE");
    app.add_flag_callback("--insecure", [&] { client.tls.verify = false; }, "Trust any certificate");
    addAmount(app, "--max-message", client.socket.maxMessage, parseSize, "Largest message to take [64m]");
    addAmount(app, "--timeout", client.timeout, parseDuration, "For the connection, and for the answer to --execute [10s]");
    app.add_flag("-k,--keep-open", settings.keepOpen, "Go on printing after the end of the input");
    app.add_flag("-v,--verbose", settings.verbose, "Tell how the connection begins and ends");

    auto* execute = app.add_option("-x,--execute", settings.execute, "Send this, print one answer, and end")->type_name("TEXT");
    auto* bench = app.add_flag("--bench", settings.bench, "Measure a server that echoes")->excludes(execute);
    const auto number = CLI::Range(1, 100'000).description("");
    app.add_option("--connections", settings.connections, "How many [1]")->type_name("N")->check(number)->needs(bench);
    app.add_option("--in-flight", settings.inFlight, "Messages under way on each [1]")->type_name("N")->check(number)->needs(bench);
    addAmount(app, "--size", settings.size, parseSize, "Of each message [125]")->needs(bench);
    addAmount(app, "--time", settings.time, parseDuration, "How long to measure [5s]")->needs(bench);
}

}

int main(int count, char** arguments) {
    Settings settings;
    CLI::App app("Talks to a WebSocket: lines of standard input are sent, messages are printed.");
    addOptions(app, settings);
    try {
        app.parse(count, arguments);
    } catch (const CLI::ParseError& problem) {
        return app.exit(problem) == 0 ? 0 : exitUsage;
    }
    if (::isatty(STDIN_FILENO)) settings.verbose = true;
    return runAll(settings);
}
