#include "postern/protocol/DeflateOffer.h"

#include "postern/base/Fields.h"
#include "postern/base/Text.h"

#include <algorithm>
#include <stdexcept>
#include <utility>

namespace postern {

namespace {

constexpr std::string_view extensionName = "permessage-deflate";

struct Extension {
    std::string_view name;
    std::vector<std::pair<std::string_view, std::optional<std::string>>> parameters;
};

// extension-list of RFC 6455 §9.1, one field's value at a time.
class ExtensionReader {
public:
    explicit ExtensionReader(std::string_view text) : rest_(text) {}

    // False: malformed.
    bool read(std::vector<Extension>& out) {
        do {
            skipSpace();
            if (rest_.empty() || rest_.front() == ',') continue;  // empty elements are allowed in lists
            if (!readExtension(out.emplace_back())) return false;
            skipSpace();
        } while (take(','));
        return rest_.empty();
    }

private:
    bool readExtension(Extension& extension) {
        if (!readToken(extension.name)) return false;
        for (;;) {
            skipSpace();
            if (!take(';')) return true;
            skipSpace();
            std::string_view name;
            if (!readToken(name)) return false;
            auto& value = extension.parameters.emplace_back(name, std::nullopt).second;
            skipSpace();
            if (!take('=')) continue;
            skipSpace();
            if (!readValue(value.emplace())) return false;
        }
    }

    bool readToken(std::string_view& token) {
        const auto end = std::find_if_not(rest_.begin(), rest_.end(), isTokenChar);
        token = rest_.substr(0, static_cast<size_t>(end - rest_.begin()));
        rest_.remove_prefix(token.size());
        return !token.empty();
    }

    // A token, or a quoted string that is one when its quotes are off.
    bool readValue(std::string& value) {
        if (!take('"')) {
            std::string_view token;
            if (!readToken(token)) return false;
            value = token;
            return true;
        }
        while (!rest_.empty() && rest_.front() != '"') {
            if (rest_.front() == '\\') rest_.remove_prefix(1);
            if (rest_.empty()) return false;
            value += rest_.front();
            rest_.remove_prefix(1);
        }
        return take('"') && isToken(value);
    }

    void skipSpace() {
        while (!rest_.empty() && (rest_.front() == ' ' || rest_.front() == '\t')) rest_.remove_prefix(1);
    }
    bool take(char c) {
        if (rest_.empty() || rest_.front() != c) return false;
        rest_.remove_prefix(1);
        return true;
    }

    std::string_view rest_;
};

// None: malformed.
std::optional<std::vector<Extension>> readExtensions(const std::vector<std::string_view>& values) {
    std::vector<Extension> all;
    for (const auto value : values)
        if (!ExtensionReader(value).read(all)) return {};
    return all;
}

// 8…15 without leading zeros.
std::optional<int> readWindowBits(const std::string& text) {
    if (text == "8" || text == "9") return text[0] - '0';
    if (text.size() == 2 && text[0] == '1' && text[1] >= '0' && text[1] <= '5') return 10 + text[1] - '0';
    return {};
}

struct Parameters {
    bool serverNoContextTakeover = false, clientNoContextTakeover = false;
    std::optional<int> serverWindowBits;
    std::optional<int> clientWindowBits;   // with a value
    bool clientWindowBitsAllowed = false;  // with one or without
};

// None: a parameter is unknown, repeated, or has a wrong value.
std::optional<Parameters> readParameters(const Extension& extension) {
    Parameters found;
    for (const auto& [name, value] : extension.parameters) {
        bool* flag = name == "server_no_context_takeover"   ? &found.serverNoContextTakeover
                     : name == "client_no_context_takeover" ? &found.clientNoContextTakeover
                                                            : nullptr;
        if (flag) {
            if (*flag || value) return {};
            *flag = true;
        } else if (name == "server_max_window_bits") {
            if (found.serverWindowBits || !value) return {};
            found.serverWindowBits = readWindowBits(*value);
            if (!found.serverWindowBits) return {};
        } else if (name == "client_max_window_bits") {
            if (std::exchange(found.clientWindowBitsAllowed, true)) return {};
            if (!value) continue;
            found.clientWindowBits = readWindowBits(*value);
            if (!found.clientWindowBits) return {};
        } else {
            return {};
        }
    }
    return found;
}

DeflateAnswer answerOffer(const Parameters& offer, const DeflateOptions& options) {
    DeflateAnswer answer;
    auto& agreed = answer.agreement;
    auto& text = answer.text = extensionName;
    agreed.serverNoContextTakeover = offer.serverNoContextTakeover || !options.contextTakeover;
    if (agreed.serverNoContextTakeover) text += "; server_no_context_takeover";
    agreed.serverWindowBits = std::min(offer.serverWindowBits.value_or(15), options.windowBits);
    if (agreed.serverWindowBits < 15 || offer.serverWindowBits)
        text += "; server_max_window_bits=" + std::to_string(agreed.serverWindowBits);

    // A size the client offers binds it without an answer (§7.1.2.2), but Boost.Beast forgets it unless it is repeated.
    agreed.clientWindowBits = offer.clientWindowBits.value_or(15);
    if (offer.clientWindowBits || (offer.clientWindowBitsAllowed && options.peerWindowBits < 15)) {
        agreed.clientWindowBits = std::min(agreed.clientWindowBits, options.peerWindowBits);
        text += "; client_max_window_bits=" + std::to_string(agreed.clientWindowBits);
    }
    // A client that cannot bound its window gets a decompressor for each message only, which costs nothing in between.
    agreed.clientNoContextTakeover = offer.clientNoContextTakeover || !options.peerContextTakeover ||
                                     agreed.clientWindowBits > options.peerWindowBits;
    if (agreed.clientNoContextTakeover) text += "; client_no_context_takeover";
    return answer;
}

}

void DeflateOptions::check() const {
    const auto require = [](bool kept, const char* rule) {
        if (!kept) throw std::invalid_argument(rule);
    };
    require(windowBits >= 8 && windowBits <= 15, "DeflateOptions::windowBits is 8 to 15");
    require(peerWindowBits >= 8 && peerWindowBits <= 15, "DeflateOptions::peerWindowBits is 8 to 15");
    require(level >= 1 && level <= 9, "DeflateOptions::level is 1 to 9");
    require(memoryLevel >= 1 && memoryLevel <= 9, "DeflateOptions::memoryLevel is 1 to 9");
}

bool isExtensionList(const std::vector<std::string_view>& values) { return readExtensions(values).has_value(); }

std::optional<DeflateAnswer> answerDeflate(const std::vector<std::string_view>& offers, const DeflateOptions& options) {
    const auto extensions = readExtensions(offers);
    if (!extensions || !options.enabled) return {};
    for (const auto& extension : *extensions) {
        if (!equalsIgnoringCase(extension.name, extensionName)) continue;
        if (const auto offer = readParameters(extension)) return answerOffer(*offer, options);
    }
    return {};
}

std::string offerDeflate(const DeflateOptions& options) {
    std::string text(extensionName);
    if (!options.peerContextTakeover) text += "; server_no_context_takeover";
    if (!options.contextTakeover) text += "; client_no_context_takeover";
    if (options.peerWindowBits < 15) text += "; server_max_window_bits=" + std::to_string(options.peerWindowBits);
    text += "; client_max_window_bits";
    if (options.windowBits < 15) text += "=" + std::to_string(options.windowBits);
    return text;
}

DeflateAcceptance acceptDeflate(const std::vector<std::string_view>& answers, const std::optional<DeflateOptions>& offered) {
    const auto refused = [](const char* why) { return DeflateAcceptance{{}, why}; };
    const auto extensions = readExtensions(answers);
    if (!extensions) return refused("malformed Sec-WebSocket-Extensions");
    if (extensions->empty()) return {};
    if (extensions->size() > 1 || !equalsIgnoringCase(extensions->front().name, extensionName) || !offered || !offered->enabled)
        return refused("an extension that was not asked for");
    const auto parameters = readParameters(extensions->front());
    if (!parameters || (parameters->clientWindowBitsAllowed && !parameters->clientWindowBits))
        return refused("malformed parameters of permessage-deflate");
    if (!offered->peerContextTakeover && !parameters->serverNoContextTakeover)
        return refused("permessage-deflate without the server_no_context_takeover that was asked for");
    if (parameters->serverWindowBits.value_or(15) > offered->peerWindowBits)
        return refused("permessage-deflate with a larger server_max_window_bits than was asked for");
    if (parameters->clientWindowBits.value_or(8) > offered->windowBits)
        return refused("permessage-deflate with a larger client_max_window_bits than was offered");

    DeflateAgreement agreed;
    agreed.serverNoContextTakeover = parameters->serverNoContextTakeover;
    agreed.clientNoContextTakeover = parameters->clientNoContextTakeover || !offered->contextTakeover;
    agreed.serverWindowBits = parameters->serverWindowBits.value_or(15);
    agreed.clientWindowBits = parameters->clientWindowBits.value_or(offered->windowBits);
    return {agreed, nullptr};
}

}
