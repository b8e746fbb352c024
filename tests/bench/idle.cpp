// idle KIND PORT CONNECTIONS [ANSWERS]: connections that have had their first answer, and so many more to a message of 20 bytes
// (1 KiB for deflate), and rest. It says "ready" when all are there, and closes them after a line on standard input.

#include "bench/Answers.h"

using namespace bench;

namespace {

void exchange(int fd, const std::string& message, const Answers& answers) {
    send(fd, message);
    for (size_t place = 0, complete = 0; complete == 0;) {
        const auto bytes = receive(fd);
        complete = answers.take(bytes.data(), bytes.size(), place);
    }
}

}

int main(int count, char** arguments) {
    if (count < 4) {
        std::fputs("usage: idle http|echo|events|deflate PORT CONNECTIONS [ANSWERS]\n", stderr);
        return 2;
    }
    try {
        const std::string_view kind = arguments[1];
        const auto sockets = connectAll(static_cast<uint16_t>(std::stoul(arguments[2])), kind, std::stoul(arguments[3]));
        const size_t exchanges = count > 4 ? std::stoul(arguments[4]) : 0, size = kind == "deflate" ? 1024 : 20;
        if (exchanges > 0) {
            const auto message = messageOf(kind, size);
            const Answers answers(sockets.front(), kind, message, size);
            for (size_t i = 0; i < exchanges; ++i)
                for (const int fd : sockets) exchange(fd, message, answers);
        }
        std::puts("ready");
        waitForLine();
    } catch (const std::exception& problem) {
        std::fprintf(stderr, "idle: %s\n", problem.what());
        return 1;
    }
}
