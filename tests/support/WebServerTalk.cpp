#include "support/WebServerTalk.h"

#include <algorithm>
#include <stdexcept>

namespace postern {

// Knows the time, and nothing else: pipes need no kernel.
class WebServerTalk::Kernel final : public Poller {
public:
    TimePoint now() override { return now_; }
    void attach(Descriptor&) override { throw std::logic_error("there are no descriptors here"); }
    void close(Descriptor&, bool) override {}
    void shutdownSend(Descriptor&) override {}
    bool submit(Operation&) override { throw std::logic_error("there are no descriptors here"); }
    void cancel(Operation&) override {}
    void wait(TimePoint until) override { now_ = std::max(now_, until); }
    void wake() override {}

private:
    TimePoint now_{std::chrono::hours(1)};
};

namespace {

constexpr int turnsToSettle = 8;

LoopOptions loggingTo(std::vector<std::string>& lines) {
    LoopOptions options;
    options.log = [&](LogLevel, std::string_view line) { lines.emplace_back(line); };
    return options;
}

}

WebServerTalk::WebServerTalk(CgiProtocol protocol, Handler handler, WebServerSettings settings, HandlerSettings handling)
    : protocol_(protocol),
      handler_(std::move(handler)),
      settings_(std::move(settings)),
      handling_(std::move(handling)),
      handle_([this](Exchange& exchange) { serveExchange(exchange, handling_, handler_); }) {
    auto kernel = std::make_unique<Kernel>();
    kernel_ = kernel.get();
    loop_ = std::make_unique<Loop>(loggingTo(log_), std::move(kernel));
    gateway_ = std::make_unique<WebServerGateway>(*loop_, -1, protocol_, settings_, handle_);
}

WebServerTalk::~WebServerTalk() {
    gateway_.reset();
    loop_->endFibers();
    lines_.clear();
}

WebServerTalk::Line& WebServerTalk::connect(size_t capacity) {
    auto ends = Pipe::make(*loop_, capacity);
    auto& line = *lines_.emplace_back(new Line(*this));
    line.end_ = std::move(ends.first);
    line.end_->setLimits({StreamLimits().highWater, Duration::max()});
    gateway_->serve(std::move(ends.second), {"127.0.0.1", 1});
    settle();
    return line;
}

WireReply WebServerTalk::ask(std::string_view bytes) {
    auto& line = connect();
    line.send(bytes);
    return line.reply();
}

void WebServerTalk::settle() {
    for (int quiet = 0; quiet < turnsToSettle; ++quiet) {
        loop_->turn(TimePoint::min());
        for (auto& line : lines_) {
            if (line->receive()) quiet = 0;
        }
    }
}

void WebServerTalk::pass(Duration time) {
    for (const auto end = kernel_->now() + time; kernel_->now() < end;) {
        const auto before = kernel_->now();
        loop_->turn(end);
        settle();
        if (kernel_->now() == before) kernel_->wait(std::min(end, before + std::chrono::milliseconds(1)));
    }
}

size_t WebServerTalk::logged(std::string_view part) const {
    return static_cast<size_t>(
        std::count_if(log_.begin(), log_.end(), [&](const auto& line) { return line.find(part) != std::string::npos; }));
}

void WebServerTalk::Line::send(std::string_view bytes) {
    if (end_ && !end_->broken()) end_->queue({bytes});
    talk_.settle();
}

void WebServerTalk::Line::finishSending() {
    end_->finishSending();
    talk_.settle();
}

void WebServerTalk::Line::drop() {
    end_.reset();
    talk_.settle();
}

bool WebServerTalk::Line::ended() const { return !end_ || end_->ended() || end_->broken(); }

// True: something moved, in either direction.
bool WebServerTalk::Line::receive() {
    if (!end_) return false;
    const bool sent = end_->queuedBytes() != std::exchange(queued_, end_->queuedBytes());
    if (stalled_) return sent;
    const auto before = received.size();
    do {
        received += end_->unreadText();
        end_->consume(end_->unread().size());
    } while (!end_->ended() && !end_->broken() && !end_->isReceiving() && end_->startReceive(noReceiver, nullptr));
    return sent || received.size() > before;
}

}
