// From the records of the data plane to the states of a listing.
//
// Each worker tells what it has, in no order. A flow lives in one worker, but the entries of
// `limit` that count live in all of those that count for them: they become one line, with the
// states of all workers added up. Names come from the rules, for records carry numbers only.
#pragma once

#include <span>
#include <vector>

#include "common/result.h"
#include "controlplane/ruleset/listing.h"
#include "controlplane/ruleset/ruleset.h"
#include "dataplane/contract/message.h"

namespace sluice::ruleset {

// States whose time is up and which nobody has collected yet. Parents are always shown.
enum class ExpiredStates { hide, show };

// Ordered by rule number, oldest first. Fails on records that make no sense. Each record is read
// once, so that they may lie in memory that somebody else writes.
Result<std::vector<ListedState>> list_states(std::span<const contract::StateRecord> records,
                                             const Ruleset& rules, ExpiredStates expired,
                                             std::optional<std::uint8_t> in_set = {});

}  // namespace sluice::ruleset
