// Tables as both processes speak of them: what they are called and hold, keys, values, and the
// changes that are made to them.
//
// The data plane owns the contents. The control plane sends a batch of changes in a sealed memfd
// (message TablesRequest) and gets a memfd back that answers each of them:
//
//     batch:  TableBatchHeader, TableChange[], TableValue[], TableDescriptor[]
//     answer: TableAnswerHeader, TableResult[], TableEntry[], TableValue[]
//
// Each array begins where the one before ends; all are multiples of 8 bytes. Rules name a table by
// its id, which stays the same as long as the table lives; `swap` exchanges contents, not ids.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "common/address.h"

namespace sluice::contract {

inline constexpr std::uint32_t kMaximumTables = 65536;  // ids are below
inline constexpr std::size_t kTableNameSize = 64;       // with the closing NUL
inline constexpr std::size_t kTableInterfaceNameSize = 16;

enum class TableType : std::uint8_t { addr, iface, number, flow, mac, count_ };

// Bits of a mask; also the order in which values are written.
enum class TableField : std::uint8_t {
    skipto,
    pipe,
    fib,
    nat,
    dscp,
    tag,
    divert,
    netgraph,
    limit,
    ipv4,
    ipv6,
    mark,
    count_
};
inline constexpr std::size_t kTableFields = static_cast<std::size_t>(TableField::count_);
constexpr std::uint32_t table_field_bit(TableField field) {
    return std::uint32_t{1} << static_cast<unsigned>(field);
}
// One number that stands for all fields (but ipv6): what tables had before values had types.
inline constexpr std::uint32_t kLegacyValue = std::uint32_t{1} << 31;

// What an entry gives to `tablearg`.
struct TableValue {
    std::array<std::uint32_t, kTableFields> numbers{};  // by TableField; ipv4 in host byte order
    Ipv6 ipv6{};

    constexpr std::uint32_t of(TableField field) const {
        return numbers[static_cast<std::size_t>(field)];
    }
    constexpr bool operator==(const TableValue&) const = default;
};

// Parts of a flow that a table of type flow looks at; the others are zero in its keys.
namespace flow_part {
inline constexpr std::uint8_t source_address = 1, protocol = 2, source_port = 4,
                              destination_address = 8, destination_port = 16, all = 31;
}

// Integers in host byte order, addresses in network byte order, bits behind the prefix zero.
struct TableKey {
    std::uint8_t ip_version = 0;     // addr and flow: 4 or 6; else 0
    std::uint8_t prefix_length = 0;  // addr: 0…32 or 0…128; mac: 0…48; else 0
    std::uint8_t protocol = 0;       // flow
    std::uint8_t reserved = 0;
    std::uint16_t source_port = 0;  // flow
    std::uint16_t destination_port = 0;
    std::array<std::uint8_t, 16> bytes{};  // addr, mac, interface name, source of a flow
    Ipv6 destination{};                    // flow
    std::uint32_t number = 0;              // number
    std::uint32_t reserved2 = 0;

    constexpr bool operator==(const TableKey&) const = default;
};

struct TableDescriptor {
    std::uint32_t id = 0;
    TableType type = TableType::addr;
    std::uint8_t set = 0;
    std::uint8_t locked = 0;
    std::uint8_t flow_parts = 0;     // type flow: flow_part
    std::uint32_t value_fields = 0;  // bits of TableField, or kLegacyValue
    std::uint32_t limit = 0;         // entries; 0: none
    char name[kTableNameSize] = {};
};

enum class TableVerb : std::uint8_t {
    create,   // argument: descriptor
    destroy,  //
    modify,   // argument: descriptor, of which name, locked and limit count
    flush,    //
    add,      // key, argument: value, ttl_s
    remove,   // key
    swap,     // argument: id of the other table
    load,     // the changes behind it, argument of them, are `add`s of this table: its whole
              // content. What it has beyond goes, what is the same stays as it is
    list,     // the answer has all entries
    lookup,   // key without a prefix: the entry that a packet would meet
    info,     // the answer has the size alone
    count_
};

namespace table_change_flag {
inline constexpr std::uint8_t update = 1;  // add: gives the new value to an entry that is there;
                                           // remove: an entry that is not there is no failure
inline constexpr std::uint8_t count_alone = 2;  // info: memory and hits, which take a walk through
                                                // all entries, are of no interest
}  // namespace table_change_flag

struct TableChange {
    TableVerb verb = TableVerb::add;
    std::uint8_t flags = 0;
    std::uint16_t reserved = 0;
    std::uint32_t table = 0;
    std::uint32_t argument = 0;
    std::uint32_t ttl_s = 0;  // 0: the entry stays
    TableKey key;
};

enum class TableStatus : std::uint8_t {
    done,
    updated,      // add with `update`: the entry was there
    exists,       // add: the entry is there already
    not_found,    // remove, lookup
    limit,        // add: the table's limit is reached
    no_memory,    // the memory for tables is used up
    no_table,     // no table has this id, or create: one has it already
    wrong_type,   // the key is none of this table; swap: the tables differ in type or values
    not_reached,  // an earlier change failed and nothing was changed
};

struct TableResult {
    TableStatus status = TableStatus::not_reached;
    std::uint8_t reserved[3] = {};
    std::uint32_t count = 0;    // entries in the table, behind the change
    std::uint32_t entries = 0;  // list, lookup: that the answer has for this change …
    std::uint32_t added = 0;    // load
    std::uint32_t removed = 0;  // load
    std::uint32_t changed = 0;  // load: entries whose value is another now
    std::uint64_t first = 0;    // … from this one on
    std::uint64_t bytes = 0;    // list, info: memory of the entries
    std::uint64_t hits = 0;     // list, info: look-ups that found an entry which is there still
};

struct TableEntry {
    TableKey key;
    std::uint32_t value = 0;      // index
    std::uint32_t expires_s = 0;  // from now; 0: never
    std::uint64_t hits = 0;
};

struct TableBatchHeader {
    std::uint32_t change_count = 0;
    std::uint32_t value_count = 0;
    std::uint32_t descriptor_count = 0;
    std::uint32_t reserved = 0;
};

struct TableAnswerHeader {
    std::uint32_t result_count = 0;
    std::uint32_t value_count = 0;
    std::uint64_t entry_count = 0;
    std::uint32_t failed = 0;  // 1: nothing was changed
    std::uint32_t reserved = 0;
};

static_assert(sizeof(TableValue) == 64 && sizeof(TableKey) == 48 && sizeof(TableChange) == 64);
static_assert(sizeof(TableDescriptor) == 80 && sizeof(TableResult) == 48);
static_assert(sizeof(TableEntry) == 64);
static_assert(std::has_unique_object_representations_v<TableChange>);
static_assert(std::has_unique_object_representations_v<TableDescriptor>);
static_assert(std::has_unique_object_representations_v<TableEntry>);
static_assert(std::has_unique_object_representations_v<TableResult>);
static_assert(std::has_unique_object_representations_v<TableValue>);

}  // namespace sluice::contract
