#include "postern/main/Options.h"

#include "postern/base/Text.h"
#include "postern/main/ListenSpec.h"
#include "postern/main/PrintConfig.h"
#include "postern/main/Settings.h"
#include "postern/protocol/Forwarded.h"
#include "postern/protocol/HttpHead.h"
#include "postern/protocol/Origin.h"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <numeric>
#include <thread>

namespace postern {

namespace {

constexpr int exitUsage = 2;
constexpr int exitConfig = 78;  // EX_CONFIG of sysexits.h

template <typename Number>
std::optional<Number> scaled(std::string_view text, std::initializer_list<std::pair<std::string_view, Number>> units) {
    const auto digits = std::find_if_not(text.begin(), text.end(), isDigit);
    const auto count = parseDecimal<Number>(text.substr(0, static_cast<size_t>(digits - text.begin())));
    const auto unit = text.substr(static_cast<size_t>(digits - text.begin()));
    if (!count) return {};
    for (const auto& [name, factor] : units)
        if (equalsIgnoringCase(name, unit)) {
            if (*count > std::numeric_limits<Number>::max() / factor) return {};
            return *count * factor;
        }
    return {};
}

// CLI11 calls these with the texts of the option `name`.
template <typename Value>
CLI::callback_t readSize(const std::string& name, Value& target) {
    return [name, &target](const CLI::results_t& texts) {
        const auto size = parseSize(texts.back());
        if (!size || *size > std::numeric_limits<Value>::max())
            throw CLI::ValidationError("--" + name, "'" + texts.back() + "' is no size like 512k, 64m or 1g");
        target = static_cast<Value>(*size);
        return true;
    };
}

CLI::callback_t readDuration(const std::string& name, Duration& target) {
    return [name, &target](const CLI::results_t& texts) {
        const auto duration = parseDuration(texts.back());
        if (!duration) throw CLI::ValidationError("--" + name, "'" + texts.back() + "' is no time like 250ms, 10s, 5m or 1h");
        target = *duration;
        return true;
    };
}

std::string environmentName(const std::string& option) {
    std::string name = "POSTERN_";
    for (const char c : option) name += c == '-' ? '_' : toUpper(c);
    return name;
}

// A configuration file, without what the environment says too: CLI11 would let the file win.
class FileReader final : public CLI::ConfigINI {
public:
    explicit FileReader(bool ignored) : ignored_(ignored) {}

    std::vector<CLI::ConfigItem> from_config(std::istream& input) const override {
        if (ignored_) return {};
        auto found = ConfigINI::from_config(input);
        std::erase_if(found, [](const CLI::ConfigItem& item) {
            if (item.name == "port") return std::getenv("PORT") != nullptr;
            if (item.name == "host") return std::getenv("HOST") != nullptr;
            return std::getenv(environmentName(item.name).c_str()) != nullptr;
        });
        return found;
    }

private:
    bool ignored_;
};

class Parser {
public:
    Parser(const ProgramOptions& defaults, const std::string& name, bool withoutFile = false)
        : defaults_(defaults), app_(defaults.description, name) {
        result_.options = defaults;
        addOptions();
        app_.config_formatter(std::make_shared<FileReader>(withoutFile));
    }

    ParsedCommandLine parse(int argc, char** argv) {
        try {
            parseAndCheck(argc, argv);
            if (!printConfig_.empty()) {
                std::cout << configFor(argc > 0 ? argv[0] : app_.get_name());
                result_.exitCode = 0;
            } else if (checkOnly_) {
                std::cout << "The configuration is right.\n";
                result_.exitCode = 0;
            }
        } catch (const CLI::CallForHelp&) {
            std::cout << app_.help();
            result_.exitCode = 0;
        } catch (const CLI::CallForVersion&) {
            std::cout << versionText();
            result_.exitCode = 0;
        } catch (const CLI::ExtrasError&) {
            fail(exitUsage, unknownOption(argc, argv));
        } catch (const CLI::ConfigError& problem) {
            fail(exitConfig, describeConfig(problem.what()));
        } catch (const CLI::FileError& problem) {
            fail(exitConfig, problem.what());
        } catch (const CLI::Error& problem) {
            fail(fileIsToBlame(argc, argv) ? exitConfig : exitUsage, problem.what());
        }
        noteChanges();
        return std::move(result_);
    }

private:
    CLI::Option* named(CLI::Option* option, const std::string& name) { return option->envname(environmentName(name)); }

    template <typename Value>
    CLI::Option* add(const std::string& name, Value& target, const std::string& help) {
        return named(app_.add_option("--" + name, target, help), name);
    }
    template <typename Value>
    void addSize(const std::string& name, Value& target, const std::string& help, const std::string& shown) {
        addText(name, readSize(name, target), "SIZE", help, shown);
    }
    void addTime(const std::string& name, Duration& target, const std::string& help, const std::string& shown) {
        addText(name, readDuration(name, target), "TIME", help, shown);
    }
    void addText(const std::string& name, CLI::callback_t read, const std::string& type, const std::string& help,
                 const std::string& shown) {
        auto* option = app_.add_option("--" + name, std::move(read), help + " [" + shown + "]");
        named(option->type_name(type), name);
    }

    void addOptions() {
        auto& o = result_.options;
        app_.set_version_flag("--version", versionText());
        app_.set_config("--config", "", "Read options from this file (name = value); flags and environment win over it");
        app_.allow_config_extras(CLI::config_extras_mode::error);
        app_.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);

        auto* group = "Where it serves";
        app_.option_defaults()->group(group);
        listen_ = add("listen", o.listen,
                      "Where to serve; repeatable: http://HOST:PORT, http+unix:PATH, http+fd:N, the same with https, fcgi, scgi and uwsgi; "
                      "systemd; ?websocket=no behind it switches them off there")
                      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->type_name("SPEC");
        port_ = app_.add_option("-p,--port", o.port, "Port for HTTP when there is no --listen; 0 takes a free one [8080]")
                    ->envname("PORT");
        host_ = app_.add_option("--host", o.host, "Address for HTTP when there is no --listen [127.0.0.1]")->envname("HOST");
        add("mount", o.mount, "Path prefix the program is served under");
        add("workers", o.workers, "Threads, each with an event loop of its own; 0 for one per core [1]");
        add("socket-group", o.socketGroup, "Group of Unix sockets, whose mode is 0660");
        add("user", o.user, "User to become once the sockets are open");
        add("group", o.group, "Group to become once the sockets are open");

        app_.option_defaults()->group("Limits");
        addSize("max-body", o.maxBody, "Largest request body", "10m");
        addSize("max-message", o.maxMessage, "Largest WebSocket message", "1m");
        add("max-fragments", o.maxFragments, "Most frames of a WebSocket message [16384]");
        addSize("max-head", o.maxHead, "Largest request head", "16k");
        addSize("max-target", o.maxTarget, "Longest request target", "8k");
        add("max-fields", o.maxFields, "Most header fields of a request [100]");
        add("max-parameters", o.maxParameters, "Most parameters of a query or form [1000]");
        addSize("max-variables", o.maxVariables, "Largest CGI variables of a request by FastCGI, SCGI or uwsgi", "256k");
        add("max-connections", o.maxConnections, "Most connections at a time; 0 for what the descriptor limit allows [0]");
        addSize("stack-size", o.stackSize, "Address space of a handler's stack", "64k");
        addTime("head-timeout", o.headTimeout, "For a request head to be complete", "10s");
        addTime("idle-timeout", o.idleTimeout, "For the next request of a connection", "75s");
        addTime("body-timeout", o.bodyTimeout, "Without a byte of a request body", "30s");
        addTime("send-timeout", o.sendTimeout, "Without the client taking a byte", "30s");
        addTime("upgrade-timeout", o.upgradeTimeout, "For a WebSocket client behind SCGI or uwsgi to be heard of", "10s");
        addTime("tls-handshake-timeout", o.tlsHandshakeTimeout, "For a TLS handshake to be complete", "10s");
        addTime("shutdown-timeout", o.shutdownTimeout, "For work under way when told to stop", "10s");
        addTime("busy-warning", o.busyWarning, "Warn of a handler that runs that long without waiting; 0s for never", "100ms");

        app_.option_defaults()->group("TLS");
        add("tls-cert", o.tlsCertificates, "Certificate for https listeners, PEM, with those up to its CA behind it; repeatable: the "
                                           "client's host name chooses; HUP reads them anew")
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->type_name("FILE");
        add("tls-key", o.tlsKeys, "Key of the certificate, PEM; repeatable, in the order of --tls-cert")
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->type_name("FILE");
        add("tls-client-ca", o.tlsClientCa, "Who signs the certificates of clients, PEM")->type_name("FILE");
        add("tls-client-certificates", o.tlsClientCertificates, "Ask clients for certificates: none, optional or required [none]")
            ->check(CLI::IsMember({"none", "optional", "required"}));

        app_.option_defaults()->group("Trust");
        add("allowed-origin", o.allowedOrigins,
            "Origin that may open WebSockets besides this host's own; repeatable: https://example.com, "
            "https://*.example.com, null, or any")
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->type_name("ORIGIN");
        named(app_.add_flag("--refuse-absent-origin", o.refuseAbsentOrigin, "Refuse WebSockets without an Origin (from programs)"),
              "refuse-absent-origin");
        add("trusted-proxy", o.trustedProxies, "Peer whose Forwarded and X-Forwarded-* fields count; repeatable: address, CIDR or unix")
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->type_name("CIDR");
        named(app_.add_flag("--proxy-protocol", o.proxyProtocol, "Trusted proxies begin each HTTP connection with a PROXY protocol header"),
              "proxy-protocol");
        named(app_.add_flag("--trust-remote-user", o.trustRemoteUser, "Take the gateway's REMOTE_USER for authenticated"),
              "trust-remote-user");
        add("allow-gateway", o.allowedGateways,
            "Web server on another machine that may speak FastCGI, SCGI or uwsgi to us; repeatable: address or CIDR")
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->type_name("CIDR");
        add("websocket-deflate", o.websocketDeflate, "Compress WebSocket messages: on; takeover refers to earlier messages [off]")
            ->check(CLI::IsMember({"off", "on", "takeover"}));
        add("websocket-over", o.websocketOver, "WebSockets: auto finds out whether the gateway in front carries them [auto]")
            ->check(CLI::IsMember({"auto", "yes", "no"}));

        app_.option_defaults()->group("Logs");
        add("log-level", o.logLevel, "debug, info, warning or error [info]")
            ->check(CLI::IsMember({"debug", "info", "warning", "error"}));
        add("log-format", o.logFormat, "text or json [text]")->check(CLI::IsMember({"text", "json"}));
        add("log-file", o.logFile, "File for the log instead of standard error; HUP opens it anew");
        add("access-log", o.accessLog, "off, common, combined or json [off]")
            ->check(CLI::IsMember({"off", "common", "combined", "json"}));
        add("access-log-file", o.accessLogFile, "File for the access log instead of standard output");
        named(app_.add_flag("--dev", o.dev, "Show the text of exceptions to clients"), "dev");
        app_.add_flag("--check-config", checkOnly_, "Check options and configuration, then exit");
        app_.add_option("--print-config", printConfig_, "Print a configuration for these listeners and mount, then exit: nginx, "
                                                        "lighttpd, apache, caddy, haproxy or systemd")
            ->check(CLI::IsMember(printableConfigs));

        app_.option_defaults()->group("");
        app_.footer(
            "Without --listen the way in is found at run time: a method and a URI as arguments run one request\n"
            "(GET '/path?x=y' a=b -H 'X: y' --cookie k=v, or WS /path), GATEWAY_INTERFACE in the environment means CGI,\n"
            "LISTEN_FDS sockets from systemd, a listening socket as descriptor 0 FastCGI; otherwise HTTP. Every option can be set by POSTERN_NAME in the environment.");
    }

    std::string versionText() const {
        const auto& o = result_.options;
        std::string text = app_.get_name();
        if (!o.version.empty()) text += ' ' + o.version;
        return text + "\npostern " + frameworkVersion + " (http https fastcgi scgi uwsgi cgi command-line websocket permessage-deflate gzip)\n";
    }

    void fail(int code, const std::string& what) {
        std::cerr << app_.get_name() << ": " << what << "\nTry --help.\n";
        result_.exitCode = code;
    }

    void parseAndCheck(int argc, char** argv) {
        app_.parse(argc, argv);
        check();
    }

    bool fileIsToBlame(int argc, char** argv) const {
        if (app_.count("--config") == 0) return false;
        try {
            Parser(defaults_, app_.get_name(), true).parseAndCheck(argc, argv);
            return true;
        } catch (const CLI::Error&) {
            return false;
        }
    }

    std::vector<std::string> optionNames() const {
        std::vector<std::string> names;
        for (const auto* option : app_.get_options())
            for (const auto& name : option->get_lnames()) names.push_back(name);
        return names;
    }

    std::string unknownOption(int argc, char** argv) {
        const auto known = optionNames();
        for (int i = 1; i < argc; ++i) {
            const std::string_view word = argv[i];
            if (!word.starts_with("-")) continue;
            auto name = word.substr(word.find_first_not_of('-') == std::string_view::npos ? word.size() : word.find_first_not_of('-'));
            name = name.substr(0, name.find('='));
            if (name == "p" || name == "h" || std::find(known.begin(), known.end(), name) != known.end()) continue;
            const auto nearest = nearestWord(name, known);
            return "unknown option " + std::string(word) + (nearest.empty() ? "" : "; did you mean --" + nearest + "?");
        }
        return "unexpected argument; a simulated request is METHOD URI [name=value ...]";
    }

    std::string describeConfig(const std::string& what) const {
        const auto at = what.rfind(' ');
        const auto nearest = at == std::string::npos ? std::string() : nearestWord(what.substr(at + 1), optionNames());
        return what + (nearest.empty() ? "" : "; did you mean " + nearest + "?");
    }

    void check() {
        auto& o = result_.options;
        result_.portFixed = port_->count() > 0;
        result_.listenGiven = !o.listen.empty() || port_->count() > 0 || host_->count() > 0;
        for (const auto& spec : o.listen)
            if (std::string why; !ListenSpec::parse(spec, why)) throw CLI::ValidationError("--listen", why);
        for (const auto& origin : o.allowedOrigins)
            if (origin != "any" && !isOriginPattern(origin))
                throw CLI::ValidationError("--allowed-origin", "'" + origin + "' is no origin like https://example.com");
        for (const auto& range : o.trustedProxies)
            if (!AddressRange::parse(range))
                throw CLI::ValidationError("--trusted-proxy", "'" + range + "' is no address, range or the word unix");
        for (const auto& range : o.allowedGateways)
            if (!AddressRange::parse(range)) throw CLI::ValidationError("--allow-gateway", "'" + range + "' is no address or range");
        checkTls();
        if (o.maxFragments == 0) throw CLI::ValidationError("--max-fragments", "at least 1");
        if (o.maxVariables < 1024) throw CLI::ValidationError("--max-variables", "at least 1k");
        if (o.proxyProtocol && o.trustedProxies.empty())
            throw CLI::ValidationError("--proxy-protocol", "say by --trusted-proxy which peers send the header");
        if (!o.mount.empty() && (!o.mount.starts_with('/') || o.mount.ends_with('/')))
            throw CLI::ValidationError("--mount", "a mount begins with a slash and ends without one");
        if (o.maxHead < 256 || o.maxHead > 48 * 1024) throw CLI::ValidationError("--max-head", "between 256 and 48k");
        if (o.maxTarget > o.maxHead) throw CLI::ValidationError("--max-target", "a target is part of the head: at most --max-head");
        if (o.workers == 0) o.workers = std::max(1u, std::thread::hardware_concurrency());
        if (o.workers > 256) throw CLI::ValidationError("--workers", "at most 256");
    }

    void checkTls() const {
        const auto& o = result_.options;
        bool mayServe = !result_.listenGiven;  // sockets of systemd may be named https
        for (const auto& text : o.listen) {
            std::string why;
            const auto spec = ListenSpec::parse(text, why);
            if (spec->tls && o.tlsCertificates.empty())
                throw CLI::ValidationError("--listen", "'" + text + "' needs a certificate: add --tls-cert FILE and --tls-key FILE");
            if (spec->tls || spec->kind == ListenSpec::Kind::systemd) mayServe = true;
        }
        if (!o.tlsCertificates.empty() && !mayServe)
            throw CLI::ValidationError("--tls-cert", "nothing uses it: serve by --listen https://HOST:PORT");
        if (!o.tlsKeys.empty() && o.tlsKeys.size() != o.tlsCertificates.size())
            throw CLI::ValidationError("--tls-key", "one for each --tls-cert, in the same order");
        if (o.tlsClientCertificates != "none" && o.tlsClientCa.empty())
            throw CLI::ValidationError("--tls-client-certificates", "say by --tls-client-ca FILE who signs them");
        if (o.tlsClientCertificates == "none" && !o.tlsClientCa.empty())
            throw CLI::ValidationError("--tls-client-ca", "say by --tls-client-certificates whether they are optional or required");
        if (!checkOnly_ || o.tlsCertificates.empty()) return;
        try {
            const TlsServerContext readable(tlsOptions(o));
        } catch (const std::invalid_argument& problem) {
            throw CLI::ValidationError("--tls-cert", problem.what());
        }
    }

    std::string configFor(const std::string& program) const {
        try {
            return printConfig(printConfig_, result_.options, program);
        } catch (const std::invalid_argument& problem) {
            throw CLI::ValidationError("--print-config", problem.what());
        }
    }

    void noteChanges() {
        for (const auto* option : app_.get_options())
            if (option->count() > 0 && !option->get_lnames().empty()) result_.changed.push_back(option->get_lnames().front());
    }

    const ProgramOptions& defaults_;
    CLI::App app_;
    ParsedCommandLine result_;
    CLI::Option *listen_ = nullptr, *port_ = nullptr, *host_ = nullptr;
    bool checkOnly_ = false;
    std::string printConfig_;
};

// METHOD and a URI as the first two arguments.
bool isSimulatedRequest(int argc, char** argv) {
    if (argc < 3) return false;
    const std::string_view method = argv[1];
    const bool capitals = !method.empty() && std::all_of(method.begin(), method.end(), [](char c) { return c >= 'A' && c <= 'Z'; });
    return capitals && (argv[2][0] == '/' || std::string_view(argv[2]) == "*");
}

ParsedCommandLine parseSimulatedRequest(int argc, char** argv, const ProgramOptions& defaults, const std::string& name) {
    ParsedCommandLine result;
    result.options = defaults;
    auto& request = result.request.emplace();
    std::vector<std::string> pairs;
    CLI::App app("Runs one request and prints its reply; WS instead of a method talks WebSocket over the terminal", name);
    app.add_option("method", request.method)->required();
    app.add_option("uri", request.uri)->required();
    app.add_option("parameters", pairs, "name=value: the query of a GET, the form of any other method");
    app.add_option("-H,--header", request.headers, "A header field, 'Name: value'; repeatable")
        ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->expected(1);
    app.add_option("--cookie", request.cookies, "name=value; repeatable")->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)->expected(1);
    app.add_option("-d,--data", request.body, "The body");
    app.add_option("--host", request.host, "The Host [localhost]");
    app.add_option("--remote-address", request.remoteAddress, "Address of the client [127.0.0.1]");
    app.add_flag("--https", request.https, "As if it came by https");
    app.add_flag("--dev", result.options.dev, "Show the text of exceptions");
    app.add_option("--log-level", result.options.logLevel)->check(CLI::IsMember({"debug", "info", "warning", "error"}));
    try {
        app.parse(argc, argv);
        for (const auto& pair : pairs) {
            const auto equals = pair.find('=');
            if (equals == std::string::npos) throw CLI::ValidationError("parameters", "'" + pair + "' is not of the form name=value");
            request.parameters.emplace_back(pair.substr(0, equals), pair.substr(equals + 1));
        }
        for (const auto& header : request.headers) {
            const auto colon = header.find(':');
            if (colon == std::string::npos || !isFieldName(header.substr(0, colon)) || !isFieldValue(header.substr(colon + 1)))
                throw CLI::ValidationError("--header", "'" + escapedForLog(header) + "' is not of the form 'Name: value'");
        }
        for (const auto& cookie : request.cookies)
            if (!isFieldValue(cookie)) throw CLI::ValidationError("--cookie", "control character");
        if (!isFieldValue(request.host)) throw CLI::ValidationError("--host", "control character");
        if (!isFieldValue(request.uri) || request.uri.find_first_of(" \t") != std::string::npos)
            throw CLI::ValidationError("uri", "'" + escapedForLog(request.uri) + "' holds white space or a control character");
    } catch (const CLI::CallForHelp&) {
        std::cout << app.help();
        result.exitCode = 0;
    } catch (const CLI::Error& problem) {
        std::cerr << name << ": " << problem.what() << "\nTry " << name << " GET / --help.\n";
        result.exitCode = exitUsage;
    }
    return result;
}

}

ParsedCommandLine parseCommandLine(int argc, char** argv, const ProgramOptions& defaults) {
    std::string name = defaults.name;
    if (name.empty() && argc > 0) name = argv[0];
    name = name.substr(name.rfind('/') + 1);
    if (!isSimulatedRequest(argc, argv)) return Parser(defaults, name).parse(argc, argv);
    const auto settings = Parser(defaults, name).parse(1, argv);  // those of the environment
    return settings.exitCode ? settings : parseSimulatedRequest(argc, argv, settings.options, name);
}

std::optional<uint64_t> parseSize(std::string_view text) {
    return scaled<uint64_t>(text, {{"", 1}, {"b", 1}, {"k", 1ull << 10}, {"m", 1ull << 20}, {"g", 1ull << 30}});
}

std::optional<Duration> parseDuration(std::string_view text) {
    const auto milliseconds = scaled<uint32_t>(text, {{"ms", 1}, {"s", 1000}, {"m", 60'000}, {"h", 3'600'000}});
    if (!milliseconds) return {};
    return std::chrono::milliseconds(*milliseconds);
}

std::string nearestWord(std::string_view word, const std::vector<std::string>& known) {
    std::string best;
    size_t bestDistance = std::max<size_t>(2, word.size() / 3) + 1;
    for (const auto& candidate : known) {
        // Levenshtein's distance, one row at a time.
        std::vector<size_t> row(candidate.size() + 1);
        std::iota(row.begin(), row.end(), size_t{0});
        for (size_t i = 0; i < word.size(); ++i) {
            size_t diagonal = row[0];
            row[0] = i + 1;
            for (size_t j = 0; j < candidate.size(); ++j) {
                const size_t replaced = diagonal + (word[i] == candidate[j] ? 0 : 1);
                diagonal = row[j + 1];
                row[j + 1] = std::min({row[j + 1] + 1, row[j] + 1, replaced});
            }
        }
        if (row.back() < bestDistance) {
            bestDistance = row.back();
            best = candidate;
        }
    }
    return best;
}

}
