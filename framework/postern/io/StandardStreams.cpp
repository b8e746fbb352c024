#include "postern/io/StandardStreams.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace postern {

namespace {

// A descriptor of our own, so that closing it leaves the number to others until the program ends.
void open(Descriptor& descriptor, int fd) {
    descriptor.fd = ::fcntl(fd, F_DUPFD_CLOEXEC, 3);
    if (descriptor.fd < 0) throw std::system_error(errno, std::system_category(), "standard stream");
    struct stat status{};
    ::fstat(descriptor.fd, &status);
    descriptor.isSocket = S_ISSOCK(status.st_mode);
    if (S_ISFIFO(status.st_mode) || S_ISSOCK(status.st_mode))
        ::fcntl(descriptor.fd, F_SETFL, ::fcntl(descriptor.fd, F_GETFL) | O_NONBLOCK);
}

}

StandardStreams::StandardStreams(Loop& loop, int input, int output) : ByteStream(loop), outputNumber_(output) {
    open(input_, input);
    loop.poller().attach(input_);
    open(output_, output);
    loop.poller().attach(output_);
}

StandardStreams::~StandardStreams() {
    cancelAll();
    loop().poller().close(input_);
    loop().poller().close(output_);
}

bool StandardStreams::submitReceive(Operation& operation) {
    operation.descriptor = &input_;
    return loop().poller().submit(operation);
}

void StandardStreams::cancelReceive(Operation& operation) { loop().poller().cancel(operation); }

bool StandardStreams::submitSend(Operation& operation) {
    operation.descriptor = &output_;
    return loop().poller().submit(operation);
}

void StandardStreams::cancelSend(Operation& operation) { loop().poller().cancel(operation); }

// Pipes have no other way to say that nothing more comes than to be closed, by everybody who holds their end.
void StandardStreams::shutdownSend() {
    loop().poller().shutdownSend(output_);
    loop().poller().close(output_);
    if (outputNumber_ != STDOUT_FILENO) return;
    // The number 1 itself must not become free: the next socket would take it, and what is printed would go there.
    if (const int null = ::open("/dev/null", O_WRONLY | O_CLOEXEC); null >= 0) {
        ::dup2(null, STDOUT_FILENO);
        ::close(null);
    }
}

}
