// The passes that hold what one rule does against what another does to the same packets, or to
// those of the other IP version.

#include <algorithm>
#include <map>
#include <set>

#include "analysis/linted_rules.h"

namespace sluice::analysis {
namespace {

using contract::RuleAction;
using Index = LintedRules::Index;

constexpr std::size_t kNamed = 4;             // rules of a finding
constexpr std::size_t kMaximumOpposed = 200;  // that a rule is held against

// Whether surely some packet on some machine is in the region: interfaces may have any names, but
// who knows which tests go together, or which addresses the machine has.
bool surely_has_packets(const Vocabulary& vocabulary, const Region& region) {
    const auto plain = [&](Literal literal) {
        return !holds(literal) || vocabulary.is_name(literal);
    };
    const auto named_as_well = [&](Domain is_me, unsigned where) {
        if (!region.is_restricted(is_me))
            return false;
        for (unsigned word = 0; word < 4; ++word)
            if (!region.lanes[where + word].is_full())
                return true;
        return false;
    };
    return std::all_of(region.literals.begin(), region.literals.end(), plain) &&
           !named_as_well(Domain::source_is_me, lane::source) &&
           !named_as_well(Domain::destination_is_me, lane::destination);
}

// TCP flags but a SYN with RST or FIN; and no flags, where there are none.
const ValueSet& usual_flags() {
    static const ValueSet set = [] {
        constexpr unsigned kFin = 1, kSyn = 2, kRst = 4;
        ValueSet usual;
        for (unsigned flags = 0; flags <= classify::kAbsent; ++flags)
            usual[flags] = (flags & kSyn) == 0 || (flags & (kFin | kRst)) == 0;
        return usual;
    }();
    return set;
}

class OppositePass {
  public:
    OppositePass(const LintedRules& rules, const std::vector<bool>& shadowed, Crossing crossing)
        : rules_(rules), shadowed_(shadowed), crossing_(crossing) {}

    void look_at(Index rule, LintReport& report) {
        std::set<Index> opposed;
        std::size_t held = 0;
        for (const Family family : LintedRules::kFamilies) {
            if (!rules_.regions(family, rule))
                continue;
            for (const Region& region : *rules_.regions(family, rule))
                for (const Candidate& earlier : rules_.candidates(
                         family, region, rules_.segment_begin(rule), rule, [&](Index other) {
                             return !shadowed_[other] &&
                                    rules_.passes(other) != rules_.passes(rule) &&
                                    !opposed.contains(other);
                         })) {
                    if (opposed.contains(earlier.rule) ||
                        (crossing_ == Crossing::ignored &&
                         !crosses_in_a_field(family, rule, earlier.rule)))
                        continue;
                    if (++held > kMaximumOpposed)
                        break;
                    if (contradict(family, region, earlier, rule))
                        opposed.insert(earlier.rule);
                }
        }
        if (!opposed.empty()) {
            Finding finding{FindingKind::contradicting, rules_.place(rule), {}, 0, {}};
            for (const Index other : opposed)
                if (finding.others.size() < kNamed)
                    finding.others.push_back(rules_.place(other));
            finding.more = opposed.size() - finding.others.size();
            report.findings.push_back(std::move(finding));
        }
        if (held > kMaximumOpposed)
            report.undecided.push_back(
                {rules_.place(rule), "more than " + std::to_string(kMaximumOpposed) +
                                         " rules of the opposite action overlap with it"});
    }

  private:
    // Whether some packet is in both and comes to the earlier one, and neither holds the other: an
    // exception and what it is an exception of contradict nobody.
    bool contradict(Family family, const Region& region, const Candidate& earlier,
                    Index rule) const {
        const Space& space = rules_.space(family);
        auto both = space.intersection(region, *earlier.region);
        // `setup` and `established` share what nobody sends.
        if (both && crossing_ == Crossing::ignored &&
            !both->restrict(Domain::tcp_flags, usual_flags()))
            return false;
        if (!both || !surely_has_packets(rules_.vocabulary(), *both))
            return false;
        if (rules_.covered(earlier.rule, rule) != Decision::no ||
            rules_.covered(rule, earlier.rule) != Decision::no)
            return false;
        const auto before =
            rules_.candidates(family, *both, rules_.segment_begin(earlier.rule), earlier.rule,
                              [&](Index other) { return !shadowed_[other]; });
        return covering(space, *both, before).decision == Decision::no;
    }

    // Whether in one field each of the two rules has values that the other has not.
    bool crosses_in_a_field(Family family, Index a, Index b) const {
        for (unsigned field = 0; field < kFields; ++field)
            if (has_more(family, field, a, b) && has_more(family, field, b, a))
                return true;
        return false;
    }

    bool has_more(Family family, unsigned field, Index rule, Index than) const {
        const Space& space = rules_.space(family);
        const auto& regions = *rules_.regions(family, rule);
        const auto& limits = *rules_.regions(family, than);
        if (limits.size() == 1)  // as of most rules
            return std::any_of(regions.begin(), regions.end(), [&](const Region& region) {
                return !is_within(region, limits.front(), field);
            });
        std::vector<Region> others;
        std::vector<Candidate> candidates;
        for (const Region& region : limits)
            others.push_back(field_of(region, field));
        for (const Region& region : others)
            candidates.emplace_back(region, than);
        return std::any_of(regions.begin(), regions.end(), [&](const Region& region) {
            return covering(space, field_of(region, field), candidates).decision == Decision::no;
        });
    }

    // What a region says of one field: an address, a port, a number, or a small field.
    static constexpr unsigned kFields = lane::count - 6 + kDomains;
    static bool is_within(const Region& region, const Region& limit, unsigned field) {
        if (field >= lane::count - 6) {
            const auto domain = static_cast<Domain>(field - (lane::count - 6));
            return (region.values(domain) & ~limit.values(domain)).none();
        }
        const unsigned first = field < 2 ? 4 * field : field + 6;
        const unsigned end = field < 2 ? first + 4 : first + 1;
        for (unsigned where = first; where < end; ++where)
            if (region.lanes[where].first < limit.lanes[where].first ||
                region.lanes[where].last > limit.lanes[where].last)
                return false;
        return true;
    }
    static Region field_of(const Region& region, unsigned field) {
        Region result;
        if (field >= lane::count - 6) {
            const auto domain = static_cast<Domain>(field - (lane::count - 6));
            result.restrict(domain, region.values(domain));
        } else if (field < 2) {
            for (unsigned word = 4 * field; word < 4 * field + 4; ++word)
                result.lanes[word] = region.lanes[word];
        } else {
            result.lanes[field + 6] = region.lanes[field + 6];
        }
        return result;
    }

    const LintedRules& rules_;
    const std::vector<bool>& shadowed_;
    Crossing crossing_;
};

// ---- IPv6 --------------------------------------------------------------------------------------

class TwinPass {
  public:
    TwinPass(const LintedRules& rules, const std::vector<bool>& shadowed)
        : rules_(rules), shadowed_(shadowed) {}

    void look_at(Index rule, LintReport& report) const {
        const auto& v4 = rules_.regions(Family::v4, rule);
        const auto& v6 = rules_.regions(Family::v6, rule);
        // Another stretch of the list may not be the way of IPv6.
        Region all;
        rules_.space(Family::v4).normalise(all);
        if (!v4 || !v6 || v4->empty() || !v6->empty() || rules_.segment_begin(rule) != 0 ||
            !std::all_of(v4->begin(), v4->end(),
                         [&](const Region& region) { return protects_a_port(region, all); }))
            return;
        std::vector<Region> twins;
        for (const Region& region : *v4) {
            const auto earlier = rules_.candidates(Family::v4, region, 0, rule,
                                                   [&](Index other) { return !shadowed_[other]; });
            const auto stopped = rest_of(rules_.space(Family::v4), {region}, earlier);
            if (!stopped)
                return;
            for (const Region& each : *stopped) {
                Region twin = as_ipv6(each);
                if (!surely_has_packets(rules_.vocabulary(), twin) ||
                    !rules_.space(Family::v6).normalise(twin))
                    return;
                twins.push_back(std::move(twin));
            }
        }
        std::set<Index> passing;
        if (twins.empty() || !all_pass(std::move(twins), passing))
            return;
        Finding finding{FindingKind::missing_ipv6_twin, rules_.place(rule), {}, 0, {}};
        for (const Index other : passing)
            if (finding.others.size() < kNamed)
                finding.others.push_back(rules_.place(other));
        finding.more = passing.size() - finding.others.size();
        report.findings.push_back(std::move(finding));
    }

  private:
    // From anywhere to a port, by tests that IPv6 has as well. `all`: all IPv4 packets.
    static bool protects_a_port(const Region& region, const Region& all) {
        const auto says_nothing = [&](unsigned where) {
            return region.lanes[where] == all.lanes[where];
        };
        return !says_nothing(lane::destination_port) &&
               region.values(Domain::ports) == ValueSet().set(1) && says_nothing(lane::source) &&
               says_nothing(lane::ip_length) && says_nothing(lane::ip_id) &&
               !region.is_restricted(Domain::ttl) && !region.is_restricted(Domain::source_is_me);
    }

    static Region as_ipv6(const Region& region) {
        Region twin;
        for (const unsigned where : {lane::source_port, lane::destination_port, lane::tcp_window,
                                     lane::tcp_sequence, lane::tcp_acknowledgement})
            twin.lanes[where] = region.lanes[where];
        twin.literals = region.literals;
        for (const Domain domain : {Domain::protocol, Domain::tcp_flags, Domain::traffic_class,
                                    Domain::passage, Domain::ports, Domain::destination_is_me})
            twin.restrict(domain, region.values(domain));
        return twin;
    }

    // Whether rules let all of it pass that has no state.
    bool all_pass(std::vector<Region> rest, std::set<Index>& passing) const {
        const Space& space = rules_.space(Family::v6);
        std::size_t steps = 0;
        for (Index rule = 0; rule < rules_.size() && !rest.empty(); ++rule) {
            const auto& regions = rules_.regions(Family::v6, rule);
            if (!regions)
                return false;
            const RuleAction action = rules_.record(rule).action;
            if (action == RuleAction::check_state)
                continue;
            for (const Region& region : *regions) {
                const bool meets = std::any_of(rest.begin(), rest.end(), [&](const Region& piece) {
                    return space.may_overlap(piece, region);
                });
                if (!meets || action == RuleAction::count)
                    continue;
                if (!rules_.decides(rule) || !rules_.passes(rule))
                    return false;
                std::vector<Region> left;
                for (const Region& piece : rest)
                    space.subtract(piece, region, left);
                rest = std::move(left);
                passing.insert(rule);
                if ((steps += rest.size()) > kMaximumPieces)
                    return false;
            }
        }
        return rest.empty();
    }

    const LintedRules& rules_;
    const std::vector<bool>& shadowed_;
};

}  // namespace

void find_contradicting(const LintedRules& rules, const std::vector<bool>& shadowed,
                        Crossing crossing, LintReport& report) {
    OppositePass pass(rules, shadowed, crossing);
    for (Index rule = 0; rule + 1 < rules.size(); ++rule)
        if (!shadowed[rule] && rules.decides(rule))
            pass.look_at(rule, report);
}

void find_missing_twins(const LintedRules& rules, const std::vector<bool>& shadowed,
                        LintReport& report) {
    const TwinPass pass(rules, shadowed);
    for (Index rule = 0; rule + 1 < rules.size(); ++rule)
        if (!shadowed[rule] && rules.decides(rule) && !rules.passes(rule))
            pass.look_at(rule, report);
}

}  // namespace sluice::analysis
