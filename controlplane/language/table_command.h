// `ipfw table …` as a value. Keys and values are kept as text: what they mean depends on the type
// of the table, which only the keeper of the tables knows.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace sluice::language {

enum class TableType { addr, iface, number, flow, mac };

enum class TableValueType {
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
    mark
};

struct TableRecord {
    std::string key;    // `10.0.0.0/8`, `em0`, `80`, `1.2.3.4,tcp,80,5.6.7.8,443`
    std::string value;  // empty: none given
    bool operator==(const TableRecord&) const = default;
};

struct TableCommand {
    enum class Verb {
        create,
        destroy,
        add,
        remove,  // `delete`
        flush,
        lookup,
        list,
        info,
        detail,
        modify,
        lock,
        unlock,
        swap,
        load
    } verb = Verb::list;

    std::string table;  // "all" for every table, where the verb allows it
    std::uint8_t set = 0;

    // create
    std::optional<TableType> type;
    std::vector<std::string> flow_fields;  // `type flow:src-ip,proto,dst-port`
    std::vector<TableValueType> value_types;
    bool legacy_values = false;  // `valtype legacy`
    std::string algorithm;
    std::optional<std::uint32_t> limit;  // create and modify
    bool locked = false;
    bool missing = false;
    bool or_flush = false;

    // add, delete, lookup (one)
    std::vector<TableRecord> records;
    bool atomic = false;

    std::optional<std::uint32_t> ttl_s;  // add: how long the entries stay

    std::string other;  // swap

    // load: the file, and, once it has been read, a key and perhaps a value a line.
    std::string file;
    std::string content;

    bool operator==(const TableCommand&) const = default;
};

}  // namespace sluice::language
