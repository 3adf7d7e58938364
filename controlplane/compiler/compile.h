// The compiler: a list of rules becomes the bytes of a snapshot (dataplane/contract/snapshot.h).
//
// Deterministic: the same input gives the same bytes. Each rule is split into header tests, which
// the classifier of the data plane decides, and residual tests. The live rules come first, the
// default rule last of them; then the detached ones, which only states refer to: those of disabled
// sets, and orphans. Texts stand in the order of the ruleset, so that it can be told later where
// among the others the rules of disabled sets belong.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "common/result.h"
#include "controlplane/language/model.h"
#include "controlplane/ruleset/ruleset.h"
#include "dataplane/contract/snapshot.h"

namespace sluice::compiler {

struct RuleInput {
    const language::Rule* rule = nullptr;  // number 1…65534, ascending in the list
    std::uint32_t slot = 0;                // of its counters, never 0
    std::uint32_t log_limit = 0;           // lines, 0: no limit
    std::uint32_t id = 0;                  // 0: the slot, for a ruleset that is compiled only once
    // The canonical text of a rule that is known to be carried out. Null: nobody has looked yet.
    const std::string* text = nullptr;
};

struct Input {
    std::span<const RuleInput> rules{};  // without the default rule; those of disabled sets too
    bool default_accept = false;
    std::uint32_t default_slot = 1;
    contract::Sysctls sysctls{};
    std::uint64_t generation = 1;
    // The first id that was never given away. It stands in the default rule, which has no states,
    // so that a control plane that reads the snapshot back knows where to go on. 0: the one behind
    // those of the rules.
    std::uint32_t next_id = 0;
    std::uint32_t disabled_sets = 0;       // bit N: set N
    std::span<const RuleInput> orphans{};  // deleted rules that still have states
    // Those that the rules may name; null: none.
    const ruleset::TableCatalogue* tables = nullptr;
    // Likewise; they are complete.
    const ruleset::PatternCatalogue* patterns = nullptr;
};

// The image, a multiple of 64 bytes long. A rule that holds a construct that is not carried out
// (see support.h) is refused with "not supported yet: …" and status unavailable; so is a ruleset
// that would pass the size limit of a snapshot, or that has two names of states that would be the
// same one.
Result<std::vector<std::byte>> compile(const Input& input);

// The same of a whole ruleset, with its disabled sets and orphans. REQUIRES: its patterns are
// complete; its rules are carried out: scripts and read-back snapshots are checked rule by rule, so
// that adding one rule to many does not look at the many again.
Result<std::vector<std::byte>> compile(const ruleset::Ruleset& ruleset, std::uint64_t generation);

// The same again and again, of a ruleset that changes: what is the same in front of and behind the
// change is taken over from the last time. The images are those that `compile` makes, byte for
// byte.
class Compiler {
  public:
    Compiler();
    ~Compiler();

    // REQUIRES: as above.
    Result<std::vector<std::byte>> compile(const ruleset::Ruleset& ruleset,
                                           std::uint64_t generation);

  private:
    struct Last;
    class Renewal;
    std::unique_ptr<const Last> last_;  // null: nothing can be taken over
};

}  // namespace sluice::compiler
