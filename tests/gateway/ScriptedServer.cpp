#include "support/ScriptedServer.h"

#include "support/Catch.h"
#include "support/LeftoverCheck.h"

using namespace postern;

TEST_CASE("whatever clients and kernel do, every reply is whole and in order, and nothing stays behind", "[gateway]") {
    const LeftoverCheck leftovers;
    for (uint64_t seed = 1; seed <= 300; ++seed) {
        auto script = Script::fromSeed(seed);
        CAPTURE(seed);
        CHECK(playServer(script) == "");
    }
    CHECK(leftovers.find() == "");
}
