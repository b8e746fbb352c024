#include "postern/protocol/CloseCode.h"

#include "support/Catch.h"
#include "support/GuardedBytes.h"
#include "support/SlowUtf8.h"

using namespace postern;
using namespace std::literals;

namespace {

constexpr CloseCode fine{};

// Every code there is, in order.
const struct {
    unsigned first, last;
    bool valid;
} codes[] = {
    {0, 999, false},
    {1000, 1003, true},
    {1004, 1006, false},
    {1007, 1014, true},
    {1015, 2999, false},
    {3000, 4999, true},
    {5000, 65535, false},
};

std::string payloadOf(unsigned code) { return {static_cast<char>(code >> 8), static_cast<char>(code & 0xff)}; }

}

TEST_CASE("each of the 65536 close codes may or may not stand in a close frame", "[protocol]") {
    unsigned next = 0;
    for (const auto& range : codes) {
        REQUIRE(range.first == next);
        next = range.last + 1;
        for (unsigned code = range.first; code <= range.last; ++code) {
            const auto read = readClose(payloadOf(code));
            const bool right = isValidCloseCode(code) == range.valid && read.error.has_value() != range.valid &&
                               read.error.value_or(CloseCode::protocolError) == CloseCode::protocolError &&
                               (!range.valid || (read.reason.code == code && read.reason.text.empty()));
            if (!right) FAIL_CHECK("code " << code);
        }
    }
    CHECK(next == 65536);
    for (const unsigned code : {65536U + 1000, 0x10000000U + 3000, ~0U}) CHECK_FALSE(isValidCloseCode(code));
}

TEST_CASE("every valid close code is written as it is read", "[protocol]") {
    for (const auto& range : codes)
        for (unsigned code = range.first; range.valid && code <= range.last; ++code) {
            const auto payload = writeClose(static_cast<uint16_t>(code), "why");
            const auto read = readClose(payload);
            if (payload != payloadOf(code) + "why" || read.error || read.reason.code != code ||
                read.reason.text != "why")
                FAIL_CHECK("code " << code);
        }
}

TEST_CASE("a close payload says a code and a reason, or breaks a rule", "[protocol]") {
    const struct {
        std::string_view payload;
        uint16_t code;
        std::string_view text;
        CloseCode error;
    } rows[] = {
        {""sv, 1005, "", fine},
        {"\x03\xe8"sv, 1000, "", fine},
        {"\x03\xe9gone"sv, 1001, "gone", fine},
        {"\x0b\xb8r\xc3\xa9sum\xc3\xa9"sv, 3000, "r\xc3\xa9sum\xc3\xa9", fine},
        {"\x13\x87\0"sv, 4999, "\0"sv, fine},
        {"\x03"sv, 0, "", CloseCode::protocolError},
        {"\0"sv, 0, "", CloseCode::protocolError},
        {"\0\0"sv, 0, "", CloseCode::protocolError},
        {"\x03\xedreserved"sv, 0, "", CloseCode::protocolError},
        {"\x03\xee"sv, 0, "", CloseCode::protocolError},
        {"\x03\xf7"sv, 0, "", CloseCode::protocolError},
        {"\xff\xffx"sv, 0, "", CloseCode::protocolError},
        {"\x03\xe8\xff"sv, 0, "", CloseCode::invalidData},
        {"\x03\xe8ok\xc3"sv, 0, "", CloseCode::invalidData},
        {"\x03\xe8\xed\xa0\x80"sv, 0, "", CloseCode::invalidData},
        {"\x0f\xa0\xc0\xaf"sv, 0, "", CloseCode::invalidData},
    };
    for (const auto& row : rows) {
        const GuardedBytes payload(row.payload);
        CAPTURE(row.payload);
        const auto read = readClose(payload.view());
        CHECK((read.error.value_or(fine) == row.error));
        if (row.error != fine) continue;
        CHECK(read.reason.code == row.code);
        CHECK(read.reason.text == row.text);
        CHECK(writeClose(row.code, row.text) == row.payload);
    }
}

TEST_CASE("a close without a code has no reason", "[protocol]") {
    CHECK(writeClose(1005, "").empty());
    CHECK(writeClose(1005, "because").empty());
}

TEST_CASE("a close payload always fits into a control frame and its reason is cut between characters", "[protocol]") {
    for (const auto character : {"x"sv, "\xc3\xa9"sv, "\xe2\x82\xac"sv, "\xf0\x9f\x98\x80"sv})
        for (size_t before = 0; before < 4; ++before)
            for (size_t count = 0; count <= 150; ++count) {
                std::string reason(before, 'a');
                for (size_t i = 0; i < count; ++i) reason += character;
                const auto fits =
                    before + std::min(count, (maxCloseReason - before) / character.size()) * character.size();
                const auto payload = writeClose(1000, reason);
                if (payload == "\x03\xe8" + reason.substr(0, fits) && payload.size() <= 125 &&
                    !readClose(payload).error)
                    continue;
                CAPTURE(character, before, count);
                FAIL_CHECK("cut elsewhere");
            }
}
