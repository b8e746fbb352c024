#pragma once
// Reads what the tested end sends as strictly as it is to read itself.

#include "conformance/Notation.h"
#include "support/RawDeflate.h"

#include <memory>

namespace postern::conformance {

class PeerReader {
public:
    PeerReader(Role tested, const Setup& setup);

    void feed(std::string_view bytes);
    const std::vector<Event>& events() const { return events_; }
    /// The rule that the tested end broke, or nothing.
    const std::string& complaint() const { return complaint_; }
    /// Bytes of a frame that is not whole.
    bool isInsideFrame() const { return !unread_.empty() || isMessageOpen_; }

private:
    struct Frame {
        bool fin, compressed;
        int opcode;
        std::string payload;
    };

    bool takeFrame(Frame& frame);
    void understand(Frame frame);
    void finishMessage();
    bool complain(const char* rule);

    const bool masked_;
    const bool takeover_;
    std::unique_ptr<RawInflater> inflater_; // none: RSV1 must be off
    std::string unread_;
    std::string message_;
    bool isMessageOpen_ = false, isText_ = false, isCompressed_ = false, closed_ = false;
    std::vector<std::string> keys_; // of the last masked frames
    std::vector<Event> events_;
    std::string complaint_;
};

} // namespace postern::conformance
