#include "support/FrontClient.h"

#include <netinet/in.h>
#include <poll.h>
#include <strings.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cerrno>

namespace postern {

namespace {

constexpr size_t maxHead = 64 * 1024, maxBody = 64 * 1024 * 1024;

std::string_view trimmed(std::string_view text) {
    const auto first = text.find_first_not_of(" \t\r");
    if (first == std::string_view::npos) return {};
    return text.substr(first, text.find_last_not_of(" \t\r") - first + 1);
}

std::string decoded(std::string_view path) {
    std::string text;
    for (size_t i = 0; i < path.size(); ++i) {
        const auto isHex = [&](size_t at) { return at < path.size() && std::isxdigit(static_cast<unsigned char>(path[at])); };
        if (path[i] != '%' || !isHex(i + 1) || !isHex(i + 2)) {
            text += path[i];
            continue;
        }
        text += static_cast<char>(std::stoi(std::string(path.substr(i + 1, 2)), nullptr, 16));
        i += 2;
    }
    return text;
}

// HTTP_ and the name of a field as CGI spells it.
std::string variableName(std::string_view name) {
    std::string text = "HTTP_";
    for (const char c : name) text += c == '-' ? '_' : c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return text;
}

}

bool equalIgnoringCase(std::string_view a, std::string_view b) {
    return a.size() == b.size() && ::strncasecmp(a.data(), b.data(), a.size()) == 0;
}

std::string frontField(const FrontFields& fields, std::string_view name) {
    const auto isNamed = [&](const auto& field) { return equalIgnoringCase(field.first, name); };
    const auto found = std::find_if(fields.begin(), fields.end(), isNamed);
    return found == fields.end() ? std::string() : found->second;
}

FrontFields readFrontFields(std::string_view lines, std::string& broken) {
    FrontFields fields;
    while (!lines.empty()) {
        const auto size = std::min(lines.find('\n'), lines.size());
        const auto line = trimmed(lines.substr(0, size));
        lines.remove_prefix(std::min(size + 1, lines.size()));
        if (line.empty()) continue;
        const auto colon = line.find(':');
        if (colon == std::string_view::npos || colon == 0) broken = line;
        else fields.emplace_back(trimmed(line.substr(0, colon)), trimmed(line.substr(colon + 1)));
    }
    return fields;
}

FrontFields frontVariables(const FrontRequest& request, const std::string& mount, const std::string& software, uint16_t port,
                           uint16_t clientPort) {
    const auto& target = request.target;
    const auto query = std::min(target.find('?'), target.size());
    const auto path = decoded(std::string_view(target).substr(0, query));
    const bool mounted = path.starts_with(mount);
    const auto host = frontField(request.fields, "Host");
    FrontFields list = {{"CONTENT_LENGTH", std::to_string(request.body.size())},
                        {"QUERY_STRING", query < target.size() ? target.substr(query + 1) : ""},
                        {"REQUEST_URI", target},
                        {"REDIRECT_STATUS", "200"},
                        {"SCRIPT_NAME", mounted ? mount : ""},
                        {"PATH_INFO", mounted ? path.substr(mount.size()) : path},
                        {"SCRIPT_FILENAME", "/srv" + path},
                        {"DOCUMENT_ROOT", "/srv"},
                        {"REQUEST_METHOD", request.method},
                        {"SERVER_PROTOCOL", request.version},
                        {"SERVER_SOFTWARE", software},
                        {"GATEWAY_INTERFACE", "CGI/1.1"},
                        {"REQUEST_SCHEME", "http"},
                        {"SERVER_PORT", std::to_string(port)},
                        {"SERVER_ADDR", "127.0.0.1"},
                        {"SERVER_NAME", host.substr(0, host.rfind(':'))},
                        {"REMOTE_ADDR", "127.0.0.1"},
                        {"REMOTE_PORT", std::to_string(clientPort)}};
    for (const auto& [name, value] : request.fields) {
        if (equalIgnoringCase(name, "Transfer-Encoding") || equalIgnoringCase(name, "Proxy")) continue;
        if (equalIgnoringCase(name, "Connection") && !request.upgrade) continue;
        if (equalIgnoringCase(name, "Content-Type")) list.emplace_back("CONTENT_TYPE", value);
        else list.emplace_back(variableName(name), value);
    }
    return list;
}

FrontRequest FrontClient::readRequest() {
    FrontRequest request;
    const auto head = take("\r\n\r\n");
    const auto line = head.substr(0, head.find("\r\n"));
    const auto first = line.find(' '), second = line.rfind(' ');
    std::string broken;
    request.fields = readFrontFields(std::string_view(head).substr(line.size()), broken);
    if (first == second || !broken.empty()) refuse("400 Bad Request");
    request.method = line.substr(0, first);
    request.target = line.substr(first + 1, second - first - 1);
    request.version = line.substr(second + 1);
    request.upgrade = !frontField(request.fields, "Upgrade").empty();
    const auto connection = frontField(request.fields, "Connection");
    request.keepsConnection = request.version == "HTTP/1.1" && !equalIgnoringCase(connection, "close");
    if (!frontField(request.fields, "Expect").empty()) send("HTTP/1.1 100 Continue\r\n\r\n");
    readBody(request);
    return request;
}

void FrontClient::readBody(FrontRequest& request) {
    const auto sizeIn = [&](const std::string& text, int base) {
        if (text.empty() || !std::isxdigit(static_cast<unsigned char>(text[0])) || text.size() > 12) refuse("400 Bad Request");
        const auto size = std::stoull(text, nullptr, base);
        if (request.body.size() + size > maxBody) refuse("413 Content Too Large");
        return static_cast<size_t>(size);
    };
    if (equalIgnoringCase(frontField(request.fields, "Transfer-Encoding"), "chunked")) {
        for (size_t size = 1; size > 0;) {
            size = sizeIn(take("\r\n"), 16);
            request.body += takeExactly(size);
            take("\r\n");
        }
    } else if (const auto length = frontField(request.fields, "Content-Length"); !length.empty()) {
        request.body = takeExactly(sizeIn(length, 10));
    }
}

void FrontClient::refuse(const std::string& status) {
    send("HTTP/1.1 " + status + "\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    throw LineOver();
}

uint16_t FrontClient::port() const {
    sockaddr_in peer{};
    socklen_t size = sizeof peer;
    ::getpeername(fd_, reinterpret_cast<sockaddr*>(&peer), &size);
    return ntohs(peer.sin_port);
}

// Up to and including `mark`.
std::string FrontClient::take(std::string_view mark) {
    size_t at;
    while ((at = received_.find(mark)) == std::string::npos) {
        if (received_.size() > maxHead) refuse("431 Request Header Fields Too Large");
        receive();
    }
    return takeExactly(at + mark.size());
}

std::string FrontClient::takeExactly(size_t size) {
    while (received_.size() < size) receive();
    auto text = received_.substr(0, size);
    received_.erase(0, size);
    return text;
}

void FrontClient::receive() {
    pollfd fds[] = {{fd_, POLLIN, 0}, {stop_, POLLIN, 0}};
    if (::poll(fds, 2, static_cast<int>(idle_.count())) <= 0 || fds[1].revents || !readSome(fd_, received_)) throw LineOver();
}

void FrontClient::send(std::string_view text) {
    for (std::string bytes(text); !bytes.empty();) {
        pollfd fds[] = {{fd_, POLLOUT, 0}, {stop_, POLLIN, 0}};
        if (::poll(fds, 2, static_cast<int>(idle_.count())) <= 0 || fds[1].revents || !writeSome(fd_, bytes)) throw LineOver();
    }
}

bool readSome(int fd, std::string& bytes) {
    std::array<char, 65536> some;
    const auto got = ::recv(fd, some.data(), some.size(), MSG_DONTWAIT);
    if (got < 0) return errno == EAGAIN || errno == EINTR;
    bytes.append(some.data(), static_cast<size_t>(got));
    return got > 0;
}

bool writeSome(int fd, std::string& bytes) {
    const auto sent = ::send(fd, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    if (sent < 0) return errno == EAGAIN || errno == EINTR;
    bytes.erase(0, static_cast<size_t>(sent));
    return true;
}

}
