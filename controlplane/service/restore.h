// Reads the ruleset back from the snapshot that the data plane runs.
//
// A snapshot holds, beside what workers need, the canonical text of each rule; with number, set,
// slot, id and log limit that is all that a Ruleset consists of. The file is copied first: what is
// validated cannot change afterwards.
#pragma once

#include "common/result.h"
#include "controlplane/ruleset/ruleset.h"
#include "dataplane/contract/message.h"

namespace sluice::service {

Result<ruleset::Ruleset> restore_from_snapshot(int fd, const contract::Hello& hello);

}  // namespace sluice::service
