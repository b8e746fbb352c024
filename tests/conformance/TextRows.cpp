// RFC 6455 §5.6, §8.1: text is UTF-8 (RFC 3629), and what is not is refused at the first byte that no text can have.

#include "conformance/Notation.h"

namespace postern::conformance {

namespace {

// `possible` may go on to be text; `impossible` begins with the byte after which it may not.
struct Invalid {
    const char* what;
    std::string possible, impossible, rest;
};

const std::vector<Invalid>& invalidText() {
    static const std::vector<Invalid> all = {
        {"a continuation byte alone, the first", "", "%80", ""},
        {"a continuation byte alone, the last", "", "%bf", ""},
        {"a continuation byte behind ASCII", "a", "%80", "b"},
        {"a second continuation byte too many", "%c3%a9", "%a9", ""},
        {"a third continuation byte too many", "%e2%82%ac", "%ac", ""},
        {"a fourth continuation byte too many", "%f0%9f%98%80", "%80", ""},
        {"C0, which only overlong forms have", "", "%c0", "%80"},
        {"C1, which only overlong forms have", "", "%c1", "%bf"},
        {"F5, which would be over U+10FFFF", "", "%f5", "%80%80%80"},
        {"F6", "", "%f6", "%80%80%80"},
        {"F7", "", "%f7", "%bf%bf%bf"},
        {"F8, five bytes", "", "%f8", "%88%80%80%80"},
        {"F9", "", "%f9", "%80%80%80%80"},
        {"FA", "", "%fa", "%80%80%80%80"},
        {"FB", "", "%fb", "%bf%bf%bf%bf"},
        {"FC, six bytes", "", "%fc", "%84%80%80%80%80"},
        {"FD", "", "%fd", "%bf%bf%bf%bf%bf"},
        {"FE", "", "%fe", ""},
        {"FF", "", "%ff", ""},
        {"an overlong slash of three bytes", "%e0", "%80", "%af"},
        {"the last overlong form of three bytes", "%e0", "%9f", "%bf"},
        {"an overlong slash of four bytes", "%f0", "%80", "%80%af"},
        {"the last overlong form of four bytes", "%f0", "%8f", "%bf%bf"},
        {"the first surrogate, D800", "%ed", "%a0", "%80"},
        {"the last high surrogate, DBFF", "%ed", "%af", "%bf"},
        {"the first low surrogate, DC00", "%ed", "%b0", "%80"},
        {"the last surrogate, DFFF", "%ed", "%bf", "%bf"},
        {"a pair of surrogates behind a letter", "a%ed", "%a0", "%81%ed%b0%81"},
        {"U+110000", "%f4", "%90", "%80%80"},
        {"U+13FFFF", "%f4", "%bf", "%bf%bf"},
        {"two bytes, the second missing before ASCII", "%c3", "a", ""},
        {"two bytes, the second NUL", "%c3", "%00", ""},
        {"two bytes, the second DEL", "%df", "%7f", ""},
        {"two bytes, the second a lead", "%c3", "%c3", "%a9"},
        {"two bytes, the second FF", "%c2", "%ff", ""},
        {"three bytes, the second missing", "%e2", "a", ""},
        {"three bytes, the third missing", "%e2%82", "a", ""},
        {"three bytes, the third a lead", "%e2%82", "%e2", "%82%ac"},
        {"three bytes, the third C0", "%ef%bf", "%c0", ""},
        {"four bytes, the second missing", "%f0", "a", ""},
        {"four bytes, the third missing", "%f0%9f", "a", ""},
        {"four bytes, the fourth missing", "%f0%9f%98", "a", ""},
        {"four bytes, the fourth a lead", "%f4%8f%bf", "%f0", "%9f%98%80"},
        {"a wrong byte behind much that is right", "{%ce%ba%e1%bd%b9*20}%ce", "%ce", "%b5"},
    };
    return all;
}

const std::vector<const char*>& validText() {
    static const std::vector<const char*> all = {
        "%00",
        "%7f",
        "%c2%80",
        "%df%bf",
        "%e0%a0%80",
        "%e0%bf%bf",
        "%e1%80%80",
        "%ec%bf%bf",
        "%ed%80%80",
        "%ed%9f%bf",
        "%ee%80%80",
        "%ef%bb%bf",
        "%ef%b7%90",
        "%ef%bf%bd",
        "%ef%bf%be",
        "%ef%bf%bf",
        "%f0%90%80%80",
        "%f0%9f%bf%bf",
        "%f1%80%80%80",
        "%f3%bf%bf%bf",
        "%f4%80%80%80",
        "%f4%8f%bf%bf",
        "%ce%ba%e1%bd%b9%cf%83%ce%bc%ce%b5",
        "a%c2%a2%e2%82%ac%f0%90%8d%88",
        "{%f0%9f%98%80*40}",
    };
    return all;
}

const std::vector<const char*>& cutText() {
    static const std::vector<const char*> all = {"%c3", "%e2", "%e2%82", "%f0", "%f0%9f", "%f0%9f%98", "abc%c3", "%e2%82%ac%e2%82"};
    return all;
}

}

Rows textRows() {
    Rows rows;
    for (const std::string text : validText()) rows.push_back({"§5.6", "UTF-8: " + text, "text " + text, "text " + text});
    for (const auto& [what, possible, impossible, rest] : invalidText()) {
        const std::string bad = possible + impossible;
        rows.push_back({"§8.1", std::string("not UTF-8: ") + what, "text " + bad + "|" + rest + "; text b", "close 1007"});
        rows.push_back(
            {"§8.1", std::string("not UTF-8, the rest of the frame to come: ") + what, "len=200 text ok " + bad + "|", "close 1007"});
        rows.push_back({"§8.1", std::string("not UTF-8, in the next fragment: ") + what,
                        "+text ok " + possible + "; +cont " + impossible + "|" + rest, "close 1007"});
        rows.push_back({"§5.5.1", std::string("not UTF-8, in a reason: ") + what, "close 1000 " + bad + rest + "; text b", "close 1007"});
    }
    for (const std::string cut : cutText()) {
        rows.push_back({"§8.1", "text that ends within a character: " + cut, "text " + cut + "|; text b", "close 1007"});
        rows.push_back({"§8.1", "text whose last fragment does: " + cut, "+text a; cont " + cut + "|; text b", "close 1007"});
        rows.push_back({"§8.1", "an empty last fragment behind " + cut, "+text " + cut + "; ping x; cont |", "(pong x); close 1007"});
        rows.push_back({"§5.5.1", "a reason that ends within a character: " + cut, "close 1000 " + cut, "close 1007"});
        rows.push_back({"§5.6", "a fragment may end there: " + cut, "+text " + cut, ""});
    }
    rows.push_back(
        {"§8.1", "a new message does not go on with the character of the last", "text %c3%a9; text %a9|", "text %c3%a9; close 1007"});
    rows.push_back({"§5.6", "bytes need not be UTF-8", "binary %ff%c0%80%ed%a0%80%f5", "binary %ff%c0%80%ed%a0%80%f5"});
    rows.push_back({"§5.6", "bytes in fragments need not, either", "+binary %c3; cont %28", "binary %c3%28"});
    rows.push_back({"§5.6", "bytes behind text need not", "text a; binary %80", "text a; binary %80"});
    rows.push_back({"§8.1", "text behind bytes must", "binary %80; text %80|", "binary %80; close 1007"});
    return rows;
}

}
