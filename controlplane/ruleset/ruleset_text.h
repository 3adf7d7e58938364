// A ruleset as a rule file that makes it again, whatever was there before: sysctls, tables with
// their entries, pattern objects, rules with number and set, disabled sets.
//
// The *policy* of such a text is all of it but the tables: what a snapshot holds. Two rulesets with
// the same policy do the same with a packet, as far as tables do not differ.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "controlplane/ruleset/ruleset.h"
#include "controlplane/ruleset/ruleset_difference.h"
#include "dataplane/contract/table.h"

namespace sluice::ruleset {

// Appends the entries of a table, a line each (`entry_line`), or a comment that says why not.
using EntryWriter = std::function<void(const contract::TableDescriptor&, std::string&)>;

// `table T add K V [ttl N]` with a line feed. `ttl_s` 0: the entry stays.
std::string entry_line(const contract::TableDescriptor& table, const contract::TableKey& key,
                       const contract::TableValue& value, std::uint32_t ttl_s);

std::string ruleset_text(const Ruleset& rules, const EntryWriter& entries = {});

// The same for two texts with the same policy, and hardly for any others.
std::uint64_t policy_hash(std::string_view text);

// The rules of such a text, in order; they live as long as the text.
std::vector<ComparedRule> rules_in(std::string_view text);

// CRC-64/XZ; `so_far` is that of the bytes before.
std::uint64_t checksum(std::string_view bytes, std::uint64_t so_far = 0);

// Calls `take` with each line, without its line feed.
template <typename Take>
void each_line(std::string_view text, Take take) {
    while (!text.empty()) {
        const std::size_t end = text.find('\n');
        take(text.substr(0, end));
        text.remove_prefix(end == text.npos ? text.size() : end + 1);
    }
}

}  // namespace sluice::ruleset
