// Reads JSON of the control protocol: whatever it is, the result is a value, or a problem in words.
// Internal to the protocol.
#pragma once

#include <cstdint>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/language/command.h"
#include "controlplane/language/names.h"

namespace sluice::service {

using nlohmann::json;

// One object of a message. A field that is wrong makes `problem` not empty; the reads after it go
// on harmlessly, so that a decoder reads its fields in a row and looks once at the end.
class Reader {
  public:
    Reader(const json& object, std::string& problem) : object_(object), problem_(problem) {
        if (!object_.is_object())
            fail("expected an object");
    }

    const json* field(const char* name) const {
        if (!object_.is_object())
            return nullptr;
        const auto at = object_.find(name);
        return at == object_.end() ? nullptr : &*at;
    }

    std::uint64_t number(const char* name, std::uint64_t maximum, std::uint64_t otherwise = 0) {
        const json* value = field(name);
        return value == nullptr ? otherwise : as_number(*value, maximum, name);
    }

    bool boolean(const char* name) {
        const json* value = field(name);
        if (value == nullptr)
            return false;
        if (!value->is_boolean())
            fail(name);
        return value->is_boolean() && value->get<bool>();
    }

    std::string string(const char* name) {
        const json* value = field(name);
        return value == nullptr ? std::string() : as_string(*value, name);
    }

    // Calls `take` for each element of a list that may be absent.
    template <typename Take>
    void each(const char* name, Take take) {
        const json* value = field(name);
        if (value == nullptr)
            return;
        if (!value->is_array())
            return fail(name);
        for (const json& element : *value)
            take(element);
    }

    std::vector<std::string> strings(const char* name) {
        std::vector<std::string> result;
        each(name, [&](const json& e) { result.push_back(as_string(e, name)); });
        return result;
    }

    template <typename T>
    std::vector<T> numbers(const char* name, std::uint64_t maximum) {
        std::vector<T> result;
        each(name,
             [&](const json& e) { result.push_back(static_cast<T>(as_number(e, maximum, name))); });
        return result;
    }

    std::vector<language::RuleRange> ranges(const char* name) {
        std::vector<language::RuleRange> result;
        each(name, [&](const json& e) {
            if (!e.is_array() || e.size() != 2)
                return fail(name);
            const auto first = as_number(e[0], language::kDefaultRuleNumber, name);
            const auto last = as_number(e[1], language::kDefaultRuleNumber, name);
            if (first > last)
                return fail(name);
            result.push_back({static_cast<std::uint16_t>(first), static_cast<std::uint16_t>(last)});
        });
        return result;
    }

    std::optional<std::uint8_t> set() {
        if (field("in_set") == nullptr)
            return std::nullopt;
        return static_cast<std::uint8_t>(number("in_set", language::kSetCount - 1));
    }

    std::uint64_t as_number(const json& value, std::uint64_t maximum, const char* name) {
        if (!value.is_number_unsigned() || value.get<std::uint64_t>() > maximum) {
            fail(name);
            return 0;
        }
        return value.get<std::uint64_t>();
    }

    std::string as_string(const json& value, const char* name) {
        if (!value.is_string()) {
            fail(name);
            return {};
        }
        return value.get<std::string>();
    }

    void fail(std::string_view what) {
        if (problem_.empty())
            problem_ = what;
    }

  private:
    const json& object_;
    std::string& problem_;
};

inline constexpr std::uint64_t kMaximum32 = std::numeric_limits<std::uint32_t>::max();
inline constexpr std::uint64_t kMaximum64 = std::numeric_limits<std::uint64_t>::max();

}  // namespace sluice::service
