#include "postern/fiber/Stack.h"

#include "support/Catch.h"

#include <algorithm>
#include <cstring>
#include <set>
#include <vector>

using namespace postern;

TEST_CASE("stacks do not overlap, and each is as large as it was asked for but for its guard", "[fiber]") {
    StackPool pool(64 * 1024);
    std::vector<Stack> stacks;
    for (int i = 0; i < 200; ++i) {
        stacks.push_back(pool.take());
        CHECK(stacks.back().size() == 64 * 1024 - StackPool::pageSize);
        std::memset(stacks.back().bottom, i, stacks.back().size());
    }
    for (int i = 0; i < 200; ++i) {
        const auto& stack = stacks[static_cast<size_t>(i)];
        const auto isOurs = [i](char c) { return c == static_cast<char>(i); };
        CHECK(std::all_of(stack.bottom, stack.top, isOurs));
    }
    for (const auto& stack : stacks) pool.giveBack(stack);
}

TEST_CASE("a stack that was given back is the next one taken", "[fiber]") {
    StackPool pool(64 * 1024);
    const auto first = pool.take(), second = pool.take();
    pool.giveBack(first);
    CHECK(pool.take().bottom == first.bottom);
    pool.giveBack(second);
    CHECK(pool.take().bottom == second.bottom);
    std::set<char*> seen;
    for (int i = 0; i < 1000; ++i) {
        const auto stack = pool.take();
        seen.insert(stack.bottom);
        pool.giveBack(stack);
    }
    CHECK(seen.size() == 1);
}

TEST_CASE("of many stacks that rest the last ones given back keep their pages, and keep them when they are taken again", "[fiber]") {
    constexpr size_t count = 200, warm = 64;
    StackPool pool(64 * 1024);
    std::vector<Stack> stacks(count);
    for (auto& stack : stacks) {
        stack = pool.take();
        stack.top[-1] = 'x';
    }
    for (const auto& stack : stacks) pool.giveBack(stack);
    for (size_t i = 0; i < count; ++i) CHECK(stacks[i].top[-1] == (i < count - warm ? 0 : 'x'));
    for (int i = 0; i < 1000; ++i) {
        const auto stack = pool.take();
        CHECK(stack.top[-1] == 'x');
        pool.giveBack(stack);
    }
}

TEST_CASE("trimming a stack keeps what lies above the stack pointer", "[fiber]") {
    StackPool pool(64 * 1024);
    const auto stack = pool.take();
    std::memset(stack.bottom, 'x', stack.size());
    const char* pointer = stack.top - 2 * StackPool::pageSize - 100;
    StackPool::trim(stack, pointer);
    CHECK(std::all_of(pointer - 128, static_cast<const char*>(stack.top), [](char c) { return c == 'x'; }));
    CHECK(*stack.bottom == 0);
    pool.giveBack(stack);
}

TEST_CASE("a stack size is rounded up to pages, and never too small to run on", "[fiber]") {
    StackPool odd(64 * 1024 + 1), tiny(1);
    CHECK(odd.take().size() == 64 * 1024);
    CHECK(tiny.take().size() >= 2 * StackPool::pageSize);
}
