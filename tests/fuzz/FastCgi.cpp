// The input is what a web server sends by FastCGI, for one connection.
#include "support/Require.h"
#include "support/WebServerPipe.h"

#include <map>
#include <utility>

using namespace postern;

namespace {

// What was said to each request and in each kind of record: their order among each other is free. A second request that
// begins too early is refused, and what is asked about the application is answered, unless the connection ends with the first
// one before that is seen.
using Streams = std::map<std::pair<int, int>, std::string>;

Streams readStreams(std::string_view bytes) {
    Streams streams;
    while (!bytes.empty()) {
        require(bytes.size() >= 8 && bytes[0] == 1, "only records of FastCGI are sent");
        const auto number = [&](size_t at) {
            return static_cast<unsigned char>(bytes[at]) << 8 | static_cast<unsigned char>(bytes[at + 1]);
        };
        const auto content = static_cast<size_t>(number(4)), padding = static_cast<size_t>(static_cast<unsigned char>(bytes[6]));
        require(bytes.size() >= 8 + content + padding, "only whole records are sent");
        constexpr char endRequest = 3, cannotMultiplex = 1;
        const bool refusal = bytes[1] == endRequest && content == 8 && bytes[12] == cannotMultiplex;
        if (!refusal && number(2) != 0) streams[{bytes[1], number(2)}] += std::string(bytes.substr(8, content)) + (content == 0 ? "(end)" : "");
        bytes.remove_prefix(8 + content + padding);
    }
    return streams;
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size > 1 << 12) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto whole = answerTo(CgiProtocol::fastCgi, bytes, 1 << 12);
    const auto said = readStreams(whole.bytes);
    for (const size_t piece : {size_t{1} + size / 256, 2 + size % 7 + size / 128}) {
        const auto answer = answerTo(CgiProtocol::fastCgi, bytes, piece);
        // Of a WebSocket it does depend: which of several pings is answered, and what the breach behind it cuts off.
        if (isUpgrade(whole) || isUpgrade(answer)) continue;
        if (isCut(whole) || isCut(answer)) {
            require(isCut(whole) && isCut(answer), "a breach is one however it arrives");
            readStreams(answer.bytes);  // answers that came before it may be lost
            continue;
        }
        require(readStreams(answer.bytes) == said, "one answer however the request arrives");
        require(answer.ended == whole.ended, "one end however the request arrives");
    }
    return 0;
}
