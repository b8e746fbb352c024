#pragma once
// Named values in the order they came: header fields, parameters, cookies, CGI variables.

#include "postern/base/Text.h"

#include <string>
#include <string_view>
#include <vector>

namespace postern {

/// A name and a value that somebody else's memory holds.
struct FieldView {
    std::string_view name;
    std::string_view value;
    bool operator==(const FieldView&) const = default;
};

using FieldViews = std::vector<FieldView>;

/// The last field of that name (names compare without case), or nullptr.
inline const FieldView* findField(const FieldViews& fields, std::string_view name) {
    for (auto field = fields.rbegin(); field != fields.rend(); ++field)
        if (equalsIgnoringCase(field->name, name)) return &*field;
    return nullptr;
}

/// The last value of that name, or an empty view.
inline std::string_view fieldValue(const FieldViews& fields, std::string_view name) {
    const auto* field = findField(fields, name);
    return field ? field->value : std::string_view();
}

inline size_t countFields(const FieldViews& fields, std::string_view name) {
    return static_cast<size_t>(std::count_if(fields.begin(), fields.end(), [&](const FieldView& field) {
        return equalsIgnoringCase(field.name, name);
    }));
}

/// Is `token` an element of any field of that name, each being a comma-separated list?
inline bool anyFieldContains(const FieldViews& fields, std::string_view name, std::string_view token) {
    return std::any_of(fields.begin(), fields.end(), [&](const FieldView& field) {
        return equalsIgnoringCase(field.name, name) && listContains(field.value, token);
    });
}

/// Parameters or cookies of a request: `values["name"]` is the last value of a name (empty when there is none),
/// `all("name")` every one in order. Names compare with case. Iteration gives all pairs in order.
class NameValues {
public:
    struct Pair {
        std::string name;
        std::string value;
        bool operator==(const Pair&) const = default;
    };

    void add(std::string name, std::string value) { pairs_.push_back({std::move(name), std::move(value)}); }
    void clear() { pairs_.clear(); }

    bool contains(std::string_view name) const { return find(name) != nullptr; }
    std::string_view operator[](std::string_view name) const { return get(name, {}); }
    std::string_view get(std::string_view name, std::string_view fallback) const {
        const auto* value = find(name);
        return value ? std::string_view(*value) : fallback;
    }
    std::vector<std::string_view> all(std::string_view name) const {
        std::vector<std::string_view> values;
        for (const auto& pair : pairs_)
            if (pair.name == name) values.push_back(pair.value);
        return values;
    }

    size_t size() const { return pairs_.size(); }
    bool empty() const { return pairs_.empty(); }
    auto begin() const { return pairs_.begin(); }
    auto end() const { return pairs_.end(); }

private:
    const std::string* find(std::string_view name) const {
        for (auto pair = pairs_.rbegin(); pair != pairs_.rend(); ++pair)
            if (pair->name == name) return &pair->value;
        return nullptr;
    }

    std::vector<Pair> pairs_;
};

}
