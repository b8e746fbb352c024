#pragma once
// One FastCGI request: libfcgi between the wire and whoever reads its variables and body and writes its reply.
//
// libfcgi would wait inside its calls for the operating-system half that this file's .cpp supplies. So it is not called
// before what it wants is there: the guard collects whole records first, and every call returns at once.
//
// Order of calls: take() until guard().variablesEnded(); begin(); then the rest. Used on one loop.

#include "postern/io/ByteStream.h"
#include "postern/protocol/FastCgiGuard.h"

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace postern {

class FastCgiRequest {
public:
    explicit FastCgiRequest(const FastCgiLimits& limits);
    ~FastCgiRequest();

    /// Takes what has arrived on the wire, as far as it belongs to this request, and answers what libfcgi is not to see.
    std::optional<Violation> take(ByteStream& wire);
    const FastCgiGuard& guard() const { return guard_; }

    /// Lets libfcgi read the variables. False: it refused what the guard had let pass.
    bool begin();
    const FieldViews& variables() const { return variables_; }

    /// Would read() give something, or tell of the end?
    bool canRead() const;
    /// Moves bytes of the body to `to`; 0 at its end.
    size_t read(std::span<char> to);
    /// A part of the reply. flush() hands it to the wire's queue, end() too, and says that this was all.
    void write(std::string_view text, ByteStream& wire);
    void flush(ByteStream& wire);
    void end(ByteStream& wire);

    /// From now on bytes go both ways as they come, without libfcgi and its buffers: the request is a WebSocket.
    void becomeTunnel();
    bool isTunnel() const { return isTunnel_; }

    /// The next request of the connection may be taken.
    void reset();

private:
    friend void checkFastCgiLibrary();
    struct Library;

    bool readsThroughUs(std::string_view records);
    size_t readTunnel(std::span<char> to);

    FastCgiGuard guard_;
    std::unique_ptr<Library> library_;
    FieldViews variables_;
    bool isTunnel_ = false;
};

/// Throws std::runtime_error unless libfcgi reads and writes through us. Any thread; costs nothing the second time.
void checkFastCgiLibrary();

}
