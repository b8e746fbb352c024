#include "postern/fiber/Buffers.h"

#include "support/Catch.h"

#include <string>

using namespace postern;

TEST_CASE("a buffer holds a block only while bytes are in it", "[fiber]") {
    BufferPool pool;
    pool.prepare();
    ReceiveBuffer buffer(pool);
    CHECK(buffer.empty());
    const char* block = buffer.room().data();
    CHECK(buffer.room().size() == BufferPool::blockSize);
    buffer.releaseIfEmpty();
    char* again = pool.take();
    CHECK(again == block);
    pool.giveBack(again);
    buffer.append("hello");
    CHECK(buffer.unread().data() == block);
    buffer.consume(5);
    again = pool.take();
    CHECK(again == block);
    pool.giveBack(again);
}

TEST_CASE("a small rest that waits gives its block back and keeps its bytes", "[fiber]") {
    BufferPool pool;
    pool.prepare();
    ReceiveBuffer buffer(pool);
    for (const size_t rest : {size_t{1}, size_t{4096}, size_t{4097}}) {
        const std::string bytes(rest, 'r');
        buffer.append("consumed" + bytes);
        const char* block = buffer.unread().data();
        buffer.consume(8);
        buffer.shrink();
        CHECK(std::string_view(buffer.unread().data(), buffer.unread().size()) == bytes);
        char* next = pool.take();
        CHECK((next == block) == (rest <= 4096));
        pool.giveBack(next);
        buffer.append("more");
        CHECK(std::string_view(buffer.unread().data(), buffer.unread().size()) == bytes + "more");
        buffer.consume(rest + 4);
    }
}

TEST_CASE("a full buffer has no room until something is consumed", "[fiber]") {
    BufferPool pool;
    ReceiveBuffer buffer(pool);
    buffer.append(std::string(BufferPool::blockSize - 1, 'a'));
    buffer.append("b");
    CHECK(buffer.room().empty());
    buffer.consume(BufferPool::blockSize - 3);
    CHECK(buffer.room().size() == BufferPool::blockSize - 3);
    CHECK(std::string_view(buffer.unread().data(), 3) == "aab");
}
