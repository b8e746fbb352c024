#pragma once
// What our programs promise behind any front, by any way in: each function is one promise, checked over the network.

#include "postern/cgi/Cgi.h"
#include "support/BlockingClient.h"
#include "support/Fronts.h"

#include <cstddef>
#include <functional>
#include <string>
#include <vector>

namespace postern {

/// A program of apps/ behind a front.
struct WayIn {
    std::string name;                         ///< "nginx, SCGI": for messages
    std::function<BlockingClient()> connect;  ///< to the front
    std::string prefix;                       ///< in front of the program's own paths: "/echo" or nothing
    Process* program = nullptr;               ///< with its access log on standard output; null: a process for each request
};

/// Through the way that the front's file says is on port `number`.
WayIn wayIn(Deployment& deployment, FrontKind kind, int number, std::string prefix = {});

/// The page of echo is served, what is not there is a 404, and HEAD has the length without the body.
void checkEchoPage(const WayIn& echo);
/// Twenty requests on one connection.
void checkKeepAlive(const WayIn& echo);
/// The target reaches the program as the client wrote it.
void checkTargetIsUntouched(const WayIn& echo);
/// Values of query and body, a cookie, a redirect to where the client finds the program.
void checkForm(const WayIn& form);
/// Bodies of `size` bytes in all, with a length and in chunks, come back in the page.
void checkUploads(const WayIn& form, size_t size);
/// Events and messages that the programs send by themselves arrive while they are made, through all of these at the same
/// time, and the first message comes before the client has said anything. `socketsToo`: the front carries WebSockets.
void checkPushes(const std::vector<WayIn>& clocks, bool socketsToo = true);
/// A client that goes away within an upload holds nothing up.
void checkUploadAborts(const WayIn& form);
/// Clients that go away within a reply, one on each of these ways: the programs notice and serve on.
void checkReplyAborts(const std::vector<WayIn>& clocks);

/// 300 round trips, 1 MiB there and back, fragments, a ping, and the client's close with its code.
void checkConversation(const WayIn& echo);
/// A page of another host gets a 403, one of `authority`, which the client names as its host, gets its socket.
void checkOrigins(const WayIn& echo, const std::string& authority);
/// What a client says about its own address, scheme and host counts for nothing.
void checkClientIsNotBelieved(const WayIn& echo);
/// The program closes: the client gets the code.
void checkProgramCloses(const WayIn& echo);
/// The client closes its line without a word, or resets it within a frame: the program notices. (lighttpd 1.4.69 does not
/// pass on a FIN that comes together with bytes: the heartbeat finds that out.)
void checkClientDrops(const WayIn& echo);
/// The program is stopped: the client gets 1001, and the program ends in good order. It serves nobody afterwards.
void checkProgramStops(const WayIn& echo);
/// The program is killed: the client's line ends.
void checkProgramDrops(const WayIn& echo);
/// Its WebSockets ping each half second, until a client says "quiet"; what a client says comes back.
void serveWithHeartbeat(Cgi& cgi);
/// A WebSocket of serveWithHeartbeat() through each of these fronts, which close idle ones within seconds, stays open; one
/// without a heartbeat shows that they do close them.
void checkHeartbeat(const std::vector<std::function<BlockingClient()>>& fronts);
/// An upgrade is answered with 501, and requests go on.
void checkUpgradeIsRefused(const WayIn& echo);

}
