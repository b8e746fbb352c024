#pragma once
// Names that the current loop looks up for as long as a test wants.

#include "postern/client/Resolve.h"
#include "postern/fiber/Loop.h"

#include <atomic>
#include <chrono>
#include <future>
#include <memory>
#include <string>
#include <utility>
#include <vector>

namespace postern {

class SlowNames {
public:
    SlowNames() {
        Loop::current().local<NameLookUp>().function = [counts = counts_, released = released_.get_future().share()](const std::string&) {
            ++counts->begun;
            released.wait_for(patience);
            ++counts->ended;
            return std::vector<std::string>{"127.0.0.1"};
        };
    }
    SlowNames(const SlowNames&) = delete;
    SlowNames& operator=(const SlowNames&) = delete;
    ~SlowNames() {
        Loop::current().local<NameLookUp>().function = nullptr;
        release();
    }

    /// Ends all look-ups, also those to come.
    void release() {
        if (!std::exchange(isReleased_, true)) released_.set_value();
    }
    int begun() const { return counts_->begun; }
    int ended() const { return counts_->ended; }

private:
    static constexpr auto patience = std::chrono::seconds(5);
    struct Counts {
        std::atomic<int> begun{0}, ended{0};
    };

    const std::shared_ptr<Counts> counts_ = std::make_shared<Counts>();
    std::promise<void> released_;
    bool isReleased_ = false;
};

}
