// The tables of opening handshakes, for both ends.

#include "conformance/Rig.h"
#include "support/Catch.h"

#include <algorithm>
#include <set>

using namespace postern;
using namespace postern::conformance;

namespace {

void playHandshakes(Role tested, const Handshakes& rows, Cuts cuts) {
    Rig rig(tested);
    for (const auto& row : rows) {
        std::string changes;
        for (const auto& change : row.changes) changes += "\n    " + change;
        INFO(row.section << " " << row.promise << changes << "\noutcome: " << row.outcome);
        CHECK(rig.play(row, cuts) == "");
    }
}

std::vector<std::string> linesOf(const std::string& head) {
    std::vector<std::string> lines;
    for (size_t at = 0, end; (end = head.find("\r\n", at)) != std::string::npos && end > at; at = end + 2)
        lines.push_back(head.substr(at, end - at));
    return lines;
}

} // namespace

TEST_CASE("the server makes a WebSocket of every good request and of no other", "[conformance]") {
    playHandshakes(Role::server, requests(), Cuts::few);
}

TEST_CASE("the server takes the first offer of compression that it can keep", "[conformance]") {
    playHandshakes(Role::server, offers(), Cuts::few);
}

TEST_CASE("the client takes every good answer and no other", "[conformance]") {
    playHandshakes(Role::client, answers(), Cuts::few);
}

TEST_CASE("a client asks as RFC 6455 §4.1 says, with a key of its own each time", "[conformance]") {
    Rig rig(Role::client);
    std::set<std::string> keys;
    for (int i = 0; i < 20; ++i) {
        const auto head = rig.requestOf({.compression = Compression::without});
        const auto lines = linesOf(head);
        CAPTURE(head);
        REQUIRE(lines.size() == 6);
        CHECK(lines[0].starts_with("GET /?line="));
        CHECK(lines[0].ends_with(" HTTP/1.1"));
        const std::set<std::string> others(lines.begin() + 1, lines.end());
        for (const char* line :
             {"Host: server.example.com", "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13"})
            CHECK(others.count(line) == 1);
        const auto key = *std::find_if(lines.begin(), lines.end(),
                                       [](const auto& line) { return line.starts_with("Sec-WebSocket-Key: "); });
        CHECK(key.size() == 19 + 24);
        CHECK(key.ends_with("=="));
        CHECK(keys.insert(key).second);
    }
}

TEST_CASE("a client offers what it is told to", "[conformance]") {
    Rig rig(Role::client);
    const auto offered = [&](Setup setup) {
        const auto lines = linesOf(rig.requestOf(setup));
        std::string found;
        for (const auto& line : lines)
            if (line.starts_with("Sec-WebSocket-Extensions: ") || line.starts_with("Sec-WebSocket-Protocol: "))
                found += line.substr(14);
        return found;
    };
    const auto deflate = [&](bool ownTakeover, bool peerTakeover, int ownBits, int peerBits) {
        return offered({.compression = Compression::with,
                        .ownTakeover = ownTakeover,
                        .peerTakeover = peerTakeover,
                        .ownBits = ownBits,
                        .peerBits = peerBits});
    };
    CHECK(offered({.compression = Compression::without}) == "");
    CHECK(offered({.settings = "protocols=1", .compression = Compression::without}) == "Protocol: chat.v2, chat.v1");
    const std::string name = "Extensions: permessage-deflate";
    CHECK(deflate(true, true, 15, 15) == name + "; client_max_window_bits");
    CHECK(deflate(true, false, 15, 15) == name + "; server_no_context_takeover; client_max_window_bits");
    CHECK(deflate(false, true, 15, 15) == name + "; client_no_context_takeover; client_max_window_bits");
    CHECK(deflate(true, true, 10, 15) == name + "; client_max_window_bits=10");
    CHECK(deflate(true, true, 15, 9) == name + "; server_max_window_bits=9; client_max_window_bits");
}

TEST_CASE("both ends read each other's handshakes at every cut", "[.everyCut]") {
    playHandshakes(Role::server, requests(), Cuts::all);
    playHandshakes(Role::server, offers(), Cuts::all);
    playHandshakes(Role::client, answers(), Cuts::all);
}
