// Packets and rules for tests of the state table, written by hand.
#pragma once

#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "dataplane/contract/counters.h"
#include "dataplane/contract/snapshot.h"
#include "dataplane/packet/packet.h"
#include "dataplane/state/state_table.h"

namespace sluice::state {

inline constexpr std::uint8_t kTcp = 6, kUdp = 17, kIcmp = 1;
inline constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4, kAck = 16;
inline constexpr FlowHasher::Secret kSecret = {0x243f6a8885a308d3, 0x13198a2e03707344,
                                               0xa4093822299f31d0, 0x082efa98ec4e6c89};

struct End {
    std::uint32_t address = 0;  // host byte order; the last 4 bytes for version 6
    std::uint16_t port = 0;
};

inline Ipv6 address_of(std::uint32_t number, unsigned version) {
    Ipv6 address{};
    const std::size_t at = version == 4 ? 0 : 12;
    if (version == 6)
        address.bytes[0] = 0x20;
    for (std::size_t i = 0; i < 4; ++i)
        address.bytes[at + i] = static_cast<std::uint8_t>(number >> (24 - 8 * i));
    return address;
}

inline packet::Packet make_packet(End source, End destination, std::uint8_t protocol,
                                  std::uint32_t uptime_s, unsigned version = 4) {
    packet::Packet packet;
    packet.headers.ip_version = static_cast<std::uint8_t>(version);
    packet.headers.protocol = protocol;
    packet.headers.ip_length = 40;
    packet.headers.source = address_of(source.address, version);
    packet.headers.destination = address_of(destination.address, version);
    packet.headers.source_port = source.port;
    packet.headers.destination_port = destination.port;
    packet.uptime_s = uptime_s;
    return packet;
}

inline packet::Packet make_tcp(End source, End destination, std::uint8_t flags,
                               std::uint32_t acknowledgement, std::uint32_t uptime_s) {
    packet::Packet packet = make_packet(source, destination, kTcp, uptime_s);
    packet.headers.tcp_flags = flags;
    packet.headers.tcp_acknowledgement = acknowledgement;
    return packet;
}

inline contract::RuleRecord keeping_rule(std::uint32_t slot) {
    contract::RuleRecord rule;
    rule.slot = slot;
    rule.id = 1000 + slot;
    rule.number = static_cast<std::uint16_t>(slot);
    rule.state = contract::StateOption::keep;
    rule.state_name = contract::state_name_id("default");
    return rule;
}

inline contract::RuleRecord limiting_rule(std::uint32_t slot, std::uint8_t mask,
                                          std::uint16_t limit) {
    contract::RuleRecord rule = keeping_rule(slot);
    rule.state = contract::StateOption::limit;
    rule.limit_mask = mask;
    rule.state_limit = limit;
    return rule;
}

// One shard and what it counts into.
class Shard {
  public:
    static constexpr std::size_t kSlots = 8;
    explicit Shard(CellIndex cells) : counters(new contract::WorkerCounters), rules(kSlots) {
        table = std::move(*StateTable::create(
            {.cells = cells, .secret = kSecret, .counters = counters.get(), .rules = rules}));
    }

    std::optional<Hit> find(const packet::Packet& packet,
                            std::uint32_t name = contract::state_name_id("default")) const {
        const FlowKey key = flow_key(packet.headers);
        return table->find(key, table->hash(key), name, packet.uptime_s);
    }
    Creation create(const packet::Packet& packet, const contract::RuleRecord& rule) {
        const FlowKey key = flow_key(packet.headers);
        return table->create(key, table->hash(key), rule, packet, sysctls, lifetimes(rule));
    }
    // Hits the state of the packet. False: it has none.
    bool hit(const packet::Packet& packet, const contract::RuleRecord& rule) {
        const auto found = find(packet);
        if (found)
            table->hit(*found, packet, lifetimes(rule));
        return found.has_value();
    }
    void expire(std::uint32_t uptime_s, KeepaliveSink* keepalives = nullptr) {
        while (table->expire(uptime_s, 64, sysctls, keepalives)) {
        }
    }

    contract::Sysctls sysctls;
    std::unique_ptr<contract::WorkerCounters> counters;
    std::vector<contract::RuleCounters> rules;
    std::unique_ptr<StateTable> table;

  private:
    Lifetimes lifetimes(const contract::RuleRecord& rule) const {
        return Lifetimes::of(sysctls, table->totals().states).with(rule.state_lifetime_s);
    }
};

}  // namespace sluice::state
