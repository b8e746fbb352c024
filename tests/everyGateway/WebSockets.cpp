// One WebSocket conversation over every way in that carries one.

#include "support/Catch.h"
#include "support/ForkedProgram.h"
#include "support/TestServer.h"
#include "support/WebServerTalk.h"

using namespace postern;

namespace {

void echo(Cgi& cgi) {
    if (cgi.pathInfo() == "/") return cgi.write("no WebSocket", true);
    WebSocketOptions options;
    options.protocols = {"echo.v2", "echo.v1"};
    cgi.setCookie("joined", "yes");
    auto websocket = cgi.acceptWebsocket(options);
    while (auto message = websocket.recv()) {
        if (message.isText() && message.textData() == "bye") return websocket.close(4000, "as you wish");
        if (message.isText())
            websocket.send(message.textData());
        else
            websocket.send(message.data());
    }
}

// As a client sends it: masked, with a mask that shows.
std::string frame(int opcode, std::string_view payload, bool final = true) {
    std::string bytes(1, static_cast<char>((final ? 0x80 : 0) | opcode));
    const auto size = payload.size();
    if (size < 126) {
        bytes += static_cast<char>(0x80 | size);
    } else {
        bytes += static_cast<char>(0x80 | (size <= 0xffff ? 126 : 127));
        for (int shift = size <= 0xffff ? 8 : 56; shift >= 0; shift -= 8)
            bytes += static_cast<char>(size >> shift & 0xff);
    }
    const std::string mask = "\x11\x22\x33\x44";
    bytes += mask;
    for (size_t i = 0; i < size; ++i) bytes += static_cast<char>(payload[i] ^ mask[i % 4]);
    return bytes;
}

// As a server sends it.
std::string reply(int opcode, std::string_view payload) {
    std::string bytes(1, static_cast<char>(0x80 | opcode));
    const auto size = payload.size();
    if (size < 126) {
        bytes += static_cast<char>(size);
    } else {
        bytes += static_cast<char>(size <= 0xffff ? 126 : 127);
        for (int shift = size <= 0xffff ? 8 : 56; shift >= 0; shift -= 8)
            bytes += static_cast<char>(size >> shift & 0xff);
    }
    return bytes + std::string(payload);
}

const std::string code1000("\x03\xe8", 2), code4000("\x0f\xa0", 2);
const std::string large(100'000, 'L');

// What the client says after the handshake, and what it must hear. The last is the close.
const std::string said = frame(1, "hello") + frame(2, std::string("\0\xff", 2)) + frame(1, "frag", false) +
                         frame(9, "ping") + frame(0, "mented") + frame(1, "") + frame(2, large) + frame(8, code1000);
const std::string heard = reply(1, "hello") + reply(2, std::string("\0\xff", 2)) + reply(10, "ping") +
                          reply(1, "fragmented") + reply(1, "") + reply(2, large) + reply(8, code1000);

const std::string handshake =
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Protocol: echo.v1, other\r\n"
    "Origin: http://test\r\n";

ForkedProgram::Variables variables(const std::string& server = "test") {
    return {{"GATEWAY_INTERFACE", "CGI/1.1"},
            {"SERVER_SOFTWARE", server},
            {"SERVER_PROTOCOL", "HTTP/1.1"},
            {"SERVER_NAME", "test"},
            {"SERVER_PORT", "80"},
            {"REQUEST_METHOD", "GET"},
            {"REQUEST_URI", "/echo"},
            {"SCRIPT_NAME", ""},
            {"PATH_INFO", "/echo"},
            {"HTTP_HOST", "test"},
            {"HTTP_UPGRADE", "websocket"},
            {"HTTP_CONNECTION", "Upgrade"},
            {"HTTP_SEC_WEBSOCKET_VERSION", "13"},
            {"HTTP_SEC_WEBSOCKET_KEY", "dGhlIHNhbXBsZSBub25jZQ=="},
            {"HTTP_SEC_WEBSOCKET_PROTOCOL", "echo.v1, other"},
            {"HTTP_ORIGIN", "http://test"}};
}

void checkHandshake(const std::string& head) {
    CAPTURE(head);
    for (const char* line : {"101 Switching Protocols\r\n", "\r\nUpgrade: websocket\r\n", "\r\nConnection: Upgrade\r\n",
                             "\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
                             "\r\nSec-WebSocket-Protocol: echo.v1\r\n", "\r\nSet-Cookie: joined=yes"})
        CHECK(head.find(line) != std::string::npos);
    CHECK(head.find("Content-Length") == std::string::npos);
    CHECK(head.find("Transfer-Encoding") == std::string::npos);
    CHECK(head.find("Content-Type") == std::string::npos);
}

} // namespace

TEST_CASE("a WebSocket echoes over HTTP", "[everyGateway][threads]") {
    TestServer server(echo);
    SECTION("one step after the other") {
        RawClient client(server);
        const auto reply101 = client.request(rawRequest("GET", "/echo", handshake));
        CHECK(reply101.status == 101);
        checkHandshake(reply101.head);
        client.send(said);
        CHECK((client.receive(heard.size()) == heard));
        CHECK(client.receiveAll().empty());
    }
    SECTION("all in one segment with the handshake") {
        RawClient client(server);
        client.send(rawRequest("GET", "/echo", handshake) + said);
        CHECK(client.receiveReply().status == 101);
        CHECK((client.receiveAll() == heard));
    }
    SECTION("behind an ordinary request on the same connection") {
        RawClient client(server);
        client.send(rawRequest("GET", "/") + rawRequest("GET", "/echo", handshake) + said);
        CHECK(client.receiveReply().body == "no WebSocket");
        CHECK(client.receiveReply().status == 101);
        CHECK((client.receiveAll() == heard));
    }
}

TEST_CASE("a WebSocket echoes over standard input and output of a CGI program", "[everyGateway]") {
    SECTION("one step after the other") {
        ForkedProgram child(echo, {}, variables());
        child.waitForText("\r\n\r\n");
        CHECK(child.output.starts_with("Status: 101 Switching Protocols\r\n"));
        const auto head = child.output.size();
        CHECK(child.output.find("\r\n\r\n") + 4 == head);
        checkHandshake(child.output);
        child.write(frame(1, "hello"));
        child.waitForBytes(head + 7);
        child.write(said.substr(frame(1, "hello").size()));
        child.waitForBytes(head + heard.size());
        CHECK((child.output.substr(head) == heard));
        child.closeInput();
        CHECK(child.wait() == 0);
        CHECK(child.errors.empty());
    }
    SECTION("frames that come before the 101") {
        ForkedProgram child(echo, {}, variables());
        child.write(said);
        child.closeInput();
        CHECK(child.wait() == 0);
        CHECK((child.output.substr(child.output.find("\r\n\r\n") + 4) == heard));
    }
    SECTION("the program closes") {
        ForkedProgram child(echo, {}, variables());
        child.waitForText("\r\n\r\n");
        child.write(frame(1, "bye"));
        child.waitForText(reply(8, code4000 + "as you wish"));
        child.write(frame(8, code4000));
        child.closeInput();
        CHECK(child.wait() == 0);
    }
}

TEST_CASE("a WebSocket echoes over FastCGI, SCGI and uwsgi", "[everyGateway]") {
    for (const auto protocol : wireProtocols)
        for (const bool inOneSegment : {false, true}) {
            CAPTURE(nameOf(protocol), inOneSegment);
            WebServerSettings settings;
            settings.cgi.websocket = WebsocketOver::yes;
            WebServerTalk talk(protocol, echo, settings);
            auto& line = talk.connect();
            const auto head = wireHead(protocol, variables());
            std::string text;
            if (inOneSegment) {
                line.send(head + wirePiece(protocol, said));
            } else {
                line.send(head);
                text = line.reply().text;
                CHECK(text.ends_with("\r\n\r\n"));
                for (const auto piece : cutInPieces(said, 1000)) line.send(wirePiece(protocol, piece));
            }
            const auto reply = line.reply();
            text += reply.text;
            CHECK(reply.complaint.empty());
            CHECK(reply.ended == (protocol == CgiProtocol::fastCgi));
            CHECK(line.ended());
            CHECK(text.starts_with(protocol == CgiProtocol::uwsgi ? "HTTP/1.1 101 " : "Status: 101 "));
            const auto end = text.find("\r\n\r\n") + 4;
            checkHandshake(text.substr(0, end));
            CHECK((text.substr(end) == heard));
        }
}

TEST_CASE("a gateway that has closed our input cannot carry a WebSocket: a 501, and a log line that names the remedy",
          "[everyGateway]") {
    for (const auto& [server, remedy] :
         {std::pair("lighttpd/1.4.69", "cgi.upgrade = \"enable\""), std::pair("Apache/2.4.57", "upgrade=websocket"),
          std::pair("", "--listen http://")}) {
        CAPTURE(server);
        ForkedProgram child(echo, {}, variables(server));
        child.closeInput();
        child.wait();
        CHECK(child.output.starts_with("Status: 501 Not Implemented\r\n"));
        CHECK(child.output.find("101") == std::string::npos);
        CHECK(child.output.find("Set-Cookie") == std::string::npos);
        CHECK(child.errors.find(remedy) != std::string::npos);
    }
}

TEST_CASE("a plain request to a CGI program with its input open is answered without waiting for input",
          "[everyGateway]") {
    auto plain = variables();
    for (auto& [name, value] : plain)
        if (name == "REQUEST_URI" || name == "PATH_INFO") value = "/";
    std::erase_if(plain, [](const auto& one) { return one.first == "HTTP_UPGRADE"; });
    ForkedProgram child(echo, {}, plain);
    child.waitForText("no WebSocket");
    CHECK(child.wait() == 0);
}

TEST_CASE("a WebSocket is refused with the same status over every way in", "[everyGateway]") {
    struct Case {
        const char* field;
        const char* variable;
        const char* value; // none: it is missing
        int status;
    };
    MemoryServer server(echo);
    for (const auto& [field, variable, value, status] : {
             Case{"Sec-WebSocket-Version", "HTTP_SEC_WEBSOCKET_VERSION", "8", 426},
             Case{"Sec-WebSocket-Version", "HTTP_SEC_WEBSOCKET_VERSION", nullptr, 426},
             Case{"Sec-WebSocket-Key", "HTTP_SEC_WEBSOCKET_KEY", "short", 400},
             Case{"Sec-WebSocket-Key", "HTTP_SEC_WEBSOCKET_KEY", nullptr, 400},
             Case{"Upgrade", "HTTP_UPGRADE", "h2c", 426},
             Case{"Upgrade", "HTTP_UPGRADE", nullptr, 426},
             Case{"Origin", "HTTP_ORIGIN", "http://evil", 403},
             Case{"Origin", "HTTP_ORIGIN", "null", 403},
         }) {
        CAPTURE(field, value ? value : "(none)");
        std::string lines;
        std::string_view rest = handshake;
        while (!rest.empty()) {
            const auto line = rest.substr(0, rest.find("\r\n") + 2);
            rest.remove_prefix(line.size());
            if (!line.starts_with(std::string(field) + ":")) lines += line;
        }
        auto environment = variables();
        std::erase_if(environment, [&](const auto& one) { return one.first == variable; });
        if (value) {
            lines += std::string(field) + ": " + value + "\r\n";
            environment.emplace_back(variable, value);
        }
        const auto overHttp = RawReply::takeAll(server.answer({rawRequest("GET", "/echo", lines)}));
        REQUIRE(overHttp.size() == 1);
        CHECK(overHttp[0].status == status);
        if (status == 426) CHECK(overHttp[0].field("Sec-WebSocket-Version") == "13");
        for (const auto protocol : wireProtocols) {
            CAPTURE(nameOf(protocol));
            WebServerTalk talk(protocol, echo);
            auto& line = talk.connect();
            line.send(wireHead(protocol, environment));
            talk.pass(std::chrono::milliseconds(20));  // by FastCGI it takes a moment to find out what stands in front
            const auto reply = line.reply();
            CHECK(reply.status(protocol) == status);
            CHECK((reply.text.find("Sec-WebSocket-Version: 13\r\n") != std::string::npos) == (status == 426));
        }
        ForkedProgram child(echo, {}, environment);
        child.waitForText("\r\n\r\n");
        CHECK(child.output.starts_with("Status: " + std::to_string(status) + " "));
        child.closeInput();
        child.wait();
    }
}

TEST_CASE("on the command line each line is a message", "[everyGateway]") {
    SECTION("with lines in one go, and the end of input closes") {
        ForkedProgram child(echo, {"WS", "/echo"});
        child.write("hello\nsecond line\n\xc3\xa4\nlast without an end");
        child.closeInput();
        CHECK(child.wait() == 0);
        CHECK(child.output == "hello\nsecond line\n\xc3\xa4\nlast without an end\n");
        CHECK(child.errors.empty());
    }
    SECTION("as a conversation") {
        ForkedProgram child(echo, {"WS", "/echo"});
        for (const std::string line : {"one\n", "two\n", "three\n"}) {
            child.write(line);
            child.waitForText(line);
        }
        child.write("bye\n");
        CHECK(child.wait() == 1);
        CHECK(child.errors.find("closed: 4000 as you wish") != std::string::npos);
    }
    SECTION("a refusal is printed, and is a failure") {
        ForkedProgram child(echo, {"WS", "/echo", "-H", "Origin: http://evil"});
        CHECK(child.wait() == 1);
        CHECK(child.output.starts_with("HTTP/1.1 403 Forbidden\r\n"));
    }
}
