// Keys and values of tables, as text and as the data plane has them. What a text means depends on
// the table.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "common/result.h"
#include "controlplane/language/table_command.h"
#include "dataplane/contract/table.h"

namespace sluice::ruleset {

// `10.0.0.0/8`, `em0`, `80`, `02:00:00:00:00:01/24`, `10.0.0.1,tcp,1024,10.0.0.2,80`. What is wrong
// has status data.
Result<contract::TableKey> parse_table_key(const contract::TableDescriptor& table,
                                           std::string_view text);
std::string print_table_key(const contract::TableDescriptor& table, const contract::TableKey& key);

// One number or address for each field of the table, separated by commas; empty: zeros.
Result<contract::TableValue> parse_table_value(const contract::TableDescriptor& table,
                                               std::string_view text);

enum class NumberStyle { decimal, address };  // -i
std::string print_table_value(const contract::TableDescriptor& table,
                              const contract::TableValue& value, NumberStyle style);

// The number that V of `table(T,V)` stands for.
Result<std::uint32_t> parse_compared_value(std::string_view text);

// The same with the name of a field in front, `table(T,skipto=V)`.
struct ComparedValue {
    std::uint32_t number = 0;
    std::optional<contract::TableField> field;  // none: the one that the table compares
};
Result<ComparedValue> parse_compared_value(const contract::TableDescriptor& table,
                                           std::string_view text);

std::string_view table_type_name(contract::TableType type);
// `legacy`, `skipto,fib`
std::string value_type_names(std::uint32_t fields);
// `flow:src-ip,dst-port`
std::string print_table_type(const contract::TableDescriptor& table);
std::string_view table_algorithm(contract::TableType type);

// What a key of a table that is not there yet is likely to be.
contract::TableType guess_table_type(std::string_view key);

}  // namespace sluice::ruleset
