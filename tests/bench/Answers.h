#pragma once
// The answers that come on one connection: one after the other, all alike. It counts them and compares them.

#include "bench/Client.h"

#include <cstring>

namespace bench {

class Answers {
public:
    static constexpr size_t most = 256 * 1024;  ///< bytes at a time

    // Of HTTP the length alone: the date in a reply changes. A compressed echo is what the server made of the first one.
    Answers(int fd, std::string_view kind, std::string_view message, size_t size) : exact_(kind != "http") {
        if (kind == "http") answer_ = firstAnswer(fd, kind);
        else if (kind == "deflate") answer_ = firstCompressedEcho(fd, message, size);
        else answer_ = frameHeader(static_cast<unsigned char>(message[0]), size, 0).append(textOf(size));
        again_ = answer_;
        while (again_.size() < answer_.size() + most) again_ += answer_;
    }

    /// `place`: how many bytes of the unfinished answer have come before; counted on. Returns how many answers are complete now.
    size_t take(const char* bytes, size_t size, size_t& place) const {
        if (exact_ ? std::memcmp(bytes, again_.data() + place, size) != 0 : place == 0 && !isReply({bytes, size}))
            throw std::runtime_error("this is no echo of what was sent");
        const auto complete = (place + size) / answer_.size();
        place = (place + size) % answer_.size();
        return complete;
    }

private:
    static bool isReply(std::string_view bytes) {
        constexpr std::string_view start = "HTTP/1.1 200";
        return bytes.substr(0, start.size()) == start.substr(0, bytes.size());
    }
    static std::string firstCompressedEcho(int fd, std::string_view message, size_t size) {
        send(fd, message);
        std::string echo;
        while (!isComplete(echo)) echo += receive(fd);
        const auto header = frameHeader(0xc1, payloadSize(echo), 0);
        std::string text;
        postern::Inflater(15).inflate(echo.substr(header.size()), size + 1, text);
        if (!echo.starts_with(header) || text != jsonOf(size)) throw std::runtime_error("this is no compressed echo");
        return echo;
    }
    static bool isComplete(std::string_view frame) {
        return frame.size() > 10 && frame.size() >= headerSize(frame) + payloadSize(frame);
    }
    static size_t headerSize(std::string_view frame) { return frame[1] == 127 ? 10 : frame[1] == 126 ? 4 : 2; }
    static size_t payloadSize(std::string_view frame) {
        if (frame[1] < 126) return static_cast<size_t>(frame[1]);
        size_t size = 0;
        for (size_t i = 2; i < headerSize(frame); ++i) size = size << 8 | static_cast<unsigned char>(frame[i]);
        return size;
    }

    bool exact_;
    std::string answer_, again_;
};

}
