#include "postern/protocol/DeflateOffer.h"

#include "support/Catch.h"

#include <stdexcept>

using namespace postern;

namespace {

DeflateOptions taking(bool ours, bool peers, int windowBits = 15, int peerWindowBits = 15) {
    DeflateOptions options;
    options.contextTakeover = ours;
    options.peerContextTakeover = peers;
    options.windowBits = windowBits;
    options.peerWindowBits = peerWindowBits;
    return options;
}

std::string answer(const std::vector<std::string_view>& offers, const DeflateOptions& options) {
    const auto chosen = answerDeflate(offers, options);
    return chosen ? chosen->text : "none";
}

}

TEST_CASE("a server answers the first offer of permessage-deflate that it can keep", "[protocol]") {
    const auto both = taking(true, true);
    struct Row {
        const char* what;
        std::vector<std::string_view> offers;
        std::string_view answer;
    };
    const std::vector<Row> rows = {
        {"nothing asked", {}, "none"},
        {"plain", {"permessage-deflate"}, "permessage-deflate"},
        {"white space", {" permessage-deflate ; server_no_context_takeover ;\tclient_no_context_takeover"},
         "permessage-deflate; server_no_context_takeover; client_no_context_takeover"},
        {"a window for us", {"permessage-deflate; server_max_window_bits=10"}, "permessage-deflate; server_max_window_bits=10"},
        {"8, which zlib cannot make", {"permessage-deflate; server_max_window_bits=8"}, "permessage-deflate; server_max_window_bits=8"},
        {"quoted", {"permessage-deflate; server_max_window_bits=\"1\\2\""}, "permessage-deflate; server_max_window_bits=12"},
        {"an offered window of the client is repeated", {"permessage-deflate; client_max_window_bits=9"},
         "permessage-deflate; client_max_window_bits=9"},
        {"not one without a value", {"permessage-deflate; client_max_window_bits"}, "permessage-deflate"},
        {"7", {"permessage-deflate; server_max_window_bits=7"}, "none"},
        {"16", {"permessage-deflate; server_max_window_bits=16"}, "none"},
        {"a leading zero", {"permessage-deflate; server_max_window_bits=09"}, "none"},
        {"a sign", {"permessage-deflate; server_max_window_bits=+9"}, "none"},
        {"no value", {"permessage-deflate; server_max_window_bits"}, "none"},
        {"an empty value", {"permessage-deflate; server_max_window_bits="}, "none"},
        {"an empty quoted value", {"permessage-deflate; server_max_window_bits=\"\""}, "none"},
        {"an open quote", {"permessage-deflate; server_max_window_bits=\"9"}, "none"},
        {"a bad client window", {"permessage-deflate; client_max_window_bits=99"}, "none"},
        {"a value that is none", {"permessage-deflate; server_no_context_takeover=1"}, "none"},
        {"a parameter twice", {"permessage-deflate; server_no_context_takeover; server_no_context_takeover"}, "none"},
        {"a window twice", {"permessage-deflate; server_max_window_bits=9; server_max_window_bits=9"}, "none"},
        {"a client window twice", {"permessage-deflate; client_max_window_bits; client_max_window_bits=9"}, "none"},
        {"unknown", {"permessage-deflate; fast"}, "none"},
        {"another extension", {"permessage-bzip2"}, "none"},
        {"malformed", {"permessage-deflate;"}, "none"},
        {"malformed, with a good one", {"permessage-deflate; =, permessage-deflate"}, "none"},
        {"the second is good", {"permessage-deflate; unknown, permessage-deflate; server_max_window_bits=11"},
         "permessage-deflate; server_max_window_bits=11"},
        {"in two fields", {"x-webkit-deflate-frame", "permessage-deflate"}, "permessage-deflate"},
        {"empty elements", {", permessage-deflate,, other"}, "permessage-deflate"},
    };
    for (const auto& row : rows) {
        INFO(row.what);
        CHECK(answer(row.offers, both) == row.answer);
    }
    DeflateOptions off;
    off.enabled = false;
    CHECK(answer({"permessage-deflate"}, off) == "none");
}

TEST_CASE("what a server wants of compression is in its answer", "[protocol]") {
    const std::vector<std::string_view> browser = {"permessage-deflate; client_max_window_bits"};
    CHECK(answer(browser, {}) == "permessage-deflate; server_no_context_takeover; client_no_context_takeover");
    CHECK(answer(browser, taking(true, false)) == "permessage-deflate; client_no_context_takeover");
    CHECK(answer(browser, taking(false, true)) == "permessage-deflate; server_no_context_takeover");
    CHECK(answer(browser, taking(true, true, 11, 10)) == "permessage-deflate; server_max_window_bits=11; client_max_window_bits=10");
    CHECK(answer({"permessage-deflate; client_max_window_bits=9"}, taking(true, true, 15, 10)) ==
          "permessage-deflate; client_max_window_bits=9");
    // A client that cannot bound its window may not refer to what came before, so that no window is kept for it.
    const auto unbounded = answerDeflate({"permessage-deflate"}, taking(true, true, 15, 10));
    REQUIRE(unbounded);
    CHECK(unbounded->text == "permessage-deflate; client_no_context_takeover");
    CHECK(unbounded->agreement == DeflateAgreement{false, true, 15, 15});
    const auto bounded = answerDeflate(browser, taking(true, true, 11, 10));
    REQUIRE(bounded);
    CHECK(bounded->agreement == DeflateAgreement{false, false, 11, 10});
}

TEST_CASE("a client offers what it wants and holds the server to it", "[protocol]") {
    CHECK(offerDeflate(taking(true, true)) == "permessage-deflate; client_max_window_bits");
    CHECK(offerDeflate({}) == "permessage-deflate; server_no_context_takeover; client_no_context_takeover; client_max_window_bits");
    CHECK(offerDeflate(taking(true, true, 10, 9)) == "permessage-deflate; server_max_window_bits=9; client_max_window_bits=10");

    const auto both = taking(true, true);
    struct Row {
        const char* what;
        DeflateOptions offered;
        std::vector<std::string_view> answers;
        std::optional<DeflateAgreement> agreement;
        bool refused;
    };
    const std::vector<Row> rows = {
        {"no extension", both, {}, {}, false},
        {"plain", both, {"permessage-deflate"}, DeflateAgreement{}, false},
        {"everything", both,
         {"permessage-deflate; server_no_context_takeover; client_no_context_takeover; server_max_window_bits=9; "
          "client_max_window_bits=8"},
         DeflateAgreement{true, true, 9, 8}, false},
        {"a window without a value", both, {"permessage-deflate; client_max_window_bits"}, {}, true},
        {"not what was asked for", both, {"permessage-bzip2"}, {}, true},
        {"twice", both, {"permessage-deflate, permessage-deflate"}, {}, true},
        {"twice in two fields", both, {"permessage-deflate", "permessage-deflate"}, {}, true},
        {"unknown parameter", both, {"permessage-deflate; x"}, {}, true},
        {"malformed", both, {"permessage-deflate;;"}, {}, true},
        {"takes over though it must not", taking(true, false), {"permessage-deflate"}, {}, true},
        {"takes over as it may", taking(false, true), {"permessage-deflate"}, DeflateAgreement{false, true, 15, 15}, false},
        {"a window too large", taking(true, true, 15, 10), {"permessage-deflate"}, {}, true},
        {"a window too large, said", taking(true, true, 15, 10), {"permessage-deflate; server_max_window_bits=11"}, {}, true},
        {"a window as asked for", taking(true, true, 15, 10), {"permessage-deflate; server_max_window_bits=10"},
         DeflateAgreement{false, false, 10, 15}, false},
        {"our window made larger", taking(true, true, 10, 15), {"permessage-deflate; client_max_window_bits=11"}, {}, true},
        {"our window left alone", taking(true, true, 10, 15), {"permessage-deflate"}, DeflateAgreement{false, false, 15, 10}, false},
    };
    for (const auto& row : rows) {
        INFO(row.what);
        const auto found = acceptDeflate(row.answers, row.offered);
        CHECK((found.error != nullptr) == row.refused);
        CHECK(found.agreement == row.agreement);
    }
    CHECK(acceptDeflate({"permessage-deflate"}, {}).error);
}

TEST_CASE("settings of compression that cannot be are refused", "[protocol]") {
    const auto refused = [](auto change) {
        DeflateOptions options;
        change(options);
        try {
            options.check();
            return false;
        } catch (const std::invalid_argument&) {
            return true;
        }
    };
    CHECK_FALSE(refused([](auto&) {}));
    CHECK_FALSE(refused([](auto& o) { o.windowBits = 8; }));
    CHECK(refused([](auto& o) { o.windowBits = 7; }));
    CHECK(refused([](auto& o) { o.windowBits = 16; }));
    CHECK(refused([](auto& o) { o.peerWindowBits = 7; }));
    CHECK(refused([](auto& o) { o.level = 0; }));
    CHECK(refused([](auto& o) { o.level = 10; }));
    CHECK(refused([](auto& o) { o.memoryLevel = 0; }));
    CHECK(refused([](auto& o) { o.memoryLevel = 10; }));
}
