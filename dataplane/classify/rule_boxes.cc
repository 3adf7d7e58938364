#include "dataplane/classify/rule_boxes.h"

#include <algorithm>
#include <cstring>
#include <functional>

#include "dataplane/classify/instruction_words.h"
#include "dataplane/classify/segments.h"

namespace sluice::classify {

namespace {

using contract::Instruction;
using contract::kNegated;
using contract::kOrNext;
using contract::Opcode;
using contract::RuleRecord;

constexpr std::uint32_t kLastPort = 0xffff;

using Intervals = std::vector<Interval>;

Intervals united(Intervals intervals) {
    if (intervals.size() < 2)
        return intervals;
    std::sort(intervals.begin(), intervals.end(),
              [](const Interval& a, const Interval& b) { return a.first < b.first; });
    Intervals result;
    for (const Interval& next : intervals) {
        const bool touches = !result.empty() && (result.back().last == kFullLane ||
                                                 next.first <= result.back().last + 1);
        if (touches)
            result.back().last = std::max(result.back().last, next.last);
        else
            result.push_back(next);
    }
    return result;
}

// REQUIRES: united.
Intervals complement(const Intervals& intervals, std::uint32_t last) {
    Intervals result;
    std::uint32_t begin = 0;
    for (const Interval& interval : intervals) {
        if (interval.first > begin)
            result.push_back({begin, interval.first - 1});
        if (interval.last >= last)
            return result;
        begin = interval.last + 1;
    }
    result.push_back({begin, last});
    return result;
}

bool is_terminal(const RuleRecord& rule, Family family) {
    return ends_the_walk(rule.action) && rule.residual_count == 0 &&
           (rule.flags & contract::rule_flag::defer) == 0 &&
           (family != Family::other || (rule.flags & contract::rule_flag::link_layer) != 0);
}

// The lane that holds the values of a domain, if one does.
std::optional<unsigned> lane_of(Domain domain) {
    switch (domain) {
        case Domain::protocol:
            return lane::protocol;
        case Domain::receive:
            return lane::receive;
        case Domain::transmit:
            return lane::transmit;
        case Domain::via:
            return lane::via;
        default:
            return std::nullopt;
    }
}

std::array<Interval, 4> one_lane(const Interval& interval) {
    return {interval, {}, {}, {}};
}

bool intersect(Interval& interval, const Interval& with) {
    interval.first = std::max(interval.first, with.first);
    interval.last = std::min(interval.last, with.last);
    return interval.first <= interval.last;
}

}  // namespace

BoxMaker::BoxMaker(const contract::SnapshotView& view, const packet::Environment& environment,
                   const HeaderTests& tests, Family family, Conditions& conditions)
    : view_(view),
      environment_(environment),
      tests_(tests),
      family_(family),
      spare_boxes_(boxes_to_spare(view.rules().size())),
      conditions_(conditions) {
    for (std::size_t i = 0; i < kDomains; ++i)
        for (unsigned value = 0; value < domain_size(static_cast<Domain>(i)); ++value)
            all_values_[i].set(value);
}

const BoxMaker::Demand& BoxMaker::values_demand(const Instruction& test, Domain domain) {
    Instruction bare = test;
    bare.flags &= kNegated;
    TestBytes key;
    std::memcpy(&key, &bare, sizeof bare);
    const auto [known, is_new] = known_.try_emplace(key);
    Demand& demand = known->second;
    if (!is_new)
        return demand;
    demand = {.kind = Demand::Kind::values, .domain = domain};
    for (unsigned value = 0; value < domain_size(domain); ++value)
        if (const auto sample = sample_packet(domain, value, family_, environment_))
            demand.values[value] = tests_.matches(bare, *sample);
    if (demand.values.none())
        demand.kind = Demand::Kind::never;
    else if (demand.values.count() == domain_size(domain))
        demand.kind = Demand::Kind::always;
    return demand;
}

BoxMaker::Demand BoxMaker::networks_demand(const Instruction& test, unsigned lane) const {
    Demand demand{.kind = Demand::Kind::intervals, .lane = lane};
    const auto networks = view_.v4_networks().subspan(test.data, test.count);
    Intervals intervals;
    for (const contract::V4Network& network : networks) {
        const std::uint32_t mask = network.mask.host(), first = network.address.host();
        // No address has bits outside the mask.
        if ((first & ~mask) != 0)
            continue;
        demand.exact = demand.exact && is_contiguous(mask);
        if (networks.size() == 1 && !is_negated(test)) {
            demand.intervals.push_back(one_lane({first, first | ~mask}));
            return demand;
        }
        intervals.push_back({first, first | ~mask});
    }
    intervals = united(std::move(intervals));
    if (is_negated(test)) {
        if (!demand.exact)
            return {};
        intervals = complement(intervals, kFullLane);
    }
    for (const Interval& interval : intervals)
        demand.intervals.push_back(one_lane(interval));
    return demand;
}

BoxMaker::Demand BoxMaker::networks6_demand(const Instruction& test, unsigned lane) const {
    if (is_negated(test))
        return {};
    Demand demand{.kind = Demand::Kind::intervals, .lane = lane, .lanes = 4};
    for (const contract::V6Network& network : view_.v6_networks().subspan(test.data, test.count)) {
        std::array<Interval, 4> words;
        bool possible = true;
        for (unsigned word = 0; word < 4; ++word) {
            const std::uint32_t mask = word_at(network.mask, word),
                                first = word_at(network.address, word);
            possible = possible && (first & ~mask) == 0;
            demand.exact = demand.exact && is_contiguous(mask);
            words[word] = {first, first | ~mask};
        }
        if (possible)
            demand.intervals.push_back(words);
    }
    return demand;
}

BoxMaker::Demand BoxMaker::set_demand(const Instruction& test, unsigned lane) const {
    Demand demand{.kind = Demand::Kind::intervals, .lane = lane};
    Intervals intervals;
    for (std::uint32_t bit = 0; bit < test.count; ++bit) {
        // The address of a bit may pass the end of the address space; the test wraps, too.
        const std::uint32_t address = test.argument + bit;
        if ((view_.words()[test.data + bit / 32] >> bit % 32 & 1) != 0)
            intervals.push_back({address, address});
    }
    intervals = united(std::move(intervals));
    if (is_negated(test))
        intervals = complement(intervals, kFullLane);
    for (const Interval& interval : intervals)
        demand.intervals.push_back(one_lane(interval));
    return demand;
}

void BoxMaker::append_port_demands(const Instruction& test, unsigned lane) {
    Demand with_ports{.kind = Demand::Kind::intervals, .domain = Domain::ports, .lane = lane};
    with_ports.values[1] = true;
    const auto ports = view_.ports().subspan(test.data, test.count);
    Intervals intervals;
    for (const contract::PortTest& port : ports) {
        if (port.first > port.last)
            continue;
        const bool plain = port.mask == kLastPort;
        with_ports.exact = with_ports.exact && plain;
        intervals.push_back(plain ? Interval{port.first, port.last} : Interval{0, kLastPort});
    }
    intervals = united(std::move(intervals));
    if (is_negated(test)) {
        Demand without_ports{.kind = Demand::Kind::values, .domain = Domain::ports};
        without_ports.values[0] = true;
        demands_.push_back(without_ports);
        intervals = with_ports.exact ? complement(intervals, kLastPort) : Intervals{{0, kLastPort}};
    }
    for (const Interval& interval : intervals)
        with_ports.intervals.push_back(one_lane(interval));
    demands_.push_back(std::move(with_ports));
}

// Fills demands_.
void BoxMaker::find_demands(std::span<const Instruction> block) {
    demands_.clear();
    for (const Instruction& test : block) {
        if (const auto domain = domain_of(test.opcode)) {
            demands_.push_back(values_demand(test, *domain));
            continue;
        }
        const Demand::Kind other_family =
            is_negated(test) ? Demand::Kind::always : Demand::Kind::never;
        switch (test.opcode) {
            case Opcode::source_v4:
            case Opcode::destination_v4:
            case Opcode::source_set:
            case Opcode::destination_set: {
                const bool source =
                    test.opcode == Opcode::source_v4 || test.opcode == Opcode::source_set;
                const unsigned where = source ? lane::source : lane::destination;
                const bool is_set =
                    test.opcode == Opcode::source_set || test.opcode == Opcode::destination_set;
                if (family_ != Family::v4)
                    demands_.push_back({.kind = other_family});
                else
                    demands_.push_back(is_set ? set_demand(test, where)
                                              : networks_demand(test, where));
                break;
            }
            case Opcode::source_v6:
            case Opcode::destination_v6: {
                const unsigned where =
                    test.opcode == Opcode::source_v6 ? lane::source : lane::destination;
                demands_.push_back(family_ != Family::v6 ? Demand{.kind = other_family}
                                                         : networks6_demand(test, where));
                break;
            }
            case Opcode::source_ports:
                append_port_demands(test, lane::source_port);
                break;
            case Opcode::destination_ports:
                append_port_demands(test, lane::destination_port);
                break;
            default:
                demands_.push_back({});
                break;
        }
    }
    merge_demands();
}

// Alternatives within one domain become one; those that never match go.
void BoxMaker::merge_demands() {
    std::erase_if(demands_, [](const Demand& demand) {
        return demand.kind == Demand::Kind::never ||
               (demand.kind == Demand::Kind::intervals && demand.intervals.empty());
    });
    if (demands_.size() < 2)
        return;
    std::vector<Demand> merged;
    for (Demand& demand : demands_) {
        const auto same = std::find_if(merged.begin(), merged.end(), [&](const Demand& other) {
            return demand.kind == Demand::Kind::values && other.kind == Demand::Kind::values &&
                   demand.domain == other.domain;
        });
        if (same == merged.end())
            merged.push_back(std::move(demand));
        else
            same->values |= demand.values;
    }
    for (Demand& demand : merged)
        if (demand.kind == Demand::Kind::values &&
            demand.values.count() == domain_size(demand.domain))
            demand.kind = Demand::Kind::always;
    demands_ = std::move(merged);
}

// False: no value is left.
bool BoxMaker::restrict_values(const Demand& demand, Partial& partial) {
    partial.unverified = partial.unverified || !demand.exact;
    if (demand.domain == Domain::count_)
        return true;
    const auto domain = static_cast<std::size_t>(demand.domain);
    const bool known = (partial.domains >> domain & 1) != 0;
    partial.values[domain] = known ? partial.values[domain] & demand.values : demand.values;
    partial.domains |= 1u << domain;
    return partial.values[domain].any();
}

// False: nothing is left.
bool BoxMaker::restrict_lanes(const Demand& demand, std::size_t alternative, Partial& partial) {
    bool possible = true;
    for (unsigned i = 0; i < demand.lanes; ++i)
        possible =
            possible && intersect(partial.lanes[demand.lane + i], demand.intervals[alternative][i]);
    return possible;
}

// Appends what is left of `partial` under the demand. False: more boxes than are allowed.
bool BoxMaker::apply(const Demand& demand, const Partial& partial, std::vector<Partial>& result) {
    Partial base = partial;
    if (!restrict_values(demand, base))
        return true;
    if (demand.kind == Demand::Kind::values) {
        result.push_back(base);
        return result.size() <= most_boxes_;
    }
    if (demand.intervals.size() > most_boxes_)
        return false;
    for (std::size_t i = 0; i < demand.intervals.size(); ++i) {
        Partial next = base;
        if (restrict_lanes(demand, i, next))
            result.push_back(next);
        if (result.size() > most_boxes_)
            return false;
    }
    return true;
}

// Fewer intervals that hold all of the demands together, for a list that is too long to be taken
// apart: what lies close together is put together. None: the demands are not alike.
std::optional<BoxMaker::Demand> BoxMaker::coarse_demand(std::size_t most) const {
    const Demand& first = demands_.front();
    Demand coarse{.kind = Demand::Kind::intervals,
                  .exact = false,
                  .domain = first.domain,
                  .values = first.values,
                  .lane = first.lane,
                  .lanes = first.lanes};
    std::vector<LaneIntervals> all;
    for (const Demand& demand : demands_) {
        if (demand.kind != Demand::Kind::intervals || demand.domain != first.domain ||
            demand.lane != first.lane || demand.lanes != first.lanes)
            return std::nullopt;
        for (std::size_t i = 0; i < demand.intervals.size(); ++i)
            all.push_back(demand.intervals[i]);
    }
    std::sort(all.begin(), all.end(), [](const LaneIntervals& a, const LaneIntervals& b) {
        return a[0].first < b[0].first;
    });
    // The widest gaps in the first lane stay.
    std::vector<std::uint32_t> gaps;
    std::uint32_t last = all.front()[0].last;
    for (const LaneIntervals& next : all) {
        gaps.push_back(next[0].first > last ? next[0].first - last : 0);
        last = std::max(last, next[0].last);
    }
    std::vector<std::uint32_t> ranked = gaps;
    std::sort(ranked.begin(), ranked.end(), std::greater<>());
    const std::uint32_t bridged = most <= ranked.size() ? ranked[most - 1] : 0;
    LaneIntervals hull = all.front();
    for (std::size_t i = 1; i < all.size(); ++i) {
        if (gaps[i] > bridged) {
            coarse.intervals.push_back(hull);
            hull = all[i];
        }
        for (unsigned lane = 0; lane < first.lanes; ++lane) {
            hull[lane].first = std::min(hull[lane].first, all[i][lane].first);
            hull[lane].last = std::max(hull[lane].last, all[i][lane].last);
        }
    }
    coarse.intervals.push_back(hull);
    return coarse;
}

// The same of a block that is one demand without alternatives, where the boxes are: most are.
void BoxMaker::apply_alone(const Demand& demand, std::vector<Partial>& partials) {
    std::erase_if(partials, [&](Partial& partial) {
        return !restrict_values(demand, partial) ||
               (demand.kind == Demand::Kind::intervals && !restrict_lanes(demand, 0, partial));
    });
}

// Whether one of the tests asks for an address of another family.
bool BoxMaker::belongs_elsewhere(std::span<const Instruction> tests) const {
    bool in_block = false;
    for (const Instruction& test : tests) {
        const bool alone = !in_block && (test.flags & kOrNext) == 0;
        in_block = (test.flags & kOrNext) != 0;
        if (!alone || is_negated(test))
            continue;
        switch (test.opcode) {
            case Opcode::source_v4:
            case Opcode::destination_v4:
            case Opcode::source_set:
            case Opcode::destination_set:
                if (family_ != Family::v4)
                    return true;
                break;
            case Opcode::source_v6:
            case Opcode::destination_v6:
                if (family_ != Family::v6)
                    return true;
                break;
            default:
                break;
        }
    }
    return false;
}

// What has become of the boxes where the demands would need too many.
void BoxMaker::narrow_down() {
    constexpr std::size_t kPlenty = 16;  // boxes of a rule that is verified anyway
    const std::size_t most =
        std::max<std::size_t>(1, std::min(kPlenty, most_boxes_) / partials_.size());
    if (const std::optional<Demand> coarse = coarse_demand(most)) {
        next_partials_.clear();
        for (const Partial& partial : partials_)
            apply(*coarse, partial, next_partials_);
        std::swap(partials_, next_partials_);
    }
    for (Partial& partial : partials_)
        partial.unverified = true;
}

const BoxMaker::Restriction& BoxMaker::restriction_of(Domain domain, const ValueSet& values) {
    std::optional<Restriction>& last = last_restrictions_[static_cast<std::size_t>(domain)];
    if (last && last->values == values)
        return *last;
    last = Restriction{.values = values, .condition = conditions_.add(domain, values)};
    if (lane_of(domain)) {
        unsigned first = 0, end = domain_size(domain) - 1;
        while (!values[first])
            ++first;
        while (!values[end])
            --end;
        last->interval = {first, end};
        last->in_lane = values.count() == end - first + 1;
    }
    return *last;
}

Box BoxMaker::finish(const Partial& partial, const RuleRecord& rule, std::uint32_t index) {
    Box box;
    box.lanes = partial.lanes;
    box.rule = index;
    box.unverified = partial.unverified;
    for (std::size_t i = 0; i < kDomains; ++i) {
        const auto domain = static_cast<Domain>(i);
        if ((partial.domains >> i & 1) == 0 || partial.values[i] == all_values_[i])
            continue;
        const Restriction& restriction = restriction_of(domain, partial.values[i]);
        if (const auto where = lane_of(domain))
            box.lanes[*where] = restriction.interval;
        box.lanes_suffice = box.lanes_suffice && restriction.in_lane;
        if (restriction.condition) {
            box.conditions[i] = *restriction.condition;
            conditions_.count_use(*restriction.condition);
        } else {
            box.unverified = true;
        }
    }
    box.terminal = !box.unverified && is_terminal(rule, family_);
    return box;
}

void BoxMaker::append_boxes(std::uint32_t index, std::vector<Box>& boxes) {
    const RuleRecord& rule = view_.rules()[index];
    const auto tests = view_.instructions().subspan(rule.first_instruction, rule.header_count);
    if (belongs_elsewhere(tests))
        return;
    most_boxes_ = std::min(kMaximumBoxes, 1 + spare_boxes_);
    Partial full;
    full.lanes.fill({0, kFullLane});
    partials_.assign(1, full);
    for (std::size_t begin = 0, end; begin < tests.size(); begin = end) {
        end = begin + 1;
        while ((tests[end - 1].flags & kOrNext) != 0)
            ++end;
        find_demands(tests.subspan(begin, end - begin));
        const auto has = [&](Demand::Kind kind) {
            return std::any_of(demands_.begin(), demands_.end(),
                               [&](const Demand& demand) { return demand.kind == kind; });
        };
        if (has(Demand::Kind::always))
            continue;
        const bool alone = demands_.size() == 1 && !has(Demand::Kind::unknown) &&
                           (demands_.front().kind == Demand::Kind::values ||
                            demands_.front().intervals.size() == 1);
        if (alone) {
            apply_alone(demands_.front(), partials_);
            if (partials_.empty())
                return;
            continue;
        }
        next_partials_.clear();
        bool fits = !has(Demand::Kind::unknown);
        for (std::size_t i = 0; fits && i < partials_.size(); ++i)
            for (std::size_t d = 0; fits && d < demands_.size(); ++d)
                fits = apply(demands_[d], partials_[i], next_partials_);
        if (fits)
            std::swap(partials_, next_partials_);
        else
            narrow_down();
        if (partials_.empty())
            return;
    }
    spare_boxes_ -= partials_.size() - 1;
    for (const Partial& partial : partials_)
        boxes.push_back(finish(partial, rule, index));
}

}  // namespace sluice::classify
