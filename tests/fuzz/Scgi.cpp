// The input is what a web server sends by SCGI, for one connection.
#include "support/Require.h"
#include "support/WebServerPipe.h"

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size > 1 << 12) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto whole = answerTo(CgiProtocol::scgi, bytes, 1 << 12);
    for (const size_t piece : {size_t{1} + size / 256, 2 + size % 7 + size / 128}) {
        const auto answer = answerTo(CgiProtocol::scgi, bytes, piece);
        // Of a WebSocket it does depend: which of several pings is answered, and what the breach behind it cuts off.
        if (isUpgrade(whole) || isUpgrade(answer)) continue;
        require(answer.bytes == whole.bytes, "one answer however the request arrives");
        require(answer.ended == whole.ended, "one end however the request arrives");
    }
    return 0;
}
