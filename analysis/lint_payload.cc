// The pass that asks whether rules that look into payload can see what they are meant to see.
// Unlike what other passes find, that ports are encrypted is a habit of those who use them, no
// certainty.

#include <algorithm>
#include <array>
#include <map>
#include <string>

#include "analysis/linted_rules.h"
#include "controlplane/ruleset/pattern_catalogue.h"
#include "dataplane/classify/segments.h"

namespace sluice::analysis {
namespace {

using contract::RuleRecord;
using Index = LintedRules::Index;

// SSH, HTTPS, DNS over TLS, IMAP and POP3 over TLS.
constexpr std::array<std::uint16_t, 5> kEncrypted = {22, 443, 853, 993, 995};

// Whether all ports that the term lets through are encrypted.
bool is_encrypted(const language::Term& term) {
    const auto* ports = std::get_if<language::PortMatch>(&term.match);
    return ports != nullptr && !term.negated &&
           std::all_of(ports->entries.begin(), ports->entries.end(),
                       [](const language::PortEntry& entry) {
                           return !entry.mask && entry.first == entry.last &&
                                  std::find(kEncrypted.begin(), kEncrypted.end(), entry.first) !=
                                      kEncrypted.end();
                       });
}

bool is_on_encrypted_ports(const language::Rule& rule) {
    const auto all_encrypted = [](const language::Group& group) {
        return std::all_of(group.any_of.begin(), group.any_of.end(), is_encrypted);
    };
    const auto encrypted = [](const std::optional<language::Term>& term) {
        return term && is_encrypted(*term);
    };
    return (rule.body &&
            (encrypted(rule.body->source_ports) || encrypted(rule.body->destination_ports))) ||
           std::any_of(rule.options.begin(), rule.options.end(), all_encrypted);
}

bool sees_through_encryption(const language::PayloadMatch* match) {
    return match->part == language::PayloadPart::tls_sni;
}

void find_encrypted(const LintedRules& rules, LintReport& report) {
    for (Index rule = 0; rule + 1 < rules.size(); ++rule) {
        const auto matches = ruleset::payload_matches(rules.rule(rule));
        if (matches.empty() ||
            std::any_of(matches.begin(), matches.end(), sees_through_encryption) ||
            !is_on_encrypted_ports(rules.rule(rule)))
            continue;
        report.findings.push_back({FindingKind::encrypted_payload,
                                   rules.place(rule),
                                   {},
                                   0,
                                   "what goes over its ports is encrypted but for the first "
                                   "messages; tls-sni finds the name of the server in them"});
    }
}

// Which rules look for stream objects in flows that have a state.
class StreamPass {
  public:
    StreamPass(const LintedRules& rules, const ruleset::PatternCatalogue& patterns,
               LintReport& report)
        : rules_(rules), patterns_(patterns), report_(report) {
        for (Index rule = 0; rule + 1 < rules_.size(); ++rule)
            if (rules_.record(rule).state != contract::StateOption::none)
                makers_.push_back(rule);
    }

    void run() {
        std::map<std::string, std::vector<Index>> by_object;
        for (Index rule = 0; rule + 1 < rules_.size(); ++rule)
            for (const language::PayloadMatch* match : ruleset::payload_matches(rules_.rule(rule)))
                if (const std::string name = stream_of(*match);
                    !name.empty() && (by_object[name].empty() || by_object[name].back() != rule))
                    by_object[name].push_back(rule);
        for (const auto& [name, users] : by_object)
            look_at(name, users);
    }

  private:
    // The object of mode stream that it looks for; empty: another one.
    std::string stream_of(const language::PayloadMatch& match) const {
        const auto* reference = std::get_if<language::PatternReference>(&match.what);
        const ruleset::PatternObject* object =
            reference != nullptr ? patterns_.find(reference->name) : nullptr;
        return object != nullptr && object->settings.mode == contract::PatternMode::stream
                   ? reference->name
                   : std::string();
    }

    void look_at(const std::string& name, const std::vector<Index>& users) {
        if (makers_.empty()) {
            for (const Index rule : users)
                add(rule, {},
                    "no rule makes states, so " + name +
                        " looks at each packet by itself, as in mode packet");
            return;
        }
        std::vector<Index> deciders;
        for (const Index rule : users) {
            const std::optional<Index> decider = decider_before(rule);
            if (!decider)
                return;
            deciders.push_back(*decider);
        }
        for (std::size_t i = 0; i < users.size(); ++i)
            add(users[i], {rules_.place(deciders[i])},
                "packets of flows that have a state are decided before, so " + name +
                    " looks at packets by themselves, as in mode packet");
    }

    // A rule before it, on every way to it, at which all packets that have a state end.
    std::optional<Index> decider_before(Index rule) const {
        if (!std::all_of(makers_.begin(), makers_.end(), [&](Index maker) { return ends(maker); }))
            return std::nullopt;
        for (Index i = rules_.segment_begin(rule); i < rule; ++i) {
            const RuleRecord& record = rules_.record(i);
            if (rules_.looks_for_states(i) && record.residual_count == 0 &&
                std::all_of(makers_.begin(), makers_.end(), [&](Index maker) {
                    return record.state_name == contract::kAnyStateName ||
                           record.state_name == rules_.record(maker).state_name;
                }))
                return i;
        }
        return std::nullopt;
    }

    // Whether packets that hit a state of the rule go no further.
    bool ends(Index maker) const {
        const RuleRecord& record = rules_.record(maker);
        return classify::ends_the_walk(record.action) && !record.writes_tags();
    }

    void add(Index rule, std::vector<std::size_t> others, std::string why) {
        report_.findings.push_back({FindingKind::stream_without_states, rules_.place(rule),
                                    std::move(others), 0, std::move(why)});
    }

    const LintedRules& rules_;
    const ruleset::PatternCatalogue& patterns_;
    LintReport& report_;
    std::vector<Index> makers_;
};

}  // namespace

void find_blind_payload(const LintedRules& rules, const ruleset::PatternCatalogue& patterns,
                        LintReport& report) {
    find_encrypted(rules, report);
    StreamPass(rules, patterns, report).run();
}

}  // namespace sluice::analysis
