// The request that makes a ruleset of the history the ruleset.
//
// It is that of an apply, so it takes the same way: read by the same parser, refused by the same
// rules, published at once, and rules that stay the same are the same rules. Tables that are there
// keep what is in them, whatever the text says: they are changed by day, and what was blocked since
// then shall not come free because a rule goes back. Those that are missing come with the entries
// of the text, as far as their time is not over.
#pragma once

#include <cstdint>
#include <string_view>

#include "common/result.h"
#include "controlplane/ruleset/table_catalogue.h"
#include "controlplane/service/protocol.h"

namespace sluice::service {

// `text`: as ruleset_text makes it; `age_s`: of the text.
Result<Request> restoring_request(std::string_view text, std::uint64_t age_s,
                                  const ruleset::TableCatalogue& tables, const ApplyOrder& order);

}  // namespace sluice::service
