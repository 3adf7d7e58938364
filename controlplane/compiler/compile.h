// The compiler: a list of rules becomes the bytes of a snapshot (dataplane/contract/snapshot.h).
//
// Deterministic: the same input gives the same bytes. Each rule is split into header tests, which
// the classifier of the data plane decides, and residual tests.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "common/result.h"
#include "controlplane/language/model.h"
#include "dataplane/contract/snapshot.h"

namespace sluice::compiler {

struct RuleInput {
    const language::Rule* rule = nullptr;  // number 1…65534, ascending in the list
    std::uint32_t slot = 0;                // of its counters, never 0
    std::uint32_t log_limit = 0;           // lines, 0: no limit
};

struct Input {
    std::span<const RuleInput> rules{};  // without the default rule
    bool default_accept = false;
    std::uint32_t default_slot = 1;
    contract::Sysctls sysctls{};
    std::uint64_t generation = 1;
};

// The image, a multiple of 64 bytes long. A rule that holds a construct that is not carried out
// (see support.h) is refused with "not supported yet: …" and status unavailable; so is a ruleset
// that would pass the size limit of a snapshot.
Result<std::vector<std::byte>> compile(const Input& input);

}  // namespace sluice::compiler
