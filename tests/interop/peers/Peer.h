#pragma once
// The main program of a peer in C++: PEER server, or PEER client MODE URL FIRST COUNT [filled].

#include "Script.h"

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <functional>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>

namespace interop {

struct Address {
    std::string host, port, path;
};

inline Address addressOf(const std::string& url) {
    const auto host = url.find("://") + 3, port = url.find(':', host) + 1, path = url.find('/', port);
    if (path == std::string::npos) throw std::runtime_error("no ws://HOST:PORT/PATH: " + url);
    return {url.substr(host, port - host - 1), url.substr(port, path - port), url.substr(path)};
}

/// How one conversation went.
class Told {
public:
    Told(std::string mode, uint32_t number) : mode_(std::move(mode)), number_(number) {}

    void differs(const std::string& what) {
        ++differences;
        std::fprintf(stderr, "%s %u: %s\n", mode_.c_str(), static_cast<unsigned>(number_), what.c_str());
    }
    /// A message that came for this step.
    void heard(const Step& step, bool text, std::string_view data) {
        ++messages;
        if (text == (step.kind == Kind::text) && data == step.data) return;
        differs(std::to_string(step.data.size()) + (step.kind == Kind::text ? " bytes of text" : " bytes") + " came back as " +
                std::to_string(data.size()));
    }
    /// Of several pings only some may be answered (RFC 6455 §5.5.3), in their order. `last`: the last one is.
    void heardPongs(const Script& script, const std::vector<std::string>& pongs, bool last) {
        auto pong = pongs.begin();
        const Step* ping = nullptr;
        for (const auto& step : script.steps) {
            if (step.kind != Kind::ping) continue;
            ping = &step;
            if (pong != pongs.end() && *pong == step.data) ++pong;
        }
        if (pong != pongs.end() || (last && ping && (pongs.empty() || pongs.back() != ping->data))) differs("other pongs than pings");
    }
    void heardClose(uint16_t said, uint16_t code) {
        if (said != code) differs("closed with " + std::to_string(said) + ", heard " + std::to_string(code));
    }

    std::string extension;  ///< what the server agreed to
    size_t messages = 0, differences = 0;

private:
    std::string mode_;
    uint32_t number_;
};

/// `serve` is given what to call with its port once it listens, and does not return.
struct Peer {
    std::string version;
    std::function<void(const std::function<void(unsigned)>&)> serve;
    std::function<void(const std::string& mode, const Address& address, const Script& script, Told& told)> converse;
};

inline int run(const Peer& peer, int count, char** arguments) {
    const std::string role = count > 1 ? arguments[1] : "";
    if (role == "server" && peer.serve) {
        peer.serve([&](unsigned port) {
            std::printf("%u\t%s\n", port, peer.version.c_str());
            std::fflush(stdout);
        });
        return 0;
    }
    const bool isFilled = count == 7 && arguments[6] == std::string("filled");
    if (role != "client" || (count != 6 && !isFilled)) {
        std::fprintf(stderr, "usage: %s server | client MODE URL FIRST COUNT [filled]\n", arguments[0]);
        return 2;
    }
    const std::string mode = arguments[2];
    const auto address = addressOf(arguments[3]);
    const auto first = static_cast<uint32_t>(std::atoi(arguments[4])), conversations = static_cast<uint32_t>(std::atoi(arguments[5]));
    std::set<std::string> extensions;
    size_t messages = 0, differences = 0;
    for (uint32_t number = first; number != first + conversations; ++number) {
        Told told(mode, number);
        try {
            const auto script = makeScript(number);
            peer.converse(mode, address, isFilled ? filled(script) : script, told);
        } catch (const std::exception& problem) {
            told.differs(problem.what());
        }
        if (!told.extension.empty()) extensions.insert(told.extension);
        messages += told.messages;
        differences += told.differences;
    }
    std::string agreed;
    for (const auto& extension : extensions) agreed += (agreed.empty() ? "" : " | ") + extension;
    std::printf("%s\t%s\t%u\t%zu\t%zu\n", peer.version.c_str(), agreed.c_str(), static_cast<unsigned>(conversations), messages,
                differences);
    return 0;
}

}
