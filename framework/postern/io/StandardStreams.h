#pragma once
// Standard input and output as one stream: what a CGI program and a command line talk over.

#include "postern/io/ByteStream.h"

namespace postern {

/// Any two descriptors, pipes, sockets, terminals or files. They stay open, but for standard output once sending is
/// finished: that is how its reader learns of the end. A pipe or socket is made non-blocking meanwhile (its other end does not notice); a terminal, which others share, is
/// left as it is.
class StandardStreams final : public ByteStream {
public:
    explicit StandardStreams(Loop& loop, int input = 0, int output = 1);
    ~StandardStreams() override;

protected:
    bool submitReceive(Operation& operation) override;
    void cancelReceive(Operation& operation) override;
    bool submitSend(Operation& operation) override;
    void cancelSend(Operation& operation) override;
    void shutdownSend() override;
    bool hasArrived() const override { return input_.readable; }

private:
    Descriptor input_, output_;
    const int outputNumber_;
};

}
