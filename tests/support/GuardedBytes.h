#pragma once
// Bytes that end exactly where an inaccessible page begins: reading one too many ends the test.

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <new>
#include <span>
#include <stdexcept>
#include <string_view>

namespace postern {

class GuardedBytes {
public:
    /// Room for `capacity` bytes; none of them in use yet.
    explicit GuardedBytes(size_t capacity) {
        const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
        room_ = (capacity + page - 1) / page * page;
        mapped_ = room_ + page;
        void* memory = ::mmap(nullptr, mapped_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        if (memory == MAP_FAILED) throw std::bad_alloc();
        memory_ = static_cast<char*>(memory);
        if (::mprotect(memory_ + room_, page, PROT_NONE) != 0) throw std::runtime_error("mprotect failed");
    }
    explicit GuardedBytes(std::string_view bytes) : GuardedBytes(bytes.size()) { put(bytes); }
    ~GuardedBytes() { ::munmap(memory_, mapped_); }
    GuardedBytes(const GuardedBytes&) = delete;
    GuardedBytes& operator=(const GuardedBytes&) = delete;

    /// Replaces what is there; the bytes given must not lie inside.
    std::string_view put(std::string_view bytes) {
        if (bytes.size() > room_) throw std::length_error("more bytes than the guarded room holds");
        size_ = bytes.size();
        std::copy(bytes.begin(), bytes.end(), span().begin());
        return view();
    }

    std::string_view view() const { return {memory_ + room_ - size_, size_}; }
    std::span<char> span() { return {memory_ + room_ - size_, size_}; }
    operator std::string_view() const { return view(); }

private:
    size_t room_ = 0;
    size_t mapped_ = 0;
    size_t size_ = 0;
    char* memory_ = nullptr;
};

}
