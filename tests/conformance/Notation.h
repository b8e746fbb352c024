#pragma once
// Frames as one reads them, and as bytes.
//
// Items are separated by "; ". What the peer says:
//
//     text Hello        a whole message; also binary, cont, ping, pong, op3 … op15
//     +text Hel         FIN is off
//     close 1000 bye    a code and a reason; both may be missing. "op8 …" takes any payload.
//     rsv1 text …       words in front change the header: rsv1 rsv2 rsv3, wrongmask (a server's frame with a mask, a
//                       client's without), mask=00000000 (the key, if there is one), len16 len64 (the form of the
//                       length), len=70000 (another length than that of the payload)
//     hex 81 05 48      bytes as they are
//     wait 5s           nothing happens for that long; the last item only
//
// Payloads: %ff is a byte, {ab*3} is ababab, and | stands where the tested end must have said all that it has to say,
// though the rest of the frame never comes.
//
// What the peer hears:
//
//     text Hello; pong x; close 1002
//     (pong a)          may be missing: of pings that arrive together only the last need be answered (§5.5.3)
//     close 1000 bye    with exactly this reason; without one, any
//     close 4000; open  the line is not ended after it: the tested end waits for the peer
//
// After a close (without "open") the server ends the line at once and the client waits for that (§7.1.1). In all other
// cases the line stays open.

#include "conformance/Row.h"

#include <chrono>
#include <optional>

namespace postern::conformance {

struct Said {
    std::string bytes;
    std::optional<size_t> mark;      ///< so many bytes suffice for all that is heard
    std::vector<std::string> closes; ///< described close frames among them
    std::chrono::seconds wait{0};
};

/// Throws std::invalid_argument for what is no notation.
Said say(std::string_view notation, Role tested);

struct Event {
    std::string kind = {};    ///< text binary ping pong close
    std::string payload = {}; ///< of a close: "1000 bye"
    bool optional = false;
};

struct Expected {
    std::vector<Event> events;
    bool staysOpen = true;

    bool endsWithClose() const { return !events.empty() && events.back().kind == "close"; }
};

Expected expect(std::string_view notation);

/// Are these the events that are expected?
bool fulfils(const std::vector<Event>& heard, const Expected& expected);

/// "text Hello; close 1000", long payloads shortened, what is not printable as %xx.
std::string describe(const std::vector<Event>& events);

/// Bytes for a payload in the notation: "%00%ff".
std::string escaped(std::string_view bytes);
/// The payload that the notation means.
std::string unescaped(std::string_view notation);

} // namespace postern::conformance
