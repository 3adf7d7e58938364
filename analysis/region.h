// Sets of packets: what the geometry of looking through rules is made of.
//
// A region is a box: for each number of the headers a first and a last value, for each small field
// (classify/attributes.h) a set of values, and *literals*: tests that nothing more is known of than
// whether they hold. Interfaces and whatever else only the machine that filters knows are literals;
// so are tests that no box can say. That makes an answer about boxes an answer about all machines.
// Whatever is said about regions holds for every packet; that two regions are apart, or that one
// covers the other, may be missed.
//
// A Space knows what goes together in the packets of one family: ports need a protocol that has
// them, what comes in has no transmit interface, an interface has one name. Regions that it has
// normalised hold no packets that cannot be, as far as it knows.
#pragma once

#include <array>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "dataplane/classify/attributes.h"
#include "dataplane/contract/instruction.h"

namespace sluice::analysis {

namespace lane {
inline constexpr unsigned source = 0;  // four words; IPv4: the first
inline constexpr unsigned destination = 4;
inline constexpr unsigned source_port = 8;
inline constexpr unsigned destination_port = 9;
inline constexpr unsigned ip_length = 10;
inline constexpr unsigned ip_id = 11;
inline constexpr unsigned tcp_window = 12;
inline constexpr unsigned tcp_sequence = 13;
inline constexpr unsigned tcp_acknowledgement = 14;
inline constexpr unsigned flow_label = 15;
inline constexpr unsigned count = 16;
}  // namespace lane

struct Interval {
    std::uint32_t first = 0;
    std::uint32_t last = 0xffffffff;
    bool is_full() const { return first == 0 && last == 0xffffffff; }
    bool operator==(const Interval&) const = default;
};

using classify::Domain;
using classify::Family;
using classify::kDomains;
using classify::ValueSet;

// An atom of the vocabulary, and in the lowest bit whether it holds.
using Literal = std::uint32_t;
constexpr Literal opposite(Literal literal) {
    return literal ^ 1;
}
constexpr bool holds(Literal literal) {
    return (literal & 1) != 0;
}

struct Region {
    Region();  // all packets

    const ValueSet& values(Domain domain) const {
        return values_[static_cast<std::size_t>(domain)];
    }
    // Fewer values than all. False: none is left.
    bool restrict(Domain domain, const ValueSet& to);
    bool is_restricted(Domain domain) const {
        return (restricted_ >> static_cast<unsigned>(domain) & 1) != 0;
    }
    std::uint32_t restricted() const { return restricted_; }  // bit d: domain d

    std::array<Interval, lane::count> lanes;
    std::vector<Literal> literals;  // sorted

  private:
    std::uint32_t restricted_ = 0;
    std::array<ValueSet, kDomains> values_;
};

// All values that packets have in a domain.
const ValueSet& all_values(Domain domain);

// The tests behind literals.
class Vocabulary {
  public:
    enum class Role : std::uint8_t { none, via, recv, xmit };

    // The same for the same test.
    Literal interface(Role role, const contract::InterfaceTest& test);
    Literal other(const std::string& what);

    Role role(Literal literal) const { return atoms_[literal >> 1].role; }
    bool is_name(Literal literal) const;
    // The same test of another role.
    Literal in_role(Literal literal, Role role);
    // What is known of `other` where an interface of the same role has the name. REQUIRES:
    // is_name(name).
    std::optional<bool> follows(Literal name, Literal other) const;

  private:
    struct Atom {
        Role role = Role::none;
        contract::InterfaceTest test;
    };
    Literal add(const std::string& key, const Atom& atom);

    std::vector<Atom> atoms_;
    std::map<std::string, std::uint32_t> known_;
};

class Space {
  public:
    // The vocabulary must outlive it.
    Space(Family family, Vocabulary& vocabulary) : family_(family), vocabulary_(vocabulary) {}

    // Leaves out what cannot be. False: nothing is left.
    bool normalise(Region& region) const;

    // False: no packet is in both.
    bool may_overlap(const Region& a, const Region& b) const;
    // REQUIRES: of these and the following, that all are normalised.
    bool covers(const Region& cover, const Region& covered) const;
    std::optional<Region> intersection(const Region& a, const Region& b) const;
    // Appends what is in `from` and not in `region`, in pieces that are apart.
    void subtract(const Region& from, const Region& region, std::vector<Region>& pieces) const;

  private:
    bool apply_facts(Region& region) const;
    bool tidy_literals(Region& region) const;
    std::optional<bool> follows(const Region& region, Literal literal) const;
    void append(Region piece, std::vector<Region>& pieces) const;

    Family family_;
    Vocabulary& vocabulary_;
};

}  // namespace sluice::analysis
