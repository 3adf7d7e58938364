#include "dataplane/classify/attributes.h"

#include <algorithm>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <utility>

#include "dataplane/classify/forest.h"
#include "dataplane/packet/wire.h"

namespace sluice::classify {

namespace {

using contract::Opcode;
using packet::Direction;
using packet::Entry;
using packet::Glance;
using packet::Headers;
using packet::InterfaceIndex;
using packet::Packet;
namespace protocol = packet::wire::protocol;

constexpr std::uint16_t kSomeOffset = 34;  // where a transport header may begin
constexpr unsigned kEntries = 3;
constexpr std::size_t kMaximumConditions = 4096;

unsigned interface_value(InterfaceIndex interface) {
    return std::min<unsigned>(interface, kAbsent);
}

InterfaceIndex interface_of(unsigned value) {
    return value < kAbsent ? static_cast<InterfaceIndex>(value) : packet::kNoInterface;
}

bool has_ports(const Headers& h) {
    return h.transport_offset != 0 &&
           (h.protocol == protocol::tcp || h.protocol == protocol::udp ||
            h.protocol == protocol::sctp || h.protocol == protocol::udplite);
}

std::uint8_t icmp_of(std::uint8_t ip_version) {
    return ip_version == 6 ? protocol::icmp6 : protocol::icmp;
}

void set_transport(Headers& headers, std::uint8_t which) {
    headers.protocol = which;
    headers.transport_offset = kSomeOffset;
}

// Any IPv4 address that is none of the machine; as an IPv6 address, too.
Ipv6 foreign_address(const packet::Environment& environment) {
    const LocalAddresses local(environment);
    Headers v4, v6;
    v4.ip_version = 4;
    v6.ip_version = 6;
    Ipv6 address;
    // There are fewer local addresses than there are numbers.
    for (std::uint32_t number = 0; local.contains(v4, address) || local.contains(v6, address);
         ++number) {
        const Be32 word = Be32::from_host(number);
        std::memcpy(address.bytes.data(), &word, sizeof word);
    }
    return address;
}

// Any address of the machine, of the version.
std::optional<Ipv6> local_address(const packet::Environment& environment, std::uint8_t version) {
    for (const packet::Interface& interface : environment.interfaces) {
        for (const packet::InterfaceAddress& entry : interface.addresses) {
            const auto* v4 = std::get_if<Ipv4>(&entry.address);
            if ((v4 != nullptr) != (version == 4))
                continue;
            if (v4 == nullptr)
                return std::get<Ipv6>(entry.address);
            Ipv6 address;
            std::memcpy(address.bytes.data(), v4, sizeof *v4);
            return address;
        }
    }
    return std::nullopt;
}

bool goes_out(const packet::Passage& passage) {
    return passage.direction == Direction::out;
}

unsigned passage_value(const packet::Passage& passage) {
    return (goes_out(passage) ? kEntries : 0) + static_cast<unsigned>(passage.entry);
}

unsigned receive_value(const packet::Passage& passage) {
    return interface_value(passage.receive_interface);
}

unsigned transmit_value(const packet::Passage& passage) {
    return goes_out(passage) ? interface_value(passage.transmit_interface) : kAbsent;
}

unsigned via_value(const packet::Passage& passage) {
    return interface_value(goes_out(passage) ? passage.transmit_interface
                                             : passage.receive_interface);
}

// Inline, with the domain known: a packet goes through all domains in use.
inline unsigned domain_value(Domain domain, const Packet& packet, const LocalAddresses& local) {
    const Headers& h = packet.headers;
    const packet::Passage& passage = packet.passage;
    switch (domain) {
        case Domain::protocol:
            return h.protocol;
        case Domain::tcp_flags:
            return h.protocol == protocol::tcp && h.transport_offset != 0 ? h.tcp_flags : kAbsent;
        case Domain::icmp_type:
            return h.protocol == icmp_of(h.ip_version) && h.transport_offset != 0 ? h.icmp_type
                                                                                  : kAbsent;
        case Domain::fragment:
            return (h.fragment_offset != 0 ? 1u : 0u) | (h.ip_flags & 7u) << 1;
        case Domain::traffic_class:
            return h.traffic_class;
        case Domain::ttl:
            return h.ttl;
        case Domain::passage:
            return passage_value(passage);
        case Domain::receive:
            return receive_value(passage);
        case Domain::transmit:
            return transmit_value(passage);
        case Domain::via:
            return via_value(passage);
        case Domain::ports:
            return has_ports(h) ? 1 : 0;
        case Domain::source_is_me:
            return local.contains(h, h.source) ? 1 : 0;
        case Domain::destination_is_me:
            return local.contains(h, h.destination) ? 1 : 0;
        case Domain::count_:
            break;
    }
    return 0;
}

}  // namespace

std::optional<Domain> domain_of(Opcode opcode) {
    switch (opcode) {
        case Opcode::protocol:
            return Domain::protocol;
        case Opcode::tcp_flags:
        case Opcode::established:
            return Domain::tcp_flags;
        case Opcode::icmp_types:
        case Opcode::icmp6_types:
            return Domain::icmp_type;
        case Opcode::fragment:
        case Opcode::fragment_offset:
            return Domain::fragment;
        case Opcode::ip_tos:
        case Opcode::dscp:
        case Opcode::ip_precedence:
            return Domain::traffic_class;
        case Opcode::ip_ttl:
            return Domain::ttl;
        // The version is the same for all packets of a family, so any domain does.
        case Opcode::always:
        case Opcode::ip4:
        case Opcode::ip6:
        case Opcode::ip_version:
        case Opcode::direction_in:
        case Opcode::layer2:
            return Domain::passage;
        case Opcode::recv:
            return Domain::receive;
        case Opcode::xmit:
            return Domain::transmit;
        case Opcode::via:
            return Domain::via;
        case Opcode::source_me:
        case Opcode::source_me6:
            return Domain::source_is_me;
        case Opcode::destination_me:
        case Opcode::destination_me6:
            return Domain::destination_is_me;
        default:
            return std::nullopt;
    }
}

unsigned domain_size(Domain domain) {
    switch (domain) {
        case Domain::protocol:
        case Domain::traffic_class:
        case Domain::ttl:
            return 256;
        case Domain::fragment:
            return 16;
        case Domain::passage:
            return 2 * kEntries;
        case Domain::ports:
        case Domain::source_is_me:
        case Domain::destination_is_me:
            return 2;
        case Domain::tcp_flags:
        case Domain::icmp_type:
        case Domain::receive:
        case Domain::transmit:
        case Domain::via:
        case Domain::count_:
            break;
    }
    return kDomainValues;
}

std::optional<Packet> sample_packet(Domain domain, unsigned value, Family family,
                                    const packet::Environment& environment) {
    Packet packet;
    Headers& h = packet.headers;
    packet::Passage& passage = packet.passage;
    h.ip_version = family == Family::other ? 0 : family == Family::v4 ? 4 : 6;
    switch (domain) {
        case Domain::protocol:
            h.protocol = static_cast<std::uint8_t>(value);
            break;
        case Domain::tcp_flags:
            if (value != kAbsent) {
                set_transport(h, protocol::tcp);
                h.tcp_flags = static_cast<std::uint8_t>(value);
            }
            break;
        case Domain::icmp_type:
            if (value != kAbsent) {
                set_transport(h, icmp_of(h.ip_version));
                h.icmp_type = static_cast<std::uint8_t>(value);
            }
            break;
        case Domain::fragment:
            h.fragment_offset = (value & 1) != 0 ? 8 : 0;
            h.ip_flags = static_cast<std::uint8_t>(value >> 1);
            break;
        case Domain::traffic_class:
            h.traffic_class = static_cast<std::uint8_t>(value);
            break;
        case Domain::ttl:
            h.ttl = static_cast<std::uint8_t>(value);
            break;
        case Domain::passage:
            passage.direction = value >= kEntries ? Direction::out : Direction::in;
            passage.entry = static_cast<Entry>(value % kEntries);
            break;
        case Domain::receive:
        case Domain::via:
            passage.receive_interface = interface_of(value);
            break;
        case Domain::transmit:
            passage.direction = Direction::out;
            passage.transmit_interface = interface_of(value);
            break;
        case Domain::ports:
            if (value != 0)
                set_transport(h, protocol::udp);
            break;
        case Domain::source_is_me:
        case Domain::destination_is_me: {
            const auto address = value != 0 ? local_address(environment, h.ip_version)
                                            : foreign_address(environment);
            if (!address)
                return std::nullopt;
            (domain == Domain::source_is_me ? h.source : h.destination) = *address;
            break;
        }
        case Domain::count_:
            break;
    }
    return packet;
}

std::size_t Conditions::Hash::operator()(const Key& key) const {
    return std::hash<ValueSet>()(key.values) * kDomains + static_cast<std::size_t>(key.domain);
}

std::optional<Condition> Conditions::add(Domain domain, const ValueSet& values) {
    const auto found = known_.find({domain, values});
    if (found != known_.end())
        return found->second;
    if (entries_.size() == kMaximumConditions)
        return std::nullopt;
    entries_.push_back({domain, values});
    const auto condition = static_cast<Condition>(entries_.size());
    known_.emplace(Key{domain, values}, condition);
    return condition;
}

AttributeTable::AttributeTable(const Conditions& conditions) : bits_(conditions.entries().size()) {
    const auto entries = conditions.entries();
    std::vector<std::size_t> order(entries.size());
    std::iota(order.begin(), order.end(), std::size_t{0});
    std::stable_sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) {
        return entries[a].uses > entries[b].uses;
    });
    for (std::size_t i = 0; i < order.size() && i < kAttributeBits; ++i) {
        const Conditions::Entry& entry = entries[order[i]];
        if (entry.uses == 0)
            break;
        const std::uint32_t bit = 1u << i;
        bits_[order[i]] = bit;
        Column& column = columns_[static_cast<std::size_t>(entry.domain)];
        column.resize(kDomainValues);
        for (std::size_t value = 0; value < kDomainValues; ++value)
            if (entry.values[value])
                column[value] |= bit;
    }
    for (std::size_t domain = 0; domain < kDomains; ++domain)
        if (!columns_[domain].empty())
            in_use_.push_back(static_cast<Domain>(domain));
}

template <std::size_t... kDomain>
std::uint32_t AttributeTable::bits_in_use(const Packet& packet, const LocalAddresses& local,
                                          std::index_sequence<kDomain...>) const {
    std::uint32_t bits = 0;
    ((bits |= columns_[kDomain].empty()
                  ? 0
                  : columns_[kDomain][domain_value(Domain{kDomain}, packet, local)]),
     ...);
    return bits;
}

void AttributeTable::add_to(std::span<HeaderKey> keys, const packet::Burst& burst,
                            std::span<const std::uint8_t> places, std::uint8_t ip_version,
                            const LocalAddresses& local) const {
    const auto add = [&](Domain domain, auto value_of) {
        const std::uint32_t* column = columns_[static_cast<std::size_t>(domain)].data();
        for (std::size_t k = 0; k < places.size(); ++k)
            if (burst.glance(places[k]).ip_version == ip_version)
                keys[k].lanes[lane::attributes] |= column[value_of(places[k])];
    };
    const auto add_glance = [&](Domain domain, auto value_of) {
        add(domain, [&](std::size_t i) -> unsigned { return value_of(burst.glance(i)); });
    };
    const auto add_passage = [&](Domain domain, auto value_of) {
        add(domain, [&](std::size_t i) -> unsigned { return value_of(burst.passage(i)); });
    };
    for (const Domain domain : in_use_) {
        switch (domain) {
            case Domain::protocol:
                add_glance(domain, [](const Glance& glance) { return glance.protocol; });
                break;
            case Domain::tcp_flags:
                add_glance(domain, [](const Glance& glance) -> unsigned {
                    return glance.protocol == protocol::tcp ? glance.tcp().flags : kAbsent;
                });
                break;
            case Domain::icmp_type:
                add_glance(domain, [](const Glance& glance) -> unsigned {
                    return glance.has_ports() ? kAbsent : glance.icmp_type();
                });
                break;
            case Domain::fragment:
                add_glance(domain, [](const Glance& glance) { return glance.ip_flags() << 1; });
                break;
            case Domain::traffic_class:
                add_glance(domain, [](const Glance& glance) { return glance.traffic_class(); });
                break;
            case Domain::ttl:
                add_glance(domain, [](const Glance& glance) { return glance.ttl(); });
                break;
            case Domain::passage:
                add_passage(domain, passage_value);
                break;
            case Domain::receive:
                add_passage(domain, receive_value);
                break;
            case Domain::transmit:
                add_passage(domain, transmit_value);
                break;
            case Domain::via:
                add_passage(domain, via_value);
                break;
            case Domain::ports:
                add_glance(domain, [](const Glance& glance) { return glance.has_ports() ? 1 : 0; });
                break;
            case Domain::source_is_me:
                add_glance(domain, [&](const Glance& glance) {
                    return (ip_version == 4 ? local.contains(glance.ip4().source)
                                            : local.contains(glance.ip6().source))
                               ? 1
                               : 0;
                });
                break;
            case Domain::destination_is_me:
                add_glance(domain, [&](const Glance& glance) {
                    return (ip_version == 4 ? local.contains(glance.ip4().destination)
                                            : local.contains(glance.ip6().destination))
                               ? 1
                               : 0;
                });
                break;
            case Domain::count_:
                break;
        }
    }
}

std::uint32_t AttributeTable::of(const Packet& packet, const LocalAddresses& local) const {
    return bits_in_use(packet, local, std::make_index_sequence<kDomains>());
}

}  // namespace sluice::classify
