// RFC 7692 §7.1, RFC 6455 §9.1: what a server makes of offers. It takes the first that it can keep; without one there is a
// WebSocket without compression. What is no list of extensions at all fails the handshake (§9.1).

#include "conformance/Handshake.h"

namespace postern::conformance {

namespace {

// A server that asks for nothing itself, so that the answer has only what the offer made necessary.
const Setup willing{.compression = Compression::with, .ownTakeover = true, .peerTakeover = true};

std::vector<std::string> offer(const std::string& value) { return {"Sec-WebSocket-Extensions: " + value}; }

std::string agreed(const std::string& parameters = "") {
    return "101; Sec-WebSocket-Extensions: permessage-deflate" + (parameters.empty() ? "" : "; " + parameters);
}

const std::string declined = "101";
const std::string failed = "400"; // "MUST immediately Fail the WebSocket Connection"

void parameters(Handshakes& rows) {
    const auto say = [&](const std::string& promise, const std::string& parameters, const std::string& outcome) {
        rows.push_back({"7692 §7.1", promise, offer("permessage-deflate; " + parameters), outcome, willing});
    };
    rows.push_back({"7692 §7.1", "no parameters", offer("permessage-deflate"), agreed(), willing});
    say("server_no_context_takeover", "server_no_context_takeover", agreed("server_no_context_takeover"));
    say("client_no_context_takeover", "client_no_context_takeover", agreed("client_no_context_takeover"));
    say("client_max_window_bits without a value", "client_max_window_bits", agreed());
    for (int bits = 8; bits <= 15; ++bits) {
        const auto value = std::to_string(bits);
        say("server_max_window_bits=" + value, "server_max_window_bits=" + value, agreed("server_max_window_bits=" + value));
        say("client_max_window_bits=" + value + " is repeated", "client_max_window_bits=" + value,
            agreed("client_max_window_bits=" + value));
        say("server_max_window_bits of " + value + " in quotes", "server_max_window_bits=\"" + value + "\"",
            agreed("server_max_window_bits=" + value));
    }
    say("all four", "server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11",
        agreed("server_no_context_takeover; client_no_context_takeover; server_max_window_bits=12; client_max_window_bits=11"));
    say("all four, in another order",
        "client_max_window_bits; server_max_window_bits=9; client_no_context_takeover; server_no_context_takeover",
        agreed("server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9"));
    say("space and tabs between them", " \tserver_no_context_takeover \t; \tserver_max_window_bits=10",
        agreed("server_no_context_takeover; server_max_window_bits=10"));
    say("an escape in quotes", "server_max_window_bits=\"1\\0\"", agreed("server_max_window_bits=10"));

    for (const std::string name : {"server_max_window_bits", "client_max_window_bits"})
        for (const std::string value : {"7", "16", "0", "1", "100", "08", "09", "010", "015", "8.0", "-8", "1e1", "0x9", "ten", "256",
                                        "4294967304", "18446744073709551624"}) {
            say(name + "=" + value, name + "=" + value, declined);
        }
    say("a value in quotes may be wrong, too", "server_max_window_bits=\"16\"", declined);
    say("server_max_window_bits needs a value", "server_max_window_bits", declined);
    for (const std::string name : {"server_no_context_takeover", "client_no_context_takeover"}) {
        say(name + " has no value", name + "=1", declined);
        say(name + " has no value, in quotes", name + "=\"true\"", declined);
    }
    for (const std::string name :
         {"server_no_context_takeover", "client_no_context_takeover", "server_max_window_bits=10", "client_max_window_bits"})
        say(name + " twice", name + "; " + name, declined);
    say("client_max_window_bits with and without a value", "client_max_window_bits; client_max_window_bits=10", declined);
    say("server_max_window_bits with two values", "server_max_window_bits=10; server_max_window_bits=11", declined);
    say("an unknown parameter", "level=9", declined);
    say("an unknown parameter among known ones", "server_no_context_takeover; x; client_max_window_bits", declined);
    say("a parameter with another name", "server_max_windows_bits=10", declined);
    say("parameters of another draft", "c2s_max_window_bits=10", declined);
}

void several(Handshakes& rows) {
    const Handshakes more = {
        {"7692 §5.1", "no offer, no extension", {}, declined, willing},
        {"7692 §5.1", "an extension nobody knows", offer("foo; bar=baz; q=\"1\""), declined, willing},
        {"7692 §5.1", "the extension of older browsers", offer("x-webkit-deflate-frame"), declined, willing},
        {"7692 §5.1", "a longer name", offer("permessage-deflated"), declined, willing},
        {"7692 §5.1", "a shorter name", offer("permessage"), declined, willing},
        {"7692 §5.1", "the first offer of two counts", offer("permessage-deflate; server_max_window_bits=10, permessage-deflate"),
         agreed("server_max_window_bits=10"), willing},
        {"7692 §5.1", "and not the second", offer("permessage-deflate, permessage-deflate; server_max_window_bits=10"), agreed(), willing},
        {"7692 §5.1", "the second if the first is declined",
         offer("permessage-deflate; x=y, permessage-deflate; server_no_context_takeover"), agreed("server_no_context_takeover"), willing},
        {"7692 §5.1", "the third if the others are",
         offer("permessage-deflate; server_max_window_bits=7, permessage-deflate; x, permessage-deflate"), agreed(), willing},
        {"7692 §5.1", "none if all are", offer("permessage-deflate; server_max_window_bits=7, permessage-deflate; x"), declined, willing},
        {"7692 §5.1", "behind other extensions", offer("foo, x-webkit-deflate-frame, permessage-deflate"), agreed(), willing},
        {"7692 §5.1", "before other extensions", offer("permessage-deflate; client_max_window_bits, foo; bar"), agreed(), willing},
        {"§9.1", "over two fields", {"Sec-WebSocket-Extensions: foo", "+Sec-WebSocket-Extensions: permessage-deflate"}, agreed(), willing},
        {"§9.1",
         "over two fields, in order",
         {"Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover", "+Sec-WebSocket-Extensions: permessage-deflate"},
         agreed("server_no_context_takeover"),
         willing},
        {"§9.1", "empty elements of the list", offer(", permessage-deflate ,,"), agreed(), willing},
        {"§9.1", "no space at all", offer("foo,permessage-deflate;server_no_context_takeover;client_max_window_bits"),
         agreed("server_no_context_takeover"), willing},
        {"§9.1", "values in quotes before it", offer("foo; bar=\"a\"; c, permessage-deflate"), agreed(), willing},
    };
    rows.insert(rows.end(), more.begin(), more.end());
    for (const char* value :
         {"permessage-deflate;", "permessage-deflate; ;", "; permessage-deflate", "permessage-deflate; =10", "=", "\"permessage-deflate\"",
          "permessage deflate", "permessage-deflate; server_max_window_bits=", "permessage-deflate; server_max_window_bits=\"10",
          "permessage-deflate; server_max_window_bits=10\"", "permessage-deflate; server_max_window_bits=\"\"",
          "permessage-deflate; server_max_window_bits=\"1 0\"", "permessage-deflate; server_max_window_bits 10",
          "permessage-deflate; server_max_window_bits=10 11", "permessage-deflate; a=\"\\", "permessage-deflate/1", "foo(bar)"})
        rows.push_back({"§9.1", std::string("no list of extensions: ") + value, offer(value), failed, willing});
}

// Servers that ask for something themselves.
void wishes(Handshakes& rows) {
    const auto wants = [](bool ownTakeover, bool peerTakeover, int ownBits, int peerBits) {
        return Setup{.compression = Compression::with,
                     .ownTakeover = ownTakeover,
                     .peerTakeover = peerTakeover,
                     .ownBits = ownBits,
                     .peerBits = peerBits};
    };
    const Handshakes more = {
        {"7692 §7.1.1.1", "the server may give up its context unasked", offer("permessage-deflate"), agreed("server_no_context_takeover"),
         wants(false, true, 15, 15)},
        {"7692 §7.1.1.2", "and may ask the client to", offer("permessage-deflate"), agreed("client_no_context_takeover"),
         wants(true, false, 15, 15)},
        {"7692 §7.1.1", "both, though both were offered",
         offer("permessage-deflate; server_no_context_takeover; client_no_context_takeover"),
         agreed("server_no_context_takeover; client_no_context_takeover"), wants(false, false, 15, 15)},
        {"7692 §7.1.2.1", "the server may bound its window unasked", offer("permessage-deflate"), agreed("server_max_window_bits=10"),
         wants(true, true, 10, 15)},
        {"7692 §7.1.2.1", "a smaller window than was asked for", offer("permessage-deflate; server_max_window_bits=12"),
         agreed("server_max_window_bits=10"), wants(true, true, 10, 15)},
        {"7692 §7.1.2.1", "no larger window than was asked for", offer("permessage-deflate; server_max_window_bits=9"),
         agreed("server_max_window_bits=9"), wants(true, true, 10, 15)},
        {"7692 §7.1.2.1", "the smallest window", offer("permessage-deflate"), agreed("server_max_window_bits=8"), wants(true, true, 8, 15)},
        {"7692 §7.1.2.2", "the client's window is bounded if it offers that", offer("permessage-deflate; client_max_window_bits"),
         agreed("client_max_window_bits=10"), wants(true, true, 15, 10)},
        {"7692 §7.1.2.2", "to less than it offers", offer("permessage-deflate; client_max_window_bits=12"),
         agreed("client_max_window_bits=10"), wants(true, true, 15, 10)},
        {"7692 §7.1.2.2", "not to more than it offers", offer("permessage-deflate; client_max_window_bits=9"),
         agreed("client_max_window_bits=9"), wants(true, true, 15, 10)},
        {"7692 §7.1.2.2", "to the smallest", offer("permessage-deflate; client_max_window_bits"), agreed("client_max_window_bits=8"),
         wants(true, true, 15, 8)},
        {"7692 §7.1.2.2", "never if it does not offer that: here it gives up its context instead", offer("permessage-deflate"),
         agreed("client_no_context_takeover"), wants(true, true, 15, 10)},
        {"7692 §5.1", "compression is off", offer("permessage-deflate; client_max_window_bits"), declined},
        {"§9.1", "compression is off, and what was sent is no list", offer("permessage-deflate; ;"), failed},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

}

Handshakes offers() {
    Handshakes rows;
    for (auto* part : {parameters, several, wishes}) part(rows);
    return rows;
}

}
