#include "postern/client/Resolve.h"

#include "postern/base/Errors.h"
#include "postern/fiber/Blocking.h"

#include <arpa/inet.h>
#include <netdb.h>

#include <memory>

namespace postern {

namespace {

bool isNumeric(const std::string& host) {
    unsigned char address[sizeof(in6_addr)];
    return ::inet_pton(AF_INET, host.c_str(), address) == 1 || ::inet_pton(AF_INET6, host.c_str(), address) == 1;
}

std::vector<std::string> askSystem(const std::string& host) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    hints.ai_flags = AI_ADDRCONFIG;
    addrinfo* found = nullptr;
    if (const int error = ::getaddrinfo(host.c_str(), nullptr, &hints, &found); error != 0)
        throw Disconnected("no address for " + host + ": " + ::gai_strerror(error));
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
    std::vector<std::string> addresses;
    for (const auto* entry = found; entry; entry = entry->ai_next) {
        char text[NI_MAXHOST];
        if (::getnameinfo(entry->ai_addr, entry->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0)
            addresses.emplace_back(text);
    }
    return addresses;
}

}

std::vector<std::string> resolve(const std::string& host, Deadline deadline) {
    if (isNumeric(host)) return {host};
    const auto& other = Loop::current().local<NameLookUp>().function;
    return runBlockingUntil(deadline, [host, lookUp = other ? other : askSystem] { return lookUp(host); });
}

}
