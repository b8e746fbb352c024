// The input is a script: what the clients of a whole server say and suffer, what its kernel does, and how time passes.
#include "support/Require.h"
#include "support/ScriptedServer.h"

using namespace postern;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size > 1 << 13) return 0;
    Script script({reinterpret_cast<const char*>(data), size});
    const auto complaint = playServer(script);
    require(complaint.empty(), complaint.c_str());
    return 0;
}
