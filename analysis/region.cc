#include "analysis/region.h"

#include <fnmatch.h>

#include <algorithm>
#include <bit>
#include <initializer_list>

namespace sluice::analysis {
namespace {

using classify::kAbsent;
using contract::InterfaceTest;

constexpr unsigned kIcmp = 1, kTcp = 6, kUdp = 17, kIcmp6 = 58, kSctp = 132, kUdpLite = 136;

ValueSet set_of(std::initializer_list<unsigned> values) {
    ValueSet set;
    for (const unsigned value : values)
        set.set(value);
    return set;
}

const ValueSet& absent() {
    static const ValueSet set = set_of({kAbsent});
    return set;
}
const ValueSet& tcp_only() {
    static const ValueSet set = set_of({kTcp});
    return set;
}
const ValueSet& with_ports() {
    static const ValueSet set = set_of({kTcp, kUdp, kSctp, kUdpLite});
    return set;
}
const ValueSet& no() {
    static const ValueSet set = set_of({0});
    return set;
}
const ValueSet& yes() {
    static const ValueSet set = set_of({1});
    return set;
}
const ValueSet& incoming() {
    static const ValueSet set = set_of({0, 1, 2});
    return set;
}
const ValueSet& outgoing() {
    static const ValueSet set = set_of({3, 4, 5});
    return set;
}
// Entries of what is not IP.
const ValueSet& frames() {
    static const ValueSet set = set_of({1, 2, 4, 5});
    return set;
}
const ValueSet& no_offset() {
    static const ValueSet set = set_of({0, 2, 4, 6, 8, 10, 12, 14});
    return set;
}

// What the numbers of a header can be; where a packet has none, its lane says nothing.
struct Bounds {
    unsigned where;
    Interval interval;
};
constexpr std::uint32_t kLast16 = 0xffff, kShortestIp4 = 20, kLastFlowLabel = 0xfffff;
constexpr Bounds kBounds4[] = {{lane::ip_length, {kShortestIp4, kLast16}},
                               {lane::ip_id, {0, kLast16}}};
constexpr Bounds kBounds6[] = {{lane::flow_label, {0, kLastFlowLabel}}};
constexpr Bounds kBoundsBoth[] = {{lane::source_port, {0, kLast16}},
                                  {lane::destination_port, {0, kLast16}},
                                  {lane::tcp_window, {0, kLast16}}};

// False: nothing is left.
bool cut_to(std::span<const Bounds> all, Region& region) {
    for (const Bounds& bounds : all) {
        Interval& interval = region.lanes[bounds.where];
        interval.first = std::max(interval.first, bounds.interval.first);
        interval.last = std::min(interval.last, bounds.interval.last);
        if (interval.first > interval.last)
            return false;
    }
    return true;
}

bool within(const ValueSet& set, const ValueSet& limit) {
    return (set & ~limit).none();
}

}  // namespace

const ValueSet& all_values(Domain domain) {
    static const std::array<ValueSet, kDomains> all = [] {
        std::array<ValueSet, kDomains> sets;
        for (std::size_t i = 0; i < kDomains; ++i)
            for (unsigned value = 0; value < classify::domain_size(static_cast<Domain>(i)); ++value)
                sets[i].set(value);
        return sets;
    }();
    return all[static_cast<std::size_t>(domain)];
}

Region::Region() {
    for (std::size_t i = 0; i < kDomains; ++i)
        values_[i] = all_values(static_cast<Domain>(i));
}

bool Region::restrict(Domain domain, const ValueSet& to) {
    ValueSet& values = values_[static_cast<std::size_t>(domain)];
    values &= to;
    if (values != all_values(domain))
        restricted_ |= 1u << static_cast<unsigned>(domain);
    return values.any();
}

// ---- Vocabulary --------------------------------------------------------------------------------

Literal Vocabulary::add(const std::string& key, const Atom& atom) {
    const auto [place, is_new] = known_.try_emplace(key, static_cast<std::uint32_t>(atoms_.size()));
    if (is_new)
        atoms_.push_back(atom);
    return place->second << 1 | 1;
}

Literal Vocabulary::interface(Role role, const InterfaceTest& test) {
    std::string key(1, static_cast<char>(role));
    key.append(reinterpret_cast<const char*>(&test), sizeof test);
    return add(key, {role, test});
}

Literal Vocabulary::other(const std::string& what) {
    return add("\xff" + what, {});
}

bool Vocabulary::is_name(Literal literal) const {
    const Atom& atom = atoms_[literal >> 1];
    return atom.role != Role::none && atom.test.kind == InterfaceTest::Kind::name;
}

Literal Vocabulary::in_role(Literal literal, Role role) {
    return (interface(role, InterfaceTest(atoms_[literal >> 1].test)) & ~1u) | (literal & 1);
}

std::optional<bool> Vocabulary::follows(Literal name, Literal other) const {
    const Atom& known = atoms_[name >> 1];
    const Atom& asked = atoms_[other >> 1];
    if (known.role != asked.role)
        return std::nullopt;
    switch (asked.test.kind) {
        case InterfaceTest::Kind::name:
            return name >> 1 == other >> 1;
        case InterfaceTest::Kind::glob:
            return fnmatch(asked.test.pattern, known.test.pattern, 0) == 0;
        case InterfaceTest::Kind::address_v4:
        case InterfaceTest::Kind::address_v6:
            break;
    }
    return std::nullopt;
}

// ---- Space -------------------------------------------------------------------------------------

// False: nothing is left.
bool Space::apply_facts(Region& region) const {
    const auto is = [&](Domain domain, const ValueSet& set) {
        return within(region.values(domain), set);
    };
    const auto has_tcp = [&] { return !region.values(Domain::tcp_flags)[kAbsent]; };
    const auto has_icmp = [&] { return !region.values(Domain::icmp_type)[kAbsent]; };
    const auto no_transport = [&] {
        return region.restrict(Domain::tcp_flags, absent()) &&
               region.restrict(Domain::icmp_type, absent()) && region.restrict(Domain::ports, no());
    };
    if (family_ == Family::other)
        return region.restrict(Domain::protocol, no()) &&
               region.restrict(Domain::passage, frames()) && no_transport();
    const ValueSet icmp = set_of({family_ == Family::v6 ? kIcmp6 : kIcmp});
    if (has_tcp() &&
        !(region.restrict(Domain::protocol, tcp_only()) && region.restrict(Domain::ports, yes())))
        return false;
    if (has_icmp() && !region.restrict(Domain::protocol, icmp))
        return false;
    if (is(Domain::ports, yes()) && !region.restrict(Domain::protocol, with_ports()))
        return false;
    if ((has_tcp() || has_icmp() || is(Domain::ports, yes())) &&
        !region.restrict(Domain::fragment, no_offset()))
        return false;
    if (is(Domain::fragment, ~no_offset()) && !no_transport())
        return false;
    if (is(Domain::protocol, ~tcp_only()) && !region.restrict(Domain::tcp_flags, absent()))
        return false;
    if (is(Domain::protocol, ~icmp) && !region.restrict(Domain::icmp_type, absent()))
        return false;
    if (is(Domain::protocol, ~with_ports()) && !region.restrict(Domain::ports, no()))
        return false;
    if (is(Domain::ports, no()) && !region.restrict(Domain::tcp_flags, absent()))
        return false;
    if (is(Domain::protocol, tcp_only())) {
        if (is(Domain::tcp_flags, absent()) && !region.restrict(Domain::ports, no()))
            return false;
        if (is(Domain::ports, yes()) && !region.restrict(Domain::tcp_flags, ~absent()))
            return false;
    }
    return true;
}

// `via` becomes `recv` or `xmit` where the direction is known, and what follows is left out.
bool Space::tidy_literals(Region& region) const {
    using Role = Vocabulary::Role;
    for (const Literal literal : region.literals)
        if (vocabulary_.role(literal) == Role::xmit && holds(literal) &&
            !region.restrict(Domain::passage, outgoing()))
            return false;
    const bool in = within(region.values(Domain::passage), incoming());
    const bool out = within(region.values(Domain::passage), outgoing());
    std::vector<Literal> literals;
    for (Literal literal : region.literals) {
        if (vocabulary_.role(literal) == Role::via && (in || out))
            literal = vocabulary_.in_role(literal, in ? Role::recv : Role::xmit);
        else if (vocabulary_.role(literal) == Role::xmit && in)
            continue;  // it does not hold, and none that must is left here
        literals.push_back(literal);
    }
    std::sort(literals.begin(), literals.end());
    literals.erase(std::unique(literals.begin(), literals.end()), literals.end());
    for (std::size_t i = 1; i < literals.size(); ++i)
        if (literals[i] == opposite(literals[i - 1]))
            return false;
    std::vector<Literal> names;
    for (const Literal literal : literals)
        if (holds(literal) && vocabulary_.is_name(literal))
            names.push_back(literal);
    for (const Literal name : names) {
        for (const Literal other : literals)
            if (const auto known = vocabulary_.follows(name, other))
                if (*known != holds(other))
                    return false;
        std::erase_if(literals, [&](Literal other) {
            return other != name && vocabulary_.follows(name, other).has_value();
        });
    }
    region.literals = std::move(literals);
    return true;
}

bool Space::normalise(Region& region) const {
    if (family_ != Family::other &&
        !(cut_to(kBoundsBoth, region) &&
          (family_ == Family::v4 ? cut_to(kBounds4, region) : cut_to(kBounds6, region))))
        return false;
    // Each turn takes something away.
    for (;;) {
        const Region before = region;
        if (!apply_facts(region) || !tidy_literals(region))
            return false;
        bool same = before.literals == region.literals;
        for (std::size_t i = 0; same && i < kDomains; ++i)
            same = before.values(static_cast<Domain>(i)) == region.values(static_cast<Domain>(i));
        if (same)
            return true;
    }
}

// Whether the literal holds for all of the region, or for none; none: that is not known.
std::optional<bool> Space::follows(const Region& region, Literal literal) const {
    using Role = Vocabulary::Role;
    const bool in = within(region.values(Domain::passage), incoming());
    const bool out = within(region.values(Domain::passage), outgoing());
    if (vocabulary_.role(literal) == Role::xmit && in)
        return !holds(literal);
    if (vocabulary_.role(literal) == Role::via && (in || out))
        literal = vocabulary_.in_role(literal, in ? Role::recv : Role::xmit);
    for (const Literal known : region.literals) {
        if (known >> 1 == literal >> 1)
            return known == literal;
        if (holds(known) && vocabulary_.is_name(known))
            if (const auto decided = vocabulary_.follows(known, literal))
                return *decided == holds(literal);
    }
    return std::nullopt;
}

bool Space::may_overlap(const Region& a, const Region& b) const {
    for (unsigned i = 0; i < lane::count; ++i)
        if (a.lanes[i].first > b.lanes[i].last || b.lanes[i].first > a.lanes[i].last)
            return false;
    for (std::uint32_t both = a.restricted() & b.restricted(); both != 0; both &= both - 1) {
        const auto domain = static_cast<Domain>(std::countr_zero(both));
        if ((a.values(domain) & b.values(domain)).none())
            return false;
    }
    for (const Literal literal : a.literals)
        if (follows(b, literal) == false)
            return false;
    for (const Literal literal : b.literals)
        if (follows(a, literal) == false)
            return false;
    return true;
}

bool Space::covers(const Region& cover, const Region& covered) const {
    for (unsigned i = 0; i < lane::count; ++i)
        if (cover.lanes[i].first > covered.lanes[i].first ||
            cover.lanes[i].last < covered.lanes[i].last)
            return false;
    for (std::uint32_t rest = cover.restricted(); rest != 0; rest &= rest - 1) {
        const auto domain = static_cast<Domain>(std::countr_zero(rest));
        if (!within(covered.values(domain), cover.values(domain)))
            return false;
    }
    return std::all_of(cover.literals.begin(), cover.literals.end(),
                       [&](Literal literal) { return follows(covered, literal) == true; });
}

std::optional<Region> Space::intersection(const Region& a, const Region& b) const {
    Region result = a;
    for (unsigned i = 0; i < lane::count; ++i) {
        result.lanes[i].first = std::max(a.lanes[i].first, b.lanes[i].first);
        result.lanes[i].last = std::min(a.lanes[i].last, b.lanes[i].last);
        if (result.lanes[i].first > result.lanes[i].last)
            return std::nullopt;
    }
    for (std::uint32_t rest = b.restricted(); rest != 0; rest &= rest - 1) {
        const auto domain = static_cast<Domain>(std::countr_zero(rest));
        if (!result.restrict(domain, b.values(domain)))
            return std::nullopt;
    }
    result.literals.insert(result.literals.end(), b.literals.begin(), b.literals.end());
    if (!normalise(result))
        return std::nullopt;
    return result;
}

void Space::append(Region piece, std::vector<Region>& pieces) const {
    if (normalise(piece))
        pieces.push_back(std::move(piece));
}

void Space::subtract(const Region& from, const Region& region, std::vector<Region>& pieces) const {
    if (!may_overlap(from, region)) {
        pieces.push_back(from);
        return;
    }
    Region rest = from;
    for (unsigned i = 0; i < lane::count; ++i) {
        const Interval cut = region.lanes[i];
        if (rest.lanes[i].first < cut.first) {
            Region piece = rest;
            piece.lanes[i].last = cut.first - 1;
            append(std::move(piece), pieces);
            rest.lanes[i].first = cut.first;
        }
        if (rest.lanes[i].last > cut.last) {
            Region piece = rest;
            piece.lanes[i].first = cut.last + 1;
            append(std::move(piece), pieces);
            rest.lanes[i].last = cut.last;
        }
    }
    for (std::uint32_t left = region.restricted(); left != 0; left &= left - 1) {
        const auto domain = static_cast<Domain>(std::countr_zero(left));
        Region piece = rest;
        if (piece.restrict(domain, ~region.values(domain)))
            append(std::move(piece), pieces);
        if (!rest.restrict(domain, region.values(domain)))
            return;
    }
    if (!normalise(rest))
        return;
    for (const Literal literal : region.literals) {
        const std::optional<bool> known = follows(rest, literal);
        if (known == true)
            continue;
        Region piece = rest;
        if (!known)
            piece.literals.push_back(opposite(literal));
        append(std::move(piece), pieces);
        if (known)
            return;
        rest.literals.push_back(literal);
        if (!normalise(rest))
            return;
    }
}

}  // namespace sluice::analysis
