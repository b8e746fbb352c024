#pragma once
// What a program can be told, on its command line, by its environment, in a file, or by itself.

#include "postern/base/Time.h"
#include "postern/cgi/Cgi.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace postern {

/// Defaults of a program; users override them by options (docs/command-line.md). The same names apply in the
/// environment as POSTERN_NAME and in a --config file.
struct ProgramOptions {
    std::string name;                         ///< in --help and --version; none: the name it was started by
    std::string version;
    std::string description;

    std::vector<std::string> listen;          ///< see ListenSpec; none: host and port
    std::string host = "127.0.0.1";
    uint16_t port = 8080;                     ///< 0: one that is free
    std::string mount;                        ///< path prefix the program is served under
    unsigned workers = 1;                     ///< threads, each with a loop and a socket of its own; 0: one per core

    uint64_t maxBody = 10 * 1024 * 1024;      ///< bytes
    uint64_t maxMessage = defaultMaxMessage;  ///< bytes of a WebSocket message
    size_t maxFragments = defaultMaxFragments;  ///< frames of a WebSocket message
    size_t maxHead = 16 * 1024;               ///< bytes
    size_t maxFields = 100;
    size_t maxTarget = 8 * 1024;              ///< bytes
    size_t maxParameters = 1000;
    size_t maxVariables = 256 * 1024;         ///< bytes of the CGI variables of a request by FastCGI, SCGI or uwsgi
    size_t maxConnections = 0;                ///< in the whole program; 0: what the descriptor limit allows
    size_t stackSize = 0;                     ///< bytes a fiber; 0: 64 KiB
    Duration headTimeout = std::chrono::seconds(10);
    Duration idleTimeout = std::chrono::seconds(75);
    Duration bodyTimeout = std::chrono::seconds(30);
    Duration sendTimeout = std::chrono::seconds(30);
    Duration upgradeTimeout = std::chrono::seconds(10);
    Duration tlsHandshakeTimeout = std::chrono::seconds(10);
    Duration shutdownTimeout = std::chrono::seconds(10);
    Duration busyWarning = std::chrono::milliseconds(100);  ///< a handler that runs that long without waiting is logged; 0: none

    std::vector<std::string> allowedOrigins;  ///< patterns, or "any"
    bool refuseAbsentOrigin = false;
    std::vector<std::string> trustedProxies;  ///< addresses, ranges, "unix"
    bool proxyProtocol = false;               ///< they send the PROXY protocol
    std::vector<std::string> tlsCertificates; ///< files for https listeners; several are chosen from by the client's host name
    std::vector<std::string> tlsKeys;         ///< in the order of the certificates; none: they are in the same files
    std::string tlsClientCa;                  ///< file: who signs clients' certificates
    std::string tlsClientCertificates = "none";  ///< none, optional, required
    bool trustRemoteUser = false;
    std::vector<std::string> allowedGateways; ///< addresses, ranges: web servers that may speak FastCGI, SCGI or uwsgi here
    std::string websocketDeflate = "off";     ///< off, on, takeover: permessage-deflate where the options of a socket say nothing
    std::string websocketOver = "auto";       ///< auto, yes, no; a listen spec may say otherwise

    std::string logLevel = "info";            ///< debug, info, warning, error
    std::string logFormat = "text";           ///< text, json
    std::string logFile;                      ///< none: standard error
    std::string accessLog = "off";            ///< off, common, combined, json
    std::string accessLogFile;                ///< none: standard output
    std::string user, group;                  ///< whom to become once the sockets are open
    std::string socketGroup;                  ///< of Unix sockets
    bool dev = false;
};

/// A request to be run from the command line: `./app GET '/path?x=y' a=b -H 'X: y' --cookie k=v`.
struct SimulatedRequest {
    std::string method, uri;
    std::vector<std::pair<std::string, std::string>> parameters;
    std::vector<std::string> headers, cookies;
    std::string host = "localhost";
    std::string remoteAddress = "127.0.0.1";
    std::string body;
    bool https = false;
};

/// What the command line asked for. `exitCode`: there is nothing to run; help, version or an error was printed.
struct ParsedCommandLine {
    ProgramOptions options;
    std::optional<SimulatedRequest> request;
    bool listenGiven = false;    ///< by --listen, --port or --host, or by the program
    bool portFixed = false;
    std::vector<std::string> changed;  ///< options that differ from their defaults, for the banner
    std::optional<int> exitCode;
};

/// Parses and checks. Exit codes: 0 help or version, 2 usage, 78 a bad configuration file.
ParsedCommandLine parseCommandLine(int argc, char** argv, const ProgramOptions& defaults);

/// "64k", "10m", "1g": powers of 1024. "250ms", "10s", "5m", "1h".
std::optional<uint64_t> parseSize(std::string_view text);
std::optional<Duration> parseDuration(std::string_view text);

/// The word of `known` that is nearest to `word`, or empty if none is near.
std::string nearestWord(std::string_view word, const std::vector<std::string>& known);

inline constexpr const char* frameworkVersion = "0.1.0";

}
