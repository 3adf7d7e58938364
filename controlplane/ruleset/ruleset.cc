#include "controlplane/ruleset/ruleset.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>

#include "controlplane/language/printer.h"

namespace sluice::ruleset {
namespace {

RulePointer make_default_rule(bool accept, std::uint32_t slot) {
    language::Rule rule;
    rule.number = language::kDefaultRuleNumber;
    rule.set = kReservedSet;
    rule.action.kind = accept ? language::ActionKind::allow : language::ActionKind::deny;
    rule.body = language::Body{};
    StoredRule stored{.rule = std::move(rule), .text = {}, .slot = slot, .log_limit = 0, .id = 0};
    stored.text = language::print_rule(stored.rule);
    return std::make_shared<const StoredRule>(std::move(stored));
}

constexpr std::uint32_t kReservedSetBit = 1u << kReservedSet;

RulePointer stored(Ruleset::Restored&& restored) {
    StoredRule rule{.rule = std::move(restored.rule),
                    .text = {},
                    .slot = restored.slot,
                    .log_limit = restored.log_limit,
                    .id = restored.id};
    rule.text = language::print_rule(rule.rule);
    return std::make_shared<const StoredRule>(std::move(rule));
}

bool has_literal(const language::Rule& rule) {
    const auto matches = payload_matches(rule);
    return std::any_of(matches.begin(), matches.end(), [](const auto* match) {
        return std::holds_alternative<language::PayloadLiteral>(match->what);
    });
}

Error no_slot_left(std::uint32_t capacity) {
    return {
        ExitStatus::unavailable,
        "the data plane has counters for " + std::to_string(capacity) +
            " rules, and those of the rules that go are free only when the new ones are in force; "
            "set slot_capacity in sluice.toml higher"};
}

}  // namespace

Ruleset::Ruleset(bool default_accept, std::uint32_t slot_capacity)
    : slots_(slot_capacity), default_accept_(default_accept) {
    // Slot 1; a data plane with fewer than two slots is refused before it comes here.
    default_rule_ = make_default_rule(default_accept, slots_.allocate().value_or(1));
}

Result<Ruleset> Ruleset::restore(Running running) {
    Ruleset result(running.default_accept, running.slot_capacity);
    result.sysctls_ = running.sysctls;
    if (result.sysctls_.tables_max == 0)  // the snapshot is from before there was such a sysctl
        result.sysctls_.tables_max = contract::Sysctls{}.tables_max;
    result.patterns_ = std::move(running.patterns);
    result.may_have_literals_ = true;
    result.disabled_sets_ = running.disabled_sets & ~kReservedSetBit;
    result.next_id_ = running.next_id;
    std::vector<std::uint32_t> used = {running.default_slot};
    std::unordered_set<std::uint32_t> ids;
    std::uint16_t last_number = 1;
    for (const Restored& rule : running.rules) {
        if (rule.rule.number < last_number || rule.rule.number > kLastNumber)
            return Error{ExitStatus::data, "rule numbers are out of order"};
        last_number = rule.rule.number;
    }
    for (const auto* list : {&running.rules, &running.orphans})
        for (const Restored& rule : *list) {
            used.push_back(rule.slot);
            if (rule.id == 0 || rule.id >= running.next_id || !ids.insert(rule.id).second)
                return Error{ExitStatus::data, "rule id " + std::to_string(rule.id) +
                                                   " does not exist or is used twice"};
        }
    std::unordered_set<std::uint32_t> seen;
    for (const std::uint32_t slot : used)
        if (slot == 0 || slot >= running.slot_capacity || !seen.insert(slot).second)
            return Error{ExitStatus::data, "counter slot " + std::to_string(slot) +
                                               " does not exist or is used twice"};
    for (Restored& rule : running.rules)
        result.insert(stored(std::move(rule)));
    for (Restored& rule : running.orphans)
        result.orphans_.push_back(stored(std::move(rule)));
    result.default_rule_ = make_default_rule(running.default_accept, running.default_slot);
    result.slots_.restore(used);
    return result;
}

std::size_t Ruleset::table_references(std::string_view table) const {
    const auto all = rules(), gone = orphans();
    const auto asks = [table](const RulePointer& rule) {
        const std::vector<TableUse> uses = table_uses(rule->rule);
        return std::any_of(uses.begin(), uses.end(),
                           [table](const TableUse& use) { return use.name == table; });
    };
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), asks) +
                                    std::count_if(gone.begin(), gone.end(), asks));
}

std::size_t Ruleset::pattern_references(std::string_view object) const {
    const auto all = rules(), gone = orphans();
    const auto names = [object](const RulePointer& rule) {
        const auto matches = payload_matches(rule->rule);
        return std::any_of(matches.begin(), matches.end(), [object](const auto* match) {
            const auto* reference = std::get_if<language::PatternReference>(&match->what);
            return reference != nullptr && reference->name == object;
        });
    };
    return static_cast<std::size_t>(std::count_if(all.begin(), all.end(), names) +
                                    std::count_if(gone.begin(), gone.end(), names));
}

Result<std::vector<patterns::DatabaseOrder>> Ruleset::complete_patterns(
    const patterns::DatabaseSource& source) {
    if (may_have_literals_) {
        std::vector<std::string> bytes, names;
        const auto collect = [&](const StoredRule& rule) {
            for (const language::PayloadMatch* match : payload_matches(rule.rule))
                if (const auto* literal = std::get_if<language::PayloadLiteral>(&match->what))
                    if (auto text = literal_pattern(match->part, *literal))
                        (language::is_name(match->part) ? names : bytes)
                            .push_back(std::move(*text));
        };
        for (const StoredRule* rule : borrowed_rules())
            collect(*rule);
        for (const RulePointer& rule : orphans())
            collect(*rule);
        may_have_literals_ = !bytes.empty() || !names.empty();
        patterns_.set_literals(contract::PatternType::bytes, std::move(bytes));
        patterns_.set_literals(contract::PatternType::names, std::move(names));
    }
    std::vector<patterns::DatabaseOrder> missing;
    if (auto made = patterns_.make_databases(source, missing); !made)
        return made.error();
    return missing;
}

std::uint16_t Ruleset::automatic_number() const {
    const std::shared_ptr<Chunk>& chunk = chunks_[last_chunk_];
    const std::uint16_t last = chunk && !chunk->empty() ? chunk->back()->rule.number : 0;
    const std::uint32_t next = last + sysctls_.autoinc_step;
    // ipfw(8): no room behind the last rule, so its number is used once more.
    return next > kLastNumber ? std::max<std::uint16_t>(last, 1) : static_cast<std::uint16_t>(next);
}

Result<RulePointer> Ruleset::add(language::Rule rule) {
    if (rule.number == language::kDefaultRuleNumber)
        return Error{ExitStatus::unavailable,
                     "rule 65535 is the default rule: it cannot be added or replaced"};
    if (Result<Done> tables = this->tables().make_for(rule); !tables)
        return tables.error();
    if (Result<Done> patterns = patterns_.check(rule); !patterns)
        return patterns.error();
    may_have_literals_ |= has_literal(rule);
    if (rule.number == 0)
        rule.number = automatic_number();
    const auto pointer = std::make_shared<StoredRule>();
    StoredRule& stored = *pointer;
    stored.rule = std::move(rule);
    if (stored.rule.log) {
        // As ipfw(8) does it: the limit of the moment becomes the rule's own, and is listed.
        std::optional<std::uint32_t>& amount = stored.rule.log->amount;
        if (!amount && sysctls_.verbose_limit != 0)
            amount = sysctls_.verbose_limit;
        stored.log_limit = amount.value_or(0);
    }
    stored.text = language::print_rule(stored.rule);
    if (const Result<Done> given = give_identity(stored); !given)
        return given.error();
    insert(pointer);
    return RulePointer(pointer);
}

Result<RulePointer> Ruleset::add_again(std::uint16_t number, std::uint8_t set,
                                       std::string_view text) {
    if (removed_.empty())
        return RulePointer();
    const RuleIdentity identity{
        .number = number != 0 ? number : automatic_number(), .set = set, .text = text};
    const StoredRule* same = removed_.find(identity);
    // The limit of a log may be another one at this moment.
    if (same == nullptr || same->rule.log)
        return RulePointer();
    if (Result<Done> tables = tables_.make_for(same->rule); !tables)
        return tables.error();
    if (Result<Done> patterns = patterns_.check(same->rule); !patterns)
        return patterns.error();
    may_have_literals_ |= has_literal(same->rule);
    RulePointer rule = removed_.take(identity);
    insert(rule);
    return rule;
}

Result<Done> Ruleset::give_identity(StoredRule& rule) {
    const RuleIdentity identity{.number = rule.rule.number,
                                .set = rule.rule.set,
                                .log_limit = rule.log_limit,
                                .text = rule.text};
    if (const RulePointer same = removed_.take(identity)) {
        rule.slot = same->slot;
        rule.id = same->id;
        return Done{};
    }
    if (next_id_ == UINT32_MAX)
        return Error{ExitStatus::unavailable,
                     "this data plane has been given more rules than it can tell apart; restart "
                     "sluice-dataplane"};
    const std::optional<std::uint32_t> slot = slots_.allocate();
    if (!slot)
        return no_slot_left(slots_.capacity());
    rule.slot = *slot;
    rule.id = next_id_++;
    return Done{};
}

void Ruleset::let_removed_go() {
    for (RemovedRules::Entry& removed : removed_.entries()) {
        if (!removed.rule)
            continue;
        if (removed.orphan)
            orphans_.push_back(std::move(removed.rule));
        else
            slots_.release(removed.rule->slot);
    }
    removed_.clear();
}

void Ruleset::published() {
    let_removed_go();
    slots_.published();
}

void Ruleset::published_for_now() {
    let_removed_go();
    slots_.published_for_now();
}

bool Ruleset::switch_sets(std::uint32_t enable, std::uint32_t disable) {
    const std::uint32_t before = disabled_sets_;
    disabled_sets_ = ((disabled_sets_ & ~enable) | disable) & ~kReservedSetBit;
    return disabled_sets_ != before;
}

template <typename NewSet>
std::size_t Ruleset::change_sets(std::uint16_t first, std::uint16_t last, NewSet new_set) {
    std::size_t found = 0;
    for (std::size_t i = chunk_of(first); i <= chunk_of(last); ++i) {
        const auto concerned = [&](const RulePointer& r) {
            return r->rule.number >= first && r->rule.number <= last && new_set(*r).has_value();
        };
        if (!chunks_[i] || std::none_of(chunks_[i]->begin(), chunks_[i]->end(), concerned))
            continue;
        for (RulePointer& rule : writable_chunk(i)) {
            if (!concerned(rule))
                continue;
            StoredRule moved = *rule;
            moved.rule.set = *new_set(*rule);
            rule = std::make_shared<const StoredRule>(std::move(moved));
            ++found;
        }
    }
    return found;
}

std::size_t Ruleset::move_set(std::uint8_t from, std::uint8_t to) {
    return change_sets(0, kLastNumber, [&](const StoredRule& r) {
        return r.rule.set == from ? std::optional(to) : std::nullopt;
    });
}

std::size_t Ruleset::move_rules(std::uint16_t number, std::uint8_t to) {
    if (number > kLastNumber)
        return 0;
    return change_sets(number, number, [&](const StoredRule&) { return std::optional(to); });
}

std::size_t Ruleset::swap_sets(std::uint8_t first, std::uint8_t second) {
    return change_sets(0, kLastNumber, [&](const StoredRule& r) -> std::optional<std::uint8_t> {
        if (r.rule.set == first)
            return second;
        return r.rule.set == second ? std::optional(first) : std::nullopt;
    });
}

std::vector<RulePointer> Ruleset::orphans() const {
    std::vector<RulePointer> result = orphans_;
    for (const RemovedRules::Entry& removed : removed_.entries())
        if (removed.rule && removed.orphan)
            result.push_back(removed.rule);
    std::sort(result.begin(), result.end(),
              [](const RulePointer& a, const RulePointer& b) { return a->id < b->id; });
    return result;
}

void Ruleset::release_orphans(const std::function<bool(const StoredRule&)>& done) {
    std::erase_if(orphans_, [&](const RulePointer& rule) {
        if (!done(*rule))
            return false;
        slots_.release(rule->slot);
        return true;
    });
    for (RemovedRules::Entry& removed : removed_.entries())
        removed.orphan = removed.rule && removed.orphan && !done(*removed.rule);
}

Ruleset::Chunk& Ruleset::writable_chunk(std::size_t index) {
    std::shared_ptr<Chunk>& chunk = chunks_[index];
    if (!chunk)
        chunk = std::make_shared<Chunk>();
    else if (chunk.use_count() > 1)
        chunk = std::make_shared<Chunk>(*chunk);
    return *chunk;
}

void Ruleset::insert(RulePointer rule) {
    Chunk& chunk = writable_chunk(chunk_of(rule->rule.number));
    ++size_;
    last_chunk_ = std::max(last_chunk_, chunk_of(rule->rule.number));
    if (chunk.empty() || chunk.back()->rule.number <= rule->rule.number)
        return chunk.push_back(std::move(rule));
    const auto behind = std::upper_bound(
        chunk.begin(), chunk.end(), rule->rule.number,
        [](std::uint16_t number, const RulePointer& r) { return number < r->rule.number; });
    chunk.insert(behind, std::move(rule));
}

template <typename Predicate>
std::size_t Ruleset::remove_if(std::uint16_t first, std::uint16_t last, Predicate predicate,
                               Survivors survivors) {
    const bool keeps = survivors == Survivors::states || sysctls_.dyn_keep_states != 0;
    std::size_t removed = 0;
    for (std::size_t i = chunk_of(first); i <= chunk_of(last); ++i) {
        if (!chunks_[i])
            continue;
        const auto doomed = [&](const RulePointer& r) {
            return r->rule.number >= first && r->rule.number <= last && predicate(*r);
        };
        if (std::none_of(chunks_[i]->begin(), chunks_[i]->end(), doomed))
            continue;
        Chunk& chunk = writable_chunk(i);
        for (const RulePointer& rule : chunk)
            if (doomed(rule))
                removed_.add(rule, keeps && rule->rule.state.has_value() && !rule->rule.expires_s);
        removed += std::erase_if(chunk, doomed);
    }
    size_ -= removed;
    while (last_chunk_ > 0 && (!chunks_[last_chunk_] || chunks_[last_chunk_]->empty()))
        --last_chunk_;
    return removed;
}

std::size_t Ruleset::remove(language::RuleRange range, std::optional<std::uint8_t> set) {
    return remove_if(range.first, std::min(range.last, kLastNumber),
                     [&](const StoredRule& r) { return !set || r.rule.set == *set; });
}

std::size_t Ruleset::remove_set(std::uint8_t set) {
    return remove_if(0, kLastNumber, [&](const StoredRule& r) { return r.rule.set == set; });
}

std::vector<RulePointer> Ruleset::remove_expired(std::uint64_t now_s) {
    const auto expired = [&](const StoredRule& r) {
        return r.rule.expires_s && *r.rule.expires_s <= now_s;
    };
    std::vector<RulePointer> result;
    for (const auto& chunk : chunks_)
        if (chunk)
            std::copy_if(chunk->begin(), chunk->end(), std::back_inserter(result),
                         [&](const RulePointer& rule) { return expired(*rule); });
    if (!result.empty())
        remove_if(0, kLastNumber, expired);
    return result;
}

std::size_t Ruleset::flush() {
    return remove_if(0, kLastNumber,
                     [](const StoredRule& r) { return r.rule.set != kReservedSet; });
}

void Ruleset::clear(Survivors survivors) {
    remove_if(
        0, kLastNumber, [](const StoredRule&) { return true; }, survivors);
    disabled_sets_ = 0;
}

std::vector<const StoredRule*> Ruleset::borrowed_rules() const {
    std::vector<const StoredRule*> result;
    result.reserve(size_);
    for (const auto& chunk : chunks_)
        if (chunk)
            for (const RulePointer& rule : *chunk)
                result.push_back(rule.get());
    return result;
}

std::vector<RulePointer> Ruleset::rules() const {
    std::vector<RulePointer> result;
    result.reserve(size_ + 1);  // callers often append the default rule
    for (const auto& chunk : chunks_)
        if (chunk)
            result.insert(result.end(), chunk->begin(), chunk->end());
    return result;
}

std::vector<RulePointer> Ruleset::find(language::RuleRange range,
                                       std::optional<std::uint8_t> set) const {
    std::vector<RulePointer> result;
    const auto take = [&](const RulePointer& rule) {
        const std::uint16_t number = rule->rule.number;
        if (number >= range.first && number <= range.last && (!set || rule->rule.set == *set))
            result.push_back(rule);
    };
    for (std::size_t i = chunk_of(range.first); i <= chunk_of(range.last); ++i)
        if (chunks_[i])
            std::for_each(chunks_[i]->begin(), chunks_[i]->end(), take);
    take(default_rule_);
    return result;
}

void Ruleset::set_default_accept(bool accept) {
    default_accept_ = accept;
    default_rule_ = make_default_rule(accept, default_rule_->slot);
}

SysctlFacts Ruleset::sysctl_facts(const StateFacts& states) const {
    return {.default_accept = default_accept_,
            .static_count = static_cast<std::uint32_t>(size_ + 1),
            .states = states};
}

bool Ruleset::renumber(std::uint32_t capacity) {
    if (size_ + 2 > capacity)
        return false;
    SlotAllocator slots(capacity);
    default_rule_ = make_default_rule(default_accept_, slots.allocate().value_or(1));
    next_id_ = 1;
    for (std::size_t i = 0; i < kChunkCount; ++i) {
        if (!chunks_[i] || chunks_[i]->empty())
            continue;
        for (RulePointer& rule : writable_chunk(i)) {
            StoredRule moved = *rule;
            moved.slot = slots.allocate().value_or(0);
            moved.id = next_id_++;
            rule = std::make_shared<const StoredRule>(std::move(moved));
        }
    }
    slots_ = std::move(slots);
    removed_.clear();
    orphans_.clear();
    return true;
}

}  // namespace sluice::ruleset
