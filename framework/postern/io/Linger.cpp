#include "postern/io/Linger.h"

namespace postern {

namespace {

// What a peer may still send after our last byte before we stop being polite.
constexpr size_t maxDiscarded = 1024 * 1024;

}

class Linger::Connection final : private Drainable, public ListNode<LingerTag> {
public:
    Connection(Linger& owner, std::unique_ptr<ByteStream> stream)
        : Drainable([](Drainable& self, How how) {
              if (how == How::abort) delete static_cast<Connection*>(&self);
          }),
          owner_(owner),
          stream_(std::move(stream)),
          timer_(owner.loop_.timers(), [](Timer& timer) { delete static_cast<Connection*>(timer.owner()); }, this) {
        owner.loop_.add(*this);
        stream_->onSent([](void* self) { static_cast<Connection*>(self)->discard(); }, this);
        stream_->finishSending();
    }

private:
    void discard() {
        static constexpr StreamReceiver receiver{[](void* self) { static_cast<Connection*>(self)->discard(); }};
        if (!timer_.isSet()) timer_.set(owner_.loop_.in(owner_.patience_).at());
        for (;;) {
            const auto size = stream_->unread().size();
            discarded_ += size;
            stream_->consume(size);
            if (stream_->ended() || stream_->broken() || discarded_ > maxDiscarded) {
                delete this;
                return;
            }
            if (!stream_->startReceive(receiver, this)) return;
        }
    }

    Linger& owner_;
    std::unique_ptr<ByteStream> stream_;
    Timer timer_;
    size_t discarded_ = 0;
};

Linger::~Linger() {
    while (!connections_.empty()) delete &connections_.front();
}

void Linger::close(std::unique_ptr<ByteStream> stream) {
    if (stream->broken()) return;
    connections_.pushBack(*new Connection(*this, std::move(stream)));
}

}
