#include "postern/protocol/FastCgiGuard.h"

#include "support/Catch.h"
#include "support/Fragments.h"
#include "support/GuardedBytes.h"
#include "support/WebServerPipe.h"

using namespace postern;
using namespace std::literals;

namespace {

// ── What a web server sends ──

enum { begin = 1, abortIt = 2, end = 3, params = 4, in = 5, out = 6, err = 7, data = 8, getValues = 9, valuesResult = 10, unknown = 11 };

const auto role1 = "\0\1\0\0\0\0\0\0"s, role1Keep = "\0\1\1\0\0\0\0\0"s;
std::string role(int number) { return {static_cast<char>(number >> 8), static_cast<char>(number), 0, 0, 0, 0, 0, 0}; }

std::string beginning(int id = 1) { return fastCgiRecord(begin, id, role1); }
std::string stream(int type, std::string_view content, int id) {
    return (content.empty() ? "" : fastCgiRecord(type, id, content)) + fastCgiRecord(type, id, "");
}
std::string variables(std::string_view content, int id = 1) { return stream(params, content, id); }
std::string input(std::string_view content, int id = 1) { return stream(in, content, id); }
std::string question(std::string_view name) { return fastCgiPair(name, ""); }

const std::string someVariables = fastCgiPair("A", "b") + fastCgiPair("EMPTY", "") + fastCgiPair("LONG", std::string(300, 'l'));
const std::string some = "A=b;EMPTY=;LONG=" + std::string(300, 'l') + ";";

// ── What the guard makes of it ──

size_t number(std::string_view bytes, size_t at) {
    return size_t{static_cast<unsigned char>(bytes[at])} << 8 | static_cast<unsigned char>(bytes[at + 1]);
}

struct Record {
    int version, type;
    size_t id;
    std::string content;
};

std::vector<Record> records(std::string_view bytes) {
    std::vector<Record> all;
    while (!bytes.empty()) {
        REQUIRE(bytes.size() >= 8);
        const auto size = number(bytes, 4), whole = 8 + size + static_cast<unsigned char>(bytes[6]);
        REQUIRE(bytes.size() >= whole);
        all.push_back({bytes[0], static_cast<unsigned char>(bytes[1]), number(bytes, 2), std::string(bytes.substr(8, size))});
        bytes.remove_prefix(whole);
    }
    return all;
}

std::string readPairs(std::string_view bytes) {
    std::string text;
    const auto length = [&] {
        if (bytes.empty()) return size_t{0};
        size_t value = static_cast<unsigned char>(bytes[0]), size = 1;
        if (value & 0x80 && bytes.size() >= 4) value = (number(bytes, 0) & 0x7fff) << 16 | number(bytes, 2), size = 4;
        bytes.remove_prefix(size);
        return value;
    };
    while (!bytes.empty()) {
        const auto name = length(), value = length();
        if (bytes.size() < name + value) return text + "(cut)";
        text.append(bytes.substr(0, name)).append("=").append(bytes.substr(name, value)).append(";");
        bytes.remove_prefix(name + value);
    }
    return text;
}

std::string describeAnswers(std::string_view bytes) {
    std::string text;
    for (const auto& [version, type, id, content] : records(bytes)) {
        REQUIRE(version == 1);
        text += "; says ";
        if (type == end) text += "end of " + std::to_string(id) + " for " + std::to_string(content.at(4));
        else if (type == valuesResult && id == 0) text += "values " + readPairs(content);
        else if (type == unknown && id == 0) text += "unknown " + std::to_string(static_cast<unsigned char>(content.at(0)));
        else text += "type " + std::to_string(type);
        if (type == end || type == unknown) REQUIRE(content.size() == 8);
    }
    return text;
}

// Hands pieces to a guard as a connection does, each view ending at an inaccessible page.
struct Connection {
    explicit Connection(const FastCgiLimits& limits) : guard(limits) {}

    void take(std::string_view piece) {
        bytes += piece;
        while (!violation) {
            const auto taken = guard.take(guarded.put(bytes), approved, answers);
            if (const auto* found = std::get_if<Violation>(&taken)) violation = *found;
            else if (std::get<size_t>(taken) == 0) return;
            else bytes.erase(0, std::get<size_t>(taken));
        }
    }

    // "A=b; in hello; end", then what was answered, and what came wrong or was left.
    std::string describe() const {
        std::string content[3], text;
        for (const auto& record : records(approved)) {
            REQUIRE(record.version == 1);
            REQUIRE(record.id == guard.requestId());
            REQUIRE((record.type == begin || record.type == params || record.type == in));
            content[record.type == begin ? 0 : record.type == params ? 1 : 2] += record.content;
        }
        text += readPairs(content[1]);
        if (guard.variablesEnded()) text += " in " + content[2];
        if (guard.inputEnded()) text += " end";
        if (guard.aborted()) text += "; aborted";
        if (guard.roleRefused()) text += "; role refused";
        text += describeAnswers(answers);
        if (violation) text += "; " + std::to_string(violation->status);
        else if (!bytes.empty() && !guard.inputEnded()) text += "; waits";
        return text;
    }

    static inline GuardedBytes guarded{size_t{1} << 20};
    FastCgiGuard guard;
    std::string bytes, approved, answers;
    std::optional<Violation> violation;
};

const FastCgiLimits usual{256 * 1024, 7};

std::string verdict(const Fragments& pieces, const FastCgiLimits& limits = usual) {
    Connection connection(limits);
    for (const auto piece : pieces) connection.take(piece);
    return connection.describe();
}
std::string verdict(std::string_view bytes, const FastCgiLimits& limits = usual) { return verdict(Fragments{bytes}, limits); }

struct Row {
    std::string bytes, meaning;
};

void check(const std::vector<Row>& rows) {
    for (const auto& [bytes, meaning] : rows) {
        CAPTURE(bytes);
        CHECK(verdict(bytes) == meaning);
        forEachFragmentation(bytes, [&, &meaning = meaning](const Fragments& pieces) {
            if (const auto found = verdict(pieces); found != meaning) {
                CAPTURE(pieces.size(), pieces[0].size());
                CHECK(found == meaning);
            }
        });
    }
}

std::string lengths(uint32_t name, uint32_t value) {
    std::string bytes;
    for (const auto length : {name, value})
        for (int shift = 24; shift >= 0; shift -= 8) bytes += static_cast<char>(length >> shift);
    return bytes;
}

}

TEST_CASE("a request of FastCGI passes the guard whole, however it arrives", "[protocol]") {
    const auto start = beginning() + variables(someVariables);
    std::string scattered = beginning();
    for (const char c : someVariables) scattered += fastCgiRecord(params, 1, {&c, 1});
    scattered += fastCgiRecord(params, 1, "");
    check({
        {start + input("hello"), some + " in hello end"},
        {start + input(""), some + " in  end"},
        {start, some + " in "},
        {start + fastCgiRecord(in, 1, "hel") + fastCgiRecord(in, 1, "lo"), some + " in hello"},
        {scattered + input("x"), some + " in x end"},
        {beginning() + fastCgiRecord(params, 1, "") + input(""), " in  end"},
        {beginning() + variables(lengths(0x80000001, 0x80000001) + "Ab"), "A=b; in "},
        {beginning() + variables("\1"s + lengths(0x80000000, 0).substr(0, 4) + "A"), "A=; in "},
        {beginning() + variables(fastCgiPair("A", "b=c=") + fastCgiPair("B", "\xff\r\n")), "A=b=c=;B=\xff\r\n; in "},
        {beginning(65535) + variables(fastCgiPair("A", "b"), 65535) + input("x", 65535), "A=b; in x end"},
        {fastCgiRecord(begin, 1, role1Keep) + variables(""), " in "},
        {start + input("one") + beginning(2) + variables("", 2), some + " in one end"},
    });
}

TEST_CASE("padding of any size on any record of FastCGI is skipped", "[protocol]") {
    for (const size_t padding : {0, 1, 7, 255}) {
        const auto record = [&](int type, std::string_view content) { return fastCgiRecord(type, 1, content, padding); };
        CAPTURE(padding);
        const auto bytes = record(begin, role1) + record(params, fastCgiPair("A", "b")) + record(params, "") +
                           fastCgiRecord(getValues, 0, question("FCGI_MPXS_CONNS"), padding) + record(in, "hello") + record(in, "");
        check({{bytes, "A=b; in hello end; says values FCGI_MPXS_CONNS=0;"}});
    }
}

TEST_CASE("the padding behind a request of FastCGI may come with the next one", "[protocol]") {
    const auto one = [](std::string_view body, size_t padding) {
        return fastCgiRecord(begin, 1, role1Keep, padding) + fastCgiRecord(params, 1, fastCgiPair("A", "b"), padding) +
               fastCgiRecord(params, 1, "", padding) + fastCgiRecord(in, 1, body, padding) + fastCgiRecord(in, 1, "", padding);
    };
    for (const size_t padding : {0, 1, 255}) {
        const auto bytes = one("first", padding) + one("second", padding);
        CAPTURE(padding);
        forEachFragmentation(bytes, [&](const Fragments& pieces) {
            Connection connection(usual);
            std::string said;
            for (const auto piece : pieces) {
                connection.take(piece);
                if (!connection.guard.inputEnded()) continue;
                said += connection.describe();
                CHECK(connection.guard.keepsConnection());
                connection.guard.nextRequest();
                connection.approved.clear();
                connection.take("");
            }
            // In one piece the second waits for the call that follows the first.
            if (connection.guard.inputEnded()) {
                said += connection.describe();
                connection.guard.nextRequest();
            }
            if (said != "A=b; in first endA=b; in second end") FAIL(said << pieces[0].size());
            if (!connection.guard.atRest()) FAIL("something is left");
        });
    }
}

TEST_CASE("a request of FastCGI that is cut anywhere is incomplete, and nothing of it is lost or invented", "[protocol]") {
    const auto start = beginning() + variables(someVariables), whole = start + input("hello");
    for (size_t size = 0; size < whole.size(); ++size) {
        Connection connection(usual);
        connection.take(std::string_view(whole).substr(0, size));
        if (connection.violation || connection.guard.inputEnded()) FAIL(size);
        if (connection.guard.variablesEnded() != (size >= start.size())) FAIL(size);
        if (connection.guard.atRest() != (size < 16)) FAIL(size);
    }
}

TEST_CASE("lengths of variables that would overflow or exhaust memory are refused when they are read (CVE-2025-23016)", "[protocol]") {
    for (const uint32_t large : {0x7fffffffu, 0xffffffffu, 0xfffffffeu, 0xfffffff8u, 0xc0000000u, 0x80040000u}) {
        for (const auto& pair : {lengths(large | 0x80000000, 0x80000001), lengths(0x80000001, large | 0x80000000),
                                 lengths(large | 0x80000000, large | 0x80000000), "\1"s + lengths(large | 0x80000000, 0).substr(0, 4)}) {
            const auto bytes = beginning() + fastCgiRecord(params, 1, pair);
            CAPTURE(large, pair);
            forEachFragmentation(bytes, [&](const Fragments& pieces) {
                Connection connection(usual);
                for (const auto piece : pieces) connection.take(piece);
                if (!connection.violation || connection.violation->status != 431) FAIL(pieces[0].size());
                if (connection.approved.capacity() > 1024) FAIL("memory for what was only announced");
            });
        }
    }
}

TEST_CASE("variables of FastCGI may take what --max-variables allows, 64 bytes more for each, and not one byte more", "[protocol]") {
    const FastCgiLimits limits{1000, 1};
    const auto one = [&](size_t name, size_t value) {
        return verdict(beginning() + variables(fastCgiPair(std::string(name, 'N'), std::string(value, 'v'))), limits);
    };
    CHECK(one(1, 935).ends_with(" in "));
    CHECK(one(1, 936).ends_with("431"));
    CHECK(one(936, 0).ends_with(" in "));
    CHECK(one(937, 0).ends_with("431"));
    const auto many = [](size_t count, const FastCgiLimits& within) {
        std::string pairs;
        for (size_t i = 0; i < count; ++i) pairs += fastCgiPair("N", "");
        std::string all = beginning();
        for (size_t at = 0; at < pairs.size(); at += 60'000) all += fastCgiRecord(params, 1, std::string_view(pairs).substr(at, 60'000));
        return verdict(all + fastCgiRecord(params, 1, ""), within);
    };
    CHECK(many(1000 / 65, limits).ends_with(" in "));
    CHECK(many(1000 / 65 + 1, limits).ends_with("431"));
    CHECK(many(256 * 1024 / 65, usual).ends_with(" in "));
    CHECK(many(256 * 1024 / 65 + 1, usual).ends_with("431"));
}

TEST_CASE("names and values that no variable can have are refused", "[protocol]") {
    const auto with = [](std::string_view name, std::string_view value) { return beginning() + variables(fastCgiPair(name, value)); };
    for (const auto& bytes : {with("", ""), with("", "value"), with("A\0B"sv, "c"), with("\0"sv, "c"), with("A", "b\0"sv), with("A", "\0b"sv), with("A=", "b"), with("=A", "b"),
                              with(std::string(200, 'N') + '\0', "b"), with("A", std::string(200, 'v') + '\0')}) {
        CAPTURE(bytes);
        forEachFragmentation(bytes, [&](const Fragments& pieces) {
            if (!verdict(pieces).ends_with("; 400")) FAIL(pieces[0].size());
        });
    }
}

TEST_CASE("PARAMS that end within a variable are refused, not taken for fewer variables", "[protocol]") {
    for (size_t size = 1; size < someVariables.size(); ++size) {
        const bool whole = size == 4 || size == 11;  // behind A, and behind EMPTY
        const auto found = verdict(beginning() + variables(std::string_view(someVariables).substr(0, size)));
        if (found.ends_with("; 400") == whole) FAIL(size << ' ' << found);
    }
}

TEST_CASE("a responder is what the guard serves: other roles are told UNKNOWN_ROLE", "[protocol]") {
    for (const int number : {0, 2, 3, 99, 0x0100, 0xffff})
        check({{fastCgiRecord(begin, 1, role(number)) + variables(someVariables) + input("x"), "; role refused; says end of 1 for 3; waits"}});
}

TEST_CASE("another request on a connection that has one is told CANT_MPX_CONN, and the first goes on", "[protocol]") {
    const auto start = beginning(), vars = variables(fastCgiPair("A", "b"));
    const auto other = beginning(2) + variables(fastCgiPair("X", "y"), 2) + input("other", 2);
    check({
        {start + other + vars + input("mine"), "A=b; in mine end; says end of 2 for 1"},
        {start + vars + other + input("mine"), "A=b; in mine end; says end of 2 for 1"},
        {start + vars + fastCgiRecord(in, 1, "mi") + other + fastCgiRecord(in, 1, "ne") + fastCgiRecord(in, 1, ""),
         "A=b; in mine end; says end of 2 for 1"},
        {start + beginning(2) + fastCgiRecord(abortIt, 2, "") + vars, "A=b; in ; says end of 2 for 1"},
        {start + beginning(2) + beginning(3) + beginning(4) + beginning(5) + vars,
         "A=b; in ; says end of 2 for 1; says end of 3 for 1; says end of 4 for 1; says end of 5 for 1"},
        {start + beginning(2) + beginning(3) + beginning(4) + beginning(5) + beginning(6),
         "; says end of 2 for 1; says end of 3 for 1; says end of 4 for 1; says end of 5 for 1; 400"},
        {start + start, "; 400"},
        {start + vars + start, "A=b; in ; 400"},
        {start + beginning(2) + beginning(2), "; says end of 2 for 1; 400"},
    });
}

TEST_CASE("the records of a refused request are skipped, but not for ever", "[protocol]") {
    const auto start = beginning() + beginning(2);
    std::string sixtyFour;
    for (int i = 0; i < 64; ++i) sixtyFour += fastCgiRecord(in, 2, "x");
    CHECK(verdict(start + sixtyFour + variables("")) == " in ; says end of 2 for 1");
    CHECK(verdict(start + sixtyFour + fastCgiRecord(in, 2, "x")) == "; says end of 2 for 1; 400");
}

TEST_CASE("an abort counts at every place of a request", "[protocol]") {
    const auto abortion = fastCgiRecord(abortIt, 1, "");
    const auto vars = variables(fastCgiPair("A", "b"));
    check({
        {beginning() + abortion, "; aborted"},
        {beginning() + fastCgiRecord(params, 1, fastCgiPair("A", "b")) + abortion, "A=b;; aborted"},
        {beginning() + fastCgiRecord(params, 1, "\1") + abortion, "(cut); aborted"},
        {beginning() + vars + abortion, "A=b; in ; aborted"},
        {beginning() + vars + fastCgiRecord(in, 1, "half") + abortion, "A=b; in half; aborted"},
        {beginning() + vars + fastCgiRecord(in, 1, "half") + fastCgiRecord(abortIt, 1, "content", 9), "A=b; in half; aborted; waits"},
        {fastCgiRecord(abortIt, 1, ""), ""},                          // crossed the end of its request
        {fastCgiRecord(abortIt, 1, "") + beginning() + vars, "A=b; in "},
        {beginning() + fastCgiRecord(abortIt, 2, ""), "; 400"},
    });
}

TEST_CASE("questions about the application are answered, each value once", "[protocol]") {
    const auto ask = [](std::string_view content, size_t padding = 0) { return fastCgiRecord(getValues, 0, content, padding); };
    const auto all = question("FCGI_MAX_CONNS") + question("FCGI_MAX_REQS") + question("FCGI_MPXS_CONNS");
    const auto told = "; says values FCGI_MAX_CONNS=7;FCGI_MAX_REQS=7;FCGI_MPXS_CONNS=0;"s;
    std::string repeated;
    for (int i = 0; i < 30; ++i) repeated += all.substr(0, 16);
    check({
        {ask(all), told},
        {ask(all) + ask(question("FCGI_MPXS_CONNS")), told + "; says values FCGI_MPXS_CONNS=0;"},
        {ask(""), "; says values "},
        {ask(question("OTHER") + question("FCGI_MAX_CONN")), "; says values "},
        {ask(repeated), "; says values FCGI_MAX_CONNS=7;"},
        {ask(all) + beginning() + ask(all) + variables("") + ask(all) + input("x"), " in x end" + told + told + told},
        {fastCgiRecord(12, 0, "what"), "; says unknown 12"},
        {fastCgiRecord(100, 0, "", 3), "; says unknown 100"},
        {fastCgiRecord(255, 0, std::string(1024, 'x')) + ask(all), "; says unknown 255" + told},
        {ask("\1"), "; 400"},
        {ask("\5\0FCGI"s), "; 400"},
        {ask("\16\1FCGI_MAX_CONNSx"), "; 400"},
        {ask("\x80\0\0\x0e\0FCGI_MAX_CONNS"s), "; 400"},
        {ask(lengths(0xffffffff, 0xffffffff)), "; 400"},
        {fastCgiRecord(255, 0, std::string(1025, 'x')), "; 400"},
        {ask(std::string(2 * 520, '\0')), "; 400"},
    });
}

TEST_CASE("sixty-four questions about the application are enough for one request", "[protocol]") {
    std::string asked, told;
    for (int i = 0; i < 64; ++i) {
        asked += fastCgiRecord(getValues, 0, "");
        told += "; says values ";
    }
    CHECK(verdict(asked + beginning() + variables("")) == " in " + told);
    CHECK(verdict(asked + fastCgiRecord(getValues, 0, "")) == told + "; 400");
    CHECK(verdict(asked + fastCgiRecord(99, 0, "")) == told + "; 400");
}

TEST_CASE("what is no record of FastCGI at that place ends the connection", "[protocol]") {
    const auto start = beginning(), vars = variables("");
    for (const int version : {0, 2, 3, int{'G'}, 255}) {
        auto bytes = beginning();
        bytes[0] = static_cast<char>(version);
        CHECK(verdict(bytes.substr(0, 1)) == "; 400");
        CHECK(verdict(start + bytes) == "; 400");
        CHECK(verdict(start + vars + bytes) == " in ; 400");
    }
    for (const int type : {int{abortIt}, int{end}, int{params}, int{in}, int{out}, int{err}, int{data}, 12, 255}) {
        CAPTURE(type);
        const auto other = fastCgiRecord(type, 1, "\1\1Ab");
        if (type != abortIt) check({{other, "; 400"}, {start + fastCgiRecord(type, 7, "x"), "; 400"}});
        if (type != abortIt && type != params) check({{start + other, "; 400"}});
        if (type != abortIt && type != in) check({{start + vars + other, " in ; 400"}});
        if (type < getValues) check({{fastCgiRecord(type, 0, ""), "; 400"}, {start + fastCgiRecord(type, 0, ""), "; 400"}});
    }
    check({
        {fastCgiRecord(0, 1, ""), "; 400"},
        {fastCgiRecord(begin, 0, role1), "; 400"},
        {fastCgiRecord(valuesResult, 0, ""), "; 400"},
        {fastCgiRecord(unknown, 0, std::string(8, '\0')), "; 400"},
        {fastCgiRecord(begin, 1, ""), "; 400"},
        {fastCgiRecord(begin, 1, role1.substr(1)), "; 400"},
        {fastCgiRecord(begin, 1, role1 + "x"), "; 400"},
        {fastCgiRecord(begin, 1, std::string(65535, '\0')).substr(0, 8), "; 400"},
    });
}

TEST_CASE("a guard that found a breach takes nothing more", "[protocol]") {
    Connection connection(usual);
    connection.take(beginning() + fastCgiRecord(out, 1, "x"));
    REQUIRE(connection.violation);
    std::string approved, answers;
    const auto again = connection.guard.take(variables(""), approved, answers);
    CHECK(std::get<Violation>(again).status == 400);
    CHECK(approved.empty());
    CHECK(!connection.guard.atRest());
}

TEST_CASE("the records that we write are the ones of the specification", "[protocol]") {
    CHECK((fastCgiOutputHeader(0x0102, 0xfff8) == "\1\6\1\2\xff\xf8\0\0"s));
    CHECK((fastCgiOutputHeader(1, 0) == "\1\6\0\1\0\0\0\0"s));
    CHECK((fastCgiEndRequest(0x0102, 3) == "\1\3\1\2\0\10\0\0\0\0\0\0\3\0\0\0"s));
}
