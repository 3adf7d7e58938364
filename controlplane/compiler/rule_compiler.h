// The steps of compiling that concern one rule, or how rules refer to each other.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/result.h"
#include "controlplane/compiler/compile.h"
#include "controlplane/compiler/image.h"
#include "controlplane/compiler/tests.h"

namespace sluice::compiler {

// Names of states travel as numbers; two names with one number would share their states.
class StateNames {
  public:
    Result<Done> add_all(const language::Rule& rule);

  private:
    Result<Done> add(const std::string& name);

    std::unordered_map<std::uint32_t, std::string> names_;
};

// Where the rules with labels stand.
class Labels {
  public:
    // `place` is that of the rule in the whole list, `target` the live rule at or behind it.
    Result<Done> add(const language::Rule& rule, std::size_t place, std::size_t target);

    // Sends a rule that jumps to a label there.
    Result<Done> resolve(const language::Rule& rule, std::size_t place,
                         contract::RuleRecord& record) const;

  private:
    struct Place {
        std::size_t place = 0;
        std::uint32_t target = 0;
        std::uint16_t number = 0;
    };
    std::unordered_map<std::string, Place> places_;
};

bool jumps(const contract::RuleRecord& rule);

// Where a skipto goes on: at the first rule numbered `target` or higher. It never goes back: a
// target at or below the own number stands for the number after it, so siblings of equal number are
// skipped, as the real engine does. A call may go back. The default rule always exists.
std::uint32_t jump_target(const contract::RuleRecord& rule,
                          const std::vector<contract::RuleRecord>& live);

// Appends what belongs to the rule to the sections; the record is not among it.
Result<contract::RuleRecord> compile_rule(const RuleInput& input, const TestContext& context,
                                          Sections& sections);

// Likewise of the default rule. `id` is the first that was never given away.
contract::RuleRecord compile_default_rule(bool accept, std::uint32_t slot, std::uint32_t id,
                                          Sections& sections);

// The image of the sections, unless it would be too large. `header` has all that is not in them.
Result<std::vector<std::byte>> checked_image(const contract::SnapshotHeader& header,
                                             const Sections& sections);

}  // namespace sluice::compiler
