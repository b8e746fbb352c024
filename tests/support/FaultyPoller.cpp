#include "support/FaultyPoller.h"

#include <cerrno>
#include <system_error>

namespace postern {

namespace {

int errorOf(Operation::Kind kind, size_t which) {
    switch (kind) {
    case Operation::Kind::receive: return which % 2 ? ECONNRESET : ENOBUFS;
    case Operation::Kind::send: return which % 2 ? EPIPE : ENOBUFS;
    case Operation::Kind::accept: return which % 2 ? EMFILE : ECONNABORTED;
    case Operation::Kind::connect: return ECONNREFUSED;
    }
    return EIO;
}

}

void FaultyPoller::attach(Descriptor& descriptor) {
    if (failsNow()) throw std::system_error(ENOSPC, std::system_category(), "no room for another descriptor");
    inner_->attach(descriptor);
}

bool FaultyPoller::submit(Operation& operation) {
    ++counts_[static_cast<size_t>(operation.kind)];
    if (!failsNow()) return inner_->submit(operation);
    operation.result = -errorOf(operation.kind, calls_);
    return true;
}

}
