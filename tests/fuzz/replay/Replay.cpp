// Stands in for libFuzzer in ordinary builds: "NAME [-v] DIRECTORY…" gives the fuzz target the empty input and every
// file of the directories, once each. -v names each input first, so that the last name is the one that failed.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace {

// The bytes stand in a block of exactly their size: one byte too far is seen.
std::vector<std::uint8_t> contents(const std::filesystem::path& path) {
    std::ifstream file(path, std::ios::binary);
    std::vector<std::uint8_t> bytes{std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
    bytes.shrink_to_fit();
    return bytes;
}

std::vector<std::filesystem::path> filesOf(const std::filesystem::path& directory) {
    std::vector<std::filesystem::path> files;
    for (const auto& entry : std::filesystem::directory_iterator(directory))
        if (entry.is_regular_file()) files.push_back(entry.path());
    std::sort(files.begin(), files.end());
    return files;
}

} // namespace

int main(int argc, char** argv) {
    const std::vector<std::string_view> arguments(argv + 1, argv + argc);
    const bool verbose = !arguments.empty() && arguments.front() == "-v";
    const auto replay = [&](std::string_view name, const std::vector<std::uint8_t>& bytes) {
        if (verbose) std::fprintf(stderr, "%.*s\n", static_cast<int>(name.size()), name.data());
        LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
    };

    replay("the empty input", {});
    std::size_t count = 1;
    for (std::size_t i = verbose ? 1 : 0; i < arguments.size(); ++i)
        for (const auto& file : filesOf(arguments[i])) {
            replay(file.native(), contents(file));
            ++count;
        }
    std::printf("%zu inputs\n", count);
}
