#include "conformance/Rig.h"

#include "postern/cgi/Cgi.h"
#include "postern/client/ConnectWebSocket.h"
#include "postern/protocol/Handshake.h"
#include "support/WebSocketClient.h"

#include <algorithm>
#include <charconv>
#include <stdexcept>

namespace postern::conformance {

namespace {

uint64_t setting(std::string_view settings, std::string_view name, uint64_t fallback) {
    const auto at = settings.find(std::string(name) + '=');
    if (at == std::string_view::npos) return fallback;
    const auto digits = settings.substr(at + name.size() + 1);
    std::from_chars(digits.data(), digits.data() + digits.size(), fallback);
    return fallback;
}

} // namespace

WebSocketOptions optionsFor(const Setup& setup) {
    WebSocketOptions options;
    options.maxMessage = setting(setup.settings, "max", options.maxMessage);
    options.maxFragments = setting(setup.settings, "fragments", options.maxFragments);
    options.requireProtocol = setting(setup.settings, "require", 0) != 0;
    auto& deflate = options.deflate.emplace();
    deflate.enabled = setup.compression == Compression::with;
    deflate.contextTakeover = setup.ownTakeover;
    deflate.peerContextTakeover = setup.peerTakeover;
    deflate.windowBits = setup.ownBits;
    deflate.peerWindowBits = setup.peerBits;
    deflate.threshold = 0;
    return options;
}

Rig::Rig(Role tested)
    : role_(tested),
      handle_([this](Exchange& exchange) { serveExchange(exchange, {}, [this](Cgi& cgi) { serve(cgi); }); }),
      gateway_(std::make_unique<HttpGateway>(lines_.loop(), -1, http_, handle_)) {}

Rig::~Rig() {
    lines_.clear();
    gateway_.reset();
    lines_.loop().endFibers();
}

// ── The programs under test ──

std::string echo(WebSocket& socket) {
    while (auto message = socket.recv()) {
        if (!message.isText()) {
            socket.send(message.data());
        } else if (!message.textData().starts_with("/close ")) {
            socket.send(message.textData());
        } else {
            const auto text = message.toString();
            socket.close(static_cast<uint16_t>(std::stoi(text.substr(7))), text.size() > 12 ? text.substr(12) : "");
        }
    }
    return postern::describe(socket.recv()) + (socket.wasClean() ? " clean" : "");
}

void Rig::serve(Cgi& cgi) {
    auto options = optionsFor(setup_);
    options.protocols = spoken;
    auto socket = cgi.acceptWebsocket(options);
    told_[std::string(cgi.get("line"))] = echo(socket);
}

void Rig::call(std::unique_ptr<ByteStream> stream, const std::string& number) {
    auto& opened = opened_[number];
    try {
        ClientOptions options;
        options.socket = optionsFor(setup_);
        if (setting(setup_.settings, "protocols", 0)) options.socket.protocols = spoken;
        auto socket = connectWebSocketOver(std::move(stream), "ws://server.example.com/?line=" + number, options);
        opened = socket.protocol().empty() ? "open" : "open " + std::string(socket.protocol());
        told_[number] = echo(socket);
    } catch (const RedirectRefused& refused) {
        opened = "redirect " + refused.location();
    } catch (const Unauthorized& refused) {
        opened = "unauthorized " + refused.challenge();
    } catch (const HandshakeError& refused) {
        opened = "refused " + std::to_string(refused.status());
    }
}

// ── Handshakes ──

void Rig::add() {
    auto [line, end] = lines_.add();
    if (role_ == Role::server)
        gateway_->serve(std::move(end), {"127.0.0.1", 1}, 80);
    else
        lines_.loop().spawn(
            [this, stream = std::move(end), number = line->number]() mutable { call(std::move(stream), number); });
}

namespace {

using Fields = std::vector<std::string>;

const Fields goodRequest = {"GET / HTTP/1.1",
                            "Host: server.example.com",
                            "Upgrade: websocket",
                            "Connection: Upgrade",
                            "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
                            "Sec-WebSocket-Version: 13"};
const Fields goodAnswer = {"HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection: Upgrade",
                           "Sec-WebSocket-Accept: {accept}"};

std::string changed(Fields lines, const Fields& changes) {
    std::string behind;
    for (const auto& change : changes) {
        const auto rest = change.substr(1);
        const auto old = std::find_if(lines.begin(), lines.end(),
                                      [name = change.substr(change[0] == '-', change.find(':')) +
                                              ":"](const auto& line) { return line.starts_with(name); });
        switch (change[0]) {
        case '=': lines[0] = rest; break;
        case '+': lines.push_back(rest); break;
        case '!': behind = rest; break;
        case '-':
            if (old == lines.end()) throw std::invalid_argument("there is no " + rest);
            lines.erase(old);
            break;
        default:
            if (old != lines.end())
                *old = change;
            else
                lines.push_back(change);
        }
    }
    std::string text;
    for (const auto& line : lines) text += line + "\r\n";
    return text + "\r\n" + behind;
}

// The value of a field that is there once; the empty string if it is not.
std::string valueOf(const std::string& head, const std::string& name) {
    const auto at = head.find("\r\n" + name + ": ");
    if (at == std::string::npos) return {};
    if (head.find("\r\n" + name + ": ", at + 1) != std::string::npos) return "twice";
    const auto begin = at + name.size() + 4;
    return head.substr(begin, head.find("\r\n", begin) - begin);
}

std::string acceptFor(const std::string& requestHead) { return acceptKey(valueOf(requestHead, "Sec-WebSocket-Key")); }

std::string filled(std::string text, const std::string& accept) {
    constexpr std::string_view place = "{accept}";
    for (auto at = text.find(place); at != std::string::npos; at = text.find(place))
        text.replace(at, place.size(), accept);
    return text;
}

// What client and server say of compression to agree on this.
std::string deflateText(const Setup& setup, Role tested, Role speaker) {
    const auto name = [&](bool own, const char* rest) {
        return std::string(own == (tested == Role::server) ? "; server_" : "; client_") + rest;
    };
    std::string text = "permessage-deflate";
    if (!setup.ownTakeover) text += name(true, "no_context_takeover");
    if (!setup.peerTakeover) text += name(false, "no_context_takeover");
    if (setup.ownBits < 15) text += name(true, "max_window_bits=") + std::to_string(setup.ownBits);
    if (setup.peerBits < 15) text += name(false, "max_window_bits=") + std::to_string(setup.peerBits);
    if (speaker == Role::client && setup.peerBits == 15) text += "; client_max_window_bits";
    return text;
}

} // namespace

std::string requestWith(const std::vector<std::string>& changes) { return changed(goodRequest, changes); }

void Rig::openServers() {
    const bool compressed = setup_.compression == Compression::with;
    Fields changes{"="};
    if (compressed) changes.push_back("Sec-WebSocket-Extensions: " + deflateText(setup_, role_, Role::client));
    const auto fields = changed(goodRequest, changes);
    for (auto& line : lines_) line->end->queue({"GET /?line=", line->number, " HTTP/1.1", fields});
    lines_.settle();
    for (auto& line : lines_) {
        const bool agreed = valueOf(line->head, "Sec-WebSocket-Extensions").starts_with("permessage-deflate");
        if (!line->head.starts_with("HTTP/1.1 101 ") || agreed != compressed)
            throw std::runtime_error("not agreed: " + line->head);
        line->open(role_, setup_);
    }
}

void Rig::openClients() {
    Fields changes;
    if (setup_.compression == Compression::with)
        changes.push_back("Sec-WebSocket-Extensions: " + deflateText(setup_, role_, Role::server));
    const auto answer = changed(goodAnswer, changes);
    lines_.settle();
    for (auto& line : lines_) {
        line->end->queue({filled(answer, acceptFor(line->head))});
        line->open(role_, setup_);
    }
    lines_.settle();
    for (auto& line : lines_)
        if (opened_[line->number] != "open") throw std::runtime_error("not agreed: " + opened_[line->number]);
}

std::string Rig::requestOf(const Setup& setup) {
    setup_ = setup;
    add();
    lines_.settle();
    auto head = (*lines_.begin())->head;
    lines_.clear();
    opened_.clear();
    return head;
}

namespace {

Fields parametersOf(std::string text) {
    Fields all;
    for (size_t end = 0; end != std::string::npos; text = text.substr(std::min(text.size(), end + 2))) {
        end = text.find("; ");
        all.push_back(text.substr(0, end));
    }
    return all;
}

// "permessage-deflate; a; (b)": in any order, and what is in parentheses may be missing.
bool sameParameters(const std::string& found, const std::string& wanted) {
    auto all = parametersOf(found);
    for (const auto& parameter : parametersOf(wanted)) {
        const bool isOptional = parameter.starts_with('(');
        const auto name = isOptional ? parameter.substr(1, parameter.size() - 2) : parameter;
        if (const auto at = std::find(all.begin(), all.end(), name); at != all.end())
            all.erase(at);
        else if (!isOptional)
            return false;
    }
    return all.empty();
}

// What is wrong with the head of a server's answer.
std::string wrongAnswer(const std::string& head, const std::string& outcome) {
    if (head.substr(0, 12) != "HTTP/1.1 " + outcome.substr(0, 3)) return "answered: " + head;
    if (outcome == "426" && (valueOf(head, "Sec-WebSocket-Version") != "13" || valueOf(head, "Upgrade") != "websocket"))
        return "a 426 without what it asks for: " + head;
    const bool accepted = outcome.starts_with("101");
    if (!accepted)
        return head.find("Sec-WebSocket-Accept") == std::string::npos ? "" : "a refusal with an Accept: " + head;
    const auto wanted = "\r\n" + outcome.substr(std::min<size_t>(outcome.size(), 5)) + "\r\n";
    for (const char* name : {"Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"})
        if (!sameParameters(valueOf(head, name), valueOf(wanted, name)))
            return std::string("another ") + name + ": " + head;
    if (const auto accept = valueOf(wanted, "Sec-WebSocket-Accept");
        !accept.empty() && accept != valueOf(head, "Sec-WebSocket-Accept"))
        return "another Accept: " + head;
    if (valueOf(head, "Upgrade") != "websocket" || valueOf(head, "Connection") != "Upgrade")
        return "an incomplete 101: " + head;
    for (const char* name : {"Content-Length", "Transfer-Encoding", "Content-Type"})
        if (!valueOf(head, name).empty()) return std::string("a 101 with ") + name;
    return {};
}

} // namespace

std::string Rig::play(const Handshake& row, Cuts cuts) {
    setup_ = row.setup;
    const auto isServer = role_ == Role::server;
    const auto text = changed(isServer ? goodRequest : goodAnswer, row.changes);
    const auto sample = filled(text, std::string(28, '='));
    const auto ways = waysToSay(sample, cuts);
    for (size_t i = 0; i < ways.size(); ++i) add();
    lines_.settle();
    std::vector<std::string> texts; // each with the Accept for its key
    texts.reserve(ways.size());
    for (auto& line : lines_) {
        const auto& way = ways[texts.size()];
        const auto& bytes = texts.emplace_back(isServer ? text : filled(text, acceptFor(line->head)));
        line->cut = way.name;
        for (const auto piece : way.pieces)
            line->pieces.push_back(
                std::string_view(bytes).substr(static_cast<size_t>(piece.data() - sample.data()), piece.size()));
    }
    std::string found;
    for (bool more = true; more;) {
        more = false;
        for (auto& line : lines_) more = line->sayNext() || more;
        lines_.settle();
        for (auto& line : lines_)
            if (isServer && row.outcome.starts_with("101") && line->step < line->pieces.size() && !line->head.empty())
                found = line->cut + ": answered before the request was whole: " + line->head;
    }
    for (auto& line : lines_) {
        const auto what = deviation(*line, row);
        if (found.empty() && !what.empty()) found = line->cut + ": " + what;
    }
    lines_.clear();
    opened_.clear();
    told_.clear();
    return found;
}

// A line that is open carries a message there and back; one that is not ends.
std::string Rig::deviation(PeerLine& line, const Handshake& row) {
    const auto isServer = role_ == Role::server;
    const bool isOpen = row.outcome.starts_with(isServer ? "101" : "open");
    if (!isServer && isOpen && opened_[line.number] != row.outcome) return "the client: " + opened_[line.number];
    if (isServer)
        if (const auto wrong = wrongAnswer(line.head, row.outcome); !wrong.empty()) return wrong;
    if (isOpen) {
        auto setup = row.setup;
        const auto hasExtension = [](const std::string& text) {
            return text.find("Sec-WebSocket-Extensions: permessage") != std::string::npos;
        };
        const bool agreed =
            isServer ? hasExtension(line.head) : std::any_of(row.changes.begin(), row.changes.end(), hasExtension);
        setup.compression = agreed ? Compression::with : Compression::without;
        line.open(role_, setup);
        line.end->queue({say("text Hello", role_).bytes});
        lines_.settle();
        if (!line.reader->complaint().empty() || conformance::describe(line.reader->events()) != "text Hello")
            return "the echo: " + conformance::describe(line.reader->events()) + " " + line.reader->complaint();
    }
    line.end->finishSending();
    lines_.settle();
    if (!isServer && opened_[line.number] != row.outcome) return "the client: " + opened_[line.number];
    return line.ended() ? "" : "the line was not ended though the peer has ended it";
}

// ── Conversations ──

std::string Rig::play(const Row& row, bool compressed, Cuts cuts) {
    setup_ = row.setup;
    setup_.compression = compressed ? Compression::with : Compression::without;
    const auto said = say(row.says, role_);
    const auto expected = expect(row.hears);
    auto ways = waysToSay(said.bytes, cuts, said.mark);
    for (size_t i = 0; i < ways.size(); ++i) add();
    role_ == Role::server ? openServers() : openClients();
    size_t next = 0;
    for (auto& line : lines_) {
        line->cut = ways[next].name;
        line->pieces = std::move(ways[next++].pieces);
    }
    auto found = playWays(said, expected);
    lines_.clear();
    opened_.clear();
    told_.clear();
    return found;
}

namespace {

enum class End {
    none,       // the line stays open
    clean,      // both have sent their close frames
    failure,    // the peer broke a rule
    unanswered, // the peer never answered the program's close
};

End endOf(const Said& said, const Expected& expected, const Setup& setup, std::string& told) {
    told = "close 1006";
    if (expected.staysOpen) return End::none;
    auto code = expected.events.back().payload.substr(0, 4);
    if (code.empty()) code = "1005";
    const bool mayBeFailure = code == "1002" || code == "1007" || code == "1008" || code == "1009";
    if (mayBeFailure) told = "close " + code;
    if (!setup.told.empty()) {
        told = setup.told;
        return End::failure;
    }
    for (const auto& close : said.closes) {
        if (mayBeFailure && !close.starts_with("close " + code)) continue;
        told = close + " clean";
        return End::clean;
    }
    return mayBeFailure ? End::failure : End::unanswered;
}

} // namespace

std::string Rig::playWays(const Said& said, const Expected& expected) {
    std::string found, told;
    const auto end = endOf(said, expected, setup_, told);
    const bool isServer = role_ == Role::server;
    const bool endsAtOnce = end == End::failure || (end != End::none && isServer);
    const auto note = [&](const PeerLine& line, const std::string& what) {
        if (found.empty() && !what.empty()) found = line.cut + ": " + what;
    };
    for (bool more = true; more;) {
        more = false;
        for (auto& line : lines_) more = line->sayNext() || more;
        lines_.settle();
        for (auto& line : lines_)
            if (said.mark && line->said == *said.mark) note(*line, deviation(*line, expected, endsAtOnce));
    }
    if (said.wait.count() > 0) lines_.pass(said.wait);
    for (auto& line : lines_) note(*line, deviation(*line, expected, endsAtOnce || said.wait.count() > 0));
    for (auto& line : lines_) line->end->finishSending();
    lines_.settle();
    for (auto& line : lines_) note(*line, deviationAtTheEnd(*line, expected, told));
    return found;
}

std::string Rig::deviation(const PeerLine& line, const Expected& expected, bool ends) const {
    const auto& reader = *line.reader;
    const auto after = " after " + std::to_string(line.said) + " bytes";
    if (!reader.complaint().empty()) return reader.complaint() + after;
    if (!fulfils(reader.events(), expected) || reader.isInsideFrame())
        return "heard" + after + ": " + conformance::describe(reader.events());
    if (line.ended() != ends) return (line.ended() ? "the line was ended" : "the line was not ended") + after;
    return {};
}

std::string Rig::deviationAtTheEnd(const PeerLine& line, const Expected& expected, const std::string& told) const {
    if (const auto& complaint = line.reader->complaint(); !complaint.empty()) return complaint + " at the end";
    if (!fulfils(line.reader->events(), expected))
        return "heard at the end: " + conformance::describe(line.reader->events());
    if (!line.ended()) return "the line was not ended though the peer has ended it";
    const auto found = told_.find(line.number);
    const auto really = found == told_.end() ? std::string() : found->second;
    const bool same =
        told.ends_with(" clean") ? really == told : really.starts_with(told) && !really.ends_with(" clean");
    return same ? "" : "the program was told: " + really;
}

} // namespace postern::conformance
