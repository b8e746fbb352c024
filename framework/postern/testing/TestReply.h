#pragma once

#include "postern/base/Errors.h"
#include "postern/protocol/ClientHandshake.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern {

/// What a handler answered.
struct TestReply {
    int status = 0;
    std::string reason;
    std::vector<Header> headers;  ///< in the order they came
    std::string body;             ///< without the chunks it came in

    /// The last field of that name (names compare without case), or empty; all of them in order.
    std::string header(std::string_view name) const;
    std::vector<std::string> headerArray(std::string_view name) const;
    bool hasHeader(std::string_view name) const { return !headerArray(name).empty(); }
    /// The value of a cookie that this reply sets, or empty.
    std::string cookie(std::string_view name) const;
};

/// The connection ended in the middle of a reply: the handler failed when a part of it was sent already.
class IncompleteReply : public Disconnected {
public:
    IncompleteReply(const std::string& what, TestReply reply) : Disconnected(what), reply_(std::move(reply)) {}
    const TestReply& reply() const { return reply_; }  ///< what had come

private:
    TestReply reply_;
};

}
