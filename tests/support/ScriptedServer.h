#pragma once
// The whole HTTP and WebSocket server on a ScriptedPoller, and what its clients have a right to expect.

#include "support/ScriptedPoller.h"

#include "postern/cgi/Cgi.h"
#include "postern/protocol/Frame.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern {

/// Plain and streamed replies, bodies read whole and in pieces, an echoing WebSocket at /ws.
void answerEverything(Cgi& cgi);

/// Things that clients say: requests good and bad, alone and several together, frames.
Phrases clientPhrases();
/// A frame as a client sends it.
std::string clientFrame(WebSocketOpcode opcode, std::string payload, bool fin = true);
/// The request that opens /ws.
std::string webSocketRequest();

/// Runs the script to its end. Returns what the server did wrong, or nothing.
std::string playServer(Script& script);

struct LineVerdict {
    std::string complaint;       ///< empty: everything received is in order
    size_t answers = 0;          ///< complete ones
    size_t asked = 0;            ///< requests the server took
    bool isComplete = false;     ///< every request that was taken has its whole answer
    std::vector<std::string> echoes;  ///< messages the WebSocket gave back
};

/// Judges what answerEverything() made of what this client sent.
LineVerdict judgeLine(const ScriptedLine& line);

}
