// The ruleset: what `ipfw list` shows, without counters.
//
// Purpose. Numbering, order, deletion, sets and slots, exactly as ipfw(8) does it, and nothing
// else: no I/O, no compiling. A change is made on a copy; a copy that is thrown away changes
// nothing, which is how a script of a thousand commands takes effect as a whole or not at all.
// Data layout. Rules are immutable and shared between copies. They hang in 256 chunks by the upper
// half of their number, and chunks are shared until written: copying 100,000 rules costs 256
// pointers, inserting one costs its chunk.
// Order. By number; rules of equal number in the order in which they were added. Rule 65535, the
// default rule, is not in the list: it always is the last, cannot be added, deleted or moved, and
// is in set 31 like the rules that survive a flush.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "common/result.h"
#include "controlplane/language/command.h"
#include "controlplane/language/model.h"
#include "controlplane/ruleset/slot_allocator.h"
#include "controlplane/ruleset/sysctl.h"
#include "dataplane/contract/snapshot.h"

namespace sluice::ruleset {

inline constexpr std::uint8_t kReservedSet = 31;
inline constexpr std::uint16_t kLastNumber = 65534;
inline constexpr std::uint32_t kDefaultSlotCapacity = 131072;

struct StoredRule {
    language::Rule rule;          // with the number that it was given
    std::string text;             // canonical, without number and set
    std::uint32_t slot = 0;       // of its counters
    std::uint32_t log_limit = 0;  // lines; fixed when the rule was added. 0: no limit, or no log
};

using RulePointer = std::shared_ptr<const StoredRule>;

class Ruleset {
  public:
    explicit Ruleset(bool default_accept, std::uint32_t slot_capacity = kDefaultSlotCapacity);

    // A rule as the data plane runs it. `number` and `set` are in the rule.
    struct Restored {
        language::Rule rule;
        std::uint32_t slot = 0;
        std::uint32_t log_limit = 0;
    };
    // The ruleset of a data plane that is running already. Fails on slots that are used twice or do
    // not exist, and on numbers out of order.
    static Result<Ruleset> restore(std::vector<Restored> rules, bool default_accept,
                                   std::uint32_t default_slot, std::uint32_t slot_capacity,
                                   const contract::Sysctls& sysctls);

    // Gives the rule its number (0: automatic), slot and log limit and puts it behind all rules of
    // that number. A rule that was removed since the last `published` and is the same in number,
    // set, text and log limit gets its slot back, and with it its counters.
    Result<RulePointer> add(language::Rule rule);

    // Deletes what lies in the range and, if given, in the set. The default rule stays. Returns how
    // many were deleted.
    std::size_t remove(language::RuleRange range, std::optional<std::uint8_t> set = {});
    std::size_t remove_set(std::uint8_t set);

    // Deletes all but set 31.
    std::size_t flush();

    // In order, without the default rule.
    std::vector<RulePointer> rules() const;
    const RulePointer& default_rule() const { return default_rule_; }
    bool default_accept() const { return default_accept_; }
    // The rule keeps its slot.
    void set_default_accept(bool accept);
    // Number of rules without the default rule.
    std::size_t size() const { return size_; }

    // In order, those in the range and, if given, in the set; the default rule too.
    std::vector<RulePointer> find(language::RuleRange range,
                                  std::optional<std::uint8_t> set = {}) const;

    const contract::Sysctls& sysctls() const { return sysctls_; }
    contract::Sysctls& sysctls() { return sysctls_; }
    SysctlFacts sysctl_facts() const;

    // See SlotAllocator.
    const std::vector<std::uint32_t>& fresh_slots() const { return slots_.fresh(); }
    void published();

    // For a data plane that has just started and has counted nothing: slots from 1 on, in order.
    // False: it has too few for this ruleset.
    bool renumber_slots(std::uint32_t capacity);

  private:
    using Chunk = std::vector<RulePointer>;
    static constexpr std::size_t kChunkCount = 256;
    static std::size_t chunk_of(std::uint16_t number) { return number >> 8; }

    Chunk& writable_chunk(std::size_t index);
    void insert(RulePointer rule);
    std::uint16_t automatic_number() const;
    std::optional<std::uint32_t> slot_for(const StoredRule& rule);
    template <typename Predicate>
    std::size_t remove_if(std::uint16_t first, std::uint16_t last, Predicate predicate);

    std::array<std::shared_ptr<Chunk>, kChunkCount> chunks_;
    std::size_t size_ = 0;
    SlotAllocator slots_;
    // Slots of rules that were removed since the last `published`, by what the rule was. One that
    // is added again meanwhile, as when a file begins with a flush, is the same rule and keeps
    // counting.
    std::unordered_map<std::string, std::deque<std::uint32_t>> removed_;
    bool default_accept_ = false;
    RulePointer default_rule_;
    contract::Sysctls sysctls_;
};

}  // namespace sluice::ruleset
