#include "dataplane/program/table_tests.h"

#include <algorithm>
#include <cstring>

#include "dataplane/packet/wire.h"

namespace sluice::program {

namespace {

using contract::Instruction;
using contract::LookupField;
using contract::Opcode;
using contract::SnapshotView;
using contract::TableField;
using contract::TableType;
using packet::Headers;
using packet::Packet;
namespace protocol = packet::wire::protocol;

// The tests that look for what no `lookup` looks for; numbers behind those of the fields.
enum class OtherKey : std::uint32_t { via = 64, recv, xmit, flow };

bool has_ports(const Headers& h) {
    return h.transport_offset != 0 &&
           (h.protocol == protocol::tcp || h.protocol == protocol::udp ||
            h.protocol == protocol::sctp || h.protocol == protocol::udplite);
}

std::uint32_t address4(const Ipv6& address) {
    std::uint32_t word;
    std::memcpy(&word, address.bytes.data(), sizeof word);
    return __builtin_bswap32(word);
}

LookupField field_of(const Instruction& test) {
    switch (test.opcode) {
        case Opcode::table_destination:
            return LookupField::destination_address;
        case Opcode::table_source_mac:
            return LookupField::source_mac;
        case Opcode::table_destination_mac:
            return LookupField::destination_mac;
        case Opcode::table_lookup:
            return static_cast<LookupField>(test.detail);
        default:
            return LookupField::source_address;
    }
}

// Two tests with the same number ask the same of a packet.
std::uint32_t key_number(const Instruction& test) {
    constexpr std::uint32_t kMasks = 256;
    switch (test.opcode) {
        case Opcode::table_via:
            return static_cast<std::uint32_t>(OtherKey::via);
        case Opcode::table_recv:
            return static_cast<std::uint32_t>(OtherKey::recv);
        case Opcode::table_xmit:
            return static_cast<std::uint32_t>(OtherKey::xmit);
        case Opcode::table_flow:
            return static_cast<std::uint32_t>(OtherKey::flow);
        default:
            return static_cast<std::uint32_t>(field_of(test)) +
                   (test.count == 0 ? 0 : kMasks * (test.data + 1));
    }
}

// What the test looks for may be another thing the next time that it is met.
bool may_change(const Instruction& test) {
    if (test.opcode != Opcode::table_lookup)
        return false;
    const auto field = static_cast<LookupField>(test.detail);
    return field == LookupField::rule_number || field == LookupField::mark ||
           field == LookupField::dscp;
}

packet::InterfaceIndex interface_of(Opcode opcode, const packet::Passage& passage) {
    const bool out = passage.direction == packet::Direction::out;
    if (opcode == Opcode::table_recv || (opcode == Opcode::table_via && !out))
        return passage.receive_interface;
    return out ? passage.transmit_interface : packet::kNoInterface;
}

contract::TableKey flow_of(const Headers& h) {
    contract::TableKey key;
    key.ip_version = h.ip_version;
    key.protocol = h.protocol;
    key.source_port = h.source_port;
    key.destination_port = h.destination_port;
    key.bytes = h.source.bytes;
    key.destination = h.destination;
    return key;
}

// The bytes of the field under the mask of the test, if there is one.
template <typename Bytes>
Bytes masked(const SnapshotView& view, const Instruction& test, Bytes bytes) {
    if (test.count == 0)
        return bytes;
    std::uint8_t mask[16];
    static_assert(sizeof bytes <= sizeof mask);
    std::memcpy(mask, view.words().data() + test.data, sizeof mask);
    for (std::size_t i = 0; i < bytes.bytes.size(); ++i)
        bytes.bytes[i] &= mask[i];
    return bytes;
}

std::uint32_t masked_number(const SnapshotView& view, const Instruction& test,
                            std::uint32_t number) {
    return test.count == 0 ? number : number & view.words()[test.data];
}

// In the tree of the real engine the last address is the end, which no prefix covers; only an entry
// of its own is found (tests/conformance, modern-stateful-002).
table::Reference find_address(const table::Store& store, const table::View& table,
                              std::uint8_t version, const Ipv6& address) {
    if (table.type != TableType::addr)
        return 0;
    const auto ones = [](std::uint8_t byte) { return byte == 0xff; };
    const unsigned size = version == 4 ? 4 : 16;
    if (address.bytes[0] == 0xff &&
        std::all_of(address.bytes.begin(), address.bytes.begin() + size, ones))
        return store.find_last_address(table, version);
    return version == 4 ? store.find_address4(table, address4(address))
                        : store.find_address6(table, address);
}

}  // namespace

TableField argument_field(contract::RuleAction action) {
    switch (action) {
        case contract::RuleAction::skipto:
        case contract::RuleAction::call:
            return TableField::skipto;
        case contract::RuleAction::setfib:
            return TableField::fib;
        case contract::RuleAction::setdscp:
            return TableField::dscp;
        case contract::RuleAction::setmark:
            return TableField::mark;
        case contract::RuleAction::divert:
        case contract::RuleAction::tee:
            return TableField::divert;
        case contract::RuleAction::fwd:
            return TableField::ipv4;
        default:
            return TableField::tag;
    }
}

contract::RuleRecord with_argument(const contract::RuleRecord& rule, const TableArgument& argument,
                                   const Packet& packet) {
    contract::RuleRecord record = rule;
    if ((rule.flags & contract::rule_flag::table_tag) != 0)
        record.tag = argument.tag();
    if ((rule.flags & contract::rule_flag::table_argument) == 0)
        return record;
    const std::uint32_t number = argument.of(argument_field(rule.action));
    if (rule.action == contract::RuleAction::setmark) {
        record.mark = number;
    } else if (rule.action == contract::RuleAction::setdscp) {
        record.action_number = number & 63;  // RFC 2474: six bits
    } else if (rule.action != contract::RuleAction::fwd) {
        // No rule and no port has a larger number.
        record.action_number = static_cast<std::uint16_t>(number <= 65535 ? number : 0);
    } else if (packet.headers.ip_version == 6) {
        record.next_hop = argument.ipv6();
        record.next_hop_family = 6;
    } else {
        const std::uint32_t word = __builtin_bswap32(number);
        std::memcpy(record.next_hop.bytes.data(), &word, sizeof word);
        record.next_hop_family = 4;
    }
    return record;
}

bool TableTests::matches(const Instruction& test, const Subject& subject, TableArgument& argument) {
    const table::View* table = directory_ == nullptr ? nullptr : directory_->find(test.argument);
    if (table == nullptr)
        return false;
    const std::uint32_t key = key_number(test);
    Answer& answer = answers_[(test.argument * 7 + key) % answers_.size()];
    if (may_change(test) || answer.packet != packet_ || answer.table != test.argument ||
        answer.key != key) {
        answer = {.packet = packet_,
                  .table = test.argument,
                  .key = key,
                  .entry = find(test, *table, subject)};
        if (answer.entry != 0)
            store_->count_hit(worker_, answer.entry);
    }
    if (answer.entry == 0)
        return false;
    const contract::TableValue& value = store_->value(answer.entry);
    const TableField compared =
        test.detail == 0 ? table->compared : static_cast<TableField>(test.detail - 1);
    if ((test.flags & contract::kTableValue) != 0 && value.of(compared) != test.data)
        return false;
    argument.value = &value;
    return true;
}

std::size_t TableTests::place_of(const Ipv6& address) {
    std::uint64_t words[2];
    std::memcpy(words, address.bytes.data(), sizeof words);
    return ((words[0] + words[1] * 3) * 0x9e3779b97f4a7c15) >> 57;
}

table::Reference TableTests::find_address(Ahead& ahead, const Instruction& test,
                                          const table::View& table, std::uint8_t version,
                                          const Ipv6& address) {
    if (test.count != 0)
        return program::find_address(*store_, table, version, address);
    if (ahead.known != 0 && ahead.table == test.argument) {
        const std::uint8_t place = ahead.places[place_of(address)];
        const Ahead::Found& found = ahead.found[place];
        if (place < ahead.known && found.ip_version == version && found.address == address) {
            ++ahead.asked;
            return found.entry;
        }
    }
    // Of several tables the first one is looked ahead for, from the next burst on.
    if (ahead.asked == 0 && ahead.known == 0)
        ahead.table = test.argument;
    ahead.asked += ahead.table == test.argument ? 1 : 0;
    return program::find_address(*store_, table, version, address);
}

void TableTests::look_ahead(std::span<const classify::HeaderKey> keys) {
    if (directory_ == nullptr || keys.size() < kWorthwhile)
        return;
    constexpr unsigned kLanes[] = {classify::lane::source, classify::lane::destination};
    for (std::size_t side = 0; side < ahead_.size(); ++side)
        if (ahead_[side].worthwhile && ahead_[side].known == 0)
            look_ahead(ahead_[side], kLanes[side], keys);
}

void TableTests::look_ahead(Ahead& ahead, unsigned lane,
                            std::span<const classify::HeaderKey> keys) {
    const table::View* table = directory_->find(ahead.table);
    if (table == nullptr || table->type != TableType::addr)
        return;
    // Those of IPv4 first.
    std::array<std::uint32_t, table::Store::kMany> v4;
    std::array<Ipv6, table::Store::kMany> v6;
    std::array<table::Reference, table::Store::kMany> entries;
    std::size_t count4 = 0, count6 = 0;
    for (const classify::HeaderKey& key : keys.first(std::min(keys.size(), v4.size()))) {
        if (key.family() == classify::Family::v4 && key.lanes[lane] != UINT32_MAX)
            v4[count4++] = key.lanes[lane];
        if (key.family() != classify::Family::v6)
            continue;
        std::uint32_t words[4];
        bool ones = true;
        for (unsigned i = 0; i < 4; ++i) {
            words[i] = __builtin_bswap32(key.lanes[lane + i]);
            ones = ones && words[i] == UINT32_MAX;
        }
        // The last address is another matter, see find_address.
        if (!ones)
            std::memcpy(v6[count6++].bytes.data(), words, sizeof words);
    }
    const std::span found(entries);
    store_->find_addresses4(*table, {v4.data(), count4}, found.first(count4));
    store_->find_addresses6(*table, {v6.data(), count6}, found.subspan(count4, count6));
    for (std::size_t i = 0; i < count4 + count6; ++i) {
        Ahead::Found& one = ahead.found[i];
        one = {.address = {},
               .entry = entries[i],
               .ip_version = static_cast<std::uint8_t>(i < count4 ? 4 : 6)};
        if (i < count4) {
            const std::uint32_t word = __builtin_bswap32(v4[i]);
            std::memcpy(one.address.bytes.data(), &word, sizeof word);
        } else {
            one.address = v6[i - count4];
        }
        ahead.places[place_of(one.address)] = static_cast<std::uint8_t>(i);
        if (one.entry != 0)
            store_->prefetch(worker_, one.entry);
    }
    ahead.known = static_cast<std::uint32_t>(count4 + count6);
}

table::Reference TableTests::find(const Instruction& test, const table::View& table,
                                  const Subject& subject) {
    const SnapshotView& view = subject.view;
    const Packet& packet = subject.packet;
    const Headers& h = packet.headers;
    const table::Store& store = *store_;
    if (test.opcode == Opcode::table_via || test.opcode == Opcode::table_recv ||
        test.opcode == Opcode::table_xmit)
        return table.type == TableType::iface
                   ? store.find_interface(table, interface_of(test.opcode, packet.passage))
                   : 0;
    if (test.opcode == Opcode::table_flow)
        return table.type == TableType::flow && h.ip_version != 0
                   ? store.find_flow(table, flow_of(h))
                   : 0;
    const LookupField field = field_of(test);
    const auto number = [&](std::uint32_t value) {
        return table.type == TableType::number
                   ? store.find_number(table, masked_number(view, test, value))
                   : 0;
    };
    switch (field) {
        case LookupField::source_address:
        case LookupField::destination_address:
        case LookupField::source_address4:
        case LookupField::destination_address4:
        case LookupField::source_address6:
        case LookupField::destination_address6: {
            const bool only4 =
                field == LookupField::source_address4 || field == LookupField::destination_address4;
            const bool only6 =
                field == LookupField::source_address6 || field == LookupField::destination_address6;
            if (h.ip_version == 0 || (only4 && h.ip_version != 4) || (only6 && h.ip_version != 6))
                return 0;
            const bool source = field == LookupField::source_address ||
                                field == LookupField::source_address4 ||
                                field == LookupField::source_address6;
            return find_address(ahead_[source ? 0 : 1], test, table, h.ip_version,
                                masked(view, test, source ? h.source : h.destination));
        }
        case LookupField::source_port:
            return has_ports(h) ? number(h.source_port) : 0;
        case LookupField::destination_port:
            return has_ports(h) ? number(h.destination_port) : 0;
        case LookupField::source_mac:
        case LookupField::destination_mac: {
            if (packet.passage.entry == packet::Entry::ip || table.type != TableType::mac)
                return 0;
            const auto& ethernet = *reinterpret_cast<const packet::wire::Ethernet*>(h.frame);
            return store.find_mac(
                table,
                masked(view, test,
                       field == LookupField::source_mac ? ethernet.source : ethernet.destination));
        }
        case LookupField::dscp:
            return h.ip_version != 0 ? number(h.traffic_class >> 2) : 0;
        case LookupField::rule_number:
            return number(subject.rule.number);
        case LookupField::mark:
            return number(subject.marks.mark);
        case LookupField::user:
            return subject.owner ? number(*subject.owner) : 0;
        case LookupField::count_:
            break;
    }
    return 0;
}

}  // namespace sluice::program
