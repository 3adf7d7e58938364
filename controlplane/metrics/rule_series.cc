#include "controlplane/metrics/rule_series.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "controlplane/language/keywords.h"
#include "controlplane/log/log_line.h"
#include "controlplane/metrics/collector.h"

namespace sluice::metrics {
namespace {

using ruleset::StoredRule;

// FNV-1a, which will be the same in every version of Sluice.
std::uint64_t hash(std::string_view text, std::uint64_t seed) {
    std::uint64_t value = 0xcbf29ce484222325 ^ seed;
    for (const char c : text) {
        value ^= static_cast<unsigned char>(c);
        value *= 0x100000001b3;
    }
    return value;
}

// Short enough for the string to need no memory of its own.
std::string id_of(std::string_view text, std::size_t place) {
    constexpr char kDigits[] = "0123456789abcdef";
    std::uint64_t value = hash(text, place);
    value ^= value >> 48;
    std::string id(12, '0');
    for (char& digit : id) {
        digit = kDigits[value & 15];
        value >>= 4;
    }
    return id;
}

bool is_labelled(const StoredRule& rule) {
    return rule.rule.log || !rule.rule.comment.empty() || !rule.rule.label.empty() ||
           rule.rule.action.kind == language::ActionKind::count;
}

bool is_shown(const StoredRule& rule, config::RuleMetrics which, std::size_t rules) {
    switch (which) {
        case config::RuleMetrics::none:
            return false;
        case config::RuleMetrics::all:
            return true;
        case config::RuleMetrics::automatic:
            if (rules <= kRulesWithSeries)
                return true;
            break;
        case config::RuleMetrics::labelled:
            break;
    }
    // How much no rule decided is always of interest.
    return is_labelled(rule) || rule.rule.number == language::kDefaultRuleNumber;
}

struct Shown {
    const StoredRule* rule;
    std::string number;
    std::string id;
    RuleCount count;

    Labels labels() const {
        return {{"rule", number},
                {"set", std::to_string(rule->rule.set)},
                {"id", id},
                {"action", std::string(language::keyword_name(language::action_keywords(),
                                                              rule->rule.action.kind))}};
    }
};

// Rules of one number stand side by side; the twins among them are few.
std::size_t place_among_twins(const std::vector<const StoredRule*>& rules, std::size_t index) {
    std::size_t place = 0;
    const StoredRule& rule = *rules[index];
    for (std::size_t i = index; i-- > 0 && rules[i]->rule.number == rule.rule.number;)
        place += rules[i]->rule.set == rule.rule.set && rules[i]->text == rule.text ? 1 : 0;
    return place;
}

std::uint64_t beyond(std::uint64_t value, std::uint64_t first) {
    return value > first ? value - first : 0;
}

}  // namespace

std::vector<const StoredRule*> rules_in_order(const View& view) {
    std::vector<const StoredRule*> rules = view.ruleset.borrowed_rules();
    rules.push_back(view.ruleset.default_rule().get());
    return rules;
}

std::string rule_id(const std::vector<const StoredRule*>& rules, std::size_t index) {
    return id_of(rules[index]->text, place_among_twins(rules, index));
}

RuleCount count_of(const Counters& counters, std::uint32_t slot, Since since) {
    RuleCount count;
    for (const auto& worker : counters.rules) {
        if (slot >= worker.size())
            return {};
        const contract::RuleCounters& rule = worker[slot];
        count.packets += contract::read(rule.packets);
        count.bytes += contract::read(rule.bytes);
        count.last_match_s = std::max(count.last_match_s, contract::read(rule.last_match_s));
        count.states += contract::read(rule.states);
    }
    if (slot >= counters.annotations.size())
        return {};
    const contract::SlotAnnotation& annotation = counters.annotations[slot];
    const bool added = since == Since::added;
    count.packets = beyond(
        count.packets, contract::read(added ? annotation.first_packets : annotation.zero_packets));
    count.bytes =
        beyond(count.bytes, contract::read(added ? annotation.first_bytes : annotation.zero_bytes));
    // What an earlier rule in the slot met is none of this one's business.
    if (count.packets == 0)
        count.last_match_s = 0;
    return count;
}

void add_rule_series(const View& view, config::RuleMetrics which, Families& families) {
    const std::vector<const StoredRule*> rules = rules_in_order(view);
    std::array<std::uint64_t, language::kSetCount> in_set{};
    std::vector<Shown> shown;
    for (std::size_t i = 0; i < rules.size(); ++i) {
        ++in_set[rules[i]->rule.set];
        if (is_shown(*rules[i], which, rules.size()))
            shown.push_back({.rule = rules[i],
                             .number = std::to_string(rules[i]->rule.number),
                             .id = rule_id(rules, i),
                             .count = count_of(view.counters, rules[i]->slot)});
    }

    Family sets = families.gauge("sluice_ruleset_rules", "Rules, by set; the default rule is one.");
    for (std::size_t set = 0; set < in_set.size(); ++set)
        if (in_set[set] != 0)
            sets.add({{"set", std::to_string(set)}}, in_set[set]);
    families
        .gauge("sluice_rules_without_series",
               "Rules that have no series of their own, see `rules` in the settings.")
        .add({}, rules.size() - shown.size());

    Family packets = families.counter("sluice_rule_packets_total",
                                      "Packets that met the rule since it was added.");
    packets.reserve(shown.size());
    for (const Shown& each : shown)
        packets.add(each.labels(), each.count.packets);
    Family bytes =
        families.counter("sluice_rule_bytes_total", "IP lengths of the packets that met the rule.");
    bytes.reserve(shown.size());
    for (const Shown& each : shown)
        bytes.add(each.labels(), each.count.bytes);
    Family matches = families.gauge("sluice_rule_last_match_timestamp_seconds",
                                    "When a packet met the rule last; absent if none did.");
    for (const Shown& each : shown)
        if (each.count.last_match_s != 0)
            matches.add(each.labels(), each.count.last_match_s);
    Family states = families.gauge("sluice_rule_states",
                                   "States that the rule has made and that "
                                   "live; of rules that make states.");
    for (const Shown& each : shown)
        if (each.rule->rule.state)
            states.add(each.labels(), each.count.states);
    Family info = families.gauge("sluice_rule_info", "Comment and label of a rule that has one.");
    for (const Shown& each : shown)
        if (!each.rule->rule.comment.empty() || !each.rule->rule.label.empty())
            info.add({{"rule", each.number},
                      {"id", each.id},
                      {"comment", log::printable(each.rule->rule.comment)},
                      {"label", each.rule->rule.label}},
                     1);
}

}  // namespace sluice::metrics
