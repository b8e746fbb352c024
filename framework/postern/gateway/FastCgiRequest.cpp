#include "postern/gateway/FastCgiRequest.h"

#include <fcgiapp.h>
#include <fcgios.h>

#include <algorithm>
#include <cassert>
#include <cerrno>
#include <cstring>
#include <mutex>
#include <new>
#include <stdexcept>
#include <utility>

namespace postern {

namespace {

// What libfcgi takes for a connection. The record it reads next is always there to its end.
struct Port {
    std::string approved;
    size_t next = 0;        // of `approved`: the first byte that was not read
    size_t recordLeft = 0;  // bytes of the record that was begun
    ByteStream* wire = nullptr;
    bool outOfMemory = false;
    bool wasUsed = false;

    bool hasRecords() const { return next < approved.size(); }

    // At most one record at a time, so that libfcgi has nothing left once it gave out what it read.
    std::string_view take(size_t most) {
        if (recordLeft == 0 && hasRecords())
            recordLeft = fastCgiHeaderSize + (size_t{static_cast<unsigned char>(approved[next + 4])} << 8) +
                         static_cast<unsigned char>(approved[next + 5]);
        const auto piece = std::string_view(approved).substr(next, std::min(most, recordLeft));
        next += piece.size();
        recordLeft -= piece.size();
        return piece;
    }
    void forgetTaken() { approved.erase(0, std::exchange(next, 0)); }
};

// libfcgi knows a connection by a number only. No call of it ever waits, so one port at a time is inside on each thread.
thread_local Port* inside = nullptr;

class Inside {
public:
    explicit Inside(Port& port) { inside = &port; }
    Inside(const Inside&) = delete;
    ~Inside() { inside = nullptr; }
};

constexpr size_t keptBytes = 16 * 1024;    // of the memory for records, from one request to the next
constexpr int anyDescriptor = 0x7fffffff;  // the kernel would refuse it, should libfcgi ever ask

}

// ── libfcgi's operating-system half ──
// As far as its protocol half calls it. A program that links these holds nothing of the library's own half: no signal
// handlers, no exit(), no waits of two seconds.

extern "C" {

int OS_Read(int, char* to, size_t size) {
    if (!inside) return errno = EBADF, -1;
    inside->wasUsed = true;
    const auto piece = inside->take(size);
    std::memcpy(to, piece.data(), piece.size());
    return static_cast<int>(piece.size());
}

int OS_Write(int, char* from, size_t size) {
    if (!inside || !inside->wire) return errno = EBADF, -1;
    try {
        inside->wire->queue({{from, size}});
        return static_cast<int>(size);
    } catch (const std::bad_alloc&) {
        inside->outOfMemory = true;
        return errno = ENOMEM, -1;
    }
}

int OS_Accept(int, int, const char*) { return errno = EBADF, -1; }
int OS_CreateLocalIpcFd(const char*, int) { return errno = ENOTSUP, -1; }
int OS_IpcClose(int, int) { return 0; }
int OS_IsFcgi(int) { return 0; }
int OS_LibInit(int*) { return 0; }
void OS_ShutdownPending() {}

}

// ── The request ──

struct FastCgiRequest::Library {
    Port port;
    FCGX_Request request;

    Library() { FCGX_InitRequest(&request, -1, 0); }
    ~Library() { release(); }

    // Without a last word to the gateway.
    void release() {
        const Inside scope(port);
        FCGX_Free(&request, 1);
        request.in = request.out = request.err = nullptr;
    }
};

FastCgiRequest::FastCgiRequest(const FastCgiLimits& limits) : guard_(limits), library_(std::make_unique<Library>()) {}

FastCgiRequest::~FastCgiRequest() = default;

std::optional<Violation> FastCgiRequest::take(ByteStream& wire) {
    auto& port = library_->port;
    port.forgetTaken();
    const bool ended = guard_.variablesEnded();
    for (bool more = true; more && !wire.unread().empty();) {
        std::string answers;
        const auto taken = guard_.take(wire.unreadText(), port.approved, answers);
        if (!answers.empty()) wire.queue({answers});
        if (const auto* violation = std::get_if<Violation>(&taken)) return *violation;
        wire.consume(std::get<size_t>(taken));
        // A head is wanted whole, of a body what there is.
        more = std::get<size_t>(taken) > 0 && guard_.variablesEnded() == ended && !(ended && port.hasRecords());
    }
    return {};
}

bool FastCgiRequest::begin() {
    auto& request = library_->request;
    const Inside scope(library_->port);
    request.keepConnection = 1;  // accepting would close the descriptor otherwise
    request.ipcFd = anyDescriptor;
    // Truncated PARAMS are no error to libfcgi, but it remembers.
    if (FCGX_Accept_r(&request) != 0 || FCGX_GetError(request.in) != 0) return false;
    variables_.reserve(usualVariables);
    for (char** entry = request.envp; *entry; ++entry) {
        std::string_view value = *entry;
        const auto name = takeUntil(value, '=');
        if (name != "FCGI_ROLE") variables_.push_back({name, value});
    }
    return true;
}

bool FastCgiRequest::canRead() const {
    if (library_->port.hasRecords() || guard_.inputEnded()) return true;
    const auto* in = library_->request.in;
    return in && in->rdNext != in->stop;
}

size_t FastCgiRequest::read(std::span<char> to) {
    if (isTunnel_) return readTunnel(to);
    auto* in = library_->request.in;
    if (in->isClosed) return 0;  // first: afterwards rdNext may be anywhere
    if (in->rdNext == in->stop) {
        if (!library_->port.hasRecords()) return 0;
        const Inside scope(library_->port);
        in->fillBuffProc(in);
        if (in->isClosed) return 0;
        in->stopUnget = in->rdNext;
    }
    const auto size = std::min(to.size(), static_cast<size_t>(in->stop - in->rdNext));
    std::memcpy(to.data(), in->rdNext, size);
    in->rdNext += size;
    return size;
}

size_t FastCgiRequest::readTunnel(std::span<char> to) {
    auto& port = library_->port;
    if (port.recordLeft == 0) port.take(fastCgiHeaderSize);
    const auto piece = port.take(std::min(to.size(), port.recordLeft));
    std::memcpy(to.data(), piece.data(), piece.size());
    return piece.size();
}

void FastCgiRequest::write(std::string_view text, ByteStream& wire) {
    auto& port = library_->port;
    if (isTunnel_) {
        for (; !text.empty(); text.remove_prefix(std::min(text.size(), fastCgiMaxContent))) {
            const auto piece = text.substr(0, fastCgiMaxContent);
            wire.queue({fastCgiOutputHeader(guard_.requestId(), piece.size()), piece});
        }
        return;
    }
    const Inside scope(port);
    port.wire = &wire;
    FCGX_PutStr(text.data(), static_cast<int>(text.size()), library_->request.out);
    if (port.outOfMemory) throw std::bad_alloc();
}

void FastCgiRequest::flush(ByteStream& wire) {
    if (isTunnel_) return;
    auto& port = library_->port;
    const Inside scope(port);
    port.wire = &wire;
    FCGX_FFlush(library_->request.out);
    if (port.outOfMemory) throw std::bad_alloc();
}

void FastCgiRequest::end(ByteStream& wire) {
    if (isTunnel_) {
        const auto id = guard_.requestId();
        return wire.queue({fastCgiOutputHeader(id, 0), fastCgiEndRequest(id, 0)});
    }
    auto& port = library_->port;
    const Inside scope(port);
    port.wire = &wire;
    FCGX_Finish_r(&library_->request);
    if (port.outOfMemory) throw std::bad_alloc();
}

// The variables stay: a handler may still ask for them.
void FastCgiRequest::becomeTunnel() {
    auto& request = library_->request;
    assert(request.in->rdNext == request.in->stop);
    isTunnel_ = true;
    for (auto* stream : {&request.in, &request.out, &request.err}) FCGX_FreeStream(stream);
}

void FastCgiRequest::reset() {
    library_->release();
    auto& port = library_->port;
    port.approved.clear();
    if (port.approved.capacity() > keptBytes) port.approved.shrink_to_fit();
    port.next = port.recordLeft = 0;
    variables_.clear();
    guard_.nextRequest();
}

bool FastCgiRequest::readsThroughUs(std::string_view records) {
    std::string answers;
    guard_.take(records, library_->port.approved, answers);
    return begin() && library_->port.wasUsed && variables_ == FieldViews{{"A", "b"}};
}

void checkFastCgiLibrary() {
    static std::once_flag once;
    std::call_once(once, [] {
        const FastCgiLimits limits;
        // BEGIN for request 1, then PARAMS with the single variable A=b, their end, and the end of STDIN.
        constexpr std::string_view records("\1\1\0\1\0\10\0\0" "\0\1\0\0\0\0\0\0" "\1\4\0\1\0\4\0\0" "\1\1Ab"
                                           "\1\4\0\1\0\0\0\0" "\1\5\0\1\0\0\0\0", 44);
        FastCgiRequest request(limits);
        if (FCGX_Init() == 0 && request.readsThroughUs(records)) return;
        throw std::runtime_error("libfcgi does not read through Postern: link libpostern.a before libfcgi.a, and define no "
                                 "OS_Read of your own");
    });
}

}
