// idle KIND PORT CONNECTIONS: connections that have had their first answer, and rest. It says "ready" when all are there, and
// closes them after a line on standard input.

#include "bench/Client.h"

using namespace bench;

int main(int count, char** arguments) {
    if (count != 4) {
        std::fputs("usage: idle http|echo|events|deflate PORT CONNECTIONS\n", stderr);
        return 2;
    }
    try {
        connectAll(static_cast<uint16_t>(std::stoul(arguments[2])), arguments[1], std::stoul(arguments[3]));
        std::puts("ready");
        waitForLine();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "idle: %s\n", problem.what());
        return 1;
    }
}
