#include "postern/main/Settings.h"

#include <sys/resource.h>

#include <algorithm>

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

size_t connectionsPerLoop(const ProgramOptions& options) {
    size_t total = options.maxConnections;
    if (total == 0) {
        rlimit descriptors{};
        ::getrlimit(RLIMIT_NOFILE, &descriptors);
        const size_t limit = descriptors.rlim_cur;
        total = limit > 2 * reservedDescriptors ? limit - reservedDescriptors : limit / 2;
    }
    return std::max<size_t>(1, total / options.workers);
}

}

HandlerSettings handlerSettings(const ProgramOptions& options) {
    HandlerSettings settings;
    settings.dev = options.dev;
    settings.maxMessage = options.maxMessage;
    settings.maxParameters = options.maxParameters;
    settings.origin.absent = !options.refuseAbsentOrigin;
    for (const auto& origin : options.allowedOrigins) {
        if (origin == "any") settings.origin.any = true;
        else settings.origin.allowed.push_back(origin);
    }
    return settings;
}

HttpSettings httpSettings(const ProgramOptions& options, AccessFunction access) {
    HttpSettings settings;
    settings.limits = requestLimits(options);
    settings.headTimeout = options.headTimeout;
    settings.idleTimeout = options.idleTimeout;
    settings.sendTimeout = options.sendTimeout;
    settings.maxConnections = connectionsPerLoop(options);
    for (const auto& range : options.trustedProxies)
        if (const auto parsed = AddressRange::parse(range)) settings.trustedProxies.push_back(*parsed);
    settings.access = std::move(access);
    return settings;
}

CgiSettings cgiSettings(const ProgramOptions& options, AccessFunction access) {
    CgiSettings settings;
    settings.limits = requestLimits(options);
    settings.mount = options.mount;
    settings.trustRemoteUser = options.trustRemoteUser;
    settings.websocket = options.websocketOver == "yes"  ? WebsocketOver::yes
                         : options.websocketOver == "no" ? WebsocketOver::no
                                                         : WebsocketOver::findOut;
    settings.sendTimeout = options.sendTimeout;
    settings.access = std::move(access);
    return settings;
}

LoopOptions loopOptions(const ProgramOptions& options, LogFunction log) {
    LoopOptions settings;
    if (options.stackSize != 0) settings.stackSize = options.stackSize;
    settings.log = std::move(log);
    return settings;
}

}
