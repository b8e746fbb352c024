// WebSockets that a web server carries to us by FastCGI, SCGI or uwsgi.

#include "postern/gateway/UpgradeHint.h"

#include "support/BlockingClient.h"
#include "support/Catch.h"
#include "support/Fragments.h"
#include "support/WebServerTalk.h"

using namespace postern;
using namespace std::chrono_literals;
using namespace std::literals;

namespace {

const auto code1000 = "\x03\xe8"s, code1001 = "\x03\xe9"s, code4000 = "\x0f\xa0"s;

WebServerSettings over(WebsocketOver websocket) {
    WebServerSettings settings;
    settings.cgi.websocket = websocket;
    return settings;
}

// What happened to the handler's socket.
struct Fate {
    int accepted = 0, refused = 0;
    std::string last;   // "close 1000 clean"
};

Handler echo(Fate& fate) {
    return [&](Cgi& cgi) {
        if (!cgi.websocketRequested()) return cgi.write("plain", true);
        WebSocketOptions options;
        options.maxMessage = 8 << 20;
        if (!cgi.websocketSupported()) ++fate.refused;
        auto websocket = cgi.acceptWebsocket(options);
        ++fate.accepted;
        auto message = websocket.recv();
        for (; message; message = websocket.recv()) {
            if (message.isText() && message.textData() == "environment") websocket.send(cgi.environment()["REMOTE_ADDR"]);
            else if (message.isText() && message.textData() == "bye") websocket.close(4000, "as you wish");
            else if (message.isText()) websocket.send(message.textData());
            else websocket.send(message.data());
        }
        fate.last = "close " + std::to_string(message.closeCode()) + (websocket.wasClean() ? " clean" : "");
    };
}

// The client at the other side of the web server.
class Client {
public:
    explicit Client(WebServerTalk& talk) : talk_(talk), line(talk.connect()) {}
    Client(WebServerTalk& talk, const WireVariables& variables) : Client(talk) { line.send(wireHead(talk.protocol(), variables)); }

    void say(std::string_view bytes) { line.send(wirePiece(talk_.protocol(), bytes)); }
    // Everything up to now.
    const std::string& hear() {
        const auto reply = line.reply();
        text += reply.text;
        complaint += reply.complaint;
        ended = ended || reply.ended;
        return text;
    }
    int status() {
        WireReply reply;
        reply.text = hear();
        return reply.status(talk_.protocol());
    }
    std::string head() { return hear().substr(0, text.find("\r\n\r\n") + 4); }
    // "text hello; ping; close \x03\xe8", of what follows the head.
    std::string frames() {
        std::string_view rest = hear();
        const auto end = rest.find("\r\n\r\n");
        if (end == rest.npos) return "no head";
        rest.remove_prefix(end + 4);
        std::string all;
        while (rest.size() >= 2) {
            const int opcode = rest[0] & 0xf;
            size_t size = static_cast<unsigned char>(rest[1]) & 0x7f, start = 2;
            const size_t more = size == 126 ? 2 : size == 127 ? 8 : 0;
            if (more > 0) size = 0;
            for (; start < 2 + more; ++start) size = size << 8 | static_cast<unsigned char>(rest[start]);
            if (rest.size() < start + size) return all + "(cut)";
            const char* name = opcode == 1 ? "text " : opcode == 2 ? "binary " : opcode == 8 ? "close " : opcode == 9 ? "ping " : opcode == 10 ? "pong " : "? ";
            all.append(all.empty() ? "" : "; ").append(name).append(rest.substr(start, size));
            rest.remove_prefix(start + size);
        }
        return all;
    }

private:
    WebServerTalk& talk_;

public:
    WebServerTalk::Line& line;
    std::string text, complaint;
    bool ended = false;  // FastCGI: END_REQUEST
};

std::string statusLine(CgiProtocol protocol) { return protocol == CgiProtocol::uwsgi ? "HTTP/1.1 " : "Status: "; }

}

TEST_CASE("a whole conversation passes by FastCGI, SCGI and uwsgi", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        Fate fate;
        WebServerTalk talk(protocol, echo(fate), over(WebsocketOver::yes));
        Client client(talk, wireUpgrade("/"));
        const auto head = client.head();
        CAPTURE(head);
        CHECK(head.starts_with(statusLine(protocol) + "101 Switching Protocols\r\n"));
        for (const auto* field : {"\r\nUpgrade: websocket\r\n", "\r\nConnection: Upgrade\r\n", "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"})
            CHECK(head.find(field) != std::string::npos);
        for (const auto* field : {"Content-Length", "Transfer-Encoding", "Content-Type"}) CHECK(head.find(field) == std::string::npos);
        client.say(maskedFrame(1, "hello"));
        CHECK(client.frames() == "text hello");
        client.say(maskedFrame(1, "frag", false) + maskedFrame(9, "p"));
        client.say(maskedFrame(0, "ment"));
        CHECK(client.frames() == "text hello; pong p; text fragment");
        client.say(maskedFrame(1, "environment"));
        CHECK(client.frames() == "text hello; pong p; text fragment; text 192.0.2.7");
        CHECK(!client.ended);
        CHECK(!client.line.ended());
        client.say(maskedFrame(8, code1000 + "bye"));
        CHECK(client.frames() == "text hello; pong p; text fragment; text 192.0.2.7; close " + code1000);
        CHECK(fate.last == "close 1000 clean");
        CHECK(client.ended == (protocol == CgiProtocol::fastCgi));
        CHECK(client.line.ended());
        CHECK(client.complaint.empty());
        CHECK(client.line.received.empty());
        CHECK(talk.log().empty());
    }
}

TEST_CASE("a WebSocket with callbacks lives on behind its handler by FastCGI, SCGI and uwsgi", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        std::string end;
        const auto handler = [&](Cgi& cgi) {
            auto websocket = cgi.acceptWebsocket();
            websocket.onmessage([](WebSocket& self, std::string_view text) { self.send(text); });
            websocket.onclose([&](const CloseEvent& event) { end = std::to_string(event.code) + (event.wasClean ? " clean" : ""); });
        };
        WebServerTalk talk(protocol, handler, over(WebsocketOver::yes));
        Client client(talk, wireUpgrade("/"));
        CHECK(client.head().starts_with(statusLine(protocol) + "101 Switching Protocols\r\n"));
        client.say(maskedFrame(1, "hello"));
        CHECK(client.frames() == "text hello");
        client.say(maskedFrame(1, "again"));
        CHECK(client.frames() == "text hello; text again");
        CHECK(!client.line.ended());
        client.say(maskedFrame(8, code4000));
        CHECK(client.frames() == "text hello; text again; close " + code4000);
        CHECK(end == "4000 clean");
        CHECK(client.line.ended());
        CHECK(client.complaint.empty());
        CHECK(talk.log().empty());
    }
}

TEST_CASE("frames behind the head are the conversation's, however all of it arrives", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        Fate fate;
        WebServerTalk talk(protocol, echo(fate), over(WebsocketOver::yes));
        const auto all = wireHead(protocol, wireUpgrade("/")) + wirePiece(protocol, maskedFrame(1, "one") + maskedFrame(2, "two")) +
                         wirePiece(protocol, maskedFrame(8, code1000));
        forEachFragmentation(all, [&](const Fragments& pieces) {
            Client client(talk);
            for (const auto piece : pieces) client.line.send(piece);
            if (client.frames() != "text one; binary two; close " + code1000 || !client.line.ended() || !client.complaint.empty() ||
                client.ended != (protocol == CgiProtocol::fastCgi))
                FAIL(client.frames() << pieces[0].size());
        });
        CHECK(talk.log().empty());
        CHECK(talk.loop().fiberCount() == 0);
    }
}

TEST_CASE("large messages pass by FastCGI, SCGI and uwsgi in both directions", "[gateway]") {
    std::string large(5'000'000, ' ');
    for (size_t i = 0; i < large.size(); ++i) large[i] = static_cast<char>('a' + i * i % 23);
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        Fate fate;
        WebServerTalk talk(protocol, echo(fate), over(WebsocketOver::yes));
        Client client(talk, wireUpgrade("/"));
        client.say(maskedFrame(2, large));
        CHECK((client.frames() == "binary " + large));
        client.say(maskedFrame(8, ""));
        CHECK(client.line.ended());
    }
}

TEST_CASE("the program closes, and the request ends behind the last frame", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        Fate fate;
        WebServerTalk talk(protocol, echo(fate), over(WebsocketOver::yes));
        Client client(talk, wireUpgrade("/"));
        client.say(maskedFrame(1, "bye"));
        CHECK(client.frames() == "close " + code4000 + "as you wish");
        CHECK(!client.ended);
        client.say(maskedFrame(8, code4000));
        CHECK(client.frames() == "close " + code4000 + "as you wish");
        CHECK(client.ended == (protocol == CgiProtocol::fastCgi));
        CHECK(client.line.ended());
        CHECK(fate.last == "close 4000 clean");
    }
}

TEST_CASE("a web server that goes away is the end of the conversation", "[gateway]") {
    for (const auto protocol : wireProtocols)
        for (const bool drops : {false, true}) {
            CAPTURE(nameOf(protocol), drops);
            Fate fate;
            WebServerTalk talk(protocol, echo(fate), over(WebsocketOver::yes));
            Client client(talk, wireUpgrade("/"));
            client.say(maskedFrame(1, "hello").substr(0, 4));
            if (drops) client.line.drop();
            else client.line.finishSending();
            talk.pass(10s);
            CHECK(fate.last == "close 1006");
            CHECK(client.line.ended());
            CHECK(talk.loop().fiberCount() == 0);
        }
}

TEST_CASE("the end of STDIN is the end of a conversation by FastCGI", "[gateway]") {
    Fate fate;
    WebServerTalk talk(CgiProtocol::fastCgi, echo(fate), over(WebsocketOver::yes));
    Client client(talk, wireUpgrade("/"));
    client.say(maskedFrame(1, "hello"));
    client.line.send(wireEnd(CgiProtocol::fastCgi));
    talk.pass(10s);
    CHECK(client.frames() == "text hello");
    CHECK(fate.last == "close 1006");
    CHECK(client.line.ended());
}

TEST_CASE("told to stop, a gateway closes its WebSockets with 1001", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        Fate fate;
        WebServerTalk talk(protocol, echo(fate), over(WebsocketOver::yes));
        Client client(talk, wireUpgrade("/"));
        REQUIRE(client.status() == 101);
        talk.loop().drain(10s);
        talk.settle();
        CHECK(client.frames().starts_with("close " + code1001));
        client.say(maskedFrame(8, code1001));
        CHECK(fate.last == "close 1001 clean");
        client.hear();
        CHECK(client.ended == (protocol == CgiProtocol::fastCgi));
        CHECK(client.line.ended());
        CHECK(talk.loop().fiberCount() == 0);
    }
}

TEST_CASE("a gateway may go while WebSockets are open", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        Fate fate;
        WebServerTalk talk(protocol, echo(fate), over(WebsocketOver::yes));
        Client client(talk, wireUpgrade("/"));
        REQUIRE(client.status() == 101);
        talk.destroyGateway();
        talk.settle();
        CHECK(client.line.ended());
        CHECK(talk.loop().fiberCount() == 0);
    }
}

TEST_CASE("FastCGI whose STDIN ends within 10 ms carries no WebSocket: a 501, and the log says what would", "[gateway]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    const auto variables = wireUpgrade("/", {{"SERVER_SOFTWARE", "nginx/1.22.1"}});
    Fate fate;
    WebServerTalk talk(protocol, echo(fate));
    SECTION("with the head") {
        Client client(talk);
        client.line.send(wireHead(protocol, variables) + wireEnd(protocol));
        CHECK(client.status() == 501);
        CHECK(client.ended);
    }
    SECTION("a moment later") {
        Client client(talk, variables);
        CHECK(client.hear().empty());
        talk.pass(9ms);
        CHECK(client.hear().empty());
        client.line.send(wireEnd(protocol));
        CHECK(client.status() == 501);
        CHECK(client.ended);
    }
    CHECK(fate.accepted == 0);
    CHECK(fate.refused == 1);
    CHECK(talk.logged("refused a WebSocket: nginx/1.22.1's FastCGI does not carry a WebSocket: fastcgi_pass") == 1);
    CHECK(talk.logged("docs/gateways.md") >= 1);
}

TEST_CASE("after a 501 a kept FastCGI connection goes on", "[gateway]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    Fate fate;
    WebServerTalk talk(protocol, echo(fate));
    Client client(talk);
    client.line.send(wireHead(protocol, wireUpgrade("/"), true) + wireEnd(protocol));
    CHECK(client.status() == 501);
    client.line.send(wireRequest(protocol, wireVariables("GET", "/"), {}, true));
    CHECK(client.line.reply().body() == "plain");
}

TEST_CASE("FastCGI whose STDIN stays open for 10 ms carries a WebSocket", "[gateway]") {
    constexpr auto protocol = CgiProtocol::fastCgi;
    Fate fate;
    WebServerTalk talk(protocol, echo(fate));
    SECTION("silence") {
        Client client(talk, wireUpgrade("/"));
        talk.pass(9ms);
        CHECK(client.hear().empty());
        talk.pass(2ms);
        CHECK(client.status() == 101);
        CHECK(client.frames().empty());  // no ping is needed: there is proof
        client.say(maskedFrame(1, "hello"));
        CHECK(client.frames() == "text hello");
    }
    SECTION("STDIN that ends later is a client that goes") {
        Client client(talk, wireUpgrade("/"));
        talk.pass(11ms);
        client.line.send(wireEnd(protocol));
        CHECK(client.status() == 101);
        talk.pass(10s);
        CHECK(fate.last == "close 1006");
    }
    SECTION("a frame is proof at once") {
        Client client(talk);
        client.line.send(wireHead(protocol, wireUpgrade("/")) + wirePiece(protocol, maskedFrame(1, "early")));
        CHECK(client.status() == 101);
        CHECK(client.frames() == "text early");
    }
    CHECK(fate.accepted == 1);
    CHECK(talk.log().empty());
}

TEST_CASE("SCGI and uwsgi gateways that say they cannot are believed", "[gateway]") {
    for (const auto protocol : {CgiProtocol::scgi, CgiProtocol::uwsgi})
        for (const auto* server : {"Apache/2.4.57 (Debian)", "lighttpd/1.4.69", "lighttpd/1.4.73"}) {
            CAPTURE(nameOf(protocol), server);
            Fate fate;
            WebServerTalk talk(protocol, echo(fate));
            Client client(talk, wireUpgrade("/", {{"SERVER_SOFTWARE", server}}));
            CHECK(client.status() == 501);
            CHECK(client.line.ended());
            CHECK(fate.accepted == 0);
            CHECK(talk.logged("refused a WebSocket: " + std::string(server) + "'s " + std::string(nameOf(protocol))) == 1);
        }
}

TEST_CASE("a WebSocket by SCGI or uwsgi of which nothing is heard in time is cut, and the log says why", "[gateway]") {
    for (const auto protocol : {CgiProtocol::scgi, CgiProtocol::uwsgi})
        for (const auto* server : {"", "nginx/1.22.1", "lighttpd/1.4.74"}) {
            CAPTURE(nameOf(protocol), server);
            Fate fate;
            WebServerTalk talk(protocol, echo(fate));
            Client client(talk, wireUpgrade("/", {{"SERVER_SOFTWARE", server}}));
            CHECK(client.status() == 101);
            CHECK(client.frames().starts_with("ping"));
            talk.pass(9900ms);
            CHECK(!client.line.ended());
            talk.pass(200ms);
            CHECK(client.line.ended());
            CHECK(fate.last == "close 1006");
            CHECK(talk.log().size() == 1);
            CHECK(talk.logged("cut a WebSocket: nothing came from the client after the 101; ") == 1);
            CHECK(talk.logged("does not carry a WebSocket: ") == 1);
        }
}

TEST_CASE("any byte of its client proves that a gateway carries a WebSocket", "[gateway]") {
    for (const auto protocol : {CgiProtocol::scgi, CgiProtocol::uwsgi})
        for (const auto& bytes : {maskedFrame(10, ""), maskedFrame(1, "hello"), "\x81"s}) {
            CAPTURE(nameOf(protocol), bytes.size());
            Fate fate;
            WebServerTalk talk(protocol, echo(fate));
            Client late(talk, wireUpgrade("/"));
            talk.pass(9900ms);
            late.say(bytes);
            Client early(talk);
            early.line.send(wireHead(protocol, wireUpgrade("/")) + bytes);
            talk.pass(15s);
            CHECK(!late.line.ended());
            CHECK(!early.line.ended());
            CHECK(talk.log().empty());
        }
}

TEST_CASE("--upgrade-timeout is how long a gateway has to prove that it carries a WebSocket", "[gateway]") {
    Fate fate;
    WebServerSettings settings;
    settings.cgi.upgradeTimeout = 3s;
    WebServerTalk talk(CgiProtocol::scgi, echo(fate), settings);
    Client client(talk, wireUpgrade("/"));
    talk.pass(2900ms);
    CHECK(!client.line.ended());
    talk.pass(200ms);
    CHECK(client.line.ended());
}

TEST_CASE("?websocket=no refuses every WebSocket, and yes asks for no proof", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        Fate fate;
        WebServerTalk off(protocol, echo(fate), over(WebsocketOver::no));
        Client refused(off, wireUpgrade("/"));
        CHECK(refused.status() == 501);
        CHECK(off.logged("refused a WebSocket: WebSockets over this way in are switched off") == 1);
        Client plain(off);
        plain.line.send(wireRequest(protocol, wireVariables("GET", "/")));
        CHECK(plain.hear().ends_with("plain"));
        WebServerTalk on(protocol, echo(fate), over(WebsocketOver::yes));
        Client accepted(on, wireUpgrade("/", {{"SERVER_SOFTWARE", "Apache/2.4.57"}}));
        CHECK(accepted.status() == 101);
        on.pass(20s);
        CHECK(accepted.frames().empty());
        CHECK(!accepted.line.ended());
    }
}

TEST_CASE("a request with a Sec-WebSocket-Key but no Upgrade is a 426, and the log says who dropped it", "[gateway]") {
    for (const auto protocol : wireProtocols) {
        CAPTURE(nameOf(protocol));
        WebServerTalk talk(protocol, [](Cgi& cgi) { cgi.acceptWebsocket(); }, over(WebsocketOver::yes));
        WireVariables variables;
        for (const auto& variable : wireUpgrade("/"))
            if (variable.first != "HTTP_UPGRADE") variables.push_back(variable);
        Client client(talk, variables);
        client.line.send(wireEnd(protocol));
        CHECK(client.status() == 426);
        CHECK(talk.logged("Sec-WebSocket-Key but no Upgrade") == 1);
    }
}

TEST_CASE("gateways known not to carry a WebSocket are told by what they call themselves", "[gateway]") {
    struct Row {
        const char* server;
        bool fastCgi, scgi, uwsgi, cgi;
    };
    for (const auto& [server, fastCgi, scgi, uwsgi, cgi] :
         {Row{"", false, false, false, false}, Row{"nginx/1.22.1", false, false, false, false}, Row{"nginx", false, false, false, false},
          Row{"Apache/2.4.57 (Debian)", true, true, true, true}, Row{"Apache", true, true, true, true},
          Row{"lighttpd/1.4.69", true, true, true, false}, Row{"lighttpd/1.4.73", true, true, true, false},
          Row{"lighttpd/1.4.74", false, false, false, false}, Row{"lighttpd/1.4.100", false, false, false, false},
          Row{"lighttpd/1.5.0", false, false, false, false}, Row{"lighttpd/2.0", false, false, false, false},
          Row{"lighttpd/1.4", true, true, true, false}, Row{"lighttpd/1.4.74-devel", false, false, false, false},
          Row{"Caddy/2.6", false, false, false, false}, Row{"other Apache", false, false, false, false}}) {
        CAPTURE(server);
        CHECK(isKnownNotToUpgrade(CgiProtocol::fastCgi, server) == fastCgi);
        CHECK(isKnownNotToUpgrade(CgiProtocol::scgi, server) == scgi);
        CHECK(isKnownNotToUpgrade(CgiProtocol::uwsgi, server) == uwsgi);
        CHECK(isKnownNotToUpgrade(CgiProtocol::cgi, server) == cgi);
    }
}

TEST_CASE("the log names the directive of the gateway that would carry a WebSocket", "[gateway]") {
    struct Row {
        CgiProtocol protocol;
        const char* server;
        const char* remedy;
    };
    for (const auto& [protocol, server, remedy] : {
             Row{CgiProtocol::fastCgi, "nginx/1.22.1", "scgi_pass"},
             Row{CgiProtocol::scgi, "nginx/1.22.1", "--listen http://"},
             Row{CgiProtocol::cgi, "lighttpd/1.4.69", "cgi.upgrade = \"enable\""},
             Row{CgiProtocol::fastCgi, "lighttpd/1.4.69", "\"upgrade\" => \"enable\" in fastcgi.server, which takes lighttpd 1.4.74 or newer; with an older one, use mod_proxy"},
             Row{CgiProtocol::fastCgi, "lighttpd/1.4.79", "\"upgrade\" => \"enable\" in fastcgi.server"},
             Row{CgiProtocol::scgi, "lighttpd/1.4.79", "\"upgrade\" => \"enable\" in scgi.server"},
             Row{CgiProtocol::uwsgi, "lighttpd/1.4.79", "\"upgrade\" => \"enable\" in scgi.server"},
             Row{CgiProtocol::fastCgi, "Apache/2.4.57", "upgrade=websocket"},
             Row{CgiProtocol::fastCgi, "Caddy/2.6", "reverse_proxy"},
             Row{CgiProtocol::fastCgi, "", "--listen http://"},
         }) {
        CAPTURE(nameOf(protocol), server);
        const auto hint = upgradeHint(protocol, server);
        CHECK(hint.find(remedy) != std::string::npos);
        CHECK(hint.find(std::string(nameOf(protocol))) != std::string::npos);
        CHECK(hint.find(server) == 0);
        CHECK(hint.ends_with("see docs/gateways.md"));
    }
    CHECK(upgradeHint(CgiProtocol::scgi, "evil\n\x1b[31m").find('\n') == std::string::npos);
}
