// `ipfw table …` in two halves: what the data plane is asked for, and what its answer means.
//
// Names, types, limits and locks are settled here, on the catalogue of the ruleset; contents are
// the data plane's, which says what became of each change. All changes of a request go in one
// batch, which takes effect as a whole, or, for a single command that may do a part, change by
// change.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "controlplane/ruleset/ruleset.h"
#include "controlplane/ruleset/table_text.h"
#include "controlplane/service/protocol.h"
#include "dataplane/contract/table.h"

namespace sluice::service {

struct TableAnswer {
    std::span<const contract::TableResult> results;
    std::span<const contract::TableEntry> entries;
    std::span<const contract::TableValue> values;
    bool failed = false;  // and nothing was changed
};

class TableWork {
  public:
    struct Failure {
        std::uint32_t line = 0;
        Error error;
    };

    // The batch.
    const std::vector<contract::TableChange>& changes() const { return changes_; }
    const std::vector<contract::TableValue>& values() const { return values_; }
    const std::vector<contract::TableDescriptor>& descriptors() const { return descriptors_; }
    bool empty() const { return changes_.empty(); }
    // Not only questions.
    bool changes_something() const;
    // One change that fails undoes the batch.
    bool as_a_whole = false;
    // And the request with it.
    bool request_as_a_whole = false;

    // A table that the catalogue has already, because a rule names it.
    void create(const contract::TableDescriptor& table);

    // Of the record that `add` could not read, or 0.
    std::uint32_t failed_line() const { return failed_line_; }

    // Settles an operation; what can be told without the data plane goes into `result`, which has
    // this place among the results of the request.
    Result<Done> add(const TableOperation& operation, std::uint32_t line, std::size_t place,
                     ruleset::Ruleset& rules, OperationResult& result);

    // Completes the results with the answer of the data plane. A failure: the request was to take
    // effect as a whole, and this is why it has not.
    std::optional<Failure> conclude(const TableAnswer& answer,
                                    std::vector<OperationResult>& results) const;

  private:
    struct Item {
        language::TableCommand::Verb verb = language::TableCommand::Verb::list;
        contract::TableDescriptor table;
        std::size_t place = 0;
        std::uint32_t line = 0;
        std::size_t first = 0;  // change
        std::size_t count = 0;
        std::size_t references = 0;
        std::vector<std::uint32_t> lines;  // of the changes, if they have several
        std::string text;                  // the key that is looked for, as it was given
        bool quiet = false;
        bool counters = false;
        bool atomic = false;
        ruleset::NumberStyle style = ruleset::NumberStyle::decimal;
    };

    Result<Done> create(const language::TableCommand& command, Item& item, ruleset::Ruleset& rules,
                        OperationResult& result);
    Result<Done> add_records(const TableOperation& operation, Item& item,
                             const contract::TableDescriptor& table);
    Result<Done> load(const language::TableCommand& command, Item& item,
                      const contract::TableDescriptor& table);
    Result<Done> for_all(const TableOperation& operation, Item& item, ruleset::Ruleset& rules,
                         OperationResult& result);
    void one(Item& item, contract::TableVerb verb, std::uint32_t id, std::uint32_t argument = 0,
             const contract::TableKey& key = {});
    std::uint32_t value_index(const contract::TableValue& value);

    void show_records(const Item& item, const TableAnswer& answer, bool undone,
                      OperationResult& result) const;
    void show_entries(const Item& item, const TableAnswer& answer, OperationResult& result) const;
    void show_info(const Item& item, const TableAnswer& answer, OperationResult& result) const;
    std::uint32_t line_of_failure(const Item& item, const TableAnswer& answer) const;
    std::string entry_text(const Item& item, const contract::TableEntry& entry,
                           const TableAnswer& answer) const;

    std::vector<contract::TableChange> changes_;
    std::vector<contract::TableValue> values_;
    std::vector<contract::TableDescriptor> descriptors_;
    std::vector<Item> items_;
    std::uint32_t failed_line_ = 0;
};

}  // namespace sluice::service
