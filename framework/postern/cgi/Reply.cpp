#include "postern/cgi/Reply.h"

#include "postern/base/Text.h"
#include "postern/protocol/ContentCoding.h"
#include "postern/protocol/HttpHead.h"

#include <stdexcept>
#include <vector>

namespace postern {

namespace {

constexpr size_t worthCompressing = 860;  // below that a reply fits one packet anyway

// These belong to the connection, or are set by calls of their own.
bool isGatewayField(std::string_view name) {
    for (const std::string_view own : {"Connection", "Content-Length", "Transfer-Encoding", "Upgrade", "Keep-Alive", "Trailer",
                                       "TE", "Date", "Status", "Proxy-Connection", "Sec-WebSocket-Accept",
                                       "Sec-WebSocket-Extensions", "Sec-WebSocket-Protocol", "Sec-WebSocket-Version"})
        if (equalsIgnoringCase(name, own)) return true;
    return false;
}

// Memory of replies that are sent, so that the next one allocates nothing for its fields.
class SpareText {
public:
    std::string take() {
        if (texts_.empty()) return {};
        auto text = std::move(texts_.back());
        texts_.pop_back();
        text.clear();
        return text;
    }
    void giveBack(std::string&& text) noexcept {
        if (text.capacity() < worthKeeping || text.capacity() > largest || texts_.size() == texts_.capacity()) return;
        texts_.push_back(std::move(text));
    }
    SpareText() { texts_.reserve(64); }

private:
    static constexpr size_t worthKeeping = 16, largest = 1024;
    std::vector<std::string> texts_;
};

SpareText& spareText() {
    thread_local SpareText spare;
    return spare;
}

std::string_view requireValue(std::string_view value) {
    if (!isFieldValue(value)) throw std::invalid_argument("control character in a header field");
    return value;
}

}

Reply::Reply(Exchange& exchange) : exchange_(exchange), contentType_(spareText().take()), fields_(spareText().take()) {}

Reply::~Reply() {
    spareText().giveBack(std::move(fields_));
    spareText().giveBack(std::move(contentType_));
}

void Reply::mustNotHaveBegun() const {
    if (begun_) throw std::logic_error("the reply has begun: status and header fields come before its first byte");
}

void Reply::setStatus(int status, std::string_view reason) {
    mustNotHaveBegun();
    if (status < 200 || status > 599) throw std::invalid_argument("a final HTTP status is 200 to 599");
    reason_ = requireValue(reason);
    status_ = status;
}

void Reply::setContentType(std::string_view type) {
    mustNotHaveBegun();
    contentType_ = requireValue(type);
    hasType_ = true;
}

void Reply::addField(std::string_view name, std::string_view value) {
    mustNotHaveBegun();
    if (!isFieldName(name)) throw std::invalid_argument("the name of a header field is a token");
    requireValue(value);
    if (equalsIgnoringCase(name, "Content-Type")) return setContentType(value);
    if (isGatewayField(name)) throw std::invalid_argument(std::string(name) + " is set by the gateway");
    if (equalsIgnoringCase(name, "Content-Encoding")) encoded_ = true;
    fields_.append(name).append(": ").append(value).append("\r\n");
}

void Reply::setCacheControl(std::string_view value) {
    mustNotHaveBegun();
    cacheControl_ = value;
}

bool Reply::bodyAllowed() const {
    return exchange_.head().method != "HEAD" && status_ != 204 && status_ != 304;
}

bool Reply::mayCompress() const {
    return gzipAllowed_ && status_ != 206 && acceptsGzip(exchange_.head().field("Accept-Encoding")) &&
           isCompressible(contentType()) && !encoded_;
}

void Reply::begin(std::optional<uint64_t> length) {
    begun_ = true;
    if (const auto type = contentType(); !type.empty() && status_ != 204 && status_ != 304) {
        constexpr std::string_view name = "Content-Type: ", end = "\r\n";
        fields_.reserve(fields_.size() + name.size() + type.size() + end.size());
        fields_.append(name).append(type).append(end);
    }
    if (!cacheControl_.empty()) fields_.append("Cache-Control: ").append(cacheControl_).append("\r\n");
    exchange_.sendHead({status_, reason_, fields_, length, bodyAllowed()});
}

void Reply::write(std::string_view data, bool isAll) {
    if (closed_) throw std::logic_error("the reply is closed");
    if (isAll && !begun_) {
        std::string packed;
        if (data.size() >= worthCompressing && isCompressible(contentType())) {
            fields_.append("Vary: Accept-Encoding\r\n");
            if (mayCompress()) {
                fields_.append("Content-Encoding: gzip\r\n");
                GzipEncoder().encode(data, GzipEncoder::Flush::finish, packed);
                data = packed;
            }
        }
        begin(data.size());
        if (bodyAllowed()) exchange_.sendBody(data);
        return close();
    }
    if (!begun_) {
        if (isCompressible(contentType())) {
            fields_.append("Vary: Accept-Encoding\r\n");
            if (mayCompress()) {
                fields_.append("Content-Encoding: gzip\r\n");
                if (bodyAllowed()) gzip_.emplace();
            }
        }
        begin({});
    }
    if (gzip_) {
        std::string packed;
        gzip_->encode(data, GzipEncoder::Flush::none, packed);
        exchange_.sendBody(packed);
    } else {
        exchange_.sendBody(data);
    }
    if (isAll) close();
}

void Reply::flush() {
    if (closed_) return;
    if (!begun_) write({}, false);
    if (gzip_) {
        std::string packed;
        gzip_->encode({}, GzipEncoder::Flush::sync, packed);
        exchange_.sendBody(packed);
    }
    exchange_.flush();
}

void Reply::close() {
    if (closed_) return;
    if (!begun_) begin(0);
    if (gzip_) {
        std::string packed;
        gzip_->encode({}, GzipEncoder::Flush::finish, packed);
        exchange_.sendBody(packed);
        gzip_.reset();
    }
    closed_ = true;
    exchange_.finish();
}

void Reply::reset() {
    mustNotHaveBegun();
    status_ = 200;
    reason_.clear();
    hasType_ = false;
    fields_.clear();
    encoded_ = false;
}

}
