#include "postern/base/Fields.h"

#include "support/Catch.h"

using namespace postern;

TEST_CASE("fields are found without case and the last one wins", "[base]") {
    const FieldViews fields = {{"Accept", "a"}, {"X", ""}, {"ACCEPT", "b"}, {"accept-x", "c"}};
    CHECK(fieldValue(fields, "aCCept") == "b");
    CHECK(findField(fields, "accept") == &fields[2]);
    CHECK(countFields(fields, "accept") == 2);
    CHECK(countFields(fields, "none") == 0);
    CHECK(findField(fields, "none") == nullptr);
    CHECK(fieldValue(fields, "none").empty());
    CHECK(findField(fields, "x") != nullptr);
    CHECK(findField({}, "x") == nullptr);
}

TEST_CASE("a token is looked for in every field of its name", "[base]") {
    const FieldViews fields = {{"Connection", "keep-alive"}, {"connection", "x, Upgrade"}, {"Other", "close"}};
    CHECK(anyFieldContains(fields, "Connection", "upgrade"));
    CHECK(anyFieldContains(fields, "CONNECTION", "Keep-Alive"));
    CHECK_FALSE(anyFieldContains(fields, "Connection", "close"));
    CHECK_FALSE(anyFieldContains(fields, "Connection", "keep"));
    CHECK_FALSE(anyFieldContains({}, "Connection", "close"));
}

TEST_CASE("parameters keep their order, and look-up gives the last value", "[base]") {
    NameValues values;
    CHECK(values.empty());
    values.add("a", "1");
    values.add("A", "2");
    values.add("a", "");
    values.add("", "3");
    CHECK(values.size() == 4);
    CHECK(values["a"].empty());
    CHECK(values["A"] == "2");
    CHECK(values[""] == "3");
    CHECK(values.get("a", "fallback").empty());
    CHECK(values.get("b", "fallback") == "fallback");
    CHECK(values.contains("a"));
    CHECK_FALSE(values.contains("b"));
    CHECK(values["b"].empty());
    CHECK(values.all("a") == std::vector<std::string_view>{"1", ""});
    CHECK(values.all("b").empty());
    CHECK(std::vector(values.begin(), values.end()) ==
          std::vector<NameValues::Pair>{{"a", "1"}, {"A", "2"}, {"a", ""}, {"", "3"}});
    values.clear();
    CHECK(values.empty());
    CHECK_FALSE(values.contains("a"));
}
