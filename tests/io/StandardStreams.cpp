#include "postern/io/StandardStreams.h"

#include "postern/fiber/FiberGroup.h"
#include "postern/fiber/Run.h"
#include "support/Catch.h"
#include "support/LeftoverCheck.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <fstream>
#include <iterator>
#include <string>

using namespace postern;

namespace {

std::string receiveAll(ByteStream& stream) {
    while (stream.receive()) continue;
    return std::string(stream.unreadText());
}

struct File {
    explicit File(const std::string& content = {}) {
        char name[] = "/tmp/streamXXXXXX";
        fd = ::mkstemp(name);
        path = name;
        REQUIRE(::write(fd, content.data(), content.size()) == static_cast<ssize_t>(content.size()));
        ::lseek(fd, 0, SEEK_SET);
    }
    ~File() {
        ::close(fd);
        ::unlink(path.c_str());
    }
    std::string content() const {
        std::ifstream file(path);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    int fd;
    std::string path;
};

}

TEST_CASE("standard streams over pipes give and take all bytes", "[io]") {
    const LeftoverCheck leftovers;
    run([] {
        int in[2], out[2];
        REQUIRE((::pipe2(in, O_CLOEXEC) == 0 && ::pipe2(out, O_CLOEXEC) == 0));
        {
            StandardStreams ours(Loop::current(), in[0], out[1]);
            StandardStreams theirs(Loop::current(), out[0], in[1]);
            for (const int fd : {in[0], in[1], out[0], out[1]}) ::close(fd);
            theirs.write("question");
            REQUIRE(ours.receive());
            CHECK(ours.unreadText() == "question");
            const std::string large(300'000, 'x');
            FiberGroup group;
            group.spawn([&] {
                ours.write(large);
                ours.flush();
            });
            size_t got = 0;
            while (got < large.size()) {
                REQUIRE(theirs.receive());
                got += theirs.unread().size();
                theirs.consume(theirs.unread().size());
            }
            CHECK(got == large.size());
            group.wait();
        }
    });
    CHECK(leftovers.find() == "");
}

TEST_CASE("standard streams over files read to the end and write what is written", "[io]") {
    const LeftoverCheck leftovers;
    {
        const std::string text(50'000, 'f');
        const File input(text), output, nothing;
        run([&] {
            StandardStreams stream(Loop::current(), input.fd, output.fd);
            CHECK(receiveAll(stream) == text);
            CHECK(stream.ended());
            stream.write({"copied: ", stream.unreadText()});
            stream.flush();
            StandardStreams empty(Loop::current(), nothing.fd, output.fd);
            CHECK_FALSE(empty.receive());
        });
        CHECK(output.content() == "copied: " + text);
    }
    CHECK(leftovers.find() == "");
}

TEST_CASE("a reader that closed its pipe breaks the stream instead of killing the process", "[io]") {
    ::signal(SIGPIPE, SIG_IGN);  // as main/Signals.h does
    run([] {
        int out[2];
        REQUIRE(::pipe2(out, O_CLOEXEC) == 0);
        const File input;
        StandardStreams stream(Loop::current(), input.fd, out[1]);
        ::close(out[0]);
        ::close(out[1]);
        const auto write = [&] {
            stream.write("anybody?");
            stream.flush();
        };
        CHECK_THROWS_AS(write(), Disconnected);
    });
}
