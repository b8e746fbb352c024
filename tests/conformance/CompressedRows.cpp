// RFC 7692 §6, §7.2: messages that are compressed.

#include "conformance/Notation.h"
#include "support/RawDeflate.h"

namespace postern::conformance {

namespace {

const Setup compressed{.compression = Compression::with};

Setup with(const char* settings) { return {.settings = settings, .compression = Compression::with}; }

// Printable, and with hardly anything in it that comes twice.
std::string noise(size_t size, uint32_t seed = 1) {
    constexpr std::string_view letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    std::string text;
    for (; text.size() < size; seed = seed * 1664525 + 1013904223) text += letters[seed >> 26];
    return text;
}

// Worth codes of its own.
std::string fewLetters(size_t size) {
    auto text = noise(size);
    for (auto& c : text) c = c < 'V' ? ' ' : c < 'n' ? 'e' : c < 'y' ? 't' : c;
    return text;
}

// A whole message in one frame, compressed.
std::string packed(std::string_view text, const std::string& kind = "text") { return "rsv1 " + kind + " " + escaped(rawDeflated(text)); }

// The same bytes in fragments of that size.
std::string fragments(const std::string& bytes, size_t size, const std::string& between = "") {
    std::string all;
    for (size_t at = 0; at < bytes.size(); at += size) {
        const bool last = at + size >= bytes.size();
        if (at > 0) all += "; " + between + (between.empty() ? "" : "; ");
        all += std::string(at == 0 ? "rsv1 " : "") + (last ? "" : "+") + (at == 0 ? "text " : "cont ") + escaped(bytes.substr(at, size));
    }
    return all;
}

constexpr const char* hello = "%f2H%cd%c9%c9%07%00";

void blocks(Rows& rows) {
    const Rows fixed = {
        {"7692 §7.2.3.1", "the example: Hello", "rsv1 text %f2H%cd%c9%c9%07%00", "text Hello"},
        {"7692 §7.2.3.1", "the example in two fragments", "rsv1 +text %f2H%cd; cont %c9%c9%07%00", "text Hello"},
        {"7692 §7.2.3.3", "the example without compression: a stored block", "rsv1 text %00%05%00%fa%ffHello%00", "text Hello"},
        {"7692 §7.2.3.4", "the example with BFINAL", "rsv1 text %f3H%cd%c9%c9%07%00%00", "text Hello"},
        {"7692 §7.2.3.5", "the example of two blocks", "rsv1 text %f2H%05%00%00%00%ff%ff%ca%c9%c9%07%00", "text Hello"},
        {"7692 §7.2.3.6", "the example of an empty message", "rsv1 text %00", "text"},
        {"7692 §7.2.3.6", "an empty message of bytes", "rsv1 binary %00", "binary"},
        {"7692 §7.2.1", "an empty message as an empty block of fixed codes", "rsv1 text %02%00", "text"},
        {"7692 §7.2.1", "an empty message as a final block", "rsv1 text %03%00%00", "text"},
        {"7692 §7.2.2", "no payload at all is not even an empty message: 00 00 FF FF alone is no block", "rsv1 text", "close 1007"},
        {"7692 §7.2.2", "the four bytes at the end are not sent", "rsv1 text %f2H%cd%c9%c9%07%00%00%00%ff%ff", "close 1007"},
        {"7692 §7.2.1", "they may be there if an empty block follows", "rsv1 text %f2H%cd%c9%c9%07%00%00%00%ff%ff%00", "text Hello"},
        {"7692 §7.2.1", "many empty blocks", "rsv1 text {%00%00%00%ff%ff*20}%f2H%cd%c9%c9%07%00", "text Hello"},
        {"7692 §7.2.1", "empty blocks and nothing else", "rsv1 text {%00%00%00%ff%ff*20}%00", "text"},
        {"7692 §7.2.2", "bytes stay bytes", "rsv1 binary %f2H%cd%c9%c9%07%00", "binary Hello"},
        {"7692 §7.2.2", "blocks behind a final one are read, too", "rsv1 text %f3H%cd%c9%c9%07%00%f2H%cd%c9%c9%07%00", "text HelloHello"},
        {"7692 §7.2.2", "a stored block behind a final stored block", "rsv1 text %01%03%00%fc%ffHel%00%02%00%fd%fflo%00", "text Hello"},
        {"7692 §7.2.2", "three final blocks", "rsv1 text {%01%01%00%fe%ffa*3}%00", "text aaa"},
        {"7692 §7.2.3.4", "behind a final block the last byte may be missing (nothing forbids it, and peers do it)",
         "rsv1 text %f3H%cd%c9%c9%07%00", "text Hello"},
    };
    rows.insert(rows.end(), fixed.begin(), fixed.end());

    const struct {
        const char* what;
        RawDeflater::Codes codes;
    } kinds[] = {{"dynamic codes", RawDeflater::Codes::dynamic},
                 {"fixed codes", RawDeflater::Codes::fixed},
                 {"stored blocks", RawDeflater::Codes::stored}};
    for (const auto& [what, codes] : kinds)
        for (const size_t size : {size_t{1}, size_t{200}, size_t{2000}}) {
            if (size == 1 && codes == RawDeflater::Codes::dynamic) continue; // zlib takes fixed ones
            const auto text = fewLetters(size);
            rows.push_back({"7692 §7.2.1", std::to_string(text.size()) + " bytes in " + what,
                            "rsv1 text " + escaped(rawDeflated(text, 15, codes)), "text " + text});
        }
    RawDeflater several(15, RawDeflater::Codes::dynamic);
    auto bytes = several.flush(noise(50));
    bytes += several.flush(noise(70));
    bytes += several.message(noise(50, 7));
    rows.push_back({"7692 §7.2.3.5", "blocks that refer to each other", "rsv1 text " + escaped(bytes),
                    "text " + noise(50) + noise(70) + noise(50, 7)});
    rows.push_back({"7692 §7.2.1", "a long run", packed(std::string(5000, 'x')), "text {x*5000}"});
    rows.push_back({"7692 §7.2.1", "every byte there is",
                    packed(
                        [] {
                            std::string all;
                            for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
                            return all;
                        }(),
                        "binary"),
                    "binary " + [] {
                        std::string all;
                        for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
                        return escaped(all);
                    }()});
}

void inFragments(Rows& rows) {
    const auto bytes = rawDeflated("Hello");
    for (const size_t at : {1u, 2u, 4u, 5u, 6u})
        rows.push_back({"7692 §6.1", "fragments may be cut anywhere: behind byte " + std::to_string(at),
                        "rsv1 +text " + escaped(bytes.substr(0, at)) + "; cont " + escaped(bytes.substr(at)), "text Hello"});
    const Rows more = {
        {"7692 §6.1", "each byte in a fragment", fragments(bytes, 1), "text Hello"},
        {"7692 §6.1", "pings between them", fragments(bytes, 2, "ping x"), "(pong x); (pong x); pong x; text Hello"},
        {"7692 §6.1", "pongs between them", fragments(bytes, 2, "pong x"), "text Hello"},
        {"7692 §6.1", "an empty first fragment", std::string("rsv1 +text; cont ") + hello, "text Hello"},
        {"7692 §6.1", "an empty one in the middle", "rsv1 +text %f2H%cd; +cont; cont %c9%c9%07%00", "text Hello"},
        {"7692 §6.1", "an empty last one", std::string("rsv1 +text ") + hello + "; cont", "text Hello"},
        {"7692 §6.1", "nothing but empty ones and the block of an empty message", "rsv1 +text; +cont %00; cont", "text"},
        {"7692 §7.2.2", "nothing but empty ones", "rsv1 +text; +cont; cont", "close 1007"},
        {"7692 §6.1", "a compressed message of which the end has not come", std::string("rsv1 +text ") + hello, ""},
        {"7692 §6.1", "a close in between", "rsv1 +text %f2H%cd; close 1000; cont %c9%c9%07%00", "close 1000"},
        {"7692 §6.1", "RSV1 belongs to the first fragment: a continuation", "rsv1 +text %f2H%cd; rsv1 cont |%c9%c9%07%00", "close 1002"},
        {"7692 §6.1", "RSV1 belongs to the first fragment: an empty continuation", "rsv1 +text %f2H%cd; rsv1 +cont |", "close 1002"},
        {"7692 §6.1", "RSV1 does not come later", "+text Hel; rsv1 cont |%00", "close 1002"},
        {"7692 §6.1", "no control frame is compressed: a ping", std::string("rsv1 ping |") + hello, "close 1002"},
        {"7692 §6.1", "no control frame is compressed: between fragments", std::string("rsv1 +text %f2H%cd; rsv1 ping |") + hello,
         "close 1002"},
        {"7692 §6.1", "no control frame is compressed: a close", "rsv1 op8 |%00", "close 1002"},
        {"7692 §6", "RSV1 goes with no other bit", std::string("rsv1 rsv2 text |") + hello, "close 1002"},
        {"7692 §6", "RSV1 and RSV3", std::string("rsv1 rsv3 binary |") + hello, "close 1002"},
        {"7692 §6", "a reserved opcode is not compressed", std::string("rsv1 op3 |") + hello, "close 1002"},
        {"7692 §6", "a continuation of nothing", std::string("rsv1 cont |") + hello, "close 1002"},
        {"7692 §6.1", "no new message within a compressed one", std::string("rsv1 +text %f2H%cd; rsv1 text |") + hello, "close 1002"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

void together(Rows& rows) {
    const std::string one = std::string("rsv1 text ") + hello;
    const Rows more = {
        {"7692 §6", "each message may be compressed or not", "text a; " + one + "; text b", "text a; text Hello; text b"},
        {"7692 §6", "compressed ones around one that is not", one + "; text a; " + one, "text Hello; text a; text Hello"},
        {"7692 §6", "text and bytes", one + "; rsv1 binary " + hello + "; binary %ff", "text Hello; binary Hello; binary %ff"},
        {"7692 §6", "a fragmented one that is not compressed behind one that is", one + "; +text a; cont b", "text Hello; text ab"},
        {"7692 §6", "pings around it", "ping a; " + one + "; ping b", "pong a; text Hello; pong b"},
        {"7692 §6", "a close behind it", one + "; close 1000", "text Hello; close 1000"},
        {"7692 §7.1.1", "without take-over a message does not refer to the last", one + "; rsv1 text %f2%00%11%00%00",
         "text Hello; close 1007"},
        {"7692 §7.2.2", "a message does not refer to what was not compressed", "text Hello; rsv1 text %f2%00%11%00%00",
         "text Hello; close 1007"},
        {"7692 §7.2.2", "the first message refers to nothing", "rsv1 text %f2%00%11%00%00", "close 1007"},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

Row takingOver(const char* section, const char* promise, const std::string& says, const std::string& hears, int peerBits = 15,
               int ownBits = 15, bool ownTakeover = false) {
    return {section,
            promise,
            says,
            hears,
            {.compression = Compression::with, .ownTakeover = ownTakeover, .peerTakeover = true, .ownBits = ownBits, .peerBits = peerBits}};
}

void takeover(Rows& rows) {
    const std::string one = std::string("rsv1 text ") + hello, again = "rsv1 text %f2%00%11%00%00";
    rows.push_back(
        takingOver("7692 §7.2.3.2", "the example: the second Hello refers to the first", one + "; " + again, "text Hello; text Hello"));
    rows.push_back(
        takingOver("7692 §7.2.3.2", "the third to the second", one + "; " + again + "; " + again, "text Hello; text Hello; text Hello"));
    rows.push_back(takingOver("7692 §7.2.2", "what was not compressed in between does not matter", one + "; text World; " + again,
                              "text Hello; text World; text Hello"));
    rows.push_back(takingOver("7692 §7.2.2", "nor do control frames", one + "; ping x; " + again, "text Hello; pong x; text Hello"));
    rows.push_back(takingOver("7692 §7.2.2", "text may refer to bytes", std::string("rsv1 binary ") + hello + "; " + again,
                              "binary Hello; text Hello"));
    rows.push_back(takingOver("7692 §7.2.2", "the message before may come in fragments", "rsv1 +text %f2H%cd; cont %c9%c9%07%00; " + again,
                              "text Hello; text Hello"));
    rows.push_back(takingOver("7692 §7.2.2", "and so may the one that refers to it", one + "; rsv1 +text %f2%00; ping x; cont %11%00%00",
                              "text Hello; pong x; text Hello"));
    rows.push_back(takingOver("7692 §7.2.2", "the first message refers to nothing", again, "close 1007"));
    rows.push_back(takingOver("7692 §7.2.2", "the peer need not refer to anything", one + "; " + one, "text Hello; text Hello"));
    rows.push_back(takingOver("7692 §7.2.3.4", "a message behind a final block", "rsv1 text %f3H%cd%c9%c9%07%00%00; " + one,
                              "text Hello; text Hello"));
    rows.push_back(
        takingOver("7692 §7.2.3.6", "a message behind an empty one", one + "; rsv1 text %00; " + again, "text Hello; text; text Hello"));

    RawDeflater wide;
    const auto first = escaped(wide.message(noise(600))), second = escaped(wide.message(noise(100)));
    rows.push_back(takingOver("7692 §7.1.2.1", "a distance of 600 bytes fits a window of 32 KiB",
                              "rsv1 text " + first + "; rsv1 text " + second, "text " + noise(600) + "; text " + noise(100)));
    rows.push_back(takingOver("7692 §7.1.2.1", "and one of 1 KiB", "rsv1 text " + first + "; rsv1 text " + second,
                              "text " + noise(600) + "; text " + noise(100), 10));
    rows.push_back(takingOver("7692 §7.1.2.1", "but not the 512 bytes that were agreed on", "rsv1 text " + first + "; rsv1 text " + second,
                              "text " + noise(600) + "; close 1007", 9));
    rows.push_back(takingOver("7692 §7.1.2.1", "nor the smallest window", "rsv1 text " + first + "; rsv1 text " + second,
                              "text " + noise(600) + "; close 1007", 8));

    rows.push_back({"7692 §7.1.1",
                    "our messages may refer to earlier ones, too",
                    "text Hello; text Hello; binary Hello; text",
                    "text Hello; text Hello; binary Hello; text",
                    {.compression = Compression::with, .ownTakeover = true}});
    rows.push_back(takingOver("7692 §7.1.1", "both ends take over", one + "; " + again + "; " + one, "text Hello; text Hello; text Hello",
                              15, 15, true));
}

void windows(Rows& rows) {
    for (int bits = 8; bits <= 15; ++bits) {
        const auto name = std::to_string(bits);
        const auto text = noise(200) + noise(200) + noise(300, 9) + noise(300, 9);
        rows.push_back({"7692 §7.1.2",
                        "the peer's window of " + name + " bits",
                        "rsv1 text " + escaped(rawDeflated(text, std::max(bits, 9))),
                        "text " + text,
                        {.compression = Compression::with, .peerBits = bits}});
    }
    for (int bits = 8; bits <= 12; ++bits) {
        const auto size = (size_t{1} << bits) + 40;
        rows.push_back({"7692 §7.1.2",
                        "our window of " + std::to_string(bits) + " bits, and something that comes again just beyond it",
                        "text {" + noise(size) + "*2}",
                        "text {" + noise(size) + "*2}",
                        {.compression = Compression::with, .ownBits = bits}});
        rows.push_back({"7692 §7.1.2",
                        "our window of " + std::to_string(bits) + " bits over several messages",
                        "text " + noise(size) + "; text " + noise(size),
                        "text " + noise(size) + "; text " + noise(size),
                        {.compression = Compression::with, .ownTakeover = true, .ownBits = bits}});
    }
}

void corrupt(Rows& rows) {
    const struct {
        const char* what;
        std::string bytes;
    } all[] = {
        {"a block of the type that does not exist", "%06%00"},
        {"a final block of that type", "%07%00"},
        {"that type behind a good block", "%00%02%00%fd%ffab%06"},
        {"a stored block whose lengths contradict each other", "%00%05%00%fa%feHello%00"},
        {"a stored block whose second length is 0", "%00%05%00%00%00Hello%00"},
        {"a stored block that is cut", "%00%05%00%fa%ffHel"},
        {"a stored block without its lengths", "%00%05"},
        {"fixed codes: a distance beyond the beginning", "%f2%00%11%00%00"},
        {"fixed codes: no literal, a distance", "%02%03%00"},
        {"fixed codes without an end", "%f2H%cd%c9%c9"},
        {"dynamic codes: too many length codes", "%fd%ff%ff%ff"},
        {"dynamic codes: a set that is over-full", "%04%00%fe%ff"},
        {"dynamic codes: a cut header", "%05%e0%81"},
        {"bytes that are text, not DEFLATE", "Hello"},
        {"a zlib header, which RFC 1950 has", "x%9c%f3H%cd%c9%c9%07%00%05%8c%01%f5"},
        {"a gzip header", "%1f%8b%08%00%00%00%00%00"},
        {"255s", "{%ff*20}"},
    };
    for (const auto& [what, bytes] : all) {
        rows.push_back({"7692 §7.2.2", std::string("corrupt: ") + what, "rsv1 binary " + bytes + "; text b", "close 1007", compressed});
    }
    for (const char* what : {"%06", "%07", "%00%05%00%fa%fe"})
        rows.push_back({"7692 §7.2.2", std::string("corrupt in a fragment, at once: ") + what,
                        std::string("len=50 rsv1 +text ") + what + "|", "close 1007"});
    rows.push_back({"7692 §7.2.2", "corrupt in a later fragment", "rsv1 +text %f2H; +cont %cd%c9%c9%07%00%06; cont %00", "close 1007"});
    rows.push_back({"7692 §7.2.2", "a good message, then a corrupt one", std::string("rsv1 text ") + hello + "; rsv1 text %06%00",
                    "text Hello; close 1007"});
}

void text(Rows& rows) {
    for (const std::string bad :
         {"%80", "a%bf", "%c0%80", "%c3a", "%e0%80%80", "%ed%a0%80", "%f4%90%80%80", "%f5%80%80%80", "%ff", "%c3", "%e2%82", "%f0%9f%98"}) {
        const auto bytes = unescaped(bad);
        rows.push_back({"§8.1", "not UTF-8 once it is decompressed: " + bad, packed(bytes) + "; text b", "close 1007"});
        rows.push_back(
            {"§8.1", "not UTF-8 once it is decompressed, in fragments: " + bad, fragments(rawDeflated("ok" + bytes), 2), "close 1007"});
        rows.push_back({"§5.6", "bytes need not be UTF-8: " + bad, packed(bytes, "binary"), "binary " + bad});
    }
    for (const std::string bad : {"%80", "%c3%28", "%ed%a0", "%f4%90", "ok%ff"}) {
        const auto stored = storedBlock(std::string(40, 'a')).substr(0, 5);
        rows.push_back({"§8.1", "not UTF-8 within a stored block, the rest to come: " + bad,
                        "len=90 rsv1 text " + escaped(stored) + bad + "|", "close 1007"});
        rows.push_back({"§8.1", "not UTF-8 behind the first block, the rest to come: " + bad,
                        "len=90 rsv1 +text " + escaped(RawDeflater().flush(unescaped(bad))) + "|", "close 1007"});
    }
    rows.push_back({"§5.6", "a character over two fragments",
                    fragments(rawDeflated("a\xe2\x82\xac"
                                          "b",
                                          15, RawDeflater::Codes::stored),
                              7),
                    "text a%e2%82%acb"});
    rows.push_back({"§8.1", "the payload need not look like text", packed(noise(300)), "text " + noise(300)});
}

void limits(Rows& rows) {
    const std::string many(1000, 'z');
    const auto at = [](size_t size) { return "text {z*" + std::to_string(size) + "}"; };
    const auto incompressible = noise(1000);
    const auto stored = rawDeflated(incompressible, 15, RawDeflater::Codes::stored);
    const Rows more = {
        {"§10.4", "decompressed to the limit", packed(many), at(1000), with("max=1000")},
        {"§10.4", "decompressed to one byte under it", packed(many.substr(1)), at(999), with("max=1000")},
        {"§10.4", "decompressed over the limit by one byte", packed(many + 'z'), "close 1009", with("max=1000")},
        {"§10.4", "decompressed to a hundred times the limit", packed(std::string(100'000, 'z')), "close 1009", with("max=1000")},
        {"§10.4", "decompressed over the limit before the message ends", "rsv1 +text " + escaped(rawDeflated(many + many)) + "|; cont %00",
         "close 1009", with("max=1000")},
        {"§10.4", "in fragments to the limit", fragments(rawDeflated(many), 3), at(1000), with("max=1000")},
        {"§10.4", "in fragments over the limit", fragments(rawDeflated(many + 'z'), 3), "close 1009", with("max=1000")},
        {"§10.4", "the limit is not that of the compressed bytes", "rsv1 text " + escaped(stored), "text " + incompressible,
         with("max=1000")},
        {"§10.4", "a frame far over the limit is refused by its header", "len=2000 rsv1 binary |", "close 1009", with("max=1000")},
        {"§10.4", "2^63 - 1 compressed bytes are refused, too", "len=9223372036854775807 rsv1 binary |", "close 1009"},
        {"§10.4", "and so they are behind a fragment", "rsv1 +binary %00; len=9223372036854775807 cont |", "close 1009"},
        {"§10.4", "the limit is for each message", packed(many) + "; " + packed(many), at(1000) + "; " + at(1000), with("max=1000")},
        {"§10.4", "a bomb of bytes", packed(std::string(300'000, '\0'), "binary"), "close 1009", with("max=1000")},
        {"§10.4", "a bomb of bombs: stored blocks within the limit, then one that is not",
         "rsv1 text " + escaped(storedBlock(many) + storedBlock("zz") + '\0'), "close 1009", with("max=1000")},
        {"§10.4", "an empty message under any limit", "rsv1 text %00", "text", with("max=1")},
        {"§10.4", "a limit of one byte", packed("ab"), "close 1009", with("max=1")},
        {"§10.4", "the largest limit there is", packed("Hello"), "text Hello", with("max=18446744073709551615")},
        {"§10.4", "the largest limit there is, in fragments", "rsv1 +text %f2H%cd; cont %c9%c9%07%00", "text Hello",
         with("max=18446744073709551615")},
        {"§10.4", "as many fragments as allowed", "rsv1 +text %f2H; +cont %cd%c9; cont %c9%07%00", "text Hello", with("fragments=3")},
        {"§10.4", "and one more", "rsv1 +text %f2H; +cont %cd%c9; +cont %c9%07; cont |%00", "close 1008", with("fragments=3")},
        {"§10.4", "empty blocks without end cost nothing but time", "rsv1 text {%00%00%00%ff%ff*50}%f2H%cd%c9%c9%07%00", "text Hello",
         with("max=300")},
    };
    rows.insert(rows.end(), more.begin(), more.end());
}

}

Rows compressedRows() {
    Rows rows;
    for (auto* part : {blocks, inFragments, together, takeover, windows, corrupt, text, limits}) part(rows);
    for (auto& row : rows) row.setup.compression = Compression::with;
    return rows;
}

}
