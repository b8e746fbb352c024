#pragma once
// The body and the reply of one FastCGI request as a stream of bytes, over the stream that carries its records.

#include "postern/gateway/FastCgiRequest.h"

#include <memory>

namespace postern {

class FastCgiStream final : public ByteStream {
public:
    /// A request whose variables were read, on the wire it came by.
    FastCgiStream(std::unique_ptr<ByteStream> wire, std::shared_ptr<FastCgiRequest> request);
    ~FastCgiStream() override;

    /// Also of the wire, which is where a peer that takes nothing is noticed.
    void setLimits(const StreamLimits& limits) override;

    void flush(Deadline deadline = Deadline::never()) override;

    /// See FastCgiRequest.
    void becomeTunnel() { request_->becomeTunnel(); }
    /// Ends the request behind what was written, and gives the wire back. Nothing but the destructor may follow. Throws
    /// Disconnected, Cancelled.
    std::unique_ptr<ByteStream> endRequest();

protected:
    bool submitReceive(Operation& operation) override;
    void cancelReceive(Operation& operation) override;
    bool submitSend(Operation& operation) override;
    void cancelSend(Operation& operation) override;
    void shutdownSend() override;
    bool isShutDown() const override { return wire_->isSendingFinished() || wire_->broken(); }
    bool hasArrived() const override;

private:
    bool tryReceive(Operation& operation);
    void arrived();
    bool handOver(Operation& operation);
    void awaitWire(Operation& operation);
    void wireSent();

    std::unique_ptr<ByteStream> wire_;
    std::shared_ptr<FastCgiRequest> request_;
    Operation* receiving_ = nullptr;
    Operation* sending_ = nullptr;
    bool handedOver_ = false;  // the wire has the bytes of sending_, not yet the kernel
};

}
