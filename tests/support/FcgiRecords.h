#pragma once
// FastCGI records as a web server writes and reads them, apart from the framework's own. Always of request 1.

#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

enum class FcgiType : unsigned char { begin = 1, abort = 2, end = 3, params = 4, in = 5, out = 6, err = 7 };

/// One record of at most 65,535 bytes.
std::string fcgiRecord(FcgiType type, std::string_view content);
/// As many as it takes; none for nothing.
std::string fcgiRecords(FcgiType type, std::string_view content);
/// BEGIN_REQUEST of a responder.
std::string fcgiBegin(bool keepConnection = false);
/// What PARAMS hold.
std::string fcgiPairs(const std::vector<std::pair<std::string, std::string>>& variables);

struct FcgiRecord {
    FcgiType type{};
    bool isOurs = false;   ///< version 1, request 1
    std::string content;   ///< without padding
};
/// Takes a whole record from the front of `bytes`. False: more must come.
bool takeFcgiRecord(std::string& bytes, FcgiRecord& record);

}
