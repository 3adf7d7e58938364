#include "dataplane/program/runtime.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <map>
#include <string>

namespace sluice::program {

namespace {

bool acts_plainly(const contract::RuleRecord& rule) {
    using contract::RuleAction;
    const bool ends = rule.action == RuleAction::allow || rule.action == RuleAction::deny ||
                      rule.action == RuleAction::unreach || rule.action == RuleAction::unreach6 ||
                      rule.action == RuleAction::reset || rule.action == RuleAction::reset6 ||
                      rule.action == RuleAction::abort || rule.action == RuleAction::abort6;
    return ends && !rule.writes_tags() && (rule.flags & contract::rule_flag::log) == 0;
}

// But for its residual tests.
bool is_plain(const contract::RuleRecord& rule) {
    constexpr std::uint16_t kMore = contract::rule_flag::probe | contract::rule_flag::defer;
    return acts_plainly(rule) && rule.state == contract::StateOption::none &&
           (rule.flags & kMore) == 0;
}

bool only_looks(const contract::SnapshotView& view, const contract::RuleRecord& rule) {
    return rule.residual_count == 1 &&
           view.instructions()[rule.first_instruction + rule.header_count].opcode ==
               contract::Opcode::payload;
}

Outcome plain_outcome(const contract::RuleRecord& rule) {
    if (rule.action == contract::RuleAction::allow)
        return Outcome::accept;
    return rule.action == contract::RuleAction::deny ? Outcome::deny : Outcome::answer;
}

Outcome outcome_of_match(const contract::SnapshotView& view, const contract::RuleRecord& rule) {
    if (is_plain(rule) && rule.residual_count == 0)
        return plain_outcome(rule);
    return is_plain(rule) && only_looks(view, rule) ? Outcome::look : Outcome::walk;
}

QuickRule quick_rule_of(const contract::SnapshotView& view, const contract::RuleRecord& rule) {
    return {.slot = rule.slot,
            .matched = outcome_of_match(view, rule),
            .hit = acts_plainly(rule) ? plain_outcome(rule) : Outcome::walk};
}

std::uint64_t fnv1a(std::span<const std::byte> bytes) {
    std::uint64_t hash = 14695981039346656037u;
    for (const std::byte byte : bytes)
        hash = (hash ^ std::to_integer<std::uint64_t>(byte)) * 1099511628211u;
    return hash;
}

}  // namespace

Runtime::Runtime() {
    static std::atomic<std::uint64_t> last_serial = 0;
    serial_ = last_serial.fetch_add(1, std::memory_order_relaxed) + 1;
}

Result<std::unique_ptr<const Runtime>> Runtime::create(std::span<const std::byte> image,
                                                       const packet::Environment& environment,
                                                       std::uint32_t slot_capacity,
                                                       const RuntimeAids& aids) {
    if (image.size() > contract::kSnapshotMaximumSize ||
        image.size() % contract::kSectionAlignment != 0)
        return Error{ExitStatus::data, "the snapshot has " + std::to_string(image.size()) +
                                           " bytes: more than allowed, or not a multiple of 64"};
    if (environment.interfaces.size() > packet::kMaximumInterfaces)
        return Error{ExitStatus::data, "there are " +
                                           std::to_string(environment.interfaces.size()) +
                                           " interfaces; the engine knows at most " +
                                           std::to_string(packet::kMaximumInterfaces)};
    std::unique_ptr<Runtime> runtime(new Runtime);
    runtime->image_.resize(image.size() / sizeof(Block));
    if (!image.empty())
        std::memcpy(runtime->image_.data(), image.data(), image.size());
    auto view =
        contract::SnapshotView::validate(std::as_bytes(std::span<const Block>(runtime->image_)));
    if (!view)
        return view.error();
    runtime->view_ = *view;
    for (const contract::RuleRecord& rule : view->all_rules())
        if (rule.slot >= slot_capacity)
            return Error{ExitStatus::unavailable,
                         "rule " + std::to_string(rule.number) + " needs counter slot " +
                             std::to_string(rule.slot) + ", there are " +
                             std::to_string(slot_capacity) +
                             "; raise slot_capacity in the settings of the data plane"};
    runtime->environment_ = environment;
    runtime->parser_settings_ = {
        .deny_unknown_extension_headers = view->sysctls().deny_unknown_exthdrs != 0,
        .permit_single_fragment6 = view->sysctls().permit_single_frag6 != 0};
    runtime->local_addresses_ = std::make_unique<classify::LocalAddresses>(runtime->environment_);
    runtime->classifier_ = std::make_unique<classify::Classifier>(
        runtime->view_, runtime->environment_, *runtime->local_addresses_,
        classify::Classifier::Options{
            .previous = aids.previous != nullptr ? aids.previous->classifier_.get() : nullptr});
    const route::Fib* fib = aids.fib;
    if (fib == nullptr && runtime->asks_for_routes()) {
        auto own = make_fib(runtime->environment_);
        if (!own)
            return own.error();
        runtime->own_fib_ = std::move(*own);
        fib = runtime->own_fib_.get();
    }
    runtime->routes_ = std::make_unique<Routes>(runtime->environment_, fib);
    if (auto loaded = runtime->load_patterns(aids); !loaded)
        return loaded.error();
    runtime->index_rules(slot_capacity);
    runtime->find_only_rule();
    if (runtime->state_name_count_ > kMaximumStateNames)
        return Error{ExitStatus::unavailable, "the rules look for states under " +
                                                  std::to_string(runtime->state_name_count_) +
                                                  " names; the engine takes " +
                                                  std::to_string(kMaximumStateNames)};
    return std::unique_ptr<const Runtime>(std::move(runtime));
}

bool Runtime::asks_for_routes() const {
    using contract::Opcode;
    const auto instructions = view_.instructions();
    return std::any_of(instructions.begin(), instructions.end(), [](const auto& instruction) {
        return instruction.opcode == Opcode::verrevpath ||
               instruction.opcode == Opcode::versrcreach || instruction.opcode == Opcode::antispoof;
    });
}

Result<Done> Runtime::load_patterns(const RuntimeAids& aids) {
    payload_readers_ = std::max(aids.payload.readers, 1u);
    for (const contract::PatternObject& object : view_.pattern_objects()) {
        payload::Object made{.matcher = {},
                             .mode = object.mode,
                             .direction = object.direction,
                             .depth = object.depth,
                             .identity = fnv1a(std::as_bytes(std::span(object.name))),
                             .named = object.name[0] != '\0',
                             .asked = {}};
        if (aids.previous != nullptr)
            for (const payload::Object& old : aids.previous->payload_objects_)
                if (old.matcher->fits(view_, object, payload_readers_))
                    made.matcher = old.matcher;
        if (!made.matcher) {
            auto matcher = payload::Matcher::create(view_, object, aids.payload);
            if (!matcher)
                return matcher.error();
            made.matcher = std::move(*matcher);
        }
        payload_objects_.push_back(std::move(made));
    }
    for (const contract::Instruction& test : view_.instructions())
        if (test.opcode == contract::Opcode::payload && (test.flags & contract::kPatternValue) != 0)
            payload_objects_[test.argument].asked.push_back(test.data);
    for (std::size_t i = 0; i < payload_objects_.size(); ++i) {
        std::vector<std::uint32_t>& asked = payload_objects_[i].asked;
        std::sort(asked.begin(), asked.end());
        asked.erase(std::unique(asked.begin(), asked.end()), asked.end());
        payload_objects_[i].asked_identity = fnv1a(std::as_bytes(std::span(asked)));
        if (asked.size() > payload::kMaximumAskedValues)
            return Error{ExitStatus::unavailable, "rules ask the pattern object " +
                                                      std::string(view_.pattern_objects()[i].name) +
                                                      " for " + std::to_string(asked.size()) +
                                                      " different values; the engine takes " +
                                                      std::to_string(payload::kMaximumAskedValues)};
    }
    return Done{};
}

void Runtime::index_rules(std::uint32_t slot_capacity) {
    std::map<std::uint32_t, std::uint32_t> ordinals;
    state_parents_.resize(slot_capacity);
    for (const contract::Instruction& instruction : view_.instructions())
        asks_for_sockets_ |= instruction.opcode == contract::Opcode::socket_user ||
                             contract::looks_for_user(instruction);
    judges_everything_ = view_.sysctls().enable != 0 && view_.sysctls().enable6 != 0;
    const auto rules = view_.all_rules();
    quick_rules_.reserve(view_.rules().size());
    for (std::uint32_t i = 0; i < rules.size(); ++i) {
        const contract::RuleRecord& rule = rules[i];
        const bool live = i < view_.rules().size();
        const QuickRule quick = quick_rule_of(view_, rule);
        state_parents_[rule.slot] = {.id = rule.id,
                                     .index = i,
                                     .lifetime_s = rule.state_lifetime_s,
                                     .may_expire = (rule.flags & contract::rule_flag::expires) != 0,
                                     .hit = live ? quick.hit : Outcome::walk};
        if (live)
            quick_rules_.push_back(quick);
        const bool probes = (rule.flags & contract::rule_flag::probe) != 0;
        uses_reassembly_ |= rule.action == contract::RuleAction::reass;
        uses_states_ |= live && (probes || rule.state != contract::StateOption::none);
        if (!live || !probes)
            continue;
        const auto [ordinal, is_new] =
            ordinals.emplace(rule.state_name, static_cast<std::uint32_t>(ordinals.size()));
        probes_.push_back({.rule = i, .name = rule.state_name, .name_ordinal = ordinal->second});
    }
    state_name_count_ = static_cast<std::uint32_t>(ordinals.size());
}

void Runtime::find_only_rule() {
    const auto rule = classifier_->only_rule(classify::Family::v4);
    if (!judges_everything_ || !rule || rule != classifier_->only_rule(classify::Family::v6))
        return;
    const Outcome outcome = quick_rules_[*rule].matched;
    if (outcome == Outcome::accept || outcome == Outcome::deny)
        only_rule_ = rule;
}

std::size_t Runtime::probe_behind(std::uint32_t rule) const {
    const auto found = std::lower_bound(
        probes_.begin(), probes_.end(), rule,
        [](const Probe& probe, std::uint32_t wanted) { return probe.rule < wanted; });
    return static_cast<std::size_t>(found - probes_.begin());
}

std::optional<std::uint32_t> Runtime::rule_of_state(std::uint32_t slot, std::uint32_t id) const {
    if (slot >= state_parents_.size() || state_parents_[slot].id != id)
        return std::nullopt;
    return state_parents_[slot].index;
}

std::uint32_t Runtime::first_rule_from(unsigned number) const {
    const auto rules = view_.rules();
    const auto found = std::lower_bound(
        rules.begin(), rules.end() - 1, number,
        [](const contract::RuleRecord& rule, unsigned wanted) { return rule.number < wanted; });
    return static_cast<std::uint32_t>(found - rules.begin());
}

}  // namespace sluice::program
