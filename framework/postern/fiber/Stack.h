#pragma once
// Memory for fibers' stacks: cut from large slabs, each with a page below it that nobody may touch.

#include <cstddef>
#include <vector>

namespace postern {

struct Stack {
    char* bottom = nullptr;   ///< lowest usable byte
    char* top = nullptr;      ///< one past the highest
    size_t size() const { return static_cast<size_t>(top - bottom); }
};

/// Not thread-safe: one pool per loop. Slabs are given back when the pool goes.
class StackPool {
public:
    /// `stackSize` in bytes with the guard page, a multiple of the page size.
    explicit StackPool(size_t stackSize);
    StackPool(const StackPool&) = delete;
    StackPool& operator=(const StackPool&) = delete;
    ~StackPool();

    /// Throws std::bad_alloc when the kernel gives no memory or no more mappings (vm.max_map_count).
    Stack take();
    void giveBack(Stack stack) noexcept;

    /// Gives the pages below `stackPointer` back to the kernel: what a fiber at rest does not need.
    static void trim(const Stack& stack, const char* stackPointer) noexcept;

    static constexpr size_t pageSize = 4096;

private:
    void addSlab();

    static constexpr size_t stacksPerSlab = 64;
    static constexpr size_t warmStacks = 64;  // kept with their pages

    size_t stackSize_;
    std::vector<char*> slabs_;
    std::vector<Stack> free_;
    size_t warm_ = 0;  // the last of them, which may have pages
};

}
