// The first byte chooses the role and what was agreed on, the second the limits, the third how the rest is cut; the rest is
// what the peer sends: frames, perhaps compressed.
#include "postern/protocol/Assembler.h"

#include "support/Require.h"

#include <algorithm>

using namespace postern;

namespace {

struct Heard {
    std::string said;       // events and, at the end, the code of an error
    bool wasHeld = false;

    void say(const std::string& what) { said += what + "\n"; }
};

constexpr uint64_t limits[] = {1000, 100'000, 1, 64};

// Everything the peer sends, in pieces of that size; a message is taken in parts of `hold` bytes.
Heard hear(const uint8_t* choice, std::string_view bytes, size_t pieceSize, size_t hold) {
    DeflatePool pool;
    const DeflateAgreement agreement{(choice[0] & 2) != 0, (choice[0] & 4) != 0, 8 + (choice[0] >> 3 & 7), 15};
    const bool isServer = choice[0] & 1;
    PerMessageDeflate deflate(agreement, {}, isServer, pool);
    const auto limit = limits[choice[1] & 3];
    Assembler assembler(isServer ? Assembler::Role::server : Assembler::Role::client, {limit, 50}, &deflate);
    Heard heard;
    std::string unread, message;
    while (!bytes.empty()) {
        unread += bytes.substr(0, pieceSize);
        bytes.remove_prefix(std::min(bytes.size(), pieceSize));
        for (bool more = true; more;) {
            std::string room = unread;  // of its own size, so that a step beyond it is seen
            const auto step = assembler.next(room, hold);
            require(step.consumed <= unread.size(), "no more is consumed than there is");
            unread = room.substr(step.consumed);
            require(assembler.gathered() <= std::min<uint64_t>(hold, limit + 1), "no more is gathered than allowed");
            if (const auto* wrong = std::get_if<FrameError>(&step.result)) {
                heard.say(std::to_string(static_cast<int>(wrong->code)));
                return heard;
            }
            if (std::holds_alternative<Held>(step.result)) {
                heard.wasHeld = true;
                message += assembler.takePiece();
            } else if (const auto* incoming = std::get_if<Incoming>(&step.result)) {
                std::string payload(incoming->payload.data(), incoming->payload.size());
                if (incoming->assembled) payload = std::exchange(message, {}) + assembler.takeMessage();
                require(isControl(incoming->opcode) || payload.size() <= limit, "no message is longer than the limit");
                heard.say(std::to_string(static_cast<int>(incoming->opcode)) + payload);
            } else {
                more = false;
            }
        }
    }
    return heard;
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 3 || size > 4096) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 3, size - 3);
    const auto whole = hear(data, bytes, bytes.size(), SIZE_MAX);
    require(!whole.wasHeld, "nothing is held without a wish");
    // A peer that goes beyond the window it agreed to may be caught or not, as the window happens to be filled.
    if ((data[0] >> 3 & 7) < 7 && !(data[0] & 1)) return 0;
    require(hear(data, bytes, 1, SIZE_MAX).said == whole.said, "byte by byte the same is heard");
    require(hear(data, bytes, size_t{2} + data[2], 1 + data[2] * 3u).said == whole.said, "in parts the same is heard");
    return 0;
}
