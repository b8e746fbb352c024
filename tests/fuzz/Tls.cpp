// The input is what a client sends to a port for https.
#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "postern/io/Pipe.h"
#include "postern/io/TlsStream.h"
#include "support/Certificates.h"
#include "support/Require.h"

#include <algorithm>

using namespace postern;

namespace {

struct Outcome {
    std::vector<std::string> log;
    std::string data;   // what came out of TLS
    int error = 0;
    bool operator==(const Outcome&) const = default;
};

std::shared_ptr<const TlsServerContext> makeContext() {
    Authority authority;
    TlsServerOptions options;
    options.certificates.push_back(authority.issue({"a.example", {"DNS:a.example"}}));
    options.clientCaFile = authority.file();
    options.clientCertificates = ClientCertificates::optional;
    return std::make_shared<TlsServerContext>(options);
}

Outcome outcomeOf(std::string_view bytes, size_t piece) {
    static const auto context = makeContext();
    Outcome outcome;
    LoopOptions options;
    options.log = [&](LogLevel, std::string_view line) { outcome.log.emplace_back(line); };
    run([&] {
        auto [ours, wire] = Pipe::make(Loop::current(), 1 << 20);
        const auto server = TlsStream::accept(std::move(ours), context, std::chrono::seconds(60));
        FiberGroup client;
        client.spawn([&, &w = *wire] {
            for (auto rest = bytes; !rest.empty(); rest.remove_prefix(std::min(piece, rest.size()))) {
                w.queue({rest.substr(0, piece)});
                yield();
                yield();
            }
            w.finishSending();
        });
        try {
            while (server->receive(Loop::current().in(std::chrono::seconds(60)))) {
                outcome.data += server->unreadText();
                server->consume(server->unread().size());
            }
        } catch (const Disconnected&) {
            outcome.error = server->error();
        }
    }, options);
    return outcome;
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size > 1 << 12) return 0;
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    const auto whole = outcomeOf(bytes, size + 1);
    require(whole.data.empty(), "nothing comes of a handshake without a secret");
    require(whole.error != 0, "it does not end well");
    require(whole.log.size() == (size == 0 ? 0 : 1), "one line says why");
    for (const size_t piece : {size_t{1} + size / 256, 2 + size % 7 + size / 128})
        require(outcomeOf(bytes, piece) == whole, "one outcome however the bytes arrive");
    return 0;
}
