#pragma once
// Request heads at rest, with the memory they had: a request allocates nothing for its head.

#include "postern/protocol/RequestHead.h"

#include <memory>
#include <vector>

namespace postern {

class HeadPool {
public:
    HeadPool() { heads_.reserve(keptHeads); }

    std::unique_ptr<RequestHead> take() {
        if (heads_.empty()) return std::make_unique<RequestHead>();
        auto head = std::move(heads_.back());
        heads_.pop_back();
        head->clear();
        return head;
    }
    void giveBack(std::unique_ptr<RequestHead> head) noexcept {
        if (heads_.size() < keptHeads && head->bytes.capacity() <= keptBytes) heads_.push_back(std::move(head));
    }

private:
    static constexpr size_t keptHeads = 256;
    static constexpr size_t keptBytes = 4 * 1024;  // one that grew larger is not kept: idle WebSockets hold theirs

    std::vector<std::unique_ptr<RequestHead>> heads_;
};

}
