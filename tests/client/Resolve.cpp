#include "postern/client/Resolve.h"

#include "postern/base/Errors.h"
#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "support/Catch.h"
#include "support/LeftoverCheck.h"
#include "support/SlowNames.h"

using namespace postern;
using namespace std::chrono_literals;

namespace {

using Addresses = std::vector<std::string>;

Deadline in(Duration time) { return Loop::current().in(time); }

}

TEST_CASE("a numeric address is its own, and nobody is asked", "[client]") {
    run([] {
        const SlowNames names;
        for (const std::string address : {"127.0.0.1", "192.0.2.1", "::1", "2001:db8::1"}) CHECK(resolve(address, in(0s)) == Addresses{address});
        CHECK(names.begun() == 0);
    });
}

TEST_CASE("a loop may look names up in a way of its own", "[client]") {
    run([] {
        Loop::current().local<NameLookUp>().function = [](const std::string& host) -> Addresses {
            if (host == "a.example") return {"192.0.2.1", "2001:db8::1", "192.0.2.2"};
            throw Disconnected("nobody is called " + host);
        };
        CHECK(resolve("a.example", in(20s)) == Addresses{"192.0.2.1", "2001:db8::1", "192.0.2.2"});
        CHECK_THROWS_WITH(resolve("b.example", in(20s)), "nobody is called b.example");
    });
}

TEST_CASE("a look-up out of time is given up, and what it finds later is dropped", "[client]") {
    const LeftoverCheck leftovers;
    run([] {
        SlowNames names;
        CHECK_THROWS_AS(resolve("slow.example", in(20ms)), TimedOut);
        CHECK(names.ended() == 0);
        names.release();
        CHECK(resolve("slow.example", in(20s)) == Addresses{"127.0.0.1"});
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("a look-up ends for a fiber that is cancelled", "[client]") {
    const LeftoverCheck leftovers;
    run([] {
        const SlowNames names;
        bool cancelled = false;
        {
            FiberGroup asking;
            asking.spawn([&] {
                try {
                    resolve("slow.example", Deadline::never());
                } catch (const Cancelled&) {
                    cancelled = true;
                }
            });
            while (names.begun() == 0) yield();
        }
        CHECK(cancelled);
        CHECK(names.ended() == 0);
    });
    CHECK(leftovers.find() == "");
}
