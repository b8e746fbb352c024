#pragma once
// For fuzz targets: a promise that is not kept ends the program, so that the fuzzer keeps the input.

#include <cstdio>
#include <cstdlib>

namespace postern {

inline void require(bool kept, const char* promise) {
    if (kept) return;
    std::fprintf(stderr, "ERROR: not kept: %s\n", promise);
    std::abort();
}

}
