#include "postern/protocol/FastCgiGuard.h"

#include <algorithm>
#include <cassert>
#include <utility>

namespace postern {

namespace {

enum Type : uint8_t {
    beginRequest = 1,
    abortRequest = 2,
    endRequest = 3,
    params = 4,
    stdinData = 5,
    stdoutData = 6,
    getValues = 9,
    getValuesResult = 10,
    unknownType = 11
};
constexpr uint16_t responder = 1;
constexpr uint8_t keepConnection = 1;
constexpr uint8_t cannotMultiplex = 1, unknownRole = 3;
constexpr size_t beginSize = 8;
// A gateway asks for the three values there are, once; their names take less than 64 bytes.
constexpr size_t maxManagementBytes = 1024;
// Records beside those of the request: questions, and requests that were refused.
constexpr unsigned maxExtraRecords = 64;

constexpr Violation broken(const char* reason) { return {400, reason}; }

uint16_t readNumber(std::string_view bytes) {
    return static_cast<uint16_t>(static_cast<unsigned char>(bytes[0]) << 8 | static_cast<unsigned char>(bytes[1]));
}

void appendHeader(std::string& to, uint8_t type, uint16_t id, size_t contentSize) {
    for (const size_t byte : {size_t{1}, size_t{type}, size_t{id} >> 8, size_t{id}, contentSize >> 8, contentSize, size_t{0}, size_t{0}})
        to += static_cast<char>(byte);
}

// The three values a FastCGI application has, each told once however often it is asked for (§4.1).
std::optional<Violation> appendValues(std::string_view questions, size_t maxConnections, std::string& answers) {
    struct Known {
        std::string_view name;
        std::string value;
        bool told = false;
    } known[] = {{"FCGI_MAX_CONNS", std::to_string(maxConnections)},
                 {"FCGI_MAX_REQS", std::to_string(maxConnections)},
                 {"FCGI_MPXS_CONNS", "0"}};
    std::string content;
    while (!questions.empty()) {
        const auto nameSize = static_cast<unsigned char>(questions[0]);
        // Names of more than 127 bytes are none of the three, and a question has no value.
        if (questions.size() < 2u + nameSize || nameSize > 127 || questions[1] != 0)
            return broken("malformed FCGI_GET_VALUES");
        const auto name = questions.substr(2, nameSize);
        questions.remove_prefix(2u + nameSize);
        for (auto& entry : known) {
            if (entry.name != name || std::exchange(entry.told, true)) continue;
            content.append(1, static_cast<char>(name.size())).append(1, static_cast<char>(entry.value.size()));
            content.append(name).append(entry.value);
        }
    }
    appendHeader(answers, getValuesResult, 0, content.size());
    answers += content;
    return {};
}

}

struct FastCgiGuard::Header {
    uint8_t version, type;
    uint16_t id, contentSize;
    uint8_t paddingSize;

    explicit Header(std::string_view bytes)
        : version(static_cast<uint8_t>(bytes[0])),
          type(static_cast<uint8_t>(bytes[1])),
          id(readNumber(bytes.substr(2))),
          contentSize(readNumber(bytes.substr(4))),
          paddingSize(static_cast<uint8_t>(bytes[6])) {}
};

std::string fastCgiOutputHeader(uint16_t requestId, size_t contentSize) {
    std::string header;
    appendHeader(header, stdoutData, requestId, contentSize);
    return header;
}

std::string fastCgiEndRequest(uint16_t requestId, uint8_t protocolStatus) {
    std::string record;
    appendHeader(record, endRequest, requestId, 8);
    record.append(4, '\0').append(1, static_cast<char>(protocolStatus)).append(3, '\0');
    return record;
}

void FastCgiGuard::nextRequest() {
    assert(contentLeft_ == 0);
    const auto padding = paddingLeft_;
    const auto refused = refused_;
    const auto refusedCount = refusedCount_;
    *this = FastCgiGuard(limits_);
    paddingLeft_ = padding;
    refused_ = refused;  // what was under way of them may still come
    refusedCount_ = refusedCount;
}

std::variant<size_t, Violation> FastCgiGuard::take(std::string_view bytes, std::string& approved, std::string& answers) {
    if (violation_) return *violation_;
    const auto before = variablesEnded();
    size_t taken = 0;
    while (!aborted_ && !roleRefused_ && !inputEnded() && variablesEnded() == before) {
        const auto rest = bytes.substr(taken);
        const auto step = contentLeft_ > 0 || paddingLeft_ > 0 ? takeContent(rest, approved)
                                                               : takeRecord(rest, approved, answers);
        if (const auto* violation = std::get_if<Violation>(&step)) {
            violation_ = *violation;
            break;
        }
        const auto size = std::get<size_t>(step);
        if (size == 0) break;
        taken += size;
    }
    // What came before the breach counts, as it would if it had come alone.
    if (violation_ && taken == 0) return *violation_;
    return taken;
}

std::variant<size_t, Violation> FastCgiGuard::takeRecord(std::string_view bytes, std::string& approved,
                                                         std::string& answers) {
    if (!bytes.empty() && bytes[0] != 1) return broken("no FastCGI: the version of a record is not 1");
    if (bytes.size() < fastCgiHeaderSize) return size_t{0};
    const Header header(bytes);
    const auto content = bytes.substr(fastCgiHeaderSize);
    auto rest = size_t{0};
    if (header.id == 0 || header.type == beginRequest) {
        auto taken = header.id == 0 ? takeManagement(header, content, answers)
                                    : takeBegin(header, content, approved, answers);
        if (std::holds_alternative<Violation>(taken)) return taken;
        rest = std::get<size_t>(taken);
        if (rest < header.contentSize) return size_t{0};  // not all there
    } else if (const auto violation = takeStream(header, approved)) {
        return *violation;
    }
    contentLeft_ = static_cast<uint16_t>(header.contentSize - rest);
    paddingLeft_ = header.paddingSize;
    return fastCgiHeaderSize + rest;
}

// Questions about the application itself (§4); libfcgi answers some of them out of bounds.
std::variant<size_t, Violation> FastCgiGuard::takeManagement(const Header& header, std::string_view content,
                                                             std::string& answers) {
    if (header.type < getValues || header.type == getValuesResult || header.type == unknownType)
        return broken("a FastCGI record without a request");
    if (header.contentSize > maxManagementBytes) return broken("a FastCGI management record is too large");
    if (content.size() < header.contentSize) return size_t{0};
    if (++extraRecords_ > maxExtraRecords) return broken("too many FastCGI management records");
    if (header.type == getValues) {
        if (const auto violation = appendValues(content.substr(0, header.contentSize), limits_.maxConnections, answers))
            return *violation;
    } else {
        appendHeader(answers, unknownType, 0, 8);
        answers.append(1, static_cast<char>(header.type)).append(7, '\0');
    }
    return size_t{header.contentSize};
}

std::variant<size_t, Violation> FastCgiGuard::takeBegin(const Header& header, std::string_view content,
                                                        std::string& approved, std::string& answers) {
    if (header.contentSize != beginSize) return broken("malformed FCGI_BEGIN_REQUEST");
    if (content.size() < beginSize) return size_t{0};
    if (phase_ != Phase::begin) {
        if (header.id == requestId_ || isRefused(header.id)) return broken("a FastCGI request begins twice");
        if (refusedCount_ == refused_.size()) return broken("too many FastCGI requests on one connection at a time");
        refused_[refusedCount_++] = header.id;
        answers += fastCgiEndRequest(header.id, cannotMultiplex);
        return beginSize;
    }
    forgetRefused(header.id);
    requestId_ = header.id;
    keepsConnection_ = content[2] & keepConnection;
    if (readNumber(content) != responder) {
        roleRefused_ = true;
        answers += fastCgiEndRequest(header.id, unknownRole);
        return beginSize;
    }
    phase_ = Phase::variables;
    appendHeader(approved, beginRequest, header.id, beginSize);
    approved.append(content.substr(0, beginSize));
    return beginSize;
}

// A record of the stream that is open, or of a request that we do not serve.
std::optional<Violation> FastCgiGuard::takeStream(const Header& header, std::string& approved) {
    content_ = Content::skipped;
    const bool own = header.id == requestId_ && phase_ != Phase::begin;
    if (!own) {
        // An abort may cross the end of the request it is for.
        if (!isRefused(header.id) && (header.type != abortRequest || phase_ != Phase::begin))
            return broken("a FastCGI record of a request that did not begin");
        if (++extraRecords_ > maxExtraRecords) return broken("too many records of a refused FastCGI request");
        if (header.type == stdinData && header.contentSize == 0) forgetRefused(header.id);
        return {};
    }
    if (header.type == abortRequest) {
        aborted_ = true;
        return {};
    }
    if (header.type == params && phase_ == Phase::variables) {
        content_ = Content::variables;
        if (header.contentSize > 0) return {};
        if (pair_ != Pair::nameLength || lengthBytesLeft_ > 0) return broken("FCGI_PARAMS end within a variable");
        phase_ = Phase::input;
    } else if (header.type == stdinData && phase_ == Phase::input) {
        content_ = Content::input;
        if (header.contentSize > 0) return {};
        phase_ = Phase::done;
    } else {
        return broken("a FastCGI record out of order");
    }
    appendHeader(approved, header.type, header.id, 0);
    return {};
}

// Passes content on in records of what is there, so that libfcgi never has to wait in the middle of one.
std::variant<size_t, Violation> FastCgiGuard::takeContent(std::string_view bytes, std::string& approved) {
    const auto content = bytes.substr(0, contentLeft_);
    if (!content.empty() && content_ == Content::variables)
        if (const auto violation = checkVariables(content)) return *violation;
    if (!content.empty() && content_ != Content::skipped) {
        appendHeader(approved, content_ == Content::variables ? params : stdinData, requestId_, content.size());
        approved.append(content);
    }
    contentLeft_ = static_cast<uint16_t>(contentLeft_ - content.size());
    if (contentLeft_ > 0) return content.size();
    const auto padding = std::min<size_t>(paddingLeft_, bytes.size() - content.size());
    paddingLeft_ = static_cast<uint8_t>(paddingLeft_ - padding);
    return content.size() + padding;
}

std::optional<Violation> FastCgiGuard::checkVariables(std::string_view content) {
    while (!content.empty()) {
        if (pair_ == Pair::nameLength || pair_ == Pair::valueLength) {
            const auto byte = static_cast<unsigned char>(content.front());
            content.remove_prefix(1);
            if (lengthBytesLeft_ == 0) {
                length_ = byte & 0x7f;
                lengthBytesLeft_ = byte & 0x80 ? 3 : 0;
            } else {
                length_ = length_ << 8 | byte;
                --lengthBytesLeft_;
            }
            if (lengthBytesLeft_ > 0) continue;
            (pair_ == Pair::nameLength ? nameLeft_ : valueLeft_) = length_;
            pair_ = pair_ == Pair::nameLength ? Pair::valueLength : Pair::name;
            if (pair_ == Pair::name)
                if (const auto violation = endLengths()) return violation;
            continue;
        }
        auto& left = pair_ == Pair::name ? nameLeft_ : valueLeft_;
        const auto piece = content.substr(0, left);
        if (piece.find('\0') != piece.npos) return broken("NUL in a CGI variable");
        if (pair_ == Pair::name && piece.find('=') != piece.npos) return broken("'=' in the name of a CGI variable");
        content.remove_prefix(piece.size());
        left -= static_cast<uint32_t>(piece.size());
        if (left > 0) continue;
        pair_ = pair_ == Pair::name && valueLeft_ > 0 ? Pair::value : Pair::nameLength;
    }
    return {};
}

// Both lengths are known, and nothing was allocated for them.
std::optional<Violation> FastCgiGuard::endLengths() {
    if (nameLeft_ == 0) return broken("a CGI variable has no name");
    if (!budget_.spend(size_t{nameLeft_} + valueLeft_)) return Violation{431, "too many CGI variables"};
    return {};
}

void FastCgiGuard::forgetRefused(uint16_t id) {
    const auto end = refused_.begin() + refusedCount_;
    refusedCount_ = static_cast<size_t>(std::remove(refused_.begin(), end, id) - refused_.begin());
}

bool FastCgiGuard::isRefused(uint16_t id) const {
    return std::find(refused_.begin(), refused_.begin() + refusedCount_, id) != refused_.begin() + refusedCount_;
}

}
