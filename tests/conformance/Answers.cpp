// RFC 6455 §4.1, RFC 7692 §7.1: which answers a client takes for a WebSocket.

#include "conformance/Handshake.h"

namespace postern::conformance {

namespace {

const Setup asksForSubprotocols{.settings = "protocols=1", .compression = Compression::without};
const Setup insists{.settings = "protocols=1&require=1", .compression = Compression::without};

void firstLines(Handshakes& rows) {
    for (const char* status : {"200 OK", "204 No Content", "206 Partial Content", "400 Bad Request", "403 Forbidden", "404 Not Found",
                               "407 Proxy Authentication Required", "426 Upgrade Required", "429 Too Many Requests",
                               "500 Internal Server Error", "501 Not Implemented", "503 Service Unavailable"})
        rows.push_back({"§4.1",
                        std::string("the answer ") + status,
                        {std::string("=HTTP/1.1 ") + status, "Content-Length: 0"},
                        "refused " + std::string(status).substr(0, 3)});
    for (const char* status : {"301", "302", "303", "307", "308"})
        rows.push_back({"§4.1",
                        std::string("a redirect is not followed: ") + status,
                        {std::string("=HTTP/1.1 ") + status + " Elsewhere", "Location: /there", "Content-Length: 0"},
                        "redirect /there"});
    const Handshakes more = {
        {"§4.1", "a good answer", {}, "open"},
        {"§4.1", "any reason", {"=HTTP/1.1 101 Web Socket Protocol Handshake"}, "open"},
        {"§4.1", "no reason", {"=HTTP/1.1 101 "}, "open"},
        {"§4.1", "not even its space", {"=HTTP/1.1 101"}, "open"},
        {"§4.1", "a redirect without a target", {"=HTTP/1.1 302 Found", "Content-Length: 0"}, "redirect "},
        {"§4.1",
         "a user name is wanted",
         {"=HTTP/1.1 401 Unauthorized", "WWW-Authenticate: Basic realm=\"a\"", "Content-Length: 0"},
         "unauthorized Basic realm=\"a\""},
        {"§4.1", "HTTP/1.0 has no Upgrade", {"=HTTP/1.0 101 Switching Protocols"}, "refused 101"},
        {"§4.1", "HTTP/2.0", {"=HTTP/2.0 101 Switching Protocols"}, "refused 0"},
        {"§4.1", "no HTTP", {"=ICY 101 Switching Protocols"}, "refused 0"},
        {"§4.1", "a status of two digits", {"=HTTP/1.1 10 Switching"}, "refused 0"},
        {"§4.1", "a status of four", {"=HTTP/1.1 1010 Switching"}, "refused 0"},
        {"§4.1", "a status that is no number", {"=HTTP/1.1 1o1 Switching"}, "refused 0"},
        {"§4.1", "a status with a sign", {"=HTTP/1.1 +11 Switching"}, "refused 0"},
        {"§4.1", "a 100 before it", {"=HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 101 Switching Protocols"}, "open"},
        {"§4.1", "a 103 before it", {"=HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\nHTTP/1.1 101 Switching Protocols"}, "open"},
        {"§4.1", "a folded field", {"+X: a", "+ b"}, "refused 0"},
        {"§4.1", "a space before a colon", {"+X : a"}, "refused 0"},
        {"§4.1", "a field without a colon", {"+X"}, "refused 0"},
        {"§4.1", "a field without a name", {"+: a"}, "refused 0"},
        {"§4.1",
         "a control character in a value",
         {"+X: a\x01"
          "b"},
         "refused 0"},
        {"§4.1", "a bare line end", {"+X: a\nY: b"}, "refused 0"},
        {"§4.1", "a head of 20 KiB", {"+X: " + std::string(20 * 1024, 'x')}, "refused 0"},
        {"§4.1", "other fields do not matter", {"Server: x", "Date: now", "Set-Cookie: a=b", "Sec-WebSocket-Version: 13"}, "open"},
        {"§4.1", "a length of 0", {"Content-Length: 0"}, "open"},
        {"§4.1", "a 101 has no body", {"Content-Length: 5", "!hello"}, "refused 101"},
        {"§4.1", "nor one in chunks", {"Transfer-Encoding: chunked"}, "refused 101"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

void fields(Handshakes& rows) {
    const Handshakes more = {
        {"§4.1", "no Upgrade", {"-Upgrade"}, "refused 101"},
        {"§4.1", "an empty Upgrade", {"Upgrade: "}, "refused 101"},
        {"§4.1", "Upgrade without case", {"Upgrade: WebSocket"}, "open"},
        {"§4.1", "the names without case", {"-Upgrade", "-Connection", "+upgrade: websocket", "+CONNECTION: upgrade"}, "open"},
        {"§4.1", "Upgrade to something else", {"Upgrade: h2c"}, "refused 101"},
        {"§4.1", "Upgrade to something longer", {"Upgrade: websockets"}, "refused 101"},
        {"§4.1", "Upgrade to two things", {"Upgrade: websocket, h2c"}, "refused 101"},
        {"§4.1", "Upgrade to two things, in two fields", {"+Upgrade: h2c"}, "refused 101"},
        {"§4.1", "space around it", {"Upgrade: \t websocket \t"}, "open"},
        {"§4.1", "no Connection", {"-Connection"}, "refused 101"},
        {"§4.1", "an empty Connection", {"Connection: "}, "refused 101"},
        {"§4.1", "Connection without case", {"Connection: upgrade"}, "open"},
        {"§4.1", "Connection says more", {"Connection: keep-alive, Upgrade"}, "open"},
        {"§4.1", "Connection over two fields", {"Connection: keep-alive", "+Connection: Upgrade"}, "open"},
        {"§4.1", "Connection says something else", {"Connection: close"}, "refused 101"},
        {"§4.1", "a longer word in Connection", {"Connection: upgraded"}, "refused 101"},
        {"§4.1", "no Accept", {"-Sec-WebSocket-Accept"}, "refused 101"},
        {"§4.1", "an empty Accept", {"Sec-WebSocket-Accept: "}, "refused 101"},
        {"§4.1", "the Accept of another key", {"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, "refused 101"},
        {"§4.1", "a cut Accept", {"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo"}, "refused 101"},
        {"§4.1", "space around Accept", {"Sec-WebSocket-Accept:  \t{accept} \t"}, "open"},
        {"§4.1", "no space before Accept", {"-Sec-WebSocket-Accept", "+Sec-WebSocket-Accept:{accept}"}, "open"},
        {"§4.1", "something behind Accept", {"Sec-WebSocket-Accept: {accept}, a"}, "refused 101"},
        {"§11.3.3", "Accept twice", {"+Sec-WebSocket-Accept: {accept}"}, "refused 101"},
        {"§11.3.3", "a right Accept and a wrong one", {"+Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="}, "refused 101"},
        {"§4.1", "an empty answer", {"=", "-Upgrade", "-Connection", "-Sec-WebSocket-Accept"}, "refused 0"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

void subprotocols(Handshakes& rows) {
    const auto chosen = [](const char* value) { return std::vector<std::string>{std::string("Sec-WebSocket-Protocol: ") + value}; };
    const Handshakes more = {
        {"§4.1", "the first subprotocol that was asked for", chosen("chat.v2"), "open chat.v2", asksForSubprotocols},
        {"§4.1", "the second", chosen("chat.v1"), "open chat.v1", asksForSubprotocols},
        {"§4.1", "none", {}, "open", asksForSubprotocols},
        {"§4.1", "none, though one is required", {}, "refused 101", insists},
        {"§4.1", "the one that is required", chosen("chat.v1"), "open chat.v1", insists},
        {"§4.1", "another one", chosen("soap"), "refused 101", asksForSubprotocols},
        {"§4.1", "upper case is another one", chosen("CHAT.V1"), "refused 101", asksForSubprotocols},
        {"§4.1", "both at once", chosen("chat.v2, chat.v1"), "refused 101", asksForSubprotocols},
        {"§11.3.4",
         "both in two fields",
         {"Sec-WebSocket-Protocol: chat.v2", "+Sec-WebSocket-Protocol: chat.v1"},
         "refused 101",
         asksForSubprotocols},
        {"§11.3.4",
         "the same in two fields",
         {"Sec-WebSocket-Protocol: chat.v2", "+Sec-WebSocket-Protocol: chat.v2"},
         "refused 101",
         asksForSubprotocols},
        {"§4.1", "an empty one", chosen(""), "refused 101", asksForSubprotocols},
        {"§4.1", "space around it", chosen("  chat.v2\t"), "open chat.v2", asksForSubprotocols},
        {"§4.1", "one, though none was asked for", chosen("chat.v2"), "refused 101"},
        {"§4.1", "an empty one, though none was asked for", chosen(""), "refused 101"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

void extensions(Handshakes& rows) {
    const auto agreed = [](const char* value) { return std::vector<std::string>{std::string("Sec-WebSocket-Extensions: ") + value}; };
    const Setup open{.compression = Compression::with, .ownTakeover = true, .peerTakeover = true};
    const auto with = [&](Setup setup, int ownBits, int peerBits) {
        setup.ownBits = ownBits;
        setup.peerBits = peerBits;
        return setup;
    };
    const Setup noPeerTakeover{.compression = Compression::with, .ownTakeover = true, .peerTakeover = false};
    const Setup noOwnTakeover{.compression = Compression::with, .ownTakeover = false, .peerTakeover = true};
    const Handshakes more = {
        {"7692 §5.1", "permessage-deflate, though it was not offered", agreed("permessage-deflate"), "refused 101"},
        {"§4.1", "an extension that nobody offered", agreed("foo"), "refused 101"},
        {"§4.1", "another extension than was offered", agreed("foo"), "refused 101", open},
        {"§4.1", "the extension of older browsers", agreed("x-webkit-deflate-frame"), "refused 101", open},
        {"7692 §5.1", "the offer is declined", {}, "open", open},
        {"7692 §7.1", "the offer is taken", agreed("permessage-deflate"), "open", open},
        {"7692 §5.1", "taken twice", agreed("permessage-deflate, permessage-deflate"), "refused 101", open},
        {"7692 §5.1",
         "taken twice, in two fields",
         {"Sec-WebSocket-Extensions: permessage-deflate", "+Sec-WebSocket-Extensions: permessage-deflate"},
         "refused 101",
         open},
        {"7692 §5.1", "taken with another extension", agreed("permessage-deflate, foo"), "refused 101", open},
        {"7692 §5.1", "taken behind another extension", agreed("foo, permessage-deflate"), "refused 101", open},
        {"7692 §7.1.1.1", "the server gives up its context unasked", agreed("permessage-deflate; server_no_context_takeover"), "open",
         open},
        {"7692 §7.1.1.2", "the server wants us to give up ours", agreed("permessage-deflate; client_no_context_takeover"), "open", open},
        {"7692 §7.1.1", "both", agreed("permessage-deflate; client_no_context_takeover; server_no_context_takeover"), "open", open},
        {"7692 §7.1.1.1", "the server was asked to give up its context, and does", agreed("permessage-deflate; server_no_context_takeover"),
         "open", noPeerTakeover},
        {"7692 §7.1.1.1", "the server was asked to give up its context, and does not", agreed("permessage-deflate"), "refused 101",
         noPeerTakeover},
        {"7692 §7.1.1.2", "we need not be asked to give up ours", agreed("permessage-deflate"), "open", noOwnTakeover},
        {"7692 §7.1.2.1", "the server bounds its window unasked", agreed("permessage-deflate; server_max_window_bits=10"), "open", open},
        {"7692 §7.1.2.1", "to the smallest", agreed("permessage-deflate; server_max_window_bits=8"), "open", open},
        {"7692 §7.1.2.1", "to the largest", agreed("permessage-deflate; server_max_window_bits=15"), "open", open},
        {"7692 §7.1.2.1", "in quotes", agreed("permessage-deflate; server_max_window_bits=\"12\""), "open", open},
        {"7692 §7.1.2.1", "the window we asked for", agreed("permessage-deflate; server_max_window_bits=10"), "open", with(open, 15, 10)},
        {"7692 §7.1.2.1", "a smaller window than we asked for", agreed("permessage-deflate; server_max_window_bits=9"), "open",
         with(open, 15, 10)},
        {"7692 §7.1.2.1", "a larger window than we asked for", agreed("permessage-deflate; server_max_window_bits=11"), "refused 101",
         with(open, 15, 10)},
        {"7692 §7.1.2.1", "no word of the window we asked for", agreed("permessage-deflate"), "refused 101", with(open, 15, 10)},
        {"7692 §7.1.2.2", "the server bounds our window", agreed("permessage-deflate; client_max_window_bits=10"), "open", open},
        {"7692 §7.1.2.2", "to the smallest", agreed("permessage-deflate; client_max_window_bits=8"), "open", open},
        {"7692 §7.1.2.2", "to the largest", agreed("permessage-deflate; client_max_window_bits=15"), "open", open},
        {"7692 §7.1.2.2", "to more than we offered", agreed("permessage-deflate; client_max_window_bits=11"), "refused 101",
         with(open, 10, 15)},
        {"7692 §7.1.2.2", "to what we offered", agreed("permessage-deflate; client_max_window_bits=10"), "open", with(open, 10, 15)},
        {"7692 §7.1.2.2", "to less than we offered", agreed("permessage-deflate; client_max_window_bits=9"), "open", with(open, 10, 15)},
        {"7692 §7.1.2.2", "no word of it: we keep to what we offered", agreed("permessage-deflate"), "open", with(open, 10, 15)},
        {"7692 §7.1.2.2", "an answer has a value", agreed("permessage-deflate; client_max_window_bits"), "refused 101", open},
        {"7692 §7.1", "all four",
         agreed("permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; "
                "client_max_window_bits=9"),
         "open", open},
        {"7692 §7.1", "an unknown parameter", agreed("permessage-deflate; level=9"), "refused 101", open},
        {"7692 §7.1", "a value for one that has none", agreed("permessage-deflate; server_no_context_takeover=1"), "refused 101", open},
        {"7692 §7.1", "server_max_window_bits without a value", agreed("permessage-deflate; server_max_window_bits"), "refused 101", open},
    };
    rows.insert(rows.end(), more.begin(), more.end());
    for (const std::string name :
         {"server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits=10", "client_max_window_bits=10"})
        rows.push_back({"7692 §7.1", name + " twice", agreed(("permessage-deflate; " + name + "; " + name).c_str()), "refused 101", open});
    for (const std::string name : {"server_max_window_bits", "client_max_window_bits"})
        for (const std::string value : {"7", "16", "0", "08", "010", "+9", "ten", "265"})
            rows.push_back(
                {"7692 §7.1.2", name + "=" + value, agreed(("permessage-deflate; " + name + "=" + value).c_str()), "refused 101", open});
    for (const char* value :
         {"permessage-deflate;", "permessage-deflate; ;", "permessage-deflate; =1", "\"permessage-deflate\"", "permessage deflate",
          "permessage-deflate; server_max_window_bits=", "permessage-deflate; server_max_window_bits=\"10"})
        rows.push_back({"§9.1", std::string("no list of extensions: ") + value, agreed(value), "refused 101", open});
}

}

Handshakes answers() {
    Handshakes rows;
    for (auto* part : {firstLines, fields, subprotocols, extensions}) part(rows);
    return rows;
}

}
