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
// Disabled sets. Their rules stay in the list and keep number, slot and id, but take no part in a
// walk; states that they made go on.
// Orphans. With dyn_keep_states a rule that makes states outlives its deletion for them: it is in
// no listing, cannot be deleted again and keeps its slot until its last state has gone.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"
#include "controlplane/language/command.h"
#include "controlplane/language/model.h"
#include "controlplane/ruleset/pattern_catalogue.h"
#include "controlplane/ruleset/removed_rules.h"
#include "controlplane/ruleset/slot_allocator.h"
#include "controlplane/ruleset/stored_rule.h"
#include "controlplane/ruleset/sysctl.h"
#include "controlplane/ruleset/table_catalogue.h"
#include "dataplane/contract/snapshot.h"

namespace sluice::ruleset {

inline constexpr std::uint8_t kReservedSet = 31;
inline constexpr std::uint16_t kLastNumber = 65534;
inline constexpr std::uint32_t kDefaultSlotCapacity = 131072;

class Ruleset {
  public:
    explicit Ruleset(bool default_accept, std::uint32_t slot_capacity = kDefaultSlotCapacity);

    // A rule as the data plane runs it. `number` and `set` are in the rule.
    struct Restored {
        language::Rule rule;
        std::uint32_t slot = 0;
        std::uint32_t log_limit = 0;
        std::uint32_t id = 0;
    };
    struct Running {
        std::vector<Restored> rules;    // in order, those of disabled sets too
        std::vector<Restored> orphans;  // in any order
        bool default_accept = false;
        std::uint32_t default_slot = 1;
        std::uint32_t next_id = 1;
        std::uint32_t slot_capacity = kDefaultSlotCapacity;
        std::uint32_t disabled_sets = 0;
        contract::Sysctls sysctls;
        PatternCatalogue patterns = {};
    };
    // The ruleset of a data plane that is running already. Fails on slots or ids that are used
    // twice or do not exist, and on numbers out of order.
    static Result<Ruleset> restore(Running running);

    // Gives the rule its number (0: automatic), slot and log limit and puts it behind all rules of
    // that number. A rule that was removed since the last `published` and is the same in number,
    // set, text and log limit gets its slot and id back, and with them its counters and states.
    Result<RulePointer> add(language::Rule rule);
    // The same for a rule of which only number (0: automatic), set and text are known. Null: none
    // that was removed is known to be the same, and nothing was done.
    Result<RulePointer> add_again(std::uint16_t number, std::uint8_t set, std::string_view text);

    // Tables that exist; `add` makes those that a rule names.
    const TableCatalogue& tables() const { return tables_; }
    TableCatalogue& tables() {
        tables_.set_maximum(sysctls_.tables_max);
        return tables_;
    }
    // How many rules ask the table.
    std::size_t table_references(std::string_view table) const;

    // Pattern objects. `add` refuses a rule that names one that is not there.
    const PatternCatalogue& patterns() const { return patterns_; }
    PatternCatalogue& patterns() { return patterns_; }
    // How many rules name the object.
    std::size_t pattern_references(std::string_view object) const;
    // Collects the patterns that stand in rules and gets the databases that are missing: before the
    // ruleset is compiled. What `source` does not have yet is returned; then it must be called
    // again.
    Result<std::vector<patterns::DatabaseOrder>> complete_patterns(
        const patterns::DatabaseSource& source = patterns::make_database);

    // Deletes what lies in the range and, if given, in the set. The default rule stays. Returns how
    // many were deleted. While dyn_keep_states is set, rules that make states become orphans.
    std::size_t remove(language::RuleRange range, std::optional<std::uint8_t> set = {});
    std::size_t remove_set(std::uint8_t set);

    // Deletes the rules whose time is over. Their states end with them: they do not become orphans.
    std::vector<RulePointer> remove_expired(std::uint64_t now_s);

    // Deletes all but set 31.
    std::size_t flush();

    // Deletes all, set 31 too, and enables all sets.
    enum class Survivors : std::uint8_t {
        as_usual,  // orphans, if dyn_keep_states is set
        states,    // rules that make states become orphans
    };
    void clear(Survivors survivors);

    // Bit N stands for set N. Set 31 cannot be disabled.
    std::uint32_t disabled_sets() const { return disabled_sets_; }
    // REQUIRES: the masks are disjoint. False: all is as it was.
    bool switch_sets(std::uint32_t enable, std::uint32_t disable);
    // The rules of `from`, or those numbered `number`, stand in set `to` afterwards; place, slot
    // and id stay, and so do counters and states. Returns how many rules that changes or finds
    // there. REQUIRES: sets below kSetCount.
    std::size_t move_set(std::uint8_t from, std::uint8_t to);
    std::size_t move_rules(std::uint16_t number, std::uint8_t to);
    // Exchanges the rules of two sets, not whether these are enabled.
    std::size_t swap_sets(std::uint8_t first, std::uint8_t second);
    bool is_disabled(const StoredRule& rule) const {
        return (disabled_sets_ >> rule.rule.set & 1) != 0;
    }

    // Rules that were deleted and of which only their states are left.
    std::vector<RulePointer> orphans() const;
    // Lets those go for which `done` says yes: their states have gone. Their slots rest until the
    // next `published`.
    void release_orphans(const std::function<bool(const StoredRule&)>& done);

    // The first id that was never given away.
    std::uint32_t next_id() const { return next_id_; }
    // The data plane has seen the ids below this one: they are not given away again.
    void reserve_ids(std::uint32_t next) { next_id_ = std::max(next_id_, next); }

    // In order, without the default rule; those of disabled sets too.
    std::vector<RulePointer> rules() const;
    // The same without a share in them: for as long as this ruleset or a copy of it holds them.
    std::vector<const StoredRule*> borrowed_rules() const;
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
    SysctlFacts sysctl_facts(const StateFacts& states = {}) const;

    // See SlotAllocator.
    const std::vector<std::uint32_t>& fresh_slots() const { return slots_.fresh(); }
    void published();
    // The same, but the slots of what went are not given away: it may come back. `published` says
    // that it will not.
    void published_for_now();

    // For a data plane that has just started and has counted nothing and has no states: slots and
    // ids from 1 on, in order, and no orphans. False: it has too few for this ruleset.
    bool renumber(std::uint32_t capacity);

  private:
    using Chunk = std::vector<RulePointer>;
    static constexpr std::size_t kChunkCount = 256;
    static std::size_t chunk_of(std::uint16_t number) { return number >> 8; }

    Chunk& writable_chunk(std::size_t index);
    void insert(RulePointer rule);
    std::uint16_t automatic_number() const;
    // Whether `rule` has slot and id now; no: the slots are used up.
    Result<Done> give_identity(StoredRule& rule);
    template <typename Predicate>
    std::size_t remove_if(std::uint16_t first, std::uint16_t last, Predicate predicate,
                          Survivors survivors = Survivors::as_usual);
    void let_removed_go();
    // `new_set` gives the set of a rule, or nothing if it does not concern the rule.
    template <typename NewSet>
    std::size_t change_sets(std::uint16_t first, std::uint16_t last, NewSet new_set);

    std::array<std::shared_ptr<Chunk>, kChunkCount> chunks_;
    std::size_t size_ = 0;
    std::size_t last_chunk_ = 0;  // none behind it has rules; it has some, or is the first
    SlotAllocator slots_;
    RemovedRules removed_;              // since the last `published`
    std::vector<RulePointer> orphans_;  // of earlier scripts
    std::uint32_t disabled_sets_ = 0;
    std::uint32_t next_id_ = 1;
    bool default_accept_ = false;
    RulePointer default_rule_;
    contract::Sysctls sysctls_;
    TableCatalogue tables_;
    PatternCatalogue patterns_;
    bool may_have_literals_ = false;  // a rule with a pattern of its own was there
};

}  // namespace sluice::ruleset
