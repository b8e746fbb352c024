// RFC 6455 §10.4: limits act on headers, before anything is kept; a rule that is broken weighs more than a limit.

#include "conformance/Row.h"

namespace postern::conformance {

Rows limitRows() {
    const auto with = [](const char* settings) { return Setup{.settings = settings}; };
    return {
        {"§10.4", "a message just under the limit", "binary {a*99}", "binary {a*99}", with("max=100")},
        {"§10.4", "a message at the limit", "text {a*100}", "text {a*100}", with("max=100")},
        {"§10.4", "a message over the limit is refused by its header", "len=101 text |", "close 1009", with("max=100")},
        {"§10.4", "bytes over the limit, too", "len=101 binary |", "close 1009", with("max=100")},
        {"§10.4", "a length of 64 bits over the limit", "len=65536 binary |", "close 1009", with("max=65535")},
        {"§10.4", "the limit of 1, kept", "text a", "text a", with("max=1")},
        {"§10.4", "the limit of 1, broken", "len=2 text |", "close 1009", with("max=1")},
        {"§10.4", "an empty message is under any limit", "text; binary", "text; binary", with("max=1")},
        {"§10.4", "1 MiB unless told otherwise", "len=1048577 binary |", "close 1009"},
        {"§10.4", "exactly that may come", "len=1048576 binary abc", ""},
        {"§10.4", "fragments at the limit", "+text {a*60}; cont {b*40}", "text {a*60}{b*40}", with("max=100")},
        {"§10.4", "fragments over the limit are refused by a header", "+text {a*60}; len=41 cont |", "close 1009", with("max=100")},
        {"§10.4", "the third fragment is over the limit", "+text {a*60}; +cont {b*40}; len=1 cont |", "close 1009", with("max=100")},
        {"§10.4", "empty fragments at the limit", "+text {a*100}; +cont; cont", "text {a*100}", with("max=100")},
        {"§10.4", "the first fragment is over the limit", "len=101 +binary |", "close 1009", with("max=100")},
        {"§10.4", "a huge fragment behind a small one", "+binary a; len64 len=9223372036854775807 cont |", "close 1009", with("max=100")},
        {"§10.4", "the limit is for each message", "text {a*100}; text {b*100}; +text {c*50}; cont {d*50}",
         "text {a*100}; text {b*100}; text {c*50}{d*50}", with("max=100")},
        {"§10.4", "control frames are no part of a message", "+text {a*100}; ping {p*125}; cont", "pong {p*125}; text {a*100}",
         with("max=100")},
        {"§10.4", "control frames may be longer than messages", "ping {p*125}", "pong {p*125}", with("max=10")},
        {"§5.4", "a wrong order weighs more than the limit", "len=101 cont |", "close 1002", with("max=100")},
        {"§5.2", "a reserved opcode weighs more than the limit", "len=101 op3 |", "close 1002", with("max=100")},
        {"§5.1", "a wrong mask weighs more than the limit", "wrongmask len=101 text |", "close 1002", with("max=100")},
        {"§8.1", "text that is none comes before the limit", "+text %ff|; len=200 cont", "close 1007", with("max=100")},
        {"§10.4", "as many fragments as allowed", "+text a; +cont b; cont c", "text abc", with("fragments=3")},
        {"§10.4", "one fragment more is refused by its header", "+text a; +cont b; +cont c; len=5 cont |", "close 1008",
         with("fragments=3")},
        {"§10.4", "empty fragments count", "+text; +cont; +cont; cont |", "close 1008", with("fragments=3")},
        {"§10.4", "control frames between them do not", "+text a; ping x; +cont b; pong y; ping z; cont c", "(pong x); pong z; text abc",
         with("fragments=3")},
        {"§10.4", "fragments count for each message", "+text a; cont b; +text c; cont d; text e", "text ab; text cd; text e",
         with("fragments=2")},
        {"§10.4", "one frame a message", "text a; text b", "text a; text b", with("fragments=1")},
        {"§10.4", "no fragments at all", "+text a; cont |b", "close 1008", with("fragments=1")},
    };
}

}
