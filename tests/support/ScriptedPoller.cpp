#include "support/ScriptedPoller.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <new>
#include <random>
#include <utility>

namespace postern {

namespace {

constexpr int firstFd = ScriptedPoller::listenFd + 1;
constexpr size_t maxLines = 12;
constexpr size_t maxSaid = 256 * 1024;
constexpr size_t roomy = size_t{1} << 40;

Operation*& slotOf(Operation& operation) {
    const bool reads = operation.kind == Operation::Kind::receive || operation.kind == Operation::Kind::accept;
    return reads ? operation.descriptor->reading : operation.descriptor->writing;
}

}

Script Script::fromSeed(uint64_t seed) {
    std::mt19937_64 random(seed);
    std::string bytes(100 + random() % 900, '\0');
    for (auto& byte : bytes) byte = static_cast<char>(random());
    return Script(bytes);
}

std::string_view Script::take(size_t size) {
    const auto part = std::string_view(bytes_).substr(at_, size);
    at_ += part.size();
    return part;
}

ScriptedLine* ScriptedPoller::lineOf(const Descriptor& descriptor) {
    const auto place = static_cast<size_t>(descriptor.fd - firstFd);
    return descriptor.fd >= firstFd && place < lines_.size() ? lines_[place].get() : nullptr;
}

size_t ScriptedPoller::connect() {
    lines_.push_back(std::make_unique<ScriptedLine>());
    return lines_.size() - 1;
}

void ScriptedPoller::attach(Descriptor& descriptor) {
    if (descriptor.fd == listenFd) {
        listener_ = &descriptor;
        return;
    }
    auto* line = lineOf(descriptor);
    if (!line || line->descriptor || line->closed) return complain("attached what is no new connection");
    line->descriptor = &descriptor;
    update(*line);
}

void ScriptedPoller::close(Descriptor& descriptor, bool reset) {
    if (!descriptor.isOpen()) return;
    if (descriptor.reading || descriptor.writing) complain("closed a descriptor with an operation under way");
    if (&descriptor == listener_) {
        listener_ = nullptr;
    } else if (auto* line = lineOf(descriptor); !line || line->closed) {
        complain("closed what is not open");
    } else {
        line->closed = true;
        line->resetByServer = reset;
        line->descriptor = nullptr;
    }
    descriptor.fd = -1;
}

void ScriptedPoller::shutdownSend(Descriptor& descriptor) {
    if (auto* line = lineOf(descriptor)) line->finReceived = true;
}

bool ScriptedPoller::submit(Operation& operation) {
    ++operations_;
    auto& slot = slotOf(operation);
    if (operation.pending || slot) complain("two operations of a kind at once");
    if (!operation.descriptor->isOpen()) complain("an operation on a closed descriptor");
    if (script_.below(4) != 3 && perform(operation)) return true;
    slot = &operation;
    operation.pending = true;
    return false;
}

void ScriptedPoller::cancel(Operation& operation) {
    if (!operation.pending) return;
    slotOf(operation) = nullptr;
    operation.pending = false;
}

// False: it would block.
bool ScriptedPoller::perform(Operation& operation) {
    if (operation.kind == Operation::Kind::accept) return accept(operation);
    auto* line = lineOf(*operation.descriptor);
    if (!line || line->closed) {
        operation.result = -EBADF;
        return true;
    }
    if (line->failNext != 0) {
        operation.result = -std::exchange(line->failNext, 0);
        line->faulty = true;
        return true;
    }
    const bool done = operation.kind == Operation::Kind::receive ? receive(operation, *line) : send(operation, *line);
    update(*line);
    return done;
}

bool ScriptedPoller::receive(Operation& operation, ScriptedLine& line) {
    if (line.reset) {
        operation.result = -ECONNRESET;
        return true;
    }
    if (line.read == line.arrived) {
        operation.result = 0;
        return line.finished && line.arrived == line.sent.size();
    }
    try {
        const auto room = operation.buffer->room();
        auto size = std::min(room.size(), line.arrived - line.read);
        if (const unsigned cut = script_.below(8); cut >= 5) size = std::min<size_t>(size, 1 + script_.below(cut == 5 ? 1 : 64));
        std::memcpy(room.data(), line.sent.data() + line.read, size);
        operation.buffer->grow(size);
        line.read += size;
        if (!line.finReceived) line.readAtFin = line.read;
        operation.result = static_cast<int64_t>(size);
    } catch (const std::bad_alloc&) {
        operation.result = -ENOMEM;
    }
    return true;
}

bool ScriptedPoller::send(Operation& operation, ScriptedLine& line) {
    if (line.finReceived) complain("sent after its end");
    if (line.reset) {
        operation.result = -EPIPE;
        return true;
    }
    if (line.window == 0) return false;
    iovec pieces[16];
    const size_t count = operation.gather(operation, pieces, 1 + (script_.below(4) == 3 ? 0 : std::size(pieces) - 1));
    size_t most = line.window;
    if (const unsigned cut = script_.below(8); cut >= 5) most = std::min<size_t>(most, 1 + script_.below(cut == 5 ? 1 : 200));
    const size_t before = line.received.size();
    for (size_t i = 0; i < count && most > 0; ++i) {
        const auto size = std::min(most, pieces[i].iov_len);
        line.received.append(static_cast<const char*>(pieces[i].iov_base), size);
        most -= size;
    }
    const size_t sent = line.received.size() - before;
    if (sent == 0) complain("sent nothing");
    if (line.window < roomy) line.window -= sent;
    operation.result = static_cast<int64_t>(sent);
    return true;
}

bool ScriptedPoller::accept(Operation& operation) {
    if (failAccept_ != 0) {
        operation.result = -std::exchange(failAccept_, 0);
        return true;
    }
    const auto next = std::find_if(lines_.begin(), lines_.end(), [](const auto& line) { return !line->accepted; });
    if (next == lines_.end()) return false;
    (*next)->accepted = true;
    operation.result = firstFd + (next - lines_.begin());
    return true;
}

// What an epoll event would have told the descriptor.
void ScriptedPoller::update(ScriptedLine& line) {
    if (!line.descriptor) return;
    const bool ended = line.finished && line.arrived == line.sent.size();
    line.descriptor->readable = line.reset || line.read < line.arrived || ended;
    line.descriptor->hungUp = line.reset || ended;
    line.descriptor->writable = line.reset || line.window > 0;
}

ScriptedLine* ScriptedPoller::anyLine() {
    const auto isOpen = [](const auto& line) { return !line->closed; };
    const auto open = std::count_if(lines_.begin(), lines_.end(), isOpen);
    if (open == 0) return lines_.size() < maxLines ? lines_[connect()].get() : nullptr;
    auto found = std::find_if(lines_.begin(), lines_.end(), isOpen);
    for (unsigned skip = script_.below(static_cast<unsigned>(open)); skip > 0; --skip)
        found = std::find_if(found + 1, lines_.end(), isOpen);
    return found->get();
}

void ScriptedPoller::say(ScriptedLine& line) {
    if (line.finished || line.sent.size() > maxSaid) return;
    const auto pick = [&](const std::vector<std::string>& from) {
        return from.empty() ? std::string_view() : from[script_.below(static_cast<unsigned>(from.size()))];
    };
    std::string_view said;
    switch (script_.below(32)) {
    case 31: said = script_.take(1 + script_.below(8)); break;
    case 30: said = script_.take(script_.below(200)); break;
    case 29: said = pick(phrases_.odd); break;
    default: said = pick(line.speaksFrames ? phrases_.frames : phrases_.requests); break;
    }
    line.speaksFrames = line.speaksFrames || said.starts_with(phrases_.upgrade);
    line.sent += said;
}

// One thing that happens in the world.
void ScriptedPoller::act() {
    const unsigned what = script_.below(20);
    if (what == 0) {
        if (lines_.size() < maxLines && script_.below(8) == 7) connect();
        return;
    }
    if (what == 1) {
        constexpr int milliseconds[] = {1, 1, 1, 1, 1, 1, 1, 10, 10, 10, 100, 100, 1000, 5000, 11'000, 31'000, 80'000};
        now_ += std::chrono::milliseconds(milliseconds[script_.below(std::size(milliseconds))]);
        return;
    }
    if (what == 2) {
        constexpr int errors[] = {EMFILE, ECONNABORTED, ENOBUFS, EPROTO};
        if (script_.below(4) == 3) failAccept_ = errors[script_.below(std::size(errors))];
        return;
    }
    auto* line = anyLine();
    if (!line) return;
    constexpr int errors[] = {ECONNRESET, ETIMEDOUT, ENOBUFS, EHOSTUNREACH};
    switch (what) {
    case 3: line->window = script_.below(16) == 15 ? script_.below(250) : 64 * 1024; break;
    case 4: line->window += script_.below(250) * 16; break;
    case 5: line->finished = line->finished || script_.below(16) == 15; break;
    case 6: line->reset = line->reset || (line->accepted && script_.below(32) == 31); break;
    case 7: if (script_.below(32) == 31) line->failNext = errors[script_.below(std::size(errors))]; break;
    case 8:
    case 9:
    case 10:
    case 11: line->arrived += std::min<size_t>(line->sent.size() - line->arrived, 1 + script_.below(100)); break;
    case 12:
    case 13:
    case 14: line->arrived = line->sent.size(); break;
    default: say(*line); break;
    }
    update(*line);
}

bool ScriptedPoller::completeAll() {
    bool any = false;
    const auto tryOne = [&](Operation* operation) {
        if (!operation || !perform(*operation)) return;
        slotOf(*operation) = nullptr;
        operation->pending = false;
        any = true;
        operation->complete();
    };
    if (listener_) tryOne(listener_->reading);
    for (size_t i = 0; i < lines_.size(); ++i) {
        if (lines_[i]->descriptor) tryOne(lines_[i]->descriptor->reading);
        if (lines_[i]->descriptor) tryOne(lines_[i]->descriptor->writing);
    }
    return any;
}

// When the script is over everything still said arrives, everybody reads all there is, and leaves.
bool ScriptedPoller::sayGoodbye() {
    bool any = false;
    for (auto& line : lines_) {
        if (line->closed || (line->finished && line->arrived == line->sent.size() && line->window == roomy)) continue;
        line->finished = true;
        line->arrived = line->sent.size();
        line->window = roomy;
        update(*line);
        any = true;
    }
    return any;
}

void ScriptedPoller::wait(TimePoint until) {
    if (script_.isOver()) {
        if (sayGoodbye() || completeAll() || until <= now_) return;
        if (until == TimePoint::max()) over_ = true;
        else now_ = until;
        return;
    }
    for (unsigned count = 1 + script_.below(4); count > 0; --count) act();
    completeAll();
    const bool soon = until < now_ + std::chrono::seconds(1);
    if (until != TimePoint::max() && until > now_ && script_.below(soon ? 3 : 100) == 1) now_ = until;
}

}
