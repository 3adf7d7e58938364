// `--json`: what a command that reads prints for programs. One object, whose first field says what
// the others are: `"schema": "sluice/rules/1"`. The number rises when a field goes away or means
// something else; fields that are new do not change it.
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace sluice::cli {

// REQUIRES: `fields` is an object.
inline std::string json_text(std::string_view schema, const nlohmann::ordered_json& fields) {
    nlohmann::ordered_json object = {{"schema", schema}};
    object.update(fields);
    return object.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace sluice::cli
