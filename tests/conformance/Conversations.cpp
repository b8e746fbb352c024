// The table of conversations, said to both ends.

#include "conformance/Rig.h"
#include "postern/cgi/Cgi.h"
#include "support/Catch.h"
#include "support/TestServer.h"

using namespace postern;
using namespace postern::conformance;

namespace {

// Rows that hold with and without compression are cut everywhere without, and with it only in the long run.
Cuts cutsFor(const Row& row, bool compressed, bool everything) {
    if (everything) return Cuts::all;
    return compressed && row.setup.compression == Compression::either ? Cuts::few : Cuts::some;
}

// Bytes of the server's frames.
size_t sizeOf(const Expected& expected) {
    size_t all = 0;
    for (const auto& event : expected.events) {
        const auto size = event.payload.size() - (event.kind == "close" ? 2 + (event.payload.size() > 4) : 0);
        all += size + (size > 65535 ? 10 : size > 125 ? 4 : 2);
    }
    return all;
}

void playTable(Role tested, bool everything) {
    Rig rig(tested);
    for (const auto& row : conversationRows(tested)) {
        INFO(row.section << " " << row.promise << "\nsays:  " << row.says << "\nhears: " << row.hears);
        for (const bool compressed : {false, true}) {
            if (row.setup.compression == (compressed ? Compression::without : Compression::with)) continue;
            INFO((compressed ? "with" : "without") << " compression");
            CHECK(rig.play(row, compressed, cutsFor(row, compressed, everything)) == "");
        }
    }
}

} // namespace

TEST_CASE("the server keeps every rule of the table, however the bytes arrive", "[conformance]") {
    playTable(Role::server, false);
}

TEST_CASE("the server keeps every rule over TCP, too", "[conformance]") {
    TestServer server([](Cgi& cgi) {
        auto socket = cgi.acceptWebsocket(
            optionsFor({.settings = std::string(cgi.queryString()), .compression = Compression::without}));
        echo(socket);
    });
    for (const auto& row : conversationRows(Role::server)) {
        const auto said = say(row.says, Role::server);
        const auto expected = expect(row.hears);
        const bool isSizeKnown = !expected.staysOpen || row.hears.find('(') == std::string::npos;
        if (row.setup.compression == Compression::with || said.wait.count() > 0 || !isSizeKnown) continue;
        INFO(row.section << " " << row.promise << "\nsays:  " << row.says << "\nhears: " << row.hears);
        RawClient client(server);
        CHECK(client.request(requestWith({"=GET /?" + row.setup.settings + " HTTP/1.1"}) + said.bytes).status == 101);
        std::string bytes;
        if (expected.staysOpen) {
            bytes = client.receive(sizeOf(expected));
            client.finishSending();
        }
        bytes += client.receiveAll();
        PeerReader reader(Role::server, {.compression = Compression::without});
        reader.feed(bytes);
        CHECK(reader.complaint() == "");
        INFO("heard: " << conformance::describe(reader.events()));
        CHECK(fulfils(reader.events(), expected));
    }
}

TEST_CASE("the client keeps every rule of the mirrored table, however the bytes arrive", "[conformance]") {
    playTable(Role::client, false);
}

TEST_CASE("the server keeps every rule at every cut, with compression and without", "[.everyCut]") {
    playTable(Role::server, true);
}

TEST_CASE("the client keeps every rule at every cut, with compression and without", "[.everyCut]") {
    playTable(Role::client, true);
}
