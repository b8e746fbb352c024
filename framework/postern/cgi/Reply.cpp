#include "postern/cgi/Reply.h"

#include "postern/base/Text.h"
#include "postern/protocol/ContentCoding.h"
#include "postern/protocol/HttpHead.h"

#include <array>
#include <stdexcept>

namespace postern {

namespace {

constexpr size_t worthCompressing = 860;  // below that a reply fits one packet anyway
constexpr std::string_view typeStart = "Content-Type: ", lineEnd = "\r\n";

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
    static bool hasMemory(const std::string& text) { return text.capacity() >= 16; }
    std::string take() { return count_ > 0 ? std::move(texts_[--count_]) : std::string(); }
    void giveBack(std::string&& text) noexcept {
        if (!hasMemory(text) || text.capacity() > largest || count_ == texts_.size()) return;
        text.clear();
        texts_[count_++] = std::move(text);
    }

private:
    static constexpr size_t largest = 1024;
    std::array<std::string, 64> texts_;
    size_t count_ = 0;
};

SpareText& spareText() {
    thread_local SpareText spare;
    return spare;
}

std::string& withMemory(std::string& text) {
    if (text.empty() && !SpareText::hasMemory(text)) text = spareText().take();
    return text;
}

void appendLine(std::string& lines, std::string_view name, std::string_view value) {
    withMemory(lines).append(name).append(": ").append(value).append(lineEnd);
}

std::string_view requireValue(std::string_view value) {
    if (!isFieldValue(value)) throw std::invalid_argument("control character in a header field");
    return value;
}

}

Reply::Reply(Exchange& exchange) : exchange_(exchange), typeLine_(spareText().take()) {}

Reply::~Reply() {
    auto& spare = spareText();
    spare.giveBack(std::move(fields_));
    spare.giveBack(std::move(typeLine_));
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
    requireValue(type);
    typeLine_.clear();
    hasType_ = true;
    if (!type.empty()) typeLine_.append(typeStart).append(type).append(lineEnd);
}

std::string_view Reply::contentType() const {
    const auto line = typeLine();
    return line.empty() ? line : line.substr(typeStart.size(), line.size() - typeStart.size() - lineEnd.size());
}

void Reply::addField(std::string_view name, std::string_view value) {
    mustNotHaveBegun();
    if (!isFieldName(name)) throw std::invalid_argument("the name of a header field is a token");
    requireValue(value);
    if (equalsIgnoringCase(name, "Content-Type")) return setContentType(value);
    if (isGatewayField(name)) throw std::invalid_argument(std::string(name) + " is set by the gateway");
    if (equalsIgnoringCase(name, "Content-Encoding")) encoded_ = true;
    appendLine(fields_, name, value);
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

ReplyHead Reply::begin(std::optional<uint64_t> length) {
    begun_ = true;
    auto lines = status_ != 204 && status_ != 304 ? typeLine() : std::string_view();
    if (!fields_.empty() || !cacheControl_.empty()) {
        withMemory(fields_).append(lines);
        if (!cacheControl_.empty()) appendLine(fields_, "Cache-Control", cacheControl_);
        lines = fields_;
    }
    return {status_, reason_, lines, length, bodyAllowed()};
}

void Reply::write(std::string_view data, bool isAll) {
    if (closed_) throw std::logic_error("the reply is closed");
    if (isAll && !begun_) {
        const bool isText = data.size() >= worthCompressing && isCompressible(contentType());
        return isText ? writeCompressible(data) : writeWhole(data);
    }
    if (!begun_) {
        if (isCompressible(contentType())) {
            appendLine(fields_, "Vary", "Accept-Encoding");
            if (mayCompress()) {
                appendLine(fields_, "Content-Encoding", "gzip");
                if (bodyAllowed()) gzip_.emplace();
            }
        }
        exchange_.sendHead(begin({}));
    }
    if (gzip_) writeGzip(data, GzipEncoder::Flush::none);
    else exchange_.sendBody(data);
    if (isAll) close();
}

void Reply::writeWhole(std::string_view data) {
    exchange_.sendWhole(begin(data.size()), data);
    close();
}

void Reply::writeCompressible(std::string_view data) {
    appendLine(fields_, "Vary", "Accept-Encoding");
    if (!mayCompress()) return writeWhole(data);
    appendLine(fields_, "Content-Encoding", "gzip");
    std::string packed;
    GzipEncoder().encode(data, GzipEncoder::Flush::finish, packed);
    writeWhole(packed);
}

void Reply::writeGzip(std::string_view data, GzipEncoder::Flush flush) {
    std::string packed;
    gzip_->encode(data, flush, packed);
    exchange_.sendBody(packed);
}

void Reply::flush() {
    if (closed_) return;
    if (!begun_) write({}, false);
    if (gzip_) writeGzip({}, GzipEncoder::Flush::sync);
    exchange_.flush();
}

void Reply::close() {
    if (closed_) return;
    if (!begun_) exchange_.sendHead(begin(0));
    if (gzip_) {
        writeGzip({}, GzipEncoder::Flush::finish);
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
