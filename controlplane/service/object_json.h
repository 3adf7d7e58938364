// Operations on tables and pattern objects, and what is told of the latter, as JSON. Internal to
// the protocol.
#pragma once

#include "controlplane/service/json_reader.h"
#include "controlplane/service/protocol.h"

namespace sluice::service {

void put_table(const TableOperation& operation, json& object);
TableOperation read_table_operation(Reader& in);

void put_pattern(const PatternOperation& operation, json& object);
PatternOperation read_pattern_operation(Reader& in);

json pattern_object_json(const ListedPatternObject& object);
ListedPatternObject read_pattern_object(const json& value, std::string& problem);

}  // namespace sluice::service
