// Of which pattern object a data plane has to be asked, and what becomes of its answer.
#pragma once

#include "controlplane/ruleset/ruleset.h"
#include "controlplane/service/dataplane_link.h"
#include "controlplane/service/protocol.h"

namespace sluice::service {

// `pattern NAME show`, or `info`, that stands alone, and whose object is there. Null: there is
// nothing to ask.
const ruleset::PatternObject* counted_object(const Request& request, const ruleset::Ruleset& rules);

OperationResult counted_result(const Request& request, const ruleset::Ruleset& rules,
                               const PatternAnswer& answer);

}  // namespace sluice::service
