#include "postern/gateway/HttpGateway.h"

#include "support/Catch.h"
#include "support/FaultyPoller.h"
#include "support/ScriptedServer.h"
#include "support/SocketPair.h"

#include "postern/fiber/Run.h"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <new>

using namespace postern;

namespace {

// Lets the n-th allocation fail, once, while it is armed.
struct FailingMemory {
    static inline bool armed = false;
    static inline size_t left = 0;
    static inline bool failed = false;

    explicit FailingMemory(size_t failAt) {
        left = failAt;
        failed = false;
        armed = failAt != 0;
    }
    FailingMemory(const FailingMemory&) = delete;
    FailingMemory& operator=(const FailingMemory&) = delete;
    ~FailingMemory() { armed = false; }

    static bool failsNow() {
        if (!armed || --left != 0) return false;
        armed = false;
        return failed = true;
    }
};

void* allocate(size_t size, size_t alignment = 0) {
    if (FailingMemory::failsNow()) return nullptr;
    if (size == 0) size = 1;
    return alignment ? std::aligned_alloc(alignment, (size + alignment - 1) / alignment * alignment) : std::malloc(size);
}

void* allocateOrThrow(size_t size, size_t alignment = 0) {
    if (void* memory = allocate(size, alignment)) return memory;
    throw std::bad_alloc();
}

}

void* operator new(size_t size) { return allocateOrThrow(size); }
void* operator new[](size_t size) { return allocateOrThrow(size); }
void* operator new(size_t size, std::align_val_t alignment) { return allocateOrThrow(size, static_cast<size_t>(alignment)); }
void* operator new[](size_t size, std::align_val_t alignment) { return allocateOrThrow(size, static_cast<size_t>(alignment)); }
void* operator new(size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void* operator new[](size_t size, const std::nothrow_t&) noexcept { return allocate(size); }
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

struct Scenario {
    const char* name;
    std::string said;
    size_t answers;
    std::vector<std::string> echoes;
};

std::vector<Scenario> scenarios() {
    using enum WebSocketOpcode;
    const std::string get = "GET /1 HTTP/1.1\r\nHost: a\r\n\r\n";
    return {
        {"two requests and a streamed reply", get + "GET /stream HTTP/1.1\r\nHost: a\r\n\r\n" + get, 3, {}},
        {"a chunked upload and a long reply",
         "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nHello\r\n6\r\n world\r\n0\r\n\r\n"
         "POST /body HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nHello" "GET /large HTTP/1.1\r\nHost: a\r\n\r\n",
         3,
         {}},
        {"a WebSocket conversation",
         webSocketRequest() + clientFrame(text, "one") + clientFrame(ping, "p") + clientFrame(text, "t", false) +
             clientFrame(continuation, "wo") + clientFrame(binary, std::string(3000, 'b')) + clientFrame(close, "\x03\xe8"),
         1,
         {"one", "two", std::string(3000, 'b')}},
    };
}

struct Outcome {
    bool failed = false;   // something was made to fail
    std::string complaint;
    LineVerdict first, second;
};

// Two clients, one after the other: the second shows that the server still serves.
Outcome play(const Scenario& scenario, size_t failCall, size_t failAllocation) {
    HttpSettings settings;
    HandlerSettings handlerSettings;
    const Handler handler = answerEverything;
    const ExchangeHandler serveOne = [&](Exchange& exchange) { serveExchange(exchange, handlerSettings, handler); };
    LoopOptions options;
    options.log = [](LogLevel, std::string_view) {};

    Outcome outcome;
    Script nothing({});
    auto ownedKernel = std::make_unique<ScriptedPoller>(nothing, Phrases());
    auto& kernel = *ownedKernel;
    auto ownedFaults = std::make_unique<FaultyPoller>(std::move(ownedKernel));
    auto& faults = *ownedFaults;
    Loop loop(options, std::move(ownedFaults));
    const auto say = [&] {
        auto& line = *kernel.lines()[kernel.connect()];
        line.sent = scenario.said;
        line.received.reserve(1024 * 1024);
    };
    const auto settle = [&] {
        for (size_t turns = 0; turns < 5000; ++turns) {
            loop.turn(TimePoint::max());
            const auto isOver = [](const auto& line) { return line->closed; };
            if (loop.fiberCount() == 0 && std::all_of(kernel.lines().begin(), kernel.lines().end(), isOver)) return;
        }
        outcome.complaint += "it does not come to rest; ";
    };
    {
        HttpGateway gateway(loop, ScriptedPoller::listenFd, settings, serveOne);
        try {
            say();
            {
                faults.failAt(failCall);
                const FailingMemory memory(failAllocation);
                gateway.start();
                settle();
            }
            outcome.failed = FailingMemory::failed || faults.hasFailed();
            faults.failAt(0);
            if (outcome.complaint.empty()) {
                say();
                settle();
            }
        } catch (const std::exception& problem) {
            outcome.complaint += std::string("thrown through the loop: ") + problem.what();
            outcome.failed = true;
        }
    }
    outcome.complaint += kernel.complaint();
    for (auto& line : kernel.lines()) {
        line->faulty = outcome.failed;
        if (!line->closed) outcome.complaint += "a connection leaks; ";
    }
    outcome.first = judgeLine(*kernel.lines().front());
    outcome.second = judgeLine(*kernel.lines().back());
    outcome.complaint += outcome.first.complaint + outcome.second.complaint;
    return outcome;
}

void checkEach(size_t most, const std::function<Outcome(const Scenario&, size_t)>& playWith) {
    for (const auto& scenario : scenarios()) {
        CAPTURE(scenario.name);
        size_t n = 1;
        for (bool failed = true; failed; ++n) {
            CAPTURE(n);
            REQUIRE(n < most);
            const auto outcome = playWith(scenario, n);
            failed = outcome.failed;
            CHECK(outcome.complaint == "");
            if (!failed) {
                CHECK(outcome.first.answers == scenario.answers);
                CHECK(outcome.first.echoes == scenario.echoes);
            }
            CHECK(outcome.second.answers == scenario.answers);
            CHECK(outcome.second.echoes == scenario.echoes);
        }
        CHECK(n > 5);
    }
}

}

TEST_CASE("whichever call to the kernel fails, that client is answered right or cut, and the next is served", "[gateway]") {
    checkEach(500, [](const Scenario& scenario, size_t n) { return play(scenario, n, 0); });
}

TEST_CASE("whichever allocation fails, that client is answered right or cut, and the next is served", "[gateway]") {
    checkEach(2000, [](const Scenario& scenario, size_t n) { return play(scenario, 0, n); });
}

TEST_CASE("a message that was not sent for want of memory leaves the next one right", "[gateway]") {
    std::string first, second;
    for (int i = 0; i < 3000; ++i) {
        first += static_cast<char>('a' + i * i % 23);
        second += static_cast<char>('a' + i * i % 19);
    }
    size_t n = 1;
    for (bool failed = true; failed; ++n) {
        CAPTURE(n);
        REQUIRE(n < 100);
        run([&] {
            SocketPair pair(deflating(), deflating(), DeflateAgreement());
            pair.client.send(first);
            CHECK(pair.server.receiveText() == first);
            failed = false;
            try {
                const FailingMemory memory(n);
                pair.client.send(second);
            } catch (const std::bad_alloc&) {
                failed = true;
            }
            if (!failed) CHECK(pair.server.receiveText() == second);
            if (!pair.client.isOpen()) return;
            pair.client.send(second);
            CHECK(pair.server.receiveText() == second);
        });
    }
    CHECK(n > 2);
}
