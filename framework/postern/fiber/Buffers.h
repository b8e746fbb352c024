#pragma once
// Memory for bytes in motion. Blocks belong to their loop's pool and are held only while bytes are in them, so an idle
// connection owns none, and the next busy one gets the block that is still in the cache.

#include <cassert>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

/// Not thread-safe: one pool per loop.
class BufferPool {
public:
    static constexpr size_t blockSize = 64 * 1024;

    BufferPool() = default;
    BufferPool(const BufferPool&) = delete;
    BufferPool& operator=(const BufferPool&) = delete;
    ~BufferPool() {
        for (char* block : free_) std::free(block);
    }

    /// `blockSize` bytes. Throws std::bad_alloc.
    char* take() {
        if (free_.empty()) return allocate();
        char* block = free_.back();
        free_.pop_back();
        return block;
    }
    void giveBack(char* block) noexcept {
        if (free_.size() < keptBlocks && free_.size() < free_.capacity()) free_.push_back(block);
        else std::free(block);
    }
    /// Makes room in the pool's own list beforehand, so that giving back never allocates.
    void prepare() { free_.reserve(keptBlocks); }

private:
    static constexpr size_t keptBlocks = 128;

    static char* allocate() {
        auto* block = static_cast<char*>(std::malloc(blockSize));
        if (!block) throw std::bad_alloc();
        return block;
    }

    std::vector<char*> free_;
};

/// Memory from malloc().
struct FreeMemory {
    void operator()(char* memory) const { std::free(memory); }
};
using Memory = std::unique_ptr<char, FreeMemory>;

/// The unread bytes of one connection, contiguous. Takes a block when bytes arrive and gives it back with the last of
/// them; a small rest that has to wait is moved to memory of its own size.
class ReceiveBuffer {
public:
    explicit ReceiveBuffer(BufferPool& pool) : pool_(&pool) {}
    ReceiveBuffer(const ReceiveBuffer&) = delete;
    ReceiveBuffer& operator=(const ReceiveBuffer&) = delete;
    ~ReceiveBuffer() { release(); }

    std::span<char> unread() { return {data_ + begin_, end_ - begin_}; }
    bool empty() const { return begin_ == end_; }

    void consume(size_t size) {
        assert(size <= end_ - begin_);
        begin_ += static_cast<unsigned>(size);
        if (empty()) release();
    }

    /// Consumes `size` bytes but leaves them where they are: gives away the memory that holds them.
    Memory detach(size_t size) {
        assert(size <= end_ - begin_);
        Memory memory(std::exchange(data_, nullptr));
        const std::string_view rest(memory.get() + begin_ + size, end_ - begin_ - size);
        release();
        if (!rest.empty()) append(rest);
        return memory;
    }

    /// Where arriving bytes may be put. Takes a block if there is none and moves unread bytes to its front if there is
    /// no room behind them. Empty when a whole block is unread.
    std::span<char> room() {
        if (!pooled_) moveToBlock();
        else if (end_ == BufferPool::blockSize && begin_ > 0) moveToFront();
        return {data_ + end_, BufferPool::blockSize - end_};
    }
    /// `size` bytes were put into room().
    void grow(size_t size) {
        setEnd(end_ + size);
        releaseIfEmpty();
    }
    void releaseIfEmpty() {
        if (empty()) release();
    }

    /// Called before a wait: a rest of up to 4 KiB gives its block back, so that ten thousand slow clients cost what
    /// they have sent and not a block each.
    void shrink() {
        const size_t size = end_ - begin_;
        if (!pooled_ || size > smallRest) return;
        if (size == 0) return release();
        auto* kept = static_cast<char*>(std::malloc(size));
        if (!kept) return;  // the block stays, nothing is lost
        std::memcpy(kept, data_ + begin_, size);
        release();
        data_ = kept;
        setEnd(size);
    }

    void append(std::string_view bytes) {
        const auto place = room();
        assert(bytes.size() <= place.size());
        std::memcpy(place.data(), bytes.data(), bytes.size());
        grow(bytes.size());
    }

private:
    static constexpr size_t smallRest = 4096;

    void release() {
        if (data_ && pooled_) pool_->giveBack(data_);
        else if (data_) std::free(data_);
        data_ = nullptr;
        pooled_ = false;
        begin_ = 0;
        end_ = 0;
    }
    void setEnd(size_t end) { end_ = static_cast<unsigned>(end) & 0x7fff'ffff; }
    void moveToBlock() {
        char* block = pool_->take();
        const size_t size = end_ - begin_;
        if (size > 0) std::memcpy(block, data_ + begin_, size);
        if (data_) std::free(data_);
        data_ = block;
        pooled_ = true;
        begin_ = 0;
        setEnd(size);
    }
    void moveToFront() {
        std::memmove(data_, data_ + begin_, end_ - begin_);
        setEnd(end_ - begin_);
        begin_ = 0;
    }

    BufferPool* pool_;
    char* data_ = nullptr;
    unsigned begin_ = 0;
    unsigned end_ : 31 = 0;
    unsigned pooled_ : 1 = false;  // data_ is a block, else from malloc()
};

}
