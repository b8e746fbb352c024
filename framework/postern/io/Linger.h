#pragma once
// Closes connections without a reset overtaking the last words on them: what is queued is sent, then our end is told to
// the peer, and what it still sends is read and dropped until it ends too, or patience does.

#include "postern/io/ByteStream.h"

#include <memory>

namespace postern {

class Linger {
public:
    /// Belongs to whoever accepted the connections; those that are left when it goes are cut.
    Linger(Loop& loop, Duration most) : loop_(loop), patience_(most) {}
    ~Linger();
    Linger(const Linger&) = delete;
    Linger& operator=(const Linger&) = delete;

    void close(std::unique_ptr<ByteStream> stream);

private:
    class Connection;

    Loop& loop_;
    const Duration patience_;  // from our last byte on
    List<Connection, struct LingerTag> connections_;
};

}
