#pragma once
// DEFLATE (RFC 1951) with zlib in the hands of tests, apart from the framework's: whole messages, and blocks made by
// hand.

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace postern {

/// Compresses messages as RFC 7692 §7.2.1 says; later ones may refer to earlier ones.
class RawDeflater {
public:
    enum class Codes { dynamic, fixed, stored };

    explicit RawDeflater(int windowBits = 15, Codes codes = Codes::dynamic);
    ~RawDeflater();
    RawDeflater(const RawDeflater&) = delete;
    RawDeflater& operator=(const RawDeflater&) = delete;

    /// Everything given so far can be read from what came out: it ends with 00 00 FF FF.
    std::string flush(std::string_view text);
    /// The payload of one message: flush() without that end.
    std::string message(std::string_view text);
    /// A message that ends with a final block (§7.2.3.5). Nothing may follow.
    std::string finalMessage(std::string_view text);

private:
    struct State;
    std::unique_ptr<State> state_;
};

/// One message with a compressor of its own.
std::string rawDeflated(std::string_view text, int windowBits = 15,
                        RawDeflater::Codes codes = RawDeflater::Codes::dynamic);
/// A block without compression.
std::string storedBlock(std::string_view text, bool final = false);

class RawInflater {
public:
    explicit RawInflater(int windowBits = 15);
    ~RawInflater();
    RawInflater(const RawInflater&) = delete;
    RawInflater& operator=(const RawInflater&) = delete;

    /// One message. None: it is not DEFLATE, or refers to more than the window holds.
    std::optional<std::string> message(std::string_view payload);
    void forget();

private:
    struct State;
    std::unique_ptr<State> state_;
};

} // namespace postern
