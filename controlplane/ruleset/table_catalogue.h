// Which tables there are: names, ids, types. What they hold is in the data plane.
//
// Part of a Ruleset, so that a script changes it on a copy together with the rules. A table that a
// rule names and that is not there is made, as in ipfw(8), of the type that the rule asks for.
// Copies share until one of them changes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "common/result.h"
#include "controlplane/language/model.h"
#include "controlplane/language/table_command.h"
#include "dataplane/contract/table.h"

namespace sluice::ruleset {

// A table that a rule asks.
struct TableUse {
    std::string name;
    contract::TableType type = contract::TableType::addr;
};
std::vector<TableUse> table_uses(const language::Rule& rule);

class TableCatalogue {
  public:
    using Tables = std::map<std::string, contract::TableDescriptor, std::less<>>;

    TableCatalogue() : tables_(std::make_shared<Tables>()) {}

    // In the order of names, numbers first.
    std::vector<contract::TableDescriptor> all() const;
    // Null: there is none of that name.
    const contract::TableDescriptor* find(std::string_view name) const;

    // Refuses more tables than that; those that are there stay.
    void set_maximum(std::uint32_t maximum) { maximum_ = maximum; }

    // The new table. Its name is free; an id is found for it.
    Result<contract::TableDescriptor> create(std::string_view name, contract::TableType type);
    Result<contract::TableDescriptor> create(const language::TableCommand& command);
    // The same for a table that the data plane has already.
    void adopt(const contract::TableDescriptor& table);
    // REQUIRES: the table is there.
    contract::TableDescriptor& change(std::string_view name);
    void remove(std::string_view name);

    // Makes what `rule` names and is not there. An error: one is of another type.
    Result<Done> make_for(const language::Rule& rule);

    // Tables that were made by `make_for` since this was called last.
    std::vector<contract::TableDescriptor> take_made() { return std::exchange(made_, {}); }

  private:
    Tables& writable();
    Result<contract::TableDescriptor> insert(contract::TableDescriptor table,
                                             std::string_view name);

    std::shared_ptr<Tables> tables_;
    std::uint32_t maximum_ = contract::kMaximumTables - 1;
    std::uint32_t next_id_ = 0;
    std::vector<contract::TableDescriptor> made_;
};

inline std::string table_name(const contract::TableDescriptor& table) {
    return table.name;
}

}  // namespace sluice::ruleset
