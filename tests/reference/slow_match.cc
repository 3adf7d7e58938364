#include "tests/reference/slow_match.h"

#include <fnmatch.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>

#include "tests/reference/slow_state.h"

namespace sluice::reference {

namespace {

using namespace language;

constexpr unsigned kIcmp = 1, kTcp = 6, kIcmp6 = 58;

using Bytes = std::vector<std::uint8_t>;

template <typename Address>
Bytes bytes_of(const Address& address) {
    Bytes bytes(sizeof address);
    std::memcpy(bytes.data(), &address, sizeof address);
    return bytes;
}

bool equal_under_mask(const Bytes& a, const Bytes& b, const Bytes& mask) {
    if (a.size() != b.size())
        return false;
    for (std::size_t i = 0; i < a.size(); ++i)
        if ((a[i] & mask[i]) != (b[i] & mask[i]))
            return false;
    return true;
}

Bytes mask_of(std::size_t size, unsigned length) {
    Bytes mask(size, 0);
    for (unsigned bit = 0; bit < length; ++bit)
        mask[bit / 8] = static_cast<std::uint8_t>(mask[bit / 8] | 0x80u >> bit % 8);
    return mask;
}

Bytes bytes_of_any(const std::variant<Ipv4, Ipv6>& address) {
    return std::visit([](const auto& a) { return bytes_of(a); }, address);
}

bool all_set_none_clear(const FlagMatch& match, unsigned bits) {
    return (bits & match.set) == match.set && (bits & match.clear) == 0;
}

bool in_ranges(const std::vector<NumberRange>& ranges, std::uint32_t value) {
    return std::any_of(ranges.begin(), ranges.end(), [value](const NumberRange& range) {
        return range.first <= value && value <= range.last;
    });
}

// The options that a header holds, as bits. A wrong length ends the walk.
struct FoundOptions {
    unsigned bits = 0;
    bool malformed = false;
};

template <typename BitOf>
FoundOptions walk_options(std::span<const std::uint8_t> options, BitOf bit_of) {
    FoundOptions found;
    for (std::size_t at = 0; at < options.size();) {
        const unsigned kind = options[at];
        if (kind == 0)  // end of list
            break;
        if (kind == 1) {  // padding
            ++at;
            continue;
        }
        if (at + 1 >= options.size() || options[at + 1] < 2 ||
            options[at + 1] > options.size() - at)
            return {.bits = found.bits, .malformed = true};
        found.bits |= bit_of(kind);
        at += options[at + 1];
    }
    return found;
}

unsigned tcp_option_bit(unsigned kind) {
    switch (kind) {
        case 2:
            return tcp_option::mss;
        case 3:
            return tcp_option::window;
        case 4:  // permitted
        case 5:
            return tcp_option::sack;
        case 8:
            return tcp_option::ts;
        default:  // `cc` is read and never found (semantics §6)
            return 0;
    }
}

unsigned ip_option_bit(unsigned kind) {
    switch (kind) {
        case 131:
            return ip_option::lsrr;
        case 137:
            return ip_option::ssrr;
        case 7:
            return ip_option::rr;
        case 68:
            return ip_option::ts;
        default:
            return 0;
    }
}

// Network of an address that an interface has; connected means that `address` lies in it.
bool lies_in(const Bytes& address, const std::variant<Ipv4, Ipv6>& network, unsigned length) {
    const Bytes base = bytes_of_any(network);
    return base.size() == address.size() &&
           equal_under_mask(address, base, mask_of(base.size(), length));
}

struct RouteFound {
    unsigned length = 0;
    bool discards = false;
    bool connected = false;
    packet::InterfaceIndex interface = packet::kNoInterface;
};

// The longest prefix that holds `address`; a connected network wins against a route of its length.
std::optional<RouteFound> route_to(const packet::Environment& environment, const Bytes& address) {
    std::optional<RouteFound> best;
    for (std::size_t i = 0; i < environment.interfaces.size(); ++i)
        for (const packet::InterfaceAddress& own : environment.interfaces[i].addresses)
            if (lies_in(address, own.address, own.prefix_length) &&
                (!best || own.prefix_length > best->length))
                best = RouteFound{.length = own.prefix_length,
                                  .connected = true,
                                  .interface = static_cast<packet::InterfaceIndex>(i)};
    for (const packet::Route& route : environment.routes)
        if (lies_in(address, route.prefix, route.prefix_length) &&
            (!best || route.prefix_length > best->length))
            best = RouteFound{.length = route.prefix_length,
                              .discards = route.kind != packet::Route::Kind::forward,
                              .interface = route.interface};
    return best;
}

// For `antispoof` these lie in a connected network of every machine that has an IPv6 address: so
// the answers of the real engine (conformance/modern-stateless-003, packets 151, 472, 551).
bool is_link_local_or_loopback(const Bytes& address) {
    Bytes loopback(16, 0);
    loopback[15] = 1;
    return address == loopback || (address[0] == 0xfe && address[1] >> 6 == 2);
}

struct Matcher {
    const Situation& s;
    const SlowPacket& p = s.packet;

    bool tcp() const { return p.is_first_of(kTcp); }

    const Bytes& address(Side side) const {
        return side == Side::source ? p.source : p.destination;
    }

    bool is_local(const Bytes& address, std::size_t only_of_size) const {
        for (const packet::Interface& interface : s.environment.interfaces)
            for (const packet::InterfaceAddress& own : interface.addresses)
                if (const Bytes bytes = bytes_of_any(own.address);
                    bytes == address && (only_of_size == 0 || bytes.size() == only_of_size))
                    return true;
        return false;
    }

    bool operator()(const AddressMatch& match) const {
        if (p.version == 0)
            return std::holds_alternative<Any>(match.what);
        const Bytes& a = address(match.side);
        if (std::holds_alternative<Any>(match.what))
            return true;
        if (const auto* table = std::get_if<TableReference>(&match.what))
            return in_table(*table, s.tables.find_prefix(table->name, TableType::addr, a));
        if (std::holds_alternative<Me>(match.what))
            return is_local(a, 0);
        if (std::holds_alternative<Me6>(match.what))
            return is_local(a, 16);
        if (const auto* list = std::get_if<std::vector<Ipv4Network>>(&match.what))
            return std::any_of(list->begin(), list->end(), [&](const Ipv4Network& n) {
                return equal_under_mask(a, bytes_of(n.address), bytes_of(n.mask));
            });
        if (const auto* list = std::get_if<std::vector<Ipv6Network>>(&match.what))
            return std::any_of(list->begin(), list->end(), [&](const Ipv6Network& n) {
                return equal_under_mask(a, bytes_of(n.address), bytes_of(n.mask));
            });
        if (const auto* set = std::get_if<AddressSet>(&match.what)) {
            if (a.size() != 4)
                return false;
            for (unsigned i = 0; i < 256; ++i)
                if (set->members[i] && bytes_of(Ipv4::from_host(set->base.host() + i)) == a)
                    return true;
            return false;
        }
        return false;
    }

    // Ports are there in first fragments and whole packets of protocols that have them (the manual:
    // "will never match a rule which has one or more port specifications").
    bool operator()(const PortMatch& match) const {
        if (!p.has_ports())
            return false;
        const unsigned port = match.side == Side::source ? p.source_port() : p.destination_port();
        return std::any_of(match.entries.begin(), match.entries.end(), [port](const PortEntry& e) {
            if (e.mask)
                return (port & *e.mask) == (e.first & *e.mask);
            return e.first <= port && port <= e.last;
        });
    }

    bool operator()(const ProtocolMatch& match) const {
        switch (match.kind) {
            case ProtocolMatch::Kind::any:
                return true;
            case ProtocolMatch::Kind::ip4:
                return p.version == 4;
            case ProtocolMatch::Kind::ip6:
                return p.version == 6;
            case ProtocolMatch::Kind::number:
                return p.version != 0 && p.protocol == match.number;
        }
        return false;
    }

    bool operator()(const DirectionMatch& match) const {
        return (match.direction == DirectionMatch::Direction::in) == incoming();
    }

    bool incoming() const { return s.passage.direction == packet::Direction::in; }

    bool operator()(const InterfaceMatch& match) const {
        // Semantics §7: an arriving packet has no transmit interface; `via` is the transmit
        // interface of what goes out and the receive interface of what comes in.
        const packet::InterfaceIndex transmit =
            incoming() ? packet::kNoInterface : s.passage.transmit_interface;
        packet::InterfaceIndex index = s.passage.receive_interface;
        if (match.role == InterfaceMatch::Role::xmit)
            index = transmit;
        else if (match.role == InterfaceMatch::Role::via && transmit != packet::kNoInterface)
            index = transmit;
        if (std::holds_alternative<Any>(match.what))
            return true;
        if (index == packet::kNoInterface)
            return false;
        const packet::Interface& interface = s.environment.interfaces.at(index);
        if (const auto* table = std::get_if<TableReference>(&match.what))
            return in_table(*table,
                            s.tables.find_text(table->name, TableType::iface, interface.name));
        if (const auto* name = std::get_if<InterfaceName>(&match.what))
            return name->is_glob ? fnmatch(name->pattern.c_str(), interface.name.c_str(), 0) == 0
                                 : name->pattern == interface.name;
        Bytes wanted;
        if (const auto* v4 = std::get_if<Ipv4>(&match.what))
            wanted = bytes_of(*v4);
        if (const auto* v6 = std::get_if<Ipv6>(&match.what))
            wanted = bytes_of(*v6);
        return std::any_of(interface.addresses.begin(), interface.addresses.end(),
                           [&](const packet::InterfaceAddress& own) {
                               return bytes_of_any(own.address) == wanted;
                           });
    }

    bool operator()(const FlagMatch& match) const {
        switch (match.field) {
            case FlagField::tcp_flags:
                return tcp() && all_set_none_clear(match, p.upper8(13));
            case FlagField::tcp_options: {
                if (!tcp())
                    return false;
                const auto options = p.tcp_options();
                if (!options)
                    return false;
                // What stands in front of a wrong length counts, as in the real engine.
                return all_set_none_clear(match, walk_options(*options, tcp_option_bit).bits);
            }
            case FlagField::ip_options: {
                if (p.version != 4)
                    return false;
                const FoundOptions found = walk_options(p.ip4_options(), ip_option_bit);
                return !found.malformed && all_set_none_clear(match, found.bits);
            }
            case FlagField::ip_tos:
                return p.version == 4 && all_set_none_clear(match, p.traffic_class);
            case FlagField::fragment:
                return fragment(match);
            case FlagField::ext6hdr:
                return p.version == 6 && (p.extension_headers & match.set) != 0;
        }
        return false;
    }

    // Bare `frag` is "offset set and nothing else asked"; with flags it is about IPv4 alone.
    bool fragment(const FlagMatch& match) const {
        const bool bare = match.set == fragment_flag::offset && match.clear == 0;
        if (p.version == 6)
            return bare && p.fragment_offset != 0;
        if (p.version != 4)
            return false;
        const unsigned bits = (p.fragment_offset != 0 ? fragment_flag::offset : 0u) |
                              (p.more_fragments ? fragment_flag::mf : 0u) |
                              (p.dont_fragment ? fragment_flag::df : 0u) |
                              (p.reserved_flag ? fragment_flag::rf : 0u);
        return all_set_none_clear(match, bits);
    }

    // The number that a list is asked about; none: the packet has no such number.
    std::optional<std::uint32_t> number(ListField field) const {
        switch (field) {
            case ListField::ip_length:
                // The original of 2014 asks IPv4 packets only.
                return when(p.version == 4, p.ip.size());
            case ListField::ip_id:
                return when(p.version == 4, p.identification);
            case ListField::ip_ttl:
                return when(p.version == 4, p.time_to_live);
            case ListField::dscp:
                return when(p.version != 0, p.traffic_class >> 2);
            case ListField::icmp_types:
                return p.is_first_of(kIcmp) && p.version == 4 ? when(true, p.upper8(0))
                                                              : std::nullopt;
            case ListField::icmp6_types:
                return p.is_first_of(kIcmp6) && p.version == 6 ? when(true, p.upper8(0))
                                                               : std::nullopt;
            case ListField::tcp_window:
                return tcp() ? when(true, p.upper16(14)) : std::nullopt;
            case ListField::tcp_data_length: {
                if (!tcp())
                    return std::nullopt;
                // The original takes the low half of the first byte for the length of the IP
                // header, in IPv6 as well.
                const std::size_t ip_header = p.version == 6 ? p.traffic_class / 16 * 4 : p.upper;
                const std::size_t headers = ip_header + (p.upper8(12) >> 4) * 4;
                return when(headers <= p.ip.size(), p.ip.size() - headers);
            }
            case ListField::tcp_mss:
                return tcp() && (p.upper8(13) & tcp_flag::syn) != 0 ? maximum_segment()
                                                                    : std::nullopt;
            case ListField::flow_id:
                return when(p.version == 6, p.flow_label);
            case ListField::mac_type:
            case ListField::tagged:
                break;
        }
        return std::nullopt;
    }

    static std::optional<std::uint32_t> when(bool there, std::size_t value) {
        return there ? std::optional(static_cast<std::uint32_t>(value)) : std::nullopt;
    }

    std::optional<std::uint32_t> maximum_segment() const {
        const auto options = p.tcp_options();
        std::optional<std::uint32_t> size;
        for (std::size_t at = 0; options && at < options->size() && (*options)[at] != 0;) {
            if ((*options)[at] == 1) {
                ++at;
                continue;
            }
            const std::size_t left = options->size() - at;
            if (left < 2 || (*options)[at + 1] < 2 || (*options)[at + 1] > left)
                break;
            if ((*options)[at] == 2 && (*options)[at + 1] == 4)
                size = (*options)[at + 2] * 256u + (*options)[at + 3];
            at += (*options)[at + 1];
        }
        return size;
    }

    bool operator()(const ListMatch& match) const {
        // A tagged frame has the type of its outermost tag and the type of what it carries.
        if (match.field == ListField::mac_type)
            return s.passage.entry != packet::Entry::ip &&
                   (in_ranges(match.ranges, p.ether_type) ||
                    in_ranges(match.ranges, p.outer_ether_type));
        if (match.field == ListField::tagged && match.from_table)
            return s.table_argument != 0 && s.marks.tags.contains(s.table_argument);
        if (match.field == ListField::tagged)
            return std::any_of(s.marks.tags.begin(), s.marks.tags.end(),
                               [&](unsigned tag) { return in_ranges(match.ranges, tag); });
        const auto value = number(match.field);
        return value && in_ranges(match.ranges, *value);
    }

    bool operator()(const NumberMatch& match) const {
        switch (match.field) {
            case NumberField::tcp_sequence:
                return tcp() && p.upper32(4) == match.value;
            case NumberField::tcp_acknowledgement:
                return tcp() && p.upper32(8) == match.value;
            case NumberField::ip_version:
                return p.version != 0 && static_cast<unsigned>(p.version) == match.value;
            case NumberField::ip_precedence:
                return p.version == 4 && p.traffic_class >> 5 == match.value;
            case NumberField::fib:
                return s.marks.fib == match.value;
            case NumberField::mark:
                return (s.marks.mark & match.mask) ==
                       ((match.from_table ? s.table_argument : match.value) & match.mask);
            // A replay has no sockets, so no packet belongs to a user.
            case NumberField::uid:
            case NumberField::gid:
            default:
                return false;
        }
    }

    bool operator()(const MacMatch& match) const {
        return s.passage.entry != packet::Entry::ip &&
               equal_under_mask(bytes_of(p.destination_mac), bytes_of(match.destination),
                                bytes_of(match.destination_mask)) &&
               equal_under_mask(bytes_of(p.source_mac), bytes_of(match.source),
                                bytes_of(match.source_mask));
    }

    bool operator()(const SimpleMatch& match) const {
        switch (match.flag) {
            case Flag::established:
                // Both sources test (RST|ACK|SYN) != SYN, which is more than the manual says.
                return tcp() && (p.upper8(13) & (tcp_flag::rst | tcp_flag::ack | tcp_flag::syn)) !=
                                    tcp_flag::syn;
            case Flag::layer2:
                return s.passage.entry != packet::Entry::ip;
            case Flag::verrevpath:
                return reverse_path();
            case Flag::versrcreach:
                return source_reachable();
            case Flag::antispoof:
                return not_spoofed();
            // Nothing comes back from a program here (diverted and its two kin).
            default:
                return false;
        }
    }

    // The manual says that all three match what goes out. The real engine does so for `verrevpath`
    // and `antispoof`; its `versrcreach` never matches outgoing IPv4 and treats outgoing IPv6 like
    // incoming. Its answers count (conformance/modern-stateless-001, packet 336).
    bool reverse_path() const {
        if (!incoming() || s.passage.receive_interface == packet::kNoInterface)
            return true;
        if (p.version == 0)
            return false;
        const auto route = route_to(s.environment, p.source);
        return route && !route->discards && route->interface == s.passage.receive_interface;
    }
    bool source_reachable() const {
        if (p.version == 0 || (p.version == 4 && !incoming()))
            return false;
        const auto route = route_to(s.environment, p.source);
        return route && !route->discards && route->length != 0;
    }
    bool not_spoofed() const {
        if (!incoming() || p.version == 0)
            return true;
        bool direct = false;
        for (const packet::Interface& interface : s.environment.interfaces)
            for (const packet::InterfaceAddress& own : interface.addresses)
                direct = direct || lies_in(p.source, own.address, own.prefix_length) ||
                         (p.version == 6 && std::holds_alternative<Ipv6>(own.address) &&
                          is_link_local_or_loopback(p.source));
        return !direct || reverse_path();
    }

    // ---- Tables ----

    // ip_fw2.c: what was found becomes `tablearg` only if its value is the wanted one.
    bool in_table(const TableReference& table, std::optional<std::uint32_t> found) const {
        if (!found)
            return false;
        if (table.value && std::stoul(*table.value) != *found)
            return false;
        s.table_argument = *found;
        return true;
    }

    bool operator()(const MacTableMatch& match) const {
        const MacAddress& mac = match.side == Side::source ? p.source_mac : p.destination_mac;
        return s.passage.entry != packet::Entry::ip &&
               in_table(match.table,
                        s.tables.find_prefix(match.table.name, TableType::mac, bytes_of(mac)));
    }

    bool operator()(const FlowTableMatch& match) const {
        if (p.version == 0)
            return false;
        const bool ports = p.has_ports();
        const std::string text = plain_address_text(p.source) + "," + std::to_string(p.protocol) +
                                 "," + std::to_string(ports ? p.source_port() : 0) + "," +
                                 plain_address_text(p.destination) + "," +
                                 std::to_string(ports ? p.destination_port() : 0);
        return in_table(match.table, s.tables.find_text(match.table.name, TableType::flow, text));
    }

    [[noreturn]] bool operator()(const PayloadMatch&) const {
        throw std::logic_error("the reference does not look into what packets carry");
    }

    bool operator()(const LookupMatch& match) const {
        const std::string& field = match.field;
        const bool source = field.starts_with("src");
        if (field.find("-ip") != std::string::npos) {
            Bytes key = address(source ? Side::source : Side::destination);
            const std::size_t size = field.ends_with("4") ? 4 : field.ends_with("6") ? 16 : 0;
            if (p.version == 0 || (size != 0 && key.size() != size))
                return false;
            if (match.mask) {
                Bytes mask;
                if (const auto v4 = parse_ipv4(*match.mask))
                    mask = bytes_of(*v4);
                else if (const auto v6 = parse_ipv6(*match.mask))
                    mask = bytes_of(*v6);
                if (mask.size() != key.size())
                    return false;
                for (std::size_t i = 0; i < key.size(); ++i)
                    key[i] &= mask[i];
            }
            return in_table(match.table,
                            s.tables.find_prefix(match.table.name, TableType::addr, key));
        }
        if (field.ends_with("-mac")) {
            Bytes key = bytes_of(source ? p.source_mac : p.destination_mac);
            if (match.mask) {
                const Bytes mask = bytes_of(*parse_mac(*match.mask));
                for (std::size_t i = 0; i < key.size(); ++i)
                    key[i] &= mask[i];
            }
            return s.passage.entry != packet::Entry::ip &&
                   in_table(match.table,
                            s.tables.find_prefix(match.table.name, TableType::mac, key));
        }
        std::optional<std::size_t> number;
        if (field.ends_with("-port")) {
            if (p.has_ports())
                number = source ? p.source_port() : p.destination_port();
        } else if (field == "dscp") {
            number = when(p.version != 0, p.traffic_class >> 2);
        } else if (field == "rulenum") {
            number = s.rule_number;
        } else if (field == "mark") {
            number = s.marks.mark;
        }
        if (number && match.mask)
            number = *number & std::stoul(*match.mask, nullptr, 0);
        return number &&
               in_table(match.table, s.tables.find_text(match.table.name, TableType::number,
                                                        std::to_string(*number)));
    }
};

}  // namespace

bool term_matches(const Situation& situation, const Term& term) {
    return std::visit(Matcher{situation}, term.match) != term.negated;
}

bool group_matches(const Situation& situation, const Group& group) {
    return group.any_of.empty() ||
           std::any_of(group.any_of.begin(), group.any_of.end(),
                       [&](const Term& term) { return term_matches(situation, term); });
}

}  // namespace sluice::reference
