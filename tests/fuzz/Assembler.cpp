// The first byte chooses role and limits, the second how the rest is cut; the rest is what the peer sends.
#include "support/Conversation.h"
#include "support/Require.h"

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2 || size > 4096) return 0;
    constexpr AssemblerLimits choices[] = {{1000, 100}, {20, 3}, {0, 1}, {~uint64_t{0}, 10}};
    const auto role = data[0] & 1 ? Role::client : Role::server;
    const auto& limits = choices[data[0] >> 1 & 3];
    const std::string_view bytes(reinterpret_cast<const char*>(data) + 2, size - 2);

    const auto right = slowConversation(role, limits, bytes);
    const auto atOnce = converse(role, limits, {bytes});
    const auto difference = disagreement(atOnce, right);
    require(difference.empty(), difference.c_str());

    const auto bytewise = converse(role, limits, cutInPieces(bytes, 1));
    require(bytewise.said == atOnce.said && bytewise.insideMessage == atOnce.insideMessage,
            "byte by byte the same is heard");
    require(right.errorBy == 0 || (bytewise.errorBy >= right.errorFrom && bytewise.errorBy <= right.errorBy),
            "an error is seen with its byte");

    const size_t at = std::min<size_t>(data[1], bytes.size());
    const auto cut =
        data[1] & 1 ? cutInPieces(bytes, size_t{data[1]} / 2 + 2) : Fragments{bytes.substr(0, at), bytes.substr(at)};
    const auto inPieces = converse(role, limits, cut);
    require(inPieces.said == atOnce.said && inPieces.insideMessage == atOnce.insideMessage,
            "in pieces the same is heard");
    return 0;
}
