#include "postern/main/Settings.h"

#include "postern/main/ListenSpec.h"

#include <sys/resource.h>

#include <algorithm>
#include <cstdlib>
#include <stdexcept>

namespace postern {

namespace {

// Descriptors left for logs, files and what handlers open.
constexpr size_t reservedDescriptors = 128;

RequestLimits requestLimits(const ProgramOptions& options) {
    RequestLimits limits;
    limits.head = {options.maxHead, options.maxFields, options.maxTarget};
    limits.bodyBytes = options.maxBody;
    limits.bodyTimeout = options.bodyTimeout;
    return limits;
}

size_t connectionsPerListener(const ProgramOptions& options, size_t listeners) {
    size_t total = options.maxConnections;
    if (total == 0) {
        rlimit descriptors{};
        ::getrlimit(RLIMIT_NOFILE, &descriptors);
        const size_t limit = descriptors.rlim_cur;
        total = limit > 2 * reservedDescriptors ? limit - reservedDescriptors : limit / 2;
    }
    return std::max<size_t>(1, total / options.workers / listeners);
}

std::vector<AddressRange> ranges(const std::vector<std::string>& texts) {
    std::vector<AddressRange> all;
    for (const auto& text : texts)
        if (const auto range = AddressRange::parse(text)) all.push_back(*range);
    return all;
}

}

HandlerSettings handlerSettings(const ProgramOptions& options) {
    HandlerSettings settings;
    settings.dev = options.dev;
    settings.maxMessage = options.maxMessage;
    settings.maxFragments = options.maxFragments;
    if (options.websocketDeflate != "off") {
        auto& deflate = settings.deflate.emplace();
        deflate.contextTakeover = deflate.peerContextTakeover = options.websocketDeflate == "takeover";
    }
    settings.maxParameters = options.maxParameters;
    settings.origin.absent = !options.refuseAbsentOrigin;
    for (const auto& origin : options.allowedOrigins) {
        if (origin == "any") settings.origin.any = true;
        else settings.origin.allowed.push_back(origin);
    }
    return settings;
}

HttpSettings httpSettings(const ProgramOptions& options, AccessFunction access, size_t listeners) {
    HttpSettings settings;
    settings.limits = requestLimits(options);
    settings.headTimeout = options.headTimeout;
    settings.idleTimeout = options.idleTimeout;
    settings.sendTimeout = options.sendTimeout;
    settings.tlsHandshakeTimeout = options.tlsHandshakeTimeout;
    settings.maxConnections = connectionsPerListener(options, listeners);
    settings.trustedProxies = ranges(options.trustedProxies);
    settings.websocket = options.websocketOver != "no";
    settings.mount = options.mount;
    settings.proxyProtocol = options.proxyProtocol;
    settings.access = std::move(access);
    return settings;
}

CgiSettings cgiSettings(const ProgramOptions& options, AccessFunction access) {
    CgiSettings settings;
    settings.limits = requestLimits(options);
    settings.mount = options.mount;
    settings.trustRemoteUser = options.trustRemoteUser;
    settings.websocket = parseWebsocketOver(options.websocketOver).value_or(WebsocketOver::findOut);
    settings.upgradeTimeout = options.upgradeTimeout;
    settings.sendTimeout = options.sendTimeout;
    settings.access = std::move(access);
    return settings;
}

std::optional<std::vector<AddressRange>> fastCgiWebServers() {
    const char* text = std::getenv("FCGI_WEB_SERVER_ADDRS");
    if (!text) return {};
    std::vector<AddressRange> all;
    forEachListElement(text, [&](std::string_view address) {
        const auto range = AddressRange::parse(address);
        if (!range) throw std::invalid_argument("FCGI_WEB_SERVER_ADDRS is a list of addresses, but holds '" +
                                                escapedForLog(address) + "'");
        all.push_back(*range);
    });
    return all;
}

WebServerSettings webServerSettings(const ProgramOptions& options, CgiProtocol protocol, AccessFunction access,
                                    size_t listeners) {
    WebServerSettings settings;
    settings.cgi = cgiSettings(options, std::move(access));
    settings.variableBytes = options.maxVariables;
    settings.headTimeout = options.headTimeout;
    settings.idleTimeout = options.idleTimeout;
    settings.maxConnections = connectionsPerListener(options, listeners);
    settings.allowed = ranges(options.allowedGateways);
    if (protocol == CgiProtocol::fastCgi) settings.only = fastCgiWebServers();
    return settings;
}

TlsServerOptions tlsOptions(const ProgramOptions& options) {
    TlsServerOptions tls;
    for (size_t i = 0; i < options.tlsCertificates.size(); ++i)
        tls.certificates.push_back({options.tlsCertificates[i], options.tlsKeys.empty() ? std::string() : options.tlsKeys[i]});
    tls.clientCaFile = options.tlsClientCa;
    if (options.tlsClientCertificates == "optional") tls.clientCertificates = ClientCertificates::optional;
    if (options.tlsClientCertificates == "required") tls.clientCertificates = ClientCertificates::required;
    return tls;
}

LoopOptions loopOptions(const ProgramOptions& options, LogFunction log) {
    LoopOptions settings;
    if (options.stackSize != 0) settings.stackSize = options.stackSize;
    settings.busyWarning = options.busyWarning;
    settings.log = std::move(log);
    return settings;
}

}
