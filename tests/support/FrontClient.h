#pragma once
// The client's side of FcgiFront: HTTP requests out of a socket, and the variables that lighttpd makes of them.

#include <chrono>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace postern {

using FrontFields = std::vector<std::pair<std::string, std::string>>;

bool equalIgnoringCase(std::string_view a, std::string_view b);
/// The first of that name, or empty.
std::string frontField(const FrontFields& fields, std::string_view name);
/// Lines "Name: value". `broken`: one that is no field.
FrontFields readFrontFields(std::string_view lines, std::string& broken);

struct FrontRequest {
    std::string method, target, version;
    FrontFields fields;
    std::string body;   ///< decoded
    bool upgrade = false;
    bool keepsConnection = false;
};

/// The variables, in lighttpd's order.
FrontFields frontVariables(const FrontRequest& request, const std::string& mount, const std::string& software, uint16_t port,
                           uint16_t clientPort);

/// The line has nothing more to say, or nobody to say it to.
struct LineOver {};

/// Every wait throws LineOver when the client has ended, `stop` can be read, or nothing came for `idle`.
class FrontClient {
public:
    FrontClient(int fd, int stop, std::chrono::milliseconds idle) : fd_(fd), stop_(stop), idle_(idle) {}

    FrontRequest readRequest();
    /// Throws LineOver then.
    [[noreturn]] void refuse(const std::string& status);
    /// What came behind the request.
    std::string takeRest() { return std::exchange(received_, {}); }
    int fd() const { return fd_; }
    uint16_t port() const;

private:
    void readBody(FrontRequest& request);
    std::string take(std::string_view mark);
    std::string takeExactly(size_t size);
    void receive();
    void send(std::string_view text);

    const int fd_, stop_;
    const std::chrono::milliseconds idle_;
    std::string received_;
};

/// Appends what is there. False: the end, or an error.
bool readSome(int fd, std::string& bytes);
/// Removes what could be sent. False: an error.
bool writeSome(int fd, std::string& bytes);

}
