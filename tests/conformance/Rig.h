#pragma once
// Says rows to a real server or a real client, over pipes in memory. Both run the same program, which sends back what
// it receives.

#include "conformance/Handshake.h"
#include "conformance/PeerLine.h"
#include "postern/gateway/HttpGateway.h"
#include "postern/websocket/WebSocket.h"

#include <map>

namespace postern {
class Cgi;
}

namespace postern::conformance {

/// The settings of a row as options of a socket. Every message is compressed that may be.
WebSocketOptions optionsFor(const Setup& setup);
/// The program under test: it sends back what it receives, and closes when it is told "/close 4000 why". Returns what
/// it is told at the end.
std::string echo(WebSocket& socket);
/// The good request with these changes.
std::string requestWith(const std::vector<std::string>& changes);

class Rig {
public:
    explicit Rig(Role tested);
    ~Rig();
    Rig(const Rig&) = delete;
    Rig& operator=(const Rig&) = delete;

    /// Says the row on a line of its own for each way to cut it. The first deviation, or nothing. `compressed`:
    /// compression was agreed on.
    std::string play(const Row& row, bool compressed, Cuts cuts);
    /// The same for a handshake: a request for servers, an answer for clients.
    std::string play(const Handshake& row, Cuts cuts);
    /// What a client asks for, as it is on the wire.
    std::string requestOf(const Setup& setup);
    size_t linesPlayed() const { return lines_.count(); }

private:
    void add();
    void openServers();
    void openClients();
    std::string playWays(const Said& said, const Expected& expected);
    std::string deviation(const PeerLine& line, const Expected& expected, bool ends) const;
    std::string deviationAtTheEnd(const PeerLine& line, const Expected& expected, const std::string& told) const;
    std::string deviation(PeerLine& line, const Handshake& row);

    void serve(Cgi& cgi);
    void call(std::unique_ptr<ByteStream> stream, const std::string& number);

    const Role role_;
    Setup setup_;
    std::map<std::string, std::string> opened_; // by number of the line: what became of its handshake
    std::map<std::string, std::string> told_;   // and what the program was told at the end
    HttpSettings http_;
    ExchangeHandler handle_;
    PeerLines lines_;
    std::unique_ptr<HttpGateway> gateway_;
};

} // namespace postern::conformance
