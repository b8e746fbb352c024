// RFC 6455 §5.1–§5.3, §5.5: headers, lengths, masks, control frames.

#include "conformance/Row.h"

namespace postern::conformance {

namespace {

using Strings = std::vector<std::string>;

const Strings allKinds = {"text", "binary", "cont", "close", "ping", "pong"};

std::string number(uint64_t value) { return std::to_string(value); }

// A continuation needs a message that is open.
std::string opened(const std::string& kind) { return kind == "cont" ? "+text a; " : ""; }

void lengths(Rows& rows) {
    const std::string section = "§5.2";
    for (const std::string kind : {"text", "binary"})
        for (const int size : {0, 1, 2, 124, 125, 126, 127, 128, 65534, 65535, 65536, 65537}) {
            const auto frame = kind + (size ? " {a*" + number(size) + "}" : "");
            rows.push_back({section, "a payload of " + number(size) + " bytes", frame, frame});
        }
    for (const int size : {0, 125, 126, 65535, 65536})
        rows.push_back({section, "a last fragment of " + number(size) + " bytes", "+binary b; cont {c*" + number(size) + "}",
                        "binary b{c*" + number(size) + "}"});

    const auto refused = [&](const std::string& form, int size, const std::string& kind) {
        const auto header = form + " len=" + number(size) + " " + kind;
        rows.push_back(
            {section, kind + ": the length " + number(size) + " is not in its shortest form", opened(kind) + header + " |", "close 1002"});
    };
    for (const auto& kind : allKinds) {
        for (const int size : {0, 1, 125}) refused("len16", size, kind);
        for (const int size : {0, 125, 126, 65535}) refused("len64", size, kind);
    }
    for (const std::string kind : {"text", "binary", "cont"})
        for (const char* length : {"9223372036854775808", "9223372036854775813", "18446744073709551615"})
            rows.push_back({section, kind + ": the most significant bit of a length is 0",
                            opened(kind) + "len64 len=" + length + " " + kind + " |", "close 1002"});
    for (const std::string kind : {"text", "binary", "cont"})
        rows.push_back({"§10.4", kind + ": 2^63 - 1 bytes are announced, and refused before they come",
                        opened(kind) + "len64 len=9223372036854775807 " + kind + " |", "close 1009"});
}

void reservedBits(Rows& rows) {
    for (const auto& kind : allKinds)
        for (int bits = 1; bits < 8; ++bits) {
            const std::string flags = std::string(bits & 4 ? "rsv1 " : "") + (bits & 2 ? "rsv2 " : "") + (bits & 1 ? "rsv3 " : "");
            const bool compressedMessage = bits == 4 && (kind == "text" || kind == "binary");
            const auto payload = kind == "close" ? "1000" : "x";
            rows.push_back({"§5.2",
                            kind + ": " + flags + "without an extension that means something by it",
                            opened(kind) + flags + (kind == "close" ? "op8" : kind) + " |" + payload + "; text b",
                            "close 1002",
                            {.compression = compressedMessage ? Compression::without : Compression::either}});
        }
    for (const std::string kind : {"text", "binary"})
        rows.push_back({"§5.2",
                        kind + ": rsv1 on a first fragment without an extension",
                        "rsv1 +" + kind + " |a; cont b",
                        "close 1002",
                        {.compression = Compression::without}});
}

void reservedOpcodes(Rows& rows) {
    for (const int opcode : {3, 4, 5, 6, 7, 11, 12, 13, 14, 15}) {
        const auto name = "op" + number(opcode);
        for (const std::string fin : {"", "+"})
            for (const int size : {0, 5, 126, 65536})
                rows.push_back({"§5.2", name + (fin.empty() ? "" : " without FIN") + " of " + number(size) + " bytes is reserved",
                                "len=" + number(size) + " " + fin + name + " |", "close 1002"});
        rows.push_back({"§5.2", name + " is reserved between fragments, too", "+text a; " + name + " |; cont b", "close 1002"});
    }
}

void masks(Rows& rows, Role tested) {
    const bool server = tested == Role::server;
    const std::string rule = server ? ": a client's frame without a mask" : ": a server's frame with a mask";
    for (const auto& kind : allKinds) {
        rows.push_back(
            {"§5.1", kind + rule, opened(kind) + "wrongmask " + kind + (kind == "close" ? " 1000" : " x") + "; text b", "close 1002"});
        rows.push_back({"§5.1", kind + rule + ", empty", opened(kind) + "wrongmask " + kind + " |; text b", "close 1002"});
    }
    for (const char* length : {"126", "65536"})
        rows.push_back({"§5.1", "long" + rule, std::string("wrongmask len=") + length + " binary |", "close 1002"});
    if (!server) return;
    for (const char* key : {"00000000", "ffffffff", "01020304", "80000000", "000000ff", "48656c6c"})
        rows.push_back({"§5.3", std::string("the key ") + key, std::string("mask=") + key + " text Hello", "text Hello"});
    for (int size = 1; size <= 9; ++size) {
        const auto text = std::string("abcdefghi").substr(0, static_cast<size_t>(size));
        rows.push_back({"§5.3", "the key goes round over " + number(size) + " bytes", "mask=01020480 binary " + text, "binary " + text});
    }
    rows.push_back({"§5.3", "each fragment has a key of its own", "mask=01020304 +text ab; mask=ff00ff00 +cont cde; mask=00000000 cont f",
                    "text abcdef"});
    rows.push_back({"§5.3", "so has a control frame between them", "mask=01020304 +text abc; mask=11111111 ping abc; mask=22222222 cont d",
                    "pong abc; text abcd"});
}

void examples(Rows& rows, Role tested) {
    if (tested == Role::server) {
        rows.push_back({"§5.7", "a masked text message", "hex 81 85 37 fa 21 3d 7f 9f 4d 51 58", "text Hello"});
        rows.push_back({"§5.7", "a masked pong, which nobody asked for", "hex 8a 85 37 fa 21 3d 7f 9f 4d 51 58", ""});
        rows.push_back({"§5.7", "the unmasked text message is not for servers", "hex 81 05 | 48 65 6c 6c 6f", "close 1002"});
    } else {
        rows.push_back({"§5.7", "an unmasked text message", "hex 81 05 48 65 6c 6c 6f", "text Hello"});
        rows.push_back({"§5.7", "a fragmented unmasked text message", "hex 01 03 48 65 6c 80 02 6c 6f", "text Hello"});
        rows.push_back({"§5.7", "an unmasked ping", "hex 89 05 48 65 6c 6c 6f", "pong Hello"});
        rows.push_back({"§5.7", "256 bytes of binary data",
                        "hex 82 7e 01 00; hex" +
                            [] {
                                std::string zeros;
                                for (int i = 0; i < 256; ++i) zeros += " 00";
                                return zeros;
                            }(),
                        "binary {%00*256}"});
        rows.push_back({"§5.7", "the masked text message is not for clients", "hex 81 85 37 fa 21 3d | 7f 9f 4d 51 58", "close 1002"});
    }
}

void controlFrames(Rows& rows) {
    for (const std::string kind : {"close", "ping", "pong"}) {
        const auto raw = kind == "close" ? std::string("op8") : kind;
        rows.push_back({"§5.5", kind + " must not be fragmented", "+" + raw + " |%03%e8; cont x", "close 1002"});
        rows.push_back({"§5.5", kind + " must not be fragmented, though empty", "+" + raw + " |; text b", "close 1002"});
        for (const int size : {126, 127, 65535, 65536})
            rows.push_back(
                {"§5.5", kind + " of " + number(size) + " bytes is too long", "len=" + number(size) + " " + raw + " |", "close 1002"});
    }
    for (const int size : {0, 1, 2, 3, 4, 5, 124, 125}) {
        const auto payload = size ? " {p*" + number(size) + "}" : "";
        rows.push_back({"§5.5.2", "a ping of " + number(size) + " bytes is answered", "ping" + payload, "pong" + payload});
        rows.push_back({"§5.5.3", "an unsolicited pong of " + number(size) + " bytes is not", "pong" + payload + "; text a", "text a"});
    }
    const Rows more = {
        {"§5.5.2", "any bytes come back, also what is no UTF-8", "ping %00%ff%fe%ed%a0%80%0a", "pong %00%ff%fe%ed%a0%80%0a"},
        {"§5.5.2", "the mask's own bytes", "ping 7%fa!=", "pong 7%fa!="},
        {"§5.5.3", "of two pings the last is answered", "ping a; ping b", "(pong a); pong b"},
        {"§5.5.3", "of three pings the last is answered", "ping a; ping b; ping c", "(pong a); (pong b); pong c"},
        {"§5.5.3", "of ten equal pings one at least", "ping; ping; ping; ping; ping; ping; ping; ping; ping; ping",
         "(pong); (pong); (pong); (pong); (pong); (pong); (pong); (pong); (pong); pong"},
        {"§5.5.2", "a ping before a message", "ping a; text b", "pong a; text b"},
        {"§5.5.2", "a ping behind a message", "text b; ping a", "text b; pong a"},
        {"§5.5.2", "pings around a message", "ping a; text b; ping c", "pong a; text b; pong c"},
        {"§5.5.2", "a ping before the close may stay without an answer", "ping a; close 1000", "(pong a); close 1000"},
        {"§5.5.2", "a ping before a breach may, too", "ping a; op3", "(pong a); close 1002"},
        {"§5.5.3", "a pong between pings", "ping a; pong b; ping c", "(pong a); pong c"},
        {"§5.5.3", "two pongs, then a ping", "pong a; pong a; ping b", "pong b"},
        {"§5.5", "a ping of which the end has not come", "len=5 ping abc", ""},
        {"§5.2", "half a header", "hex 81", ""},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

}

Rows frameRows(Role tested) {
    Rows rows;
    examples(rows, tested);
    lengths(rows);
    reservedBits(rows);
    reservedOpcodes(rows);
    masks(rows, tested);
    controlFrames(rows);
    rows.push_back({"§5.2", "a length of which the end has not come", tested == Role::server ? "hex 82 fe 00" : "hex 82 7e 00", ""});
    return rows;
}

}
