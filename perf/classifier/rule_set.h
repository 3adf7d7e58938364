// Rules of five fields, as ClassBench makes them, and what every engine of the benchmark is fed
// with and checked against: the text for Sluice, the boxes for rte_acl, and a linear search.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "common/result.h"

namespace sluice::perf {

// An address or a mask as words in host byte order; IPv4 uses the first.
using Words = std::array<std::uint32_t, 4>;

struct Prefix {
    Words address{};
    Words mask{};
    unsigned length = 0;

    bool contains(const Words& wanted) const {
        // Without branches: most prefixes differ in the first word, but not all.
        return (((wanted[0] & mask[0]) ^ address[0]) | ((wanted[1] & mask[1]) ^ address[1]) |
                ((wanted[2] & mask[2]) ^ address[2]) | ((wanted[3] & mask[3]) ^ address[3])) == 0;
    }
};

struct PortRange {
    std::uint16_t first = 0;
    std::uint16_t last = 65535;

    bool is_any() const { return first == 0 && last == 65535; }
    bool contains(std::uint16_t port) const { return first <= port && port <= last; }
};

// What a rule can look at. Protocols without ports have 0 for both.
struct Tuple {
    Words source{};
    Words destination{};
    std::uint16_t source_port = 0;
    std::uint16_t destination_port = 0;
    std::uint8_t protocol = 0;
};

enum class Action : std::uint8_t { allow, deny, count };

inline constexpr unsigned kAnyProtocol = 256;

struct Rule {
    Action action = Action::deny;
    unsigned protocol = kAnyProtocol;
    Prefix source;
    Prefix destination;
    PortRange source_ports{};
    PortRange destination_ports{};

    bool matches(const Tuple& tuple) const {
        return source.contains(tuple.source) && destination.contains(tuple.destination) &&
               source_ports.contains(tuple.source_port) &&
               destination_ports.contains(tuple.destination_port) &&
               (protocol == kAnyProtocol || protocol == tuple.protocol);
    }
};

bool has_ports(unsigned protocol);

// The last rule matches everything: every search ends.
struct RuleSet {
    std::string name;
    int ip_version = 4;
    std::vector<Rule> rules{};
};

// The lines of a rule file that uses these five fields only (`add N allow tcp from A to B 80`). A
// rule for everything is put behind the last one where that is not one.
Result<RuleSet> parse_rule_set(std::string_view text);

// Rules of our own making, for where there are no others: networks within networks, the ports that
// people filter, more special rules first.
RuleSet make_rule_set(std::size_t count);

// The first rules of a set, and one for everything.
void shorten(RuleSet& set, std::size_t count);

// a.b.c.d/N becomes 2001:aabb:ccdd::/(N + 16), a single address one with an interface part of its
// own: networks lie within each other as they did.
void map_to_ipv6(RuleSet& set);

// The same rules; one in ten only counts.
RuleSet with_count_rules(const RuleSet& set);

// Rule file for `ipfw`.
std::string to_text(const RuleSet& set);

// Index of the first rule that matches.
std::uint32_t first_match(const RuleSet& set, const Tuple& tuple);

// Indices of all that match up to the first that does not only count.
std::vector<std::uint32_t> matches_in_order(const RuleSet& set, const Tuple& tuple);

}  // namespace sluice::perf
