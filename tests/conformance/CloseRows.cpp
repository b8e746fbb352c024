// RFC 6455 §5.5.1, §7: how a conversation ends.

#include "conformance/Row.h"

namespace postern::conformance {

namespace {

void codes(Rows& rows) {
    for (const int code : {1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013, 1014, 3000, 3001, 3999, 4000, 4001, 4999}) {
        const auto name = std::to_string(code);
        rows.push_back({"§7.4", "the code " + name + " is sent back", "close " + name, "close " + name});
        rows.push_back(
            {"§7.4", "the code " + name + " is sent back, though it came with a reason", "close " + name + " why", "close " + name});
    }
    for (const int code :
         {0, 1, 255, 999, 1004, 1005, 1006, 1015, 1016, 1017, 1099, 1100, 1999, 2000, 2001, 2999, 5000, 5001, 9999, 32768, 65535}) {
        const auto name = std::to_string(code);
        rows.push_back({"§7.4", "nobody may send the code " + name, "close " + name + "; text b", "close 1002"});
    }
}

void reasons(Rows& rows) {
    for (const int size : {1, 2, 122, 123}) {
        const auto reason = "{r*" + std::to_string(size) + "}";
        rows.push_back({"§5.5.1", "a reason of " + std::to_string(size) + " bytes", "close 1000 " + reason, "close 1000"});
    }
    const Rows more = {
        {"§5.5", "a reason of 124 bytes is too long", "close 1000 {r*124}", "close 1002"},
        {"§5.5.1", "a reason in Greek", "close 1000 %ce%ba%e1%bd%b9%cf%83%ce%bc%ce%b5", "close 1000"},
        {"§5.5.1", "a reason with NUL and line ends", "close 1000 %00%0d%0a", "close 1000"},
        {"§5.5.1", "a reason of characters of four bytes, up to the limit", "close 1000 {%f0%9f%98%80*30}abc", "close 1000"},
        {"§5.5.1", "a close without a body", "close", "close"},
        {"§5.5.1", "half a code", "op8 %03", "close 1002"},
        {"§5.5.1", "another half a code", "op8 %e8", "close 1002"},
        {"§5.5.1", "a wrong code weighs more than a wrong reason", "close 1005 %ff", "close 1002"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

void nothingAfter(Rows& rows) {
    for (const std::string after :
         {"text a", "binary a", "+text a", "cont a", "ping a", "pong a", "close 1000", "close 1001 other", "close", "op3", "rsv2 text a",
          "wrongmask text a", "text %ff", "len=2000000 binary", "hex 00 00 00", "hex ff ff ff ff", "binary {x*3000}"}) {
        rows.push_back({"§5.5.1", "nothing counts behind a close: " + after, "close 1000; " + after, "close 1000"});
        rows.push_back({"§7.1.7", "nothing counts behind a breach: " + after, "op3; " + after, "close 1002"});
    }
    const Rows more = {
        {"§5.5.1", "what came before the close is answered", "text a; close 1000", "text a; close 1000"},
        {"§5.5.1", "all that came before it is", "text a; binary b; +text c; cont d; close 1001", "text a; binary b; text cd; close 1001"},
        {"§7.1.7", "what came before a breach is answered", "text a; op3", "text a; close 1002"},
        {"§5.5.1", "a message that had begun is dropped", "len=9 text abc", ""},
        {"§7.2.1", "a peer that never ends its side is not waited for", "close 1000; wait 10s", "close 1000"},
        {"§7.2.1", "nor is one that broke a rule", "op3; wait 10s", "close 1002"},
        {"§7.1.4", "an answer to the close came: no second one", "text a; close 4000 why; close 4000 why", "text a; close 4000"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

// The program closes when it is told so.
void ours(Rows& rows) {
    const Rows more = {
        {"§7.1.2", "our close waits for the peer's", "text /close 1000", "close 1000; open"},
        {"§7.1.2", "our close says why", "text /close 4000 bye", "close 4000 bye; open"},
        {"§7.1.2", "the peer answers our close", "text /close 4000 bye; close 4000 bye", "close 4000 bye"},
        {"§7.1.2", "the peer answers without a body", "text /close 4000 bye; close", "close 4000 bye"},
        {"§7.1.2", "the peer answers with another code", "text /close 4000; close 1000 other", "close 4000"},
        {"§5.5.1", "messages that cross our close are dropped", "text /close 4000; text a; binary b; close 4000", "close 4000"},
        {"§5.5.1", "fragments that cross it are, too", "text /close 4000; +text a; cont b; close 4000", "close 4000"},
        {"§5.5.1", "a ping that crosses it is not answered", "text /close 4000; ping a; close 4000", "close 4000"},
        {"§5.5.1", "a message of which the peer's close never comes", "text /close 4000; text a", "close 4000; open"},
        {"§7.2.1", "the peer's answer is not waited for for ever", "text /close 4000; wait 10s", "close 4000"},
        {"§5.5.1", "a second close of the peer", "text /close 4000; close 4000; close 4000", "close 4000"},
        {"§7.1.7",
         "a breach behind our close ends the line without another",
         "text /close 4000; op3 |",
         "close 4000",
         {.told = "close 1002"}},
        {"§7.1.7", "a wrong close behind our close, too", "text /close 4000; close 999", "close 4000", {.told = "close 1002"}},
        {"§7.1.7", "and text that is none", "text /close 4000; text %ff|", "close 4000", {.told = "close 1007"}},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

}

Rows closeRows() {
    Rows rows;
    codes(rows);
    reasons(rows);
    nothingAfter(rows);
    ours(rows);
    return rows;
}

}
