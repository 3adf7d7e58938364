#include "analysis/rule_regions.h"

#include <algorithm>
#include <bit>
#include <cstring>

#include "dataplane/classify/instruction_words.h"

namespace sluice::analysis {
namespace {

using classify::is_contiguous;
using classify::is_negated;
using classify::word_at;
using contract::Instruction;
using contract::kNegated;
using contract::kOrNext;
using contract::Opcode;
using contract::RuleRecord;

constexpr std::uint16_t kWholePort = 0xffff;

template <typename T>
void append_bytes(std::string& text, const T& value) {
    text.append(reinterpret_cast<const char*>(&value), sizeof value);
}

packet::Environment some_machine() {
    const Ipv4 v4{{192, 0, 2, 1}};
    Ipv6 v6;
    v6.bytes[0] = 0x20;
    v6.bytes[15] = 1;
    return {.interfaces = {{"me", {{v4, 32}, {v6, 128}}}}, .routes = {}};
}

Region in_passage(std::initializer_list<unsigned> passages) {
    ValueSet set;
    for (const unsigned passage : passages)
        set.set(passage);
    Region region;
    region.restrict(Domain::passage, set);
    return region;
}

// Packets that have the field: TCP, or ports.
Region with_tcp() {
    Region region;
    region.restrict(Domain::tcp_flags, ~ValueSet().set(classify::kAbsent));
    return region;
}

Region with_ports() {
    Region region;
    region.restrict(Domain::ports, ValueSet().set(1));
    return region;
}

}  // namespace

RuleRegions::RuleRegions(const contract::SnapshotView& view, Family family, Vocabulary& vocabulary)
    : view_(view),
      environment_(some_machine()),
      local_(environment_),
      tests_(view, environment_, local_),
      family_(family),
      vocabulary_(vocabulary),
      space_(family, vocabulary) {}

const ValueSet& RuleRegions::values_of(const Instruction& test, Domain domain) {
    Instruction bare = test;
    bare.flags &= kNegated;
    std::string key;
    append_bytes(key, bare);
    const auto [known, is_new] = known_values_.try_emplace(key);
    if (is_new)
        for (unsigned value = 0; value < classify::domain_size(domain); ++value)
            if (const auto sample = classify::sample_packet(domain, value, family_, environment_))
                known->second[value] = tests_.matches(bare, *sample);
    return known->second;
}

std::vector<Interval> RuleRegions::ranges_of(const Instruction& test) const {
    std::vector<Interval> intervals;
    for (const contract::Range& range : view_.ranges().subspan(test.data, test.count))
        if (range.first <= range.last)
            intervals.push_back({range.first, range.last});
    return intervals;
}

// By what the test says, so that two rules that say the same have the same literal.
Literal RuleRegions::literal_of(const Instruction& test) {
    std::string key(1, static_cast<char>(test.opcode));
    append_bytes(key, test.detail);
    append_bytes(key, test.argument);
    switch (test.opcode) {
        case Opcode::source_v4:
        case Opcode::destination_v4:
            for (const auto& network : view_.v4_networks().subspan(test.data, test.count))
                append_bytes(key, network);
            break;
        case Opcode::source_v6:
        case Opcode::destination_v6:
            for (const auto& network : view_.v6_networks().subspan(test.data, test.count))
                append_bytes(key, network);
            break;
        case Opcode::source_ports:
        case Opcode::destination_ports:
            for (const auto& port : view_.ports().subspan(test.data, test.count))
                append_bytes(key, port);
            break;
        case Opcode::tcp_mss:
        case Opcode::tcp_data_length:
        case Opcode::mac_type:
            for (const auto& range : view_.ranges().subspan(test.data, test.count))
                append_bytes(key, range);
            break;
        case Opcode::mac:
            append_bytes(key, view_.mac_tests()[test.data]);
            break;
        case Opcode::tcp_options:
        case Opcode::ip_options:
        case Opcode::ext6hdr:
            break;
        default:  // the same only where it is the same test
            append_bytes(key, test.data);
            append_bytes(key, test.count);
            break;
    }
    return vocabulary_.other(key);
}

bool RuleRegions::append_complement(const Block& positive, Block& block) const {
    Block rest(1), next;
    space_.normalise(rest.front());
    for (const Region& region : positive) {
        next.clear();
        for (const Region& piece : rest)
            space_.subtract(piece, region, next);
        if (next.size() > kMaximumRegions)
            return false;
        std::swap(rest, next);
    }
    block.insert(block.end(), rest.begin(), rest.end());
    return true;
}

// A test that only packets pass that meet the condition, and of those the ones of the literal.
void RuleRegions::append_literal(const Instruction& test, Literal literal, const Region& condition,
                                 Block& block) {
    if (is_negated(test)) {
        // The literal is the whole test: it does not hold where the condition is not met.
        Region region;
        region.literals.push_back(opposite(literal));
        block.push_back(std::move(region));
        return;
    }
    Region region = condition;
    region.literals.push_back(literal);
    block.push_back(std::move(region));
}

bool RuleRegions::append_number(const Instruction& test, unsigned where, const Region& condition,
                                std::span<const Interval> intervals, Block& block) {
    Block positive;
    for (const Interval& interval : intervals) {
        Region region = condition;
        region.lanes[where] = interval;
        if (space_.normalise(region))
            positive.push_back(std::move(region));
    }
    if (is_negated(test))
        return append_complement(positive, block);
    block.insert(block.end(), positive.begin(), positive.end());
    return block.size() <= kMaximumRegions;
}

void RuleRegions::append_networks(const Instruction& test, unsigned where, Block& positive) {
    for (std::uint32_t i = 0; i < test.count; ++i) {
        const contract::V4Network& network = view_.v4_networks()[test.data + i];
        const std::uint32_t mask = network.mask.host(), first = network.address.host();
        if ((first & ~mask) != 0)
            continue;  // no address has bits outside the mask
        Region region;
        region.lanes[where] = {first, first | ~mask};
        if (!is_contiguous(mask)) {
            Instruction alone = test;
            alone.data += i;
            alone.count = 1;
            region.literals.push_back(literal_of(alone));
        }
        if (space_.normalise(region))
            positive.push_back(std::move(region));
    }
}

void RuleRegions::append_networks6(const Instruction& test, unsigned where, Block& positive) {
    for (std::uint32_t i = 0; i < test.count; ++i) {
        const contract::V6Network& network = view_.v6_networks()[test.data + i];
        Region region;
        bool possible = true, exact = true;
        for (unsigned word = 0; word < 4; ++word) {
            const std::uint32_t mask = word_at(network.mask, word),
                                first = word_at(network.address, word);
            possible = possible && (first & ~mask) == 0;
            exact = exact && is_contiguous(mask);
            region.lanes[where + word] = {first, first | ~mask};
        }
        if (!exact) {
            Instruction alone = test;
            alone.data += i;
            alone.count = 1;
            region.literals.push_back(literal_of(alone));
        }
        if (possible && space_.normalise(region))
            positive.push_back(std::move(region));
    }
}

bool RuleRegions::append_address(const Instruction& test, Block& block) {
    Block positive;
    switch (test.opcode) {
        case Opcode::source_v4:
        case Opcode::destination_v4:
            if (family_ == Family::v4)
                append_networks(test,
                                test.opcode == Opcode::source_v4 ? lane::source : lane::destination,
                                positive);
            break;
        case Opcode::source_v6:
        case Opcode::destination_v6:
            if (family_ == Family::v6)
                append_networks6(
                    test, test.opcode == Opcode::source_v6 ? lane::source : lane::destination,
                    positive);
            break;
        default: {
            const unsigned where =
                test.opcode == Opcode::source_set ? lane::source : lane::destination;
            for (std::uint32_t bit = 0; family_ == Family::v4 && bit < test.count; ++bit) {
                if ((view_.words()[test.data + bit / 32] >> bit % 32 & 1) == 0)
                    continue;
                // The address of a bit may pass the end of the address space; the test wraps, too.
                const std::uint32_t address = test.argument + bit;
                if (!positive.empty() && address != 0 &&
                    positive.back().lanes[where].last == address - 1) {
                    positive.back().lanes[where].last = address;
                    continue;
                }
                Region region;
                region.lanes[where] = {address, address};
                if (space_.normalise(region))
                    positive.push_back(std::move(region));
            }
            break;
        }
    }
    if (is_negated(test))
        return append_complement(positive, block);
    block.insert(block.end(), positive.begin(), positive.end());
    return block.size() <= kMaximumRegions;
}

bool RuleRegions::append_ports(const Instruction& test, unsigned where, Block& block) {
    std::vector<Interval> intervals;
    bool plain = true;
    for (const contract::PortTest& port : view_.ports().subspan(test.data, test.count)) {
        plain = plain && port.mask == kWholePort;
        if (port.first <= port.last)
            intervals.push_back({port.first, port.last});
    }
    if (plain)
        return append_number(test, where, with_ports(), intervals, block);
    append_literal(test, literal_of(test), with_ports(), block);
    return true;
}

// False: too many regions.
bool RuleRegions::append(const Instruction& test, Block& block) {
    using Role = Vocabulary::Role;
    const auto interface_test = [&](Role role) {
        append_literal(test, vocabulary_.interface(role, view_.interface_tests()[test.data]), {},
                       block);
        return true;
    };
    const auto only = [&](Family family, unsigned where) {
        const std::vector<Interval> ranges =
            family_ == family ? ranges_of(test) : std::vector<Interval>();
        return append_number(test, where, {}, ranges, block);
    };
    const auto tcp_number = [&](unsigned where, std::span<const Interval> intervals) {
        return append_number(test, where, with_tcp(), intervals, block);
    };
    const Interval value{test.argument, test.argument};
    switch (test.opcode) {
        case Opcode::via:
            return interface_test(Role::via);
        case Opcode::recv:
            return interface_test(Role::recv);
        case Opcode::xmit:
            return interface_test(Role::xmit);
        case Opcode::source_v4:
        case Opcode::destination_v4:
        case Opcode::source_v6:
        case Opcode::destination_v6:
        case Opcode::source_set:
        case Opcode::destination_set:
            return append_address(test, block);
        case Opcode::source_ports:
            return append_ports(test, lane::source_port, block);
        case Opcode::destination_ports:
            return append_ports(test, lane::destination_port, block);
        case Opcode::ip_length:
            return only(Family::v4, lane::ip_length);
        case Opcode::ip_id:
            return only(Family::v4, lane::ip_id);
        case Opcode::flow_id:
            return only(Family::v6, lane::flow_label);
        case Opcode::tcp_window:
            return tcp_number(lane::tcp_window, ranges_of(test));
        case Opcode::tcp_sequence:
            return tcp_number(lane::tcp_sequence, {&value, 1});
        case Opcode::tcp_acknowledgement:
            return tcp_number(lane::tcp_acknowledgement, {&value, 1});
        case Opcode::tcp_mss:
        case Opcode::tcp_data_length:
        case Opcode::tcp_options:
            append_literal(test, literal_of(test), with_tcp(), block);
            return true;
        case Opcode::mac:
        case Opcode::mac_type:
            append_literal(test, literal_of(test), in_passage({1, 2, 4, 5}), block);
            return true;
        case Opcode::ip_options:
        case Opcode::ext6hdr:
            if (family_ == (test.opcode == Opcode::ip_options ? Family::v4 : Family::v6))
                append_literal(test, literal_of(test), {}, block);
            else if (is_negated(test))
                block.emplace_back();
            return true;
        default:
            break;
    }
    const auto domain = classify::domain_of(test.opcode);
    if (!domain) {
        append_literal(test, literal_of(test), {}, block);
        return true;
    }
    Region region;
    if (region.restrict(*domain, values_of(test, *domain)))
        block.push_back(std::move(region));
    return true;
}

// Alternatives that are nothing but values of one field become one.
void RuleRegions::merge(Block& block) {
    const auto only_domain = [](const Region& region) -> std::optional<Domain> {
        const bool alone = std::popcount(region.restricted()) == 1 && region.literals.empty() &&
                           std::all_of(region.lanes.begin(), region.lanes.end(),
                                       [](const Interval& interval) { return interval.is_full(); });
        if (!alone)
            return std::nullopt;
        return static_cast<Domain>(std::countr_zero(region.restricted()));
    };
    for (std::size_t i = 0; i < block.size(); ++i) {
        const auto domain = only_domain(block[i]);
        if (!domain)
            continue;
        ValueSet values = block[i].values(*domain);
        for (std::size_t j = block.size(); j-- > i + 1;) {
            if (only_domain(block[j]) != domain)
                continue;
            values |= block[j].values(*domain);
            block.erase(block.begin() + static_cast<std::ptrdiff_t>(j));
        }
        block[i] = Region();
        block[i].restrict(*domain, values);
    }
}

std::optional<std::vector<Region>> RuleRegions::of(std::uint32_t index) {
    const RuleRecord& rule = view_.rules()[index];
    const auto tests = view_.instructions().subspan(rule.first_instruction, rule.header_count);
    // On a bridge only rules that name the link layer judge what is not IP.
    const bool links = (rule.flags & contract::rule_flag::link_layer) != 0;
    std::vector<Region> regions, next;
    regions.push_back(family_ != Family::other ? Region()
                      : links                  ? in_passage({1, 2, 4, 5})
                                               : in_passage({1, 4}));
    space_.normalise(regions.front());
    Block block;
    for (std::size_t begin = 0, end; begin < tests.size() && !regions.empty(); begin = end) {
        end = begin + 1;
        while ((tests[end - 1].flags & kOrNext) != 0)
            ++end;
        block.clear();
        for (const Instruction& test : tests.subspan(begin, end - begin))
            if (!append(test, block))
                return std::nullopt;
        merge(block);
        next.clear();
        for (const Region& region : regions) {
            for (const Region& alternative : block)
                if (auto both = space_.intersection(region, alternative))
                    next.push_back(std::move(*both));
            if (next.size() > kMaximumRegions)
                return std::nullopt;
        }
        std::swap(regions, next);
    }
    return regions;
}

}  // namespace sluice::analysis
