#include "tests/unit/classify/classifier_bench.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <set>
#include <utility>

#include "controlplane/compiler/compile.h"
#include "dataplane/packet/parser.h"
#include "tests/reference/random_rules.h"

namespace sluice::classify {

namespace {

using contract::RuleAction;
using contract::RuleRecord;
using packet::Packet;

bool is_final(RuleAction action) {
    return action == RuleAction::allow || action == RuleAction::deny ||
           action == RuleAction::unreach || action == RuleAction::unreach6 ||
           action == RuleAction::reset || action == RuleAction::reset6 ||
           action == RuleAction::abort || action == RuleAction::abort6;
}

packet::Environment small_environment() {
    packet::Environment environment;
    environment.interfaces = {{"em0", {{*parse_ipv4("10.0.0.1"), 24}}}, {"em1", {}}};
    return environment;
}

std::string text_of(const RuleIndices& rules) {
    std::string text;
    for (const std::uint32_t rule : rules)
        text += " " + std::to_string(rule);
    return text;
}

}  // namespace

Bench::Bench(const std::vector<language::Rule>& rules, packet::Environment environment,
             std::uint32_t disabled_sets)
    : environment_(std::move(environment)) {
    std::vector<compiler::RuleInput> inputs;
    for (const language::Rule& rule : rules)
        inputs.push_back({.rule = &rule, .slot = static_cast<std::uint32_t>(inputs.size() + 2)});
    const auto image = compiler::compile({.rules = inputs, .disabled_sets = disabled_sets});
    if (!image) {
        std::fprintf(stderr, "the rules do not compile: %s\n", image.error().message.c_str());
        std::abort();
    }
    open(*image);
}

Bench::Bench(const std::vector<std::string>& lines, std::uint32_t disabled_sets)
    : Bench(reference::parse_rules(lines), small_environment(), disabled_sets) {}

Bench::Bench(const contract::SnapshotParts& parts, packet::Environment environment)
    : environment_(std::move(environment)) {
    open(parts.image());
}

void Bench::open(std::span<const std::byte> image) {
    image_.emplace(image);
    const auto view = contract::SnapshotView::validate(image_->bytes());
    if (!view) {
        std::fprintf(stderr, "%s\n", view.error().message.c_str());
        std::abort();
    }
    view_ = *view;
    local_.emplace(environment_);
    tests_.emplace(view_, environment_, *local_);
}

RuleIndices Bench::entries() const {
    const auto live = view_.rules();
    const auto count = static_cast<std::uint32_t>(live.size());
    std::set<std::uint32_t> entries = {0};
    const auto behind_number = [&](std::uint32_t index, std::uint16_t number) {
        while (index + 1 < count && live[index].number == number)
            ++index;
        return index;
    };
    for (std::uint32_t i = 0; i + 1 < count; ++i) {
        const RuleRecord& rule = live[i];
        if (rule.action == RuleAction::skipto)
            entries.insert(rule.target);
        if (rule.action == RuleAction::divert)
            entries.insert(behind_number(i + 1, rule.number));
        if (rule.action == RuleAction::tee ||
            (rule.state != contract::StateOption::none && !is_final(rule.action)))
            entries.insert(i + 1);
    }
    for (const RuleRecord& rule : view_.all_rules().subspan(count)) {
        entries.insert(rule.target);
        if (rule.action == RuleAction::divert)
            entries.insert(behind_number(rule.target, rule.number));
    }
    return {entries.begin(), entries.end()};
}

bool Bench::ends_walk(std::uint32_t index, const Packet& packet) const {
    const RuleRecord& rule = view_.rules()[index];
    const bool judges = packet.headers.ip_version != 0 ||
                        packet.passage.entry != packet::Entry::bridge ||
                        (rule.flags & contract::rule_flag::link_layer) != 0;
    return index + 1 == view_.rules().size() ||
           (judges && is_final(rule.action) && rule.residual_count == 0 &&
            (rule.flags & contract::rule_flag::defer) == 0);
}

RuleIndices Bench::linear(const Packet& packet, std::uint32_t from) const {
    RuleIndices result;
    for (std::uint32_t i = from; i < view_.rules().size(); ++i) {
        if (view_.rules()[i].action == RuleAction::check_state || !tests_->rule_matches(i, packet))
            continue;
        result.push_back(i);
        if (ends_walk(i, packet))
            break;
    }
    return result;
}

std::vector<RuleIndices> Bench::enumerate(const Classifier& classifier,
                                          std::span<const Packet> packets,
                                          std::uint32_t from) const {
    std::vector<RuleIndices> results(packets.size());
    std::vector<HeaderKey> keys(packets.size());
    std::vector<Matches> burst(packets.size());
    classifier.read_keys(packets, keys);
    classifier.classify(keys, from, burst);
    for (std::size_t i = 0; i < packets.size(); ++i) {
        Matches& matches = burst[i];
        std::uint32_t asked = from;
        for (bool done = false; !done;) {
            for (std::uint32_t k = 0; k < matches.count && !done; ++k) {
                const std::uint32_t rule = matches.rules[k] & ~Matches::kUnverified;
                if (rule < asked || rule >= matches.end || rule >= view_.rules().size()) {
                    ADD_FAILURE() << "rule " << rule << " told for " << asked << " to "
                                  << matches.end;
                    return results;
                }
                asked = rule + 1;
                if (rule != matches.rules[k] && !tests_->rule_matches(rule, packets[i]))
                    continue;
                results[i].push_back(rule);
                done = ends_walk(rule, packets[i]);
            }
            if (matches.end < asked || (matches.end == asked && matches.count == 0)) {
                ADD_FAILURE() << "asked from " << asked << ", told nothing up to " << matches.end;
                return results;
            }
            asked = matches.end;
            done = done || asked >= view_.rules().size();
            if (!done)
                classifier.classify({&keys[i], 1}, asked, {&matches, 1});
        }
    }
    return results;
}

void Packets::add(const reference::RandomPacket& packet) {
    const auto& frame =
        *frames_.emplace_back(std::make_unique<const reference::Frame>(packet.frame));
    Packet parsed;
    parsed.malformed = packet::parse_frame(frame, {}, parsed.headers);
    parsed.passage = packet.passage;
    // No rule sees those that are dropped before.
    if (parsed.malformed == contract::DropReason::none)
        packets_.push_back(parsed);
}

void Packets::add(const reference::FramePlan& plan, const packet::Passage& passage) {
    add({.frame = reference::build_frame(plan), .passage = passage});
}

void expect_linear(const Bench& bench, const Classifier& classifier,
                   std::span<const Packet> packets, std::uint32_t from) {
    const std::vector<RuleIndices> told = bench.enumerate(classifier, packets, from);
    for (std::size_t i = 0; i < packets.size(); ++i) {
        const RuleIndices wanted = bench.linear(packets[i], from);
        if (told[i] == wanted)
            continue;
        const auto [at, other] =
            std::mismatch(told[i].begin(), told[i].end(), wanted.begin(), wanted.end());
        const std::uint32_t rule = std::min(at != told[i].end() ? *at : 0xffffffff,
                                            other != wanted.end() ? *other : 0xffffffff);
        ADD_FAILURE() << "packet " << i << " from " << from << "\n  told:  " << text_of(told[i])
                      << "\n  wanted:" << text_of(wanted) << "\n  first difference: rule " << rule
                      << ", "
                      << (rule < bench.view().rules().size()
                              ? bench.view().rule_text(bench.view().rules()[rule])
                              : "none");
        return;
    }
}

}  // namespace sluice::classify
