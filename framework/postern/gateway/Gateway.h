#pragma once
// A way in: makes exchanges out of what a front sends, and calls the handler once for each, in its own fiber.

#include "postern/gateway/Exchange.h"
#include "postern/protocol/HttpHead.h"

#include <functional>
#include <string>

namespace postern {

/// Called on a fiber for every exchange, on any loop. Must not throw.
using ExchangeHandler = std::function<void(Exchange&)>;

/// Facts of one finished request, for the access log. Valid during the call.
struct AccessRecord {
    const RequestHead& head;
    int status = 0;
    uint64_t bodyBytes = 0;     ///< sent
    Duration duration{};
};
/// Must not block. Called on any loop's thread.
using AccessFunction = std::function<void(const AccessRecord&)>;

/// Limits that hold on every way in.
struct RequestLimits {
    HeadLimits head;
    uint64_t bodyBytes = 10 * 1024 * 1024;                  ///< more is a 413; handlers may change it for themselves
    Duration bodyTimeout = std::chrono::seconds(30);        ///< without a byte of body, then 408
    uint64_t bodyBytesPerSecond = 256;                      ///< slower on the whole is a 408 too
};

/// A way in on one loop. Created, started and destroyed on the loop's thread; it ends by the loop's drain.
class Gateway {
public:
    virtual ~Gateway() = default;
    virtual void start() = 0;
};

}
