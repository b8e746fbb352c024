#pragma once
// One connection of a TestClient: requests go out on it, replies are read strictly. Internal.

#include "postern/io/ByteStream.h"
#include "postern/protocol/Chunked.h"
#include "postern/protocol/HttpHead.h"
#include "postern/testing/TestReply.h"

#include <memory>
#include <string>
#include <string_view>

namespace postern {

class TestLine {
public:
    explicit TestLine(std::unique_ptr<ByteStream> stream);

    /// A reply is on its way.
    bool isBusy() const { return stream_ && busy_; }
    /// May the next request use it? Not when the server has closed it, or has said something that nobody asked for.
    bool isIdle() const { return stream_ && !busy_ && !stream_->canReceive() && stream_->unread().empty(); }
    /// Sends a request, however long it is, while everything else goes on.
    void send(std::string_view method, std::string_view bytes);
    /// Goes away, as a client that has lost interest.
    void cut() { stream_.reset(); }

    // On a fiber:

    /// Reads the reply's head. Throws Disconnected when the connection ends instead.
    void receiveHead(TestReply& reply);
    /// The next bytes of the body; empty at its end. Throws Disconnected when the connection ends before.
    std::string receivePiece();

private:
    bool receiveInterim(TestReply& reply);
    std::string receiveHeadText();
    std::string takeKnownLength();
    std::string takeChunked();
    bool receiveMore();
    void finish();

    std::unique_ptr<ByteStream> stream_;  // none: closed
    std::string method_;
    bool busy_ = false;                   // a request was sent and its reply is not complete
    BodyFraming framing_ = BodyFraming::none;
    uint64_t left_ = 0;
    ChunkedDecoder chunks_;
    bool bodyEnded_ = false;              // what was given last was the last
    bool keepAlive_ = true;
};

}
