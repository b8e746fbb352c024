#pragma once
// Checks the records of a FastCGI connection (FastCGI Specification 1.0) before libfcgi sees them, and answers those that
// it is not to see. What the guard approves is one responder's request at a time: BEGIN, PARAMS to their end, STDIN to
// its end, each record whole and without padding. Everything else is answered by the protocol's own means, skipped
// within bounds, or a Violation.

#include "postern/protocol/CgiEnvironment.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace postern {

inline constexpr size_t fastCgiHeaderSize = 8;

struct FastCgiLimits {
    size_t variableBytes = 256 * 1024;  ///< as CgiVariableBudget counts them
    size_t maxConnections = 1;          ///< what FCGI_GET_VALUES is told
};

class FastCgiGuard {
public:
    explicit FastCgiGuard(const FastCgiLimits& limits) : limits_(limits), budget_(limits.variableBytes) {}

    /// Takes records from the front of `bytes` (all that arrived and was not taken before) as far as they are there, up
    /// to the end of PARAMS or of STDIN. Appends what libfcgi may see to `approved` and what the peer is to be told to
    /// `answers`. The value: bytes taken.
    std::variant<size_t, Violation> take(std::string_view bytes, std::string& approved, std::string& answers);

    bool variablesEnded() const { return phase_ == Phase::input || phase_ == Phase::done; }
    bool inputEnded() const { return phase_ == Phase::done; }
    bool aborted() const { return aborted_; }     ///< the gateway does not want an answer any more
    /// The request asked for a role that is not ours. It was told so; the connection is to be closed.
    bool roleRefused() const { return roleRefused_; }
    bool keepsConnection() const { return keepsConnection_; }
    uint16_t requestId() const { return requestId_; }
    /// Nothing of a request was taken since the last one.
    bool atRest() const { return phase_ == Phase::begin && contentLeft_ == 0 && !violation_; }

    /// The request is over: the next may begin.
    void nextRequest();

private:
    enum class Phase : uint8_t { begin, variables, input, done };
    enum class Content : uint8_t { skipped, variables, input };
    struct Header;

    std::variant<size_t, Violation> takeRecord(std::string_view bytes, std::string& approved, std::string& answers);
    std::variant<size_t, Violation> takeManagement(const Header& header, std::string_view content, std::string& answers);
    std::variant<size_t, Violation> takeBegin(const Header& header, std::string_view content, std::string& approved,
                                              std::string& answers);
    std::optional<Violation> takeStream(const Header& header, std::string& approved);
    std::variant<size_t, Violation> takeContent(std::string_view bytes, std::string& approved);
    std::optional<Violation> checkVariables(std::string_view content);
    std::optional<Violation> endLengths();
    bool isRefused(uint16_t id) const;
    void forgetRefused(uint16_t id);

    FastCgiLimits limits_;
    std::optional<Violation> violation_;     // behind what was taken
    Phase phase_ = Phase::begin;
    Content content_ = Content::skipped;     // of the record that is being taken
    uint16_t contentLeft_ = 0;
    uint8_t paddingLeft_ = 0;
    uint16_t requestId_ = 0;
    bool keepsConnection_ = false;
    bool aborted_ = false;
    bool roleRefused_ = false;

    // The pair of PARAMS that is being taken: its lengths, then its bytes.
    enum class Pair : uint8_t { nameLength, valueLength, name, value };
    Pair pair_ = Pair::nameLength;
    uint8_t lengthBytesLeft_ = 0;            // of a length of four bytes
    uint32_t length_ = 0;
    uint32_t nameLeft_ = 0, valueLeft_ = 0;
    CgiVariableBudget budget_;

    unsigned extraRecords_ = 0;              // beside the request's own, since it began
    std::array<uint16_t, 4> refused_{};      // other requests on this connection, told that there is no multiplexing
    size_t refusedCount_ = 0;
};

/// The most content one record has, in whole units of eight bytes.
inline constexpr size_t fastCgiMaxContent = 65528;

/// The header of a record of STDOUT with that much content; none ends the stream.
std::string fastCgiOutputHeader(uint16_t requestId, size_t contentSize);
/// The record that ends a request (§5.5); protocol status 0 is FCGI_REQUEST_COMPLETE.
std::string fastCgiEndRequest(uint16_t requestId, uint8_t protocolStatus);

}
