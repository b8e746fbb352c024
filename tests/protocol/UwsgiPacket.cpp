#include "postern/protocol/UwsgiPacket.h"

#include "support/Catch.h"
#include "support/Fragments.h"
#include "support/GuardedBytes.h"

#include <string>
#include <vector>

using namespace postern;
using namespace std::literals;

namespace {

constexpr size_t usual = 256 * 1024;

// Like a connection: asks for the size each time a piece has come, then reads. "more", the status of a refusal, or the
// variables and the size of the packet.
std::string verdict(const Fragments& pieces, size_t limit = usual) {
    static GuardedBytes guarded(size_t{1} << 20);
    std::string bytes;
    std::string found = "more";
    for (const auto piece : pieces) {
        bytes += piece;
        if (found != "more") continue;
        const auto size = uwsgiPacketSize(guarded.put(bytes), limit);
        if (const auto* violation = std::get_if<Violation>(&size)) found = std::to_string(violation->status);
        const auto* whole = std::get_if<size_t>(&size);
        if (!whole || bytes.size() < *whole) continue;
        FieldViews variables;
        if (const auto violation = readUwsgiPacket(guarded.put(std::string_view(bytes).substr(0, *whole)), CgiVariableBudget(limit), variables)) {
            found = std::to_string(violation->status);
            continue;
        }
        found.clear();
        for (const auto& [name, value] : variables) found.append(name).append("=").append(value).append(";");
        found += " " + std::to_string(*whole);
    }
    return found;
}
std::string verdict(std::string_view bytes, size_t limit = usual) { return verdict(Fragments{bytes}, limit); }

std::string number(size_t value) { return {static_cast<char>(value), static_cast<char>(value >> 8)}; }
std::string text(std::string_view bytes) { return number(bytes.size()) + std::string(bytes); }
std::string packet(std::string_view content, int modifier1 = 0, int modifier2 = 0) {
    return static_cast<char>(modifier1) + number(content.size()) + static_cast<char>(modifier2) + std::string(content);
}

struct Row {
    std::string bytes, meaning;
};

void check(const std::vector<Row>& rows) {
    for (const auto& [bytes, meaning] : rows) {
        CAPTURE(bytes);
        CHECK(verdict(bytes) == meaning);
        forEachFragmentation(bytes, [&, &meaning = meaning](const Fragments& pieces) {
            if (const auto found = verdict(pieces); found != meaning) FAIL(found << pieces[0].size());
        });
    }
}

}

TEST_CASE("a packet of uwsgi is its variables in order, however it arrives and whatever follows", "[protocol]") {
    const auto example = "\0\x19\0\0\x0e\0REQUEST_METHOD\x03\0GET\x01\0A\0\0"s;
    const auto meaning = "REQUEST_METHOD=GET;A=; 30"s;
    auto sized = example;
    sized[1] = static_cast<char>(example.size() - 4);
    const auto whole = meaning.substr(0, meaning.find(' ') + 1) + std::to_string(sized.size());
    check({
        {sized, whole},
        {sized + "body", whole},
        {sized + sized, whole},
        {packet(""), " 4"},
        {packet(text("A") + text("b") + text("A") + text("c")), "A=b;A=c; 16"},
        {packet(text("A") + text("=\0\xff"s)), "A="s + "=\0\xff"s + "; 12"},
        {packet(text("A") + text(std::string(300, 'v'))), "A=" + std::string(300, 'v') + "; 309"},
    });
    for (size_t size = 0; size < sized.size(); ++size)
        if (verdict(std::string_view(sized).substr(0, size)) != "more") FAIL(size);
}

TEST_CASE("a packet of uwsgi may hold 65,535 bytes, and more than allowed is refused with its head", "[protocol]") {
    const auto full = [](size_t size) { return packet(text("N") + text(std::string(size - 5, 'v'))); };
    CHECK(verdict(full(65535)).ends_with(" 65539"));
    CHECK(verdict(full(65535).substr(0, 65538)) == "more");
    CHECK(verdict(full(2000).substr(0, 4), 1999) == "431");
    CHECK(verdict(full(2000).substr(0, 4), 2000) == "more");
    CHECK(verdict("\0\xff\xff\0"s, 65534) == "431");
    CHECK(verdict("\0\xff\xff\0"s, 65535) == "more");
}

TEST_CASE("variables of uwsgi may take what --max-variables allows, 64 bytes more for each, and not one byte more", "[protocol]") {
    const auto with = [](size_t value) { return verdict(packet(text("N") + text(std::string(value, 'v'))), 1000); };
    CHECK(with(1000 - 64 - 1).starts_with("N=v"));
    CHECK(with(1000 - 64) == "431");
    std::string many;
    for (int i = 0; i < 65535 / 5; ++i) many += text("N") + text("");
    CHECK(verdict(packet(many)) == "431");
    CHECK(verdict(packet(many.substr(0, 5 * (usual / 65)))).starts_with("N=;N="));
    CHECK(verdict(packet(many.substr(0, 5 * (usual / 65 + 1)))) == "431");
}

TEST_CASE("packets of uwsgi that are no requests are refused with the first byte that tells", "[protocol]") {
    for (const int modifier : {1, 5, 9, 31, 224, 255, int{'G'}}) {
        CAPTURE(modifier);
        CHECK(verdict(packet("", modifier).substr(0, 1)) == "400");
        CHECK(verdict(packet("", 0, modifier).substr(0, 3)) == "more");
        CHECK(verdict(packet("", 0, modifier)) == "400");
    }
}

TEST_CASE("a packet of uwsgi whose lengths do not fit is refused", "[protocol]") {
    check({
        {packet("\1"), "400"},
        {packet("\1\0"s), "400"},
        {packet("\1\0A"s), "400"},
        {packet("\1\0A\1"s), "400"},
        {packet("\1\0A\1\0"s), "400"},
        {packet("\1\0A\2\0b"s), "400"},
        {packet("\xff\xff" "A"), "400"},
        {packet("\1\0A\xff\xff"s), "400"},
        {packet("\1\0A\xff\xff"s + std::string(1000, 'v')), "400"},
        {packet("\xff\xff\xff\xff"), "400"},
        {packet(text("A") + text("b") + "\0"s), "400"},
        {packet(text("A") + text("b") + "\0\0"s), "400"},
        {packet(text("") + text("")), "400"},
        {packet(text("") + text("value")), "400"},
        {packet(text("A") + text("b") + text("")), "400"},
    });
}
