// The first four bytes choose options; the rest is the value of one Sec-WebSocket-Extensions field, up to a line end the
// first and behind it the second.
#include "postern/protocol/DeflateOffer.h"

#include "support/Require.h"

using namespace postern;

namespace {

DeflateOptions optionsOf(const uint8_t* data) {
    DeflateOptions options;
    options.contextTakeover = data[0] & 1;
    options.peerContextTakeover = data[0] & 2;
    options.windowBits = 8 + (data[1] & 7);
    options.peerWindowBits = 8 + (data[2] & 7);
    return options;
}

bool isWithin(const DeflateAgreement& agreement, int server, int client) {
    return agreement.serverWindowBits >= 8 && agreement.serverWindowBits <= server && agreement.clientWindowBits >= 8 &&
           agreement.clientWindowBits <= client;
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 4 || size > 2048) return 0;
    const auto options = optionsOf(data), others = optionsOf(data + 1);
    const std::string_view text(reinterpret_cast<const char*>(data) + 4, size - 4);
    std::vector<std::string_view> fields{text.substr(0, text.find('\n'))};
    if (fields[0].size() < text.size()) fields.push_back(text.substr(fields[0].size() + 1));

    if (const auto answer = answerDeflate(fields, options)) {
        require(isWithin(answer->agreement, options.windowBits, 15), "a server keeps to its options");
        require(options.contextTakeover || answer->agreement.serverNoContextTakeover, "no context is kept against the options");
        require(options.peerContextTakeover || answer->agreement.clientNoContextTakeover, "nor for the peer");
        // A client that would offer anything finds it well-formed.
        DeflateOptions all;
        all.contextTakeover = all.peerContextTakeover = true;
        const auto read = acceptDeflate({answer->text}, all);
        require(read.agreement && !read.error, "an answer of ours can be read");
        require(read.agreement->serverWindowBits == answer->agreement.serverWindowBits, "and says the window it means");
        require(read.agreement->serverNoContextTakeover == answer->agreement.serverNoContextTakeover, "and the context");
    }
    const auto accepted = acceptDeflate(fields, options);
    require(!accepted.agreement || !accepted.error, "an answer is good or bad");
    if (accepted.agreement) {
        require(isWithin(*accepted.agreement, options.peerWindowBits, options.windowBits), "a client is not given more than it asked for");
        require(options.peerContextTakeover || accepted.agreement->serverNoContextTakeover, "a client's wish is kept");
    }
    // Whatever both ends want, they understand each other.
    const auto offer = offerDeflate(options);
    const auto answer = answerDeflate({offer}, others);
    require(answer.has_value(), "our client's offer is good for our server");
    require(!acceptDeflate({answer->text}, options).error, "and its answer for our client");
    return 0;
}
