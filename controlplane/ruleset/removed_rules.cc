#include "controlplane/ruleset/removed_rules.h"

#include <functional>
#include <utility>

namespace sluice::ruleset {
namespace {

constexpr std::size_t kFewestChains = 16;

RuleIdentity identity(const StoredRule& rule) {
    return {.number = rule.rule.number,
            .set = rule.rule.set,
            .log_limit = rule.log_limit,
            .text = rule.text};
}

std::uint32_t hash_of(const RuleIdentity& rule) {
    return static_cast<std::uint32_t>(std::hash<std::string_view>()(rule.text)) ^
           std::uint32_t{rule.number} * 0x9e3779b1u;
}

bool is_same(const RuleIdentity& a, const RuleIdentity& b) {
    return a.number == b.number && a.set == b.set && a.log_limit == b.log_limit && a.text == b.text;
}

}  // namespace

void RemovedRules::append(std::uint32_t entry) {
    Chain& chain = chains_[links_[entry].hash & (chains_.size() - 1)];
    links_[entry].next = kNone;
    if (chain.first == kNone)
        chain.first = entry;
    else
        links_[chain.last].next = entry;
    chain.last = entry;
}

void RemovedRules::add(RulePointer rule, bool orphan) {
    links_.push_back({.hash = hash_of(identity(*rule))});
    entries_.push_back({std::move(rule), orphan});
    if (entries_.size() <= chains_.size())
        return append(static_cast<std::uint32_t>(entries_.size() - 1));
    chains_.assign(chains_.empty() ? kFewestChains : 4 * chains_.size(), Chain());
    for (std::uint32_t i = 0; i < entries_.size(); ++i)
        if (entries_[i].rule)
            append(i);
}

// Its entry, or none; `before` is the one in front of it in the chain.
std::uint32_t RemovedRules::search(const RuleIdentity& wanted, std::uint32_t& before) const {
    before = kNone;
    if (chains_.empty())
        return kNone;
    const std::uint32_t hash = hash_of(wanted);
    std::uint32_t entry = chains_[hash & (chains_.size() - 1)].first;
    for (; entry != kNone; before = std::exchange(entry, links_[entry].next))
        if (links_[entry].hash == hash && is_same(identity(*entries_[entry].rule), wanted))
            break;
    return entry;
}

const StoredRule* RemovedRules::find(const RuleIdentity& wanted) const {
    std::uint32_t before;
    const std::uint32_t entry = search(wanted, before);
    return entry == kNone ? nullptr : entries_[entry].rule.get();
}

RulePointer RemovedRules::take(const RuleIdentity& wanted) {
    std::uint32_t before;
    const std::uint32_t entry = search(wanted, before);
    if (entry == kNone)
        return nullptr;
    Chain& chain = chains_[links_[entry].hash & (chains_.size() - 1)];
    (before == kNone ? chain.first : links_[before].next) = links_[entry].next;
    if (chain.last == entry)
        chain.last = before;
    return std::move(entries_[entry].rule);
}

}  // namespace sluice::ruleset
