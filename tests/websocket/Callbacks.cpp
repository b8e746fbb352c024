#include "postern/websocket/Callbacks.h"

#include "postern/websocket/WebSocket.h"

#include "support/Catch.h"

#include <functional>
#include <memory>
#include <string>

using namespace postern;

namespace {

// One that does what it is told.
class Probe final : public Callback {
public:
    Probe(Kinds kinds, std::function<void()> action, std::shared_ptr<int> owned = nullptr)
        : Callback(kinds), action_(std::move(action)), owned_(std::move(owned)) {}

private:
    void call(WebSocket&, const WebSocketEvent&) override { action_(); }

    std::function<void()> action_;
    std::shared_ptr<int> owned_;
};

std::unique_ptr<Callback> probe(Callback::Kinds kinds, std::function<void()> action, std::shared_ptr<int> owned = nullptr) {
    return std::make_unique<Probe>(kinds, std::move(action), std::move(owned));
}

constexpr auto both = static_cast<Callback::Kinds>(Callback::text | Callback::binary);

}

TEST_CASE("a callback is called for its kinds and no others", "[websocket]") {
    WebSocket socket;
    Callbacks callbacks;
    int messages = 0, closes = 0;
    callbacks.set(both, probe(both, [&] { ++messages; }));
    callbacks.set(Callback::close, probe(Callback::close, [&] { ++closes; }));
    CHECK(callbacks.has(Callback::text));
    CHECK(callbacks.has(Callback::binary | Callback::ping));
    CHECK_FALSE(callbacks.has(Callback::ping | Callback::open));
    callbacks.call(Callback::text, socket, {});
    callbacks.call(Callback::binary, socket, {});
    callbacks.call(Callback::ping, socket, {});
    CHECK(messages == 2);
    callbacks.call(Callback::close, socket, {});
    CHECK(closes == 1);
}

TEST_CASE("one kind of a callback for several can be replaced or removed", "[websocket]") {
    WebSocket socket;
    Callbacks callbacks;
    std::string told;
    const auto owned = std::make_shared<int>(0);
    callbacks.set(both, probe(both, [&] { told += 'b'; }, owned));
    callbacks.set(Callback::text, probe(Callback::text, [&] { told += 't'; }));
    callbacks.call(Callback::text, socket, {});
    callbacks.call(Callback::binary, socket, {});
    CHECK(told == "tb");
    CHECK(owned.use_count() == 2);
    callbacks.set(Callback::binary, nullptr);
    CHECK_FALSE(callbacks.has(Callback::binary));
    CHECK(callbacks.has(Callback::text));
    CHECK(owned.use_count() == 1);  // nothing of it was left to call
}

TEST_CASE("a callback that is replaced while it runs ends first", "[websocket]") {
    WebSocket socket;
    Callbacks callbacks;
    std::string told;
    const auto owned = std::make_shared<int>(0);
    callbacks.set(Callback::text, probe(Callback::text, [&] {
                      callbacks.set(Callback::text, probe(Callback::text, [&] { told += 'n'; }));
                      CHECK(owned.use_count() == 2);
                      told += 'o';
                  }, owned));
    callbacks.call(Callback::text, socket, {});
    CHECK(told == "o");
    CHECK(owned.use_count() == 1);
    callbacks.call(Callback::text, socket, {});
    CHECK(told == "on");
}

TEST_CASE("a kind does not run within itself, another one does", "[websocket]") {
    WebSocket socket;
    Callbacks callbacks;
    std::string told;
    callbacks.set(both, probe(both, [&] {
                      told += '(';
                      callbacks.call(Callback::text, socket, {});
                      callbacks.call(Callback::binary, socket, {});
                      told += ')';
                  }));
    callbacks.call(Callback::text, socket, {});
    CHECK(told == "(())");
    callbacks.call(Callback::text, socket, {});
    CHECK(told == "(())(())");
}

TEST_CASE("a callback that throws can be called again, or is gone if it removed itself", "[websocket]") {
    WebSocket socket;
    Callbacks callbacks;
    bool removes = false;
    callbacks.set(Callback::open, probe(Callback::open, [&] {
                      if (removes) callbacks.set(Callback::open, nullptr);
                      throw std::runtime_error("failed");
                  }));
    CHECK_THROWS_AS(callbacks.call(Callback::open, socket, {}), std::runtime_error);
    removes = true;
    CHECK_THROWS_AS(callbacks.call(Callback::open, socket, {}), std::runtime_error);
    CHECK_FALSE(callbacks.has(Callback::open));
    callbacks.call(Callback::open, socket, {});
}
