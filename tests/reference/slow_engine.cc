#include "tests/reference/slow_engine.h"

#include <algorithm>
#include <cstdio>
#include <utility>

#include "tests/reference/slow_log.h"
#include "tests/reference/slow_match.h"

namespace sluice::reference {

namespace {

using namespace language;
using packet::Entry;

bool names_link_layer(const Rule& rule) {
    for (const Group& group : rule.options)
        for (const Term& term : group.any_of) {
            if (std::holds_alternative<MacMatch>(term.match))
                return true;
            if (const auto* list = std::get_if<ListMatch>(&term.match))
                if (list->field == ListField::mac_type)
                    return true;
            if (const auto* simple = std::get_if<SimpleMatch>(&term.match))
                if (simple->flag == Flag::layer2)
                    return true;
        }
    return false;
}

// At layer 2 these are taken as if they were not there (semantics §6).
bool needs_ip_layer(ActionKind kind) {
    return kind == ActionKind::divert || kind == ActionKind::tee || kind == ActionKind::fwd;
}

std::string next_hop_text(const NextHop& hop) {
    std::string text;
    if (const auto* v4 = std::get_if<Ipv4>(&hop.address))
        text = to_string(*v4);
    else if (const auto* v6 = std::get_if<Ipv6>(&hop.address))
        text = hop.port != 0 ? "[" + to_string(*v6) + "]" : to_string(*v6);
    return hop.port != 0 ? text + ":" + std::to_string(hop.port) : text;
}

// Verdict of an action that ends the walk.
std::string final_verdict(const Action& action) {
    const std::string number = ":" + std::to_string(action.argument.value);
    switch (action.kind) {
        case ActionKind::allow:
            return "accept";
        case ActionKind::reject:
            return "unreach:1";
        case ActionKind::unreach:
            return "unreach" + number;
        case ActionKind::unreach6:
            return "unreach6" + number;
        case ActionKind::reset:
            return "reset";
        case ActionKind::reset6:
            return "reset6";
        case ActionKind::divert:
            return "divert" + number;
        case ActionKind::fwd:
            return "fwd:" + next_hop_text(action.next_hop);
        default:
            return "deny";
    }
}

}  // namespace

struct SlowEngine::Walk {
    SlowPacket packet;
    const packet::Passage& passage;
    std::uint64_t sequence;
    SlowOutcome outcome;
};

SlowEngine::SlowEngine(std::vector<Rule> rules, bool default_accept,
                       const packet::Environment& environment, const contract::Sysctls& sysctls,
                       Draw draw)
    : rules_(std::move(rules)), environment_(environment), sysctls_(sysctls), draw_(draw) {
    Rule last;
    last.number = kDefaultRuleNumber;
    last.action.kind = default_accept ? ActionKind::allow : ActionKind::deny;
    rules_.push_back(last);
    counters_.resize(rules_.size());
    logged_.resize(rules_.size());
}

bool SlowEngine::matches(const Walk& walk, std::size_t index) const {
    const Rule& rule = rules_[index];
    if (rule.probability && draw_(walk.sequence, index) >= *rule.probability * 2147483648.0)
        return false;
    const Situation situation{walk.packet, walk.passage, environment_};
    if (rule.body) {
        const Body& body = *rule.body;
        if (!group_matches(situation, body.protocol) || !group_matches(situation, body.source) ||
            !group_matches(situation, body.destination))
            return false;
        if (body.source_ports && !term_matches(situation, *body.source_ports))
            return false;
        if (body.destination_ports && !term_matches(situation, *body.destination_ports))
            return false;
    }
    return std::all_of(rule.options.begin(), rule.options.end(),
                       [&](const Group& group) { return group_matches(situation, group); });
}

// `rule` is null for packets that no rule saw.
void SlowEngine::write_log(Walk& walk, const Rule* rule, std::uint32_t limit,
                           std::uint32_t& logged) {
    if (sysctls_.verbose == 0 || (limit != 0 && logged >= limit))
        return;
    ++logged;
    walk.outcome.log.push_back(log_text(walk.packet, walk.passage, environment_, rule));
    if (limit != 0 && logged == limit)
        walk.outcome.log.push_back("ipfw: limit " + std::to_string(limit) + " reached on entry " +
                                   (rule != nullptr ? std::to_string(rule->number) : "-1"));
}

SlowOutcome SlowEngine::pass(std::span<const std::byte> frame, const packet::Passage& passage,
                             std::uint64_t sequence) {
    Walk walk{decode(frame, {.deny_unknown_extension_headers = sysctls_.deny_unknown_exthdrs != 0,
                             .permit_single_fragment6 = sysctls_.permit_single_frag6 != 0}),
              passage,
              sequence,
              {}};
    SlowOutcome& outcome = walk.outcome;
    const SlowPacket& packet = walk.packet;
    // `enable` is 0: the firewall is not there at all.
    if ((packet.version == 6 ? sysctls_.enable6 : sysctls_.enable) == 0) {
        outcome.verdict = "accept";
        outcome.rule_number = 0;
        return outcome;
    }
    if (packet.fate != SlowPacket::Fate::judged) {
        outcome.verdict = "deny";
        outcome.rule_number = -1;
        if (packet.fate == SlowPacket::Fate::refused)
            write_log(walk, nullptr, sysctls_.verbose_limit, logged_refused_);
        else if (sysctls_.verbose != 0)
            outcome.log.push_back("ipfw: pullup failed");
        return outcome;
    }
    // A bridge must not cut ARP off because of rules written for IP: there, what is not IP is
    // judged by rules that speak of frames alone, and passes if none of them ends the walk.
    const bool frames_only = packet.version == 0 && passage.entry == Entry::bridge;
    for (std::size_t i = 0; i < rules_.size(); ++i) {
        const Rule& rule = rules_[i];
        if (frames_only && !names_link_layer(rule))
            continue;
        if (!matches(walk, i))
            continue;
        if (rule.log)
            write_log(walk, &rule, rule.log->amount.value_or(sysctls_.verbose_limit), logged_[i]);
        if (passage.entry == Entry::layer2 && needs_ip_layer(rule.action.kind))
            continue;
        counters_[i].packets += 1;
        counters_[i].bytes += packet.version != 0 ? packet.ip.size() : packet.link_payload;
        switch (rule.action.kind) {
            case ActionKind::count:
                break;
            case ActionKind::tee:
                outcome.verdict += "tee:" + std::to_string(rule.action.argument.value) + "@" +
                                   std::to_string(rule.number) + ">";
                break;
            case ActionKind::skipto: {
                // Never back: a target that is not above the own number stands for the next one.
                const unsigned target =
                    std::max<unsigned>(rule.action.argument.value, rule.number + 1u);
                while (rules_[i + 1].number < target)
                    ++i;
                break;
            }
            default:
                outcome.verdict += final_verdict(rule.action);
                outcome.rule_number = rule.number;
                return outcome;
        }
    }
    outcome.verdict += "accept";
    outcome.rule_number = 0;
    return outcome;
}

}  // namespace sluice::reference
