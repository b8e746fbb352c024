#include "support/LeftoverCheck.h"

#include <filesystem>
#include <iterator>

namespace postern {

namespace {

size_t count(const char* directory) {
    return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(directory), {}));
}

void name(std::string& text, size_t now, size_t before, const char* what) {
    if (now <= before) return;
    text.append(text.empty() ? "" : ", ").append(std::to_string(now - before)).append(what);
}

}

LeftoverCheck::LeftoverCheck() : descriptors_(count("/proc/self/fd")), threads_(count("/proc/self/task")) {}

std::string LeftoverCheck::find() const {
    std::string text;
    name(text, count("/proc/self/fd"), descriptors_, " descriptors");
    name(text, count("/proc/self/task"), threads_, " threads");
    return text;
}

}
