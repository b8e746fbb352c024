// RFC 6455 §5.4: messages in fragments.

#include "conformance/Row.h"

namespace postern::conformance {

namespace {

std::string repeated(const std::string& item, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += item;
    return all;
}

// Text that is cut within its characters.
void cutCharacters(Rows& rows) {
    for (const std::vector<std::string>& character :
         {std::vector<std::string>{"%c3", "%a9"}, {"%e2", "%82", "%ac"}, {"%f0", "%9f", "%98", "%80"}}) {
        std::string all;
        for (const auto& byte : character) all += byte;
        for (size_t at = 1; at < character.size(); ++at) {
            std::string front, back;
            for (size_t i = 0; i < character.size(); ++i) (i < at ? front : back) += character[i];
            rows.push_back({"§5.6", "fragments may end within a character: " + front + " " + back,
                            "+text a" + front + "; cont " + back + "b", "text a" + all + "b"});
        }
        std::string each = "+text";
        for (const auto& byte : character) each += "; +cont " + byte;
        rows.push_back({"§5.6", "each byte of a character in a fragment of its own: " + all, each + "; cont", "text " + all});
    }
}

void wrongOrder(Rows& rows) {
    for (const std::string first : {"text", "binary"})
        for (const std::string second : {"text", "binary"})
            for (const std::string fin : {"", "+"})
                rows.push_back({"§5.4", "no " + second + (fin.empty() ? "" : " fragment") + " within a fragmented " + first + " message",
                                "+" + first + " a; " + fin + second + " |b; cont c", "close 1002"});
    for (const std::string fin : {"", "+"}) {
        const auto what = fin.empty() ? "continuation" : "continuation that is not the last";
        const auto cont = fin + "cont |x; text b";
        rows.push_back({"§5.4", std::string("a ") + what + " of nothing", cont, "close 1002"});
        rows.push_back({"§5.4", std::string("an empty ") + what + " of nothing", fin + "cont |; text b", "close 1002"});
        rows.push_back({"§5.4", std::string("a ") + what + " behind a whole message", "text a; " + cont, "text a; close 1002"});
        rows.push_back({"§5.4", std::string("a ") + what + " behind the last fragment", "+text a; cont b; " + cont, "text ab; close 1002"});
        rows.push_back({"§5.4", std::string("a ") + what + " behind a ping", "ping a; " + cont, "(pong a); close 1002"});
    }
}

}

Rows fragmentRows() {
    Rows rows = {
        {"§5.4", "two fragments", "+text Hel; cont lo", "text Hello"},
        {"§5.4", "two fragments of bytes", "+binary %00%ff; cont %fe%01", "binary %00%ff%fe%01"},
        {"§5.4", "three fragments", "+text a; +cont b; cont c", "text abc"},
        {"§5.4", "one byte in each of 30", "+text a" + repeated("; +cont a", 28) + "; cont a", "text {a*30}"},
        {"§5.4", "an empty first fragment opens a message", "+text; cont a", "text a"},
        {"§5.4", "an empty one in the middle", "+text a; +cont; cont b", "text ab"},
        {"§5.4", "an empty last one ends it", "+text a; cont", "text a"},
        {"§5.4", "nothing but empty ones", "+text; +cont; +cont; cont", "text"},
        {"§5.4", "nothing but empty ones, of bytes", "+binary; cont", "binary"},
        {"§5.4", "a hundred empty ones", "+binary" + repeated("; +cont", 98) + "; cont x", "binary x"},
        {"§5.4", "without the last fragment there is no message", "+text a; +cont b", ""},
        {"§5.4", "an empty first fragment is no message", "+text", ""},
        {"§5.4", "fragments of 125, 126 and 127 bytes", "+binary {a*125}; +cont {b*126}; cont {c*127}", "binary {a*125}{b*126}{c*127}"},
        {"§5.4", "the opcode is that of the first fragment", "+text a; cont b; +binary c; cont d", "text ab; binary cd"},
        {"§5.4", "a message in one frame behind fragments", "+text a; cont b; text c", "text ab; text c"},
        {"§5.4", "fragments behind a message in one frame", "text a; +text b; cont c", "text a; text bc"},
        {"§5.4", "three messages in fragments", "+text a; cont b; +text c; cont d; +text e; cont f", "text ab; text cd; text ef"},
        {"§5.4", "a ping between fragments is answered before the message", "+text Hel; ping x; cont lo", "pong x; text Hello"},
        {"§5.4", "an empty ping between fragments", "+text Hel; ping; cont lo", "pong; text Hello"},
        {"§5.4", "a long ping between fragments", "+text Hel; ping {x*125}; cont lo", "pong {x*125}; text Hello"},
        {"§5.4", "a pong between fragments", "+text Hel; pong x; cont lo", "text Hello"},
        {"§5.4", "pings between all fragments", "+text a; ping 1; +cont b; ping 2; cont c", "(pong 1); pong 2; text abc"},
        {"§5.4", "two pings between two fragments", "+text a; ping 1; ping 2; cont b", "(pong 1); pong 2; text ab"},
        {"§5.4", "a ping before the first fragment", "ping x; +text a; cont b", "pong x; text ab"},
        {"§5.4", "a ping behind the last", "+text a; cont b; ping x", "text ab; pong x"},
        {"§5.4", "a ping while a message is open for ever", "+text a; ping x", "pong x"},
        {"§5.4", "a ping within a character", "+text %e2%82; ping x; cont %ac", "pong x; text %e2%82%ac"},
        {"§5.4", "a ping has no influence on masks or text", "+text %e2; ping %ff; +cont %82; pong %fe; cont %ac",
         "pong %ff; text %e2%82%ac"},
        {"§5.4", "a close between fragments ends everything", "+text a; close 1000; cont b", "close 1000"},
        {"§5.4", "a close between fragments, with a reason", "+text a; close 1001 bye", "close 1001"},
        {"§5.4", "an empty close between fragments", "+binary a; close", "close"},
        {"§5.4", "a breach between fragments", "+text a; ping x; +ping y", "(pong x); close 1002"},
        {"§5.4", "a payload may look like a frame", "binary %81%85%37%fa%21%3d%7f%9f%4d%51%58", "binary %81%85%37%fa%21%3d%7f%9f%4d%51%58"},
    };
    wrongOrder(rows);
    cutCharacters(rows);
    return rows;
}

}
