// Tests that ask tables, and what `tablearg` stands for.
//
// A look-up is made once for each packet, table and key; asked again it gives the same answer, also
// when the table has changed meanwhile. All packets of a burst see one directory of tables.
//
// Threads: belongs to the engine of one worker, which is the only writer of its hit counters.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/classify/header_key.h"
#include "dataplane/contract/snapshot_view.h"
#include "dataplane/contract/table.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/packet_marks.h"
#include "dataplane/table/table_store.h"

namespace sluice::program {

// The value of the entry that a rule found last; 0 where it found none.
struct TableArgument {
    const contract::TableValue* value = nullptr;

    std::uint32_t of(contract::TableField field) const {
        return value == nullptr ? 0 : value->of(field);
    }
    // 0 for a number that no tag has.
    std::uint16_t tag() const {
        const std::uint32_t number = of(contract::TableField::tag);
        return static_cast<std::uint16_t>(number <= 65535 ? number : 0);
    }
    Ipv6 ipv6() const { return value == nullptr ? Ipv6{} : value->ipv6; }
};

// The field of a value that is the number of an action.
contract::TableField argument_field(contract::RuleAction action);

// A rule as its action and its log line have it: with `tablearg` replaced by what it stands for.
// The next hop is of the packet's version.
contract::RuleRecord with_argument(const contract::RuleRecord& rule, const TableArgument& argument,
                                   const packet::Packet& packet);

class TableTests {
  public:
    // `store` may be null: then no table has any entry.
    TableTests(const table::Store* store, unsigned worker) : store_(store), worker_(worker) {}

    // `ruleset` is the serial of the one that judges the burst.
    void begin_burst(std::uint64_t ruleset) {
        if (store_ != nullptr)
            directory_ = &store_->load_for(ruleset);
        for (Ahead& side : ahead_) {
            side.worthwhile = side.asked >= kWorthwhile;
            side.asked = 0;
            side.known = 0;
        }
    }

    // Looks for the addresses of many packets at once, in the tables that the packets before asked
    // for theirs. Only a help: nothing depends on it.
    void look_ahead(std::span<const classify::HeaderKey> keys);

    void begin_packet() { ++packet_; }

    // What there is to look for.
    struct Subject {
        const contract::SnapshotView& view;
        const packet::Packet& packet;
        const contract::RuleRecord& rule;
        const PacketMarks& marks;
        std::optional<std::uint32_t> owner;  // user id; only where the test looks for it
    };

    // Whether a table test of the rule matches, without its negation. `argument` becomes the value
    // of the entry that was found. REQUIRES: is_table_test(test.opcode).
    bool matches(const contract::Instruction& test, const Subject& subject,
                 TableArgument& argument);

  private:
    struct Answer {
        std::uint64_t packet = 0;
        std::uint32_t table = 0;
        std::uint32_t key = 0;
        table::Reference entry = 0;
    };

    // What `look_ahead` found of sources or destinations, by a hash of the address.
    struct Ahead {
        struct Found {
            Ipv6 address;  // as in packet::Headers
            table::Reference entry;
            std::uint8_t ip_version;
        };
        static constexpr std::size_t kPlaces = 128;

        std::uint32_t table = 0;                     // that was asked last
        std::uint32_t asked = 0;                     // in this burst
        std::uint32_t known = 0;                     // entries of `found` that hold
        bool worthwhile = false;                     // it was asked often in the burst before
        std::array<std::uint8_t, kPlaces> places{};  // in `found`; checked, so it may be stale
        std::array<Found, table::Store::kMany> found{};
    };
    static constexpr std::uint32_t kWorthwhile = 8;  // fewer gain little from each other

    static std::size_t place_of(const Ipv6& address);
    table::Reference find_address(Ahead& ahead, const contract::Instruction& test,
                                  const table::View& table, std::uint8_t version,
                                  const Ipv6& address);
    void look_ahead(Ahead& ahead, unsigned lane, std::span<const classify::HeaderKey> keys);

    table::Reference find(const contract::Instruction& test, const table::View& table,
                          const Subject& subject);

    const table::Store* store_;
    unsigned worker_;
    const table::Directory* directory_ = nullptr;
    std::uint64_t packet_ = 0;
    std::array<Answer, 32> answers_{};
    std::array<Ahead, 2> ahead_{};  // sources, destinations
};

}  // namespace sluice::program
