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

    void begin_burst() {
        if (store_ != nullptr)
            directory_ = &store_->load();
    }
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

    table::Reference find(const contract::Instruction& test, const table::View& table,
                          const Subject& subject) const;

    const table::Store* store_;
    unsigned worker_;
    const table::Directory* directory_ = nullptr;
    std::uint64_t packet_ = 0;
    std::array<Answer, 32> answers_{};
};

}  // namespace sluice::program
