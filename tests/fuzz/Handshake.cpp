// Lines: the method, the minor version, the length of the body or "chunked", then one "name:value" for each field.
#include "postern/protocol/Handshake.h"

#include "postern/protocol/DeflateOffer.h"

#include "support/Require.h"

#include <algorithm>
#include <set>

using namespace postern;

namespace {

using Texts = std::vector<std::string>;

std::string lowered(std::string_view text) {
    std::string out(text);
    for (char& c : out)
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    return out;
}

Texts valuesOf(const RequestHead& head, const std::string& name) {
    Texts values;
    for (const auto& field : head.fields)
        if (lowered(field.name) == name) values.emplace_back(field.value);
    return values;
}

// The elements of the comma-separated lists in all fields of that name.
Texts elementsOf(const RequestHead& head, const std::string& name) {
    Texts elements;
    for (const auto& value : valuesOf(head, name)) {
        std::string element;
        for (const char c : value + ",") {
            if (c != ',') element += c;
            else {
                while (!element.empty() && (element.back() == ' ' || element.back() == '\t')) element.pop_back();
                element.erase(0, std::min(element.find_first_not_of(" \t"), element.size()));
                if (!element.empty()) elements.push_back(element);
                element.clear();
            }
        }
    }
    return elements;
}

bool asks(const RequestHead& head, const std::string& name, const std::string& token) {
    const auto elements = elementsOf(head, name);
    return std::any_of(elements.begin(), elements.end(),
                       [&](const std::string& element) { return lowered(element) == token; });
}

bool isKey(std::string_view key) {
    constexpr std::string_view alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    return key.size() == 24 && key.ends_with("==") && key.find_first_not_of(alphabet) == 22;
}

bool isPlainToken(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) {
        return c > ' ' && c < '\x7f' && std::string_view("\"(),/:;<=>?@[\\]{}").find(c) == std::string_view::npos;
    });
}

// Every status that a fault of the request deserves.
std::set<int> faultsOf(const RequestHead& head) {
    std::set<int> faults;
    const auto keys = valuesOf(head, "sec-websocket-key"), versions = valuesOf(head, "sec-websocket-version");
    const auto protocols = elementsOf(head, "sec-websocket-protocol");
    if (head.method != "GET" || keys.size() != 1 || !isKey(keys[0]) || versions.size() > 1) faults.insert(400);
    if (versions.empty() || versions.back() != "13") faults.insert(426);
    if (head.framing == BodyFraming::chunked || head.contentLength > 0) faults.insert(400);
    if (std::set<std::string>(protocols.begin(), protocols.end()).size() != protocols.size() ||
        !std::all_of(protocols.begin(), protocols.end(), isPlainToken))
        faults.insert(400);
    const auto extensions = valuesOf(head, "sec-websocket-extensions");
    if (!isExtensionList({extensions.begin(), extensions.end()})) faults.insert(400);
    return faults;
}

void read(RequestHead& head, std::string_view text) {
    const auto line = [&] { return takeUntil(text, '\n'); };
    head.method = line();
    head.minorVersion = line() == "0" ? 0 : 1;
    const auto body = line();
    head.framing = body == "chunked" ? BodyFraming::chunked : body.empty() ? BodyFraming::none : BodyFraming::length;
    if (head.framing == BodyFraming::length) head.contentLength = parseDecimal<uint64_t>(body).value_or(0);
    while (!text.empty() && head.fields.size() < 100) {
        auto value = line();
        const auto name = takeUntil(value, ':');
        head.fields.push_back({name, value});
    }
}

}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    RequestHead head;
    read(head, {reinterpret_cast<const char*>(data), size});
    const auto found = readWebSocketRequest(head);
    const bool asked =
        head.minorVersion > 0 && asks(head, "upgrade", "websocket") && asks(head, "connection", "upgrade");
    require(std::holds_alternative<NotRequested>(found) != asked, "asked is who names both tokens");
    if (!asked) return 0;

    const auto faults = faultsOf(head);
    if (const auto* violation = std::get_if<Violation>(&found)) {
        require(faults.count(violation->status) == 1 && *violation->reason, "a refusal has its fault");
        return 0;
    }
    require(faults.empty(), "a request with a fault is refused");
    const auto& request = std::get<WebSocketRequest>(found);
    require(request.key == valuesOf(head, "sec-websocket-key")[0], "the key is that of the request");
    const auto elements = elementsOf(head, "sec-websocket-protocol");
    require(std::equal(request.protocols.begin(), request.protocols.end(), elements.begin(), elements.end()),
            "the protocols are those of the request, in order");
    const auto accept = acceptKey(request.key);
    require(accept.size() == 28 && accept.back() == '=', "the accept key is base64 of 20 bytes");

    Texts supported(elements.rbegin(), elements.rend());
    require(selectProtocol(supported, request.protocols) == (elements.empty() ? "" : elements.back()),
            "the server prefers");
    supported.insert(supported.begin(), "no token");
    require(selectProtocol(supported, request.protocols) != "no token", "only what is offered is selected");
    return 0;
}
