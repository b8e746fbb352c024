#include "postern/fiber/Stack.h"

#include <sys/mman.h>

#include <cstdint>
#include <new>

namespace postern {

namespace {

// Linux 6.13 guards pages without a mapping of their own each (the headers of Debian 12 do not know the name).
constexpr int madviseGuardInstall = 102;

bool guard(char* page) {
    return ::madvise(page, StackPool::pageSize, madviseGuardInstall) == 0 ||
           ::mprotect(page, StackPool::pageSize, PROT_NONE) == 0;
}

}

StackPool::StackPool(size_t stackSize) : stackSize_((stackSize + pageSize - 1) / pageSize * pageSize) {
    if (stackSize_ < 4 * pageSize) stackSize_ = 4 * pageSize;
}

StackPool::~StackPool() {
    for (char* slab : slabs_) ::munmap(slab, stackSize_ * stacksPerSlab);
}

Stack StackPool::take() {
    if (free_.empty()) addSlab();
    const Stack stack = free_.back();
    free_.pop_back();
    if (warm_ > 0) --warm_;
    return stack;
}

// The one that rested longest gives its pages back, not the one that is taken next.
void StackPool::giveBack(Stack stack) noexcept {
    free_.push_back(stack);  // addSlab() reserved the place
    if (++warm_ <= warmStacks) return;
    const auto& coldest = free_[free_.size() - warm_--];
    trim(coldest, coldest.top);
}

void StackPool::trim(const Stack& stack, const char* stackPointer) noexcept {
    constexpr size_t redZone = 128;
    const auto used = reinterpret_cast<uintptr_t>(stackPointer) - (stackPointer == stack.top ? 0 : redZone);
    char* end = stack.bottom + (used - reinterpret_cast<uintptr_t>(stack.bottom)) / pageSize * pageSize;
    if (end > stack.bottom) ::madvise(stack.bottom, static_cast<size_t>(end - stack.bottom), MADV_DONTNEED);
}

void StackPool::addSlab() {
    const size_t size = stackSize_ * stacksPerSlab;
    free_.reserve((slabs_.size() + 1) * stacksPerSlab);
    slabs_.reserve(slabs_.size() + 1);
    void* memory = ::mmap(nullptr, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    ::madvise(memory, size, MADV_NOHUGEPAGE);  // a huge page would make every fiber cost its whole stack
    auto* slab = static_cast<char*>(memory);
    for (size_t i = 0; i < stacksPerSlab; ++i) {
        char* base = slab + i * stackSize_;
        if (!guard(base)) {
            ::munmap(memory, size);
            free_.resize(free_.size() - i);
            throw std::bad_alloc();
        }
        free_.push_back({base + pageSize, base + stackSize_});
    }
    slabs_.push_back(slab);
}

}
