// deflatememory: bytes of memory that permessage-deflate keeps for one server's end between messages, after a message each
// way, for settings of DeflateOptions: after a message, and once a heartbeat found the socket at rest.

#include "postern/protocol/PerMessageDeflate.h"

#include <malloc.h>

#include <cstdio>
#include <memory>
#include <vector>

using namespace postern;

namespace {

constexpr size_t connections = 100;

struct Setting {
    const char* name;
    bool ours, peers;
    int windowBits, peerWindowBits, memoryLevel;
};

constexpr Setting settings[] = {
    {"off, or no context taken over", false, false, 15, 15, 5},
    {"peer's context only, window 15", false, true, 15, 15, 5},
    {"peer's context only, window 12", false, true, 15, 12, 5},
    {"peer's context only, window 9", false, true, 15, 9, 5},
    {"both, window 15, memoryLevel 8", true, true, 15, 15, 8},
    {"both, window 15, memoryLevel 5", true, true, 15, 15, 5},
    {"both, window 12, memoryLevel 5", true, true, 12, 12, 5},
    {"both, window 10, memoryLevel 4", true, true, 10, 10, 4},
    {"both, window 9, memoryLevel 1", true, true, 9, 9, 1},
};

size_t allocated() {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

struct Cost {
    size_t busy, resting;  // bytes a connection
};

Cost costOf(const Setting& setting) {
    DeflateOptions options;
    options.contextTakeover = setting.ours;
    options.peerContextTakeover = setting.peers;
    options.windowBits = setting.windowBits;
    options.peerWindowBits = setting.peerWindowBits;
    options.memoryLevel = setting.memoryLevel;
    const DeflateAgreement agreement{!setting.ours, !setting.peers, setting.windowBits, setting.peerWindowBits};
    DeflatePool pool;
    std::string text(1000, 'x'), payload, seen;
    PerMessageDeflate client({false, true, 15, setting.peerWindowBits}, options, false, pool);
    const auto exchange = [&](PerMessageDeflate& server) {
        payload.clear();
        seen.clear();
        server.compress(text, PerMessageDeflate::Piece::last, payload);
        payload.clear();
        client.compress(text, PerMessageDeflate::Piece::last, payload);
        server.decompress(payload, SIZE_MAX, seen);
        server.finishDecompressing(SIZE_MAX, seen);
    };
    {
        PerMessageDeflate first(agreement, options, true, pool);  // what the loop has once
        exchange(first);
    }
    std::vector<std::unique_ptr<PerMessageDeflate>> servers;
    servers.reserve(connections);
    const auto before = allocated();
    for (size_t i = 0; i < connections; ++i) {
        servers.push_back(std::make_unique<PerMessageDeflate>(agreement, options, true, pool));
        exchange(*servers.back());
    }
    const auto busy = allocated() - before;
    for (auto& server : servers) server->rest();
    return {busy / connections, (allocated() - before) / connections};
}

}

int main() {
    ::mallopt(M_MMAP_THRESHOLD, 1 << 30);
    for (const auto& setting : settings) {
        const auto cost = costOf(setting);
        std::printf("%-32s%10zu%10zu\n", setting.name, cost.busy, cost.resting);
    }
}
