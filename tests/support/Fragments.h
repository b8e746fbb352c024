#pragma once
// The same bytes in every way a connection could deliver them.

#include <cstddef>
#include <string_view>
#include <vector>

namespace postern {

using Fragments = std::vector<std::string_view>;

inline Fragments cutInPieces(std::string_view bytes, size_t size) {
    Fragments pieces;
    for (; bytes.size() > size; bytes.remove_prefix(size)) pieces.push_back(bytes.substr(0, size));
    pieces.push_back(bytes);
    return pieces;
}

/// Calls `test(const Fragments&)` with `bytes` in one piece, in pieces of 1…8, 16 and 31, and in two pieces split at
/// every offset (past 1 KiB at every n-th, so that about 1000 splits remain). No piece is empty unless `bytes` is.
template <typename Test> void forEachFragmentation(std::string_view bytes, Test test) {
    test(Fragments{bytes});
    for (const size_t size : {1U, 2U, 3U, 4U, 5U, 6U, 7U, 8U, 16U, 31U})
        if (size < bytes.size()) test(cutInPieces(bytes, size));
    const size_t stride = 1 + bytes.size() / 1024;
    for (size_t at = 1; at < bytes.size(); at += stride) test(Fragments{bytes.substr(0, at), bytes.substr(at)});
}

}
