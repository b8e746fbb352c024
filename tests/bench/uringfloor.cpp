// uringfloor [check]: floor.cpp's echo of WebSocket on io_uring, to see what a poller on it could win. One system call for all
// that came together: it takes the answers to what came before, and waits. Accepting and receiving are asked for once, into
// buffers that the kernel picks; the answer is made in place and sent from there; descriptors are registered with the ring.
// It needs Linux 6.1. "check" only says, by its exit code, whether the kernel allows all this.

#include "bench/Floor.h"

#include <liburing.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <vector>

using namespace bench;

namespace {

int needed(int result, const char* what) {
    if (result >= 0) return result;
    std::fprintf(stderr, "io_uring is not to be had here: %s: %s\n", what, std::strerror(-result));
    std::exit(1);
}

enum class Kind : uint32_t { accept, receive, send, rest, other };

class Ring {
public:
    Ring() {
        io_uring_params how{};
        how.flags = IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN | IORING_SETUP_SUBMIT_ALL | IORING_SETUP_CQSIZE;
        how.cq_entries = 8 * entries;
        needed(io_uring_queue_init_params(entries, &ring_, &how), "io_uring_setup");
        needed(io_uring_register_ring_fd(&ring_), "its own descriptor");
    }
    io_uring* get() { return &ring_; }

    // The next request. `prepare` is one of liburing's io_uring_prep_ functions.
    template <typename... Arguments, typename... Given>
    void ask(Kind kind, size_t slot, unsigned flags, void (*prepare)(io_uring_sqe*, Arguments...), Given... given) {
        auto* request = io_uring_get_sqe(&ring_);
        if (!request) io_uring_submit(&ring_), request = io_uring_get_sqe(&ring_);
        prepare(request, static_cast<Arguments>(given)...);
        request->flags |= static_cast<uint8_t>(flags);
        request->user_data = tag(kind, slot);
    }
    static uint64_t tag(Kind kind, size_t slot) { return static_cast<uint64_t>(kind) << 32 | slot; }

    /// Hands over what was asked for, waits for a completion or not, and calls `done` for each.
    template <typename Done>
    void enter(bool waits, Done done) {
        if (waits) io_uring_submit_and_wait(&ring_, 1);
        else io_uring_submit(&ring_);
        unsigned head = 0, count = 0;
        io_uring_cqe* completion = nullptr;
        io_uring_for_each_cqe(&ring_, head, completion) {
            done(static_cast<Kind>(completion->user_data >> 32), static_cast<uint32_t>(completion->user_data), *completion);
            ++count;
        }
        io_uring_cq_advance(&ring_, count);
    }

private:
    static constexpr unsigned entries = 1024;
    io_uring ring_{};
};

// Where the kernel puts what it receives. It is told by giving back which buffers it may use.
class Buffers {
public:
    explicit Buffers(Ring& ring) {
        io_uring_buf_reg how{};
        how.ring_addr = reinterpret_cast<uint64_t>(ring_.get());
        how.ring_entries = count;
        needed(io_uring_register_buf_ring(ring.get(), &how, 0), "a ring of buffers");
        io_uring_buf_ring_init(ring_.get());
        std::vector<uint16_t> all(count);
        for (uint16_t i = 0; i < count; ++i) all[i] = i;
        giveBack(all);
    }
    char* at(uint16_t index) { return bytes_.get() + index * stride; }

    void giveBack(const std::vector<uint16_t>& indices) {
        int offset = 0;
        constexpr int mask = count - 1;
        for (const auto i : indices) io_uring_buf_ring_add(ring_.get(), at(i), size, i, mask, offset++);
        io_uring_buf_ring_advance(ring_.get(), offset);
    }

private:
    struct Free {
        void operator()(void* memory) const { std::free(memory); }
    };

    // As many as connections that are busy at the same time, else the kernel ends receives for want of a buffer. A stride
    // that is no power of two spreads the first lines of the buffers over the caches.
    static constexpr uint16_t count = 1024;
    static constexpr unsigned size = 2048, stride = size + 64;
    std::unique_ptr<io_uring_buf_ring, Free> ring_{
        static_cast<io_uring_buf_ring*>(std::aligned_alloc(4096, count * sizeof(io_uring_buf)))};
    std::unique_ptr<char[]> bytes_{new char[count * stride]};
};

struct Line {
    bool isThere = false;
    bool isOpen = false;      // its handshake is over
    bool isReceiving = false;
    bool isFull = false;      // the socket does not take all: the rest is on its way, and receiving ends meanwhile
    uint64_t sentIn = 0;      // the turn in which a send was asked for last, of these bytes
    std::string_view sent;
    std::string in = {};      // what has not come whole, or cannot be answered yet
    std::string out = {};     // what is sent and is not in one of the buffers
};

class Server {
public:
    Server() {
        const auto size = static_cast<unsigned>(lines_.size());
        needed(io_uring_register_files_sparse(ring_.get(), size), "a table of descriptors");
    }

    [[noreturn]] void run(int listener) {
        listener_ = listener;
        accept();
        for (;; ++turn_) {
            ring_.enter(late_.empty(), [this](Kind kind, size_t slot, const io_uring_cqe& done) {
                if (kind == Kind::accept) accepted(done);
                else if (kind == Kind::receive) received(lines_[slot], done);
                else if (kind == Kind::send) sendFailed(lines_[slot], done.res);
                else if (kind == Kind::rest) restSent(lines_[slot]);
            });
            catchUp();
            buffers_.giveBack(sending_);
            sending_.clear();
            sending_.swap(used_);
        }
    }

private:
    void accept() { ring_.ask(Kind::accept, 0, 0, io_uring_prep_multishot_accept_direct, listener_, nullptr, nullptr, 0); }

    void accepted(const io_uring_cqe& done) {
        if (!(done.flags & IORING_CQE_F_MORE)) accept();
        if (done.res < 0) return;
        auto& line = lines_[static_cast<size_t>(done.res)];
        line = {};
        line.isThere = true;
        receive(line);
    }

    void receive(Line& line) {
        ask(Kind::receive, line, IOSQE_BUFFER_SELECT, io_uring_prep_recv_multishot, nullptr, 0, 0);
        line.isReceiving = true;
    }

    void received(Line& line, const io_uring_cqe& done) {
        if (done.res > 0) {
            used_.push_back(static_cast<uint16_t>(done.flags >> IORING_CQE_BUFFER_SHIFT));
            take(line, buffers_.at(used_.back()), static_cast<size_t>(done.res));
        }
        if (done.flags & IORING_CQE_F_MORE) return;
        line.isReceiving = false;
        if (line.isFull) return;
        if (done.res > 0 || done.res == -ENOBUFS || done.res == -ECANCELED) return receive(line);
        ring_.ask(Kind::other, 0, IOSQE_CQE_SKIP_SUCCESS, io_uring_prep_close_direct, slotOf(line));
        line = {};
    }

    void take(Line& line, char* bytes, size_t size) {
        if (line.isOpen && line.in.empty() && !line.isFull && line.sentIn != turn_) {
            const auto [in, outEnd] = echoFrames(bytes, size);
            if (in < size) line.in.assign(bytes + in, size - in);
            return send(line, {bytes + Echoed::start, bytes + outEnd});
        }
        line.in.append(bytes, size);
        answer(line);
    }

    // In a turn a line sends once, so that a send that fails is not overtaken by the next one.
    void answer(Line& line) {
        if (line.isFull) return;
        if (line.sentIn == turn_) return late_.push_back(slotOf(line));
        if (!line.isOpen) return shakeHands(line);
        const auto [in, outEnd] = echoFrames(line.in.data(), line.in.size());
        if (in == 0) return;
        line.out = line.in.substr(in);
        line.out.swap(line.in);
        send(line, std::string_view(line.out).substr(0, outEnd).substr(Echoed::start));
    }

    void shakeHands(Line& line) {
        constexpr std::string_view last = "\r\n\r\n";
        const auto end = line.in.find(last);
        if (end == line.in.npos) return;
        line.isOpen = true;
        line.out = switchingProtocols(line.in);
        line.in.erase(0, end + last.size());
        send(line, line.out);
        if (!line.in.empty()) answer(line);
    }

    // All is sent, unless a completion says otherwise. The bytes stay until that is known, after the next time in the kernel.
    void send(Line& line, std::string_view bytes) {
        if (bytes.empty()) return;
        line.sentIn = turn_;
        line.sent = bytes;
        constexpr int flags = MSG_NOSIGNAL | MSG_DONTWAIT | MSG_WAITALL;  // less than all is a failure
        ask(Kind::send, line, IOSQE_CQE_SKIP_SUCCESS, io_uring_prep_send, bytes.data(), bytes.size(), flags);
    }

    void sendFailed(Line& line, int result) {
        if (!line.isThere || (result < 0 && result != -EAGAIN)) return;  // the receive ends, too
        line.isFull = true;
        line.out = std::string(line.sent.substr(static_cast<size_t>(std::max(result, 0))));
        ask(Kind::rest, line, 0, io_uring_prep_send, line.out.data(), line.out.size(), MSG_NOSIGNAL | MSG_WAITALL);
        ring_.ask(Kind::other, 0, IOSQE_CQE_SKIP_SUCCESS, io_uring_prep_cancel64, Ring::tag(Kind::receive, slotOf(line)), 0);
    }

    void restSent(Line& line) {
        line.isFull = false;
        if (!line.isReceiving) receive(line);
        answer(line);
    }

    // What came for lines that had sent in the turn before.
    void catchUp() {
        std::vector<uint32_t> slots;
        slots.swap(late_);
        for (const auto slot : slots) answer(lines_[slot]);
    }

    template <typename Prepare, typename... Arguments>
    void ask(Kind kind, Line& line, unsigned flags, Prepare prepare, Arguments... arguments) {
        ring_.ask(kind, slotOf(line), flags | IOSQE_FIXED_FILE, prepare, static_cast<int>(slotOf(line)), arguments...);
    }
    uint32_t slotOf(const Line& line) const { return static_cast<uint32_t>(&line - lines_.data()); }

    static size_t mostDescriptors() {
        raiseDescriptorLimit();
        rlimit limit{};
        ::getrlimit(RLIMIT_NOFILE, &limit);
        return std::min<size_t>(limit.rlim_cur, 32768);
    }

    Ring ring_;
    Buffers buffers_{ring_};
    std::vector<Line> lines_ = std::vector<Line>(mostDescriptors());
    std::vector<uint16_t> used_, sending_;  // the buffers of this turn, and of the one before
    std::vector<uint32_t> late_;
    uint64_t turn_ = 1;
    int listener_ = -1;
};

}

int main(int count, char**) {
    Server server;
    if (count > 1) return 0;
    int listener = -1;
    const auto port = listenOn(0, 0, listener);
    setNoDelay(listener);  // what it accepts inherits this
    sayWhere(port);
    server.run(listener);
}
