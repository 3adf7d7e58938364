// `table …`
#include <algorithm>
#include <utility>

#include "controlplane/language/command_reader.h"

namespace sluice::language {

namespace {

using TableVerb = TableCommand::Verb;

bool may_be_all(TableVerb verb) {
    return verb == TableVerb::list || verb == TableVerb::info || verb == TableVerb::detail ||
           verb == TableVerb::flush || verb == TableVerb::destroy;
}

// Calls `item(text, offset)` for each part between commas while it returns true.
template <typename Function>
bool each_part(std::string_view text, Function item) {
    for (std::size_t start = 0; start <= text.size();) {
        std::size_t end = std::min(text.find(',', start), text.size());
        if (!item(text.substr(start, end - start), start))
            return false;
        start = end + 1;
    }
    return true;
}

}  // namespace

bool CommandReader::read_table_name(std::string& name, bool all_allowed) {
    if (cursor_.at_end())
        return cursor_.fail_missing("table name");
    std::string_view word = cursor_.word();
    if (!is_valid_name(word))
        return cursor_.fail(ExitStatus::usage,
                            "bad table name " + quote(word) +
                                "; expected letters, digits, \"_\", \"-\" or \".\", at most 63");
    if (word == "all" && !all_allowed)
        return cursor_.fail(ExitStatus::usage, "\"all\" is no table; expected the name of one");
    name = word;
    cursor_.advance();
    return true;
}

bool CommandReader::read_table() {
    TableCommand table;
    table.set = in_set_.value_or(0);
    std::size_t name_position = cursor_.position();
    if (!read_table_name(table.table, true))
        return false;
    table.atomic = cursor_.take("atomic");
    if (cursor_.at_end())
        return cursor_.fail_missing("table command");
    const auto* verb = find_keyword(kTableVerbTable, cursor_.word());
    if (verb == nullptr)
        return cursor_.fail(ExitStatus::usage,
                            "unknown table command " + quote(cursor_.word()) +
                                "; expected add, delete, create, destroy, flush, list, info, "
                                "detail, lookup, modify, lock, unlock, swap or load",
                            std::string(nearest_keyword(cursor_.word(), kTableVerbTable)));
    table.verb = verb->value;
    if (table.atomic && table.verb != TableVerb::add)
        return cursor_.fail(ExitStatus::usage,
                            "atomic is not compatible with " + std::string(verb->name));
    if (table.table == "all" && !may_be_all(table.verb))
        return cursor_.fail_at(name_position, ExitStatus::usage,
                               "\"all\" is no table; expected the name of one");
    cursor_.advance();
    bool read = true;
    switch (table.verb) {
        case TableVerb::create:
            read = read_table_create(table);
            break;
        case TableVerb::add:
        case TableVerb::remove:
        case TableVerb::lookup:
            read = read_table_records(table);
            break;
        case TableVerb::modify:
            if (!cursor_.take("limit"))
                return cursor_.fail_missing("\"limit\"");
            read = read_table_limit(table);
            break;
        case TableVerb::swap:
            read = read_table_name(table.other, false);
            break;
        case TableVerb::load:
            if (cursor_.at_end())
                return cursor_.fail_missing("name of the file");
            table.file = cursor_.word();
            cursor_.advance();
            break;
        case TableVerb::destroy:
        case TableVerb::flush:
        case TableVerb::list:
        case TableVerb::info:
        case TableVerb::detail:
        case TableVerb::lock:
        case TableVerb::unlock:
            break;
    }
    if (!read || !read_end())
        return false;
    set_command(std::move(table));
    return true;
}

bool CommandReader::read_table_limit(TableCommand& table) {
    if (cursor_.at_end())
        return cursor_.fail_missing("limit value");
    auto limit = parse_number(cursor_.word(), 0, UINT32_MAX, "limit");
    if (!limit)
        return cursor_.fail(limit.error());
    table.limit = *limit;
    cursor_.advance();
    return true;
}

bool CommandReader::read_table_type(TableCommand& table) {
    if (cursor_.at_end())
        return cursor_.fail_missing("table type");
    std::string_view word = cursor_.word();
    std::size_t colon = word.find(':');
    const auto* type = find_keyword(kTableTypeTable, word.substr(0, colon));
    if (type == nullptr)
        return cursor_.fail(ExitStatus::usage,
                            "unknown table type " + quote(word.substr(0, colon)) +
                                "; expected addr, iface, number, flow or mac",
                            std::string(nearest_keyword(word.substr(0, colon), kTableTypeTable)));
    table.type = type->value;
    if (colon != word.npos) {
        if (type->value != TableType::flow)
            return cursor_.fail(ExitStatus::usage, "only the type flow has fields", {}, colon);
        bool read = each_part(word.substr(colon + 1), [&](std::string_view field,
                                                          std::size_t offset) {
            if (std::find(std::begin(kFlowFields), std::end(kFlowFields), field) ==
                std::end(kFlowFields))
                return cursor_.fail(ExitStatus::usage,
                                    "unknown flow field " + quote(field) +
                                        "; expected src-ip, proto, src-port, dst-ip or dst-port",
                                    std::string(nearest(field, kFlowFields)), colon + 1 + offset);
            table.flow_fields.emplace_back(field);
            return true;
        });
        if (!read)
            return false;
    }
    cursor_.advance();
    return true;
}

bool CommandReader::read_table_value_types(TableCommand& table) {
    if (cursor_.at_end())
        return cursor_.fail_missing("table value type");
    if (cursor_.take("legacy")) {
        table.legacy_values = true;
        return true;
    }
    bool read = each_part(cursor_.word(), [&](std::string_view name, std::size_t offset) {
        const auto* type = find_keyword(kValueTypeTable, name);
        if (type == nullptr)
            return cursor_.fail(ExitStatus::usage,
                                "unknown value type " + quote(name) +
                                    "; expected skipto, pipe, fib, nat, dscp, tag, divert, "
                                    "netgraph, limit, ipv4, ipv6 or mark",
                                std::string(nearest_keyword(name, kValueTypeTable)), offset);
        table.value_types.push_back(type->value);
        return true;
    });
    if (read)
        cursor_.advance();
    return read;
}

bool CommandReader::read_table_create(TableCommand& table) {
    while (!cursor_.at_end()) {
        bool read = true;
        if (cursor_.take("type")) {
            read = read_table_type(table);
        } else if (cursor_.take("valtype")) {
            read = read_table_value_types(table);
        } else if (cursor_.take("algo")) {
            if (cursor_.at_end())
                return cursor_.fail_missing("table algorithm name");
            table.algorithm = cursor_.word();
            cursor_.advance();
        } else if (cursor_.take("limit")) {
            read = read_table_limit(table);
        } else if (cursor_.take("locked")) {
            table.locked = true;
        } else if (cursor_.take("missing")) {
            table.missing = true;
        } else if (cursor_.take("or-flush")) {
            table.missing = table.or_flush = true;
        } else {
            constexpr std::string_view kWords[] = {"type",   "valtype", "algo",    "limit",
                                                   "locked", "missing", "or-flush"};
            return cursor_.fail(ExitStatus::usage,
                                "unknown option " + quote(cursor_.word()) +
                                    " of table create; expected type, valtype, algo, limit, "
                                    "locked, missing or or-flush",
                                std::string(nearest(cursor_.word(), kWords)));
        }
        if (!read)
            return false;
    }
    return true;
}

// `90`, `15m`, `1h`, `7d`: seconds, at least one.
bool CommandReader::read_table_ttl(TableCommand& table) {
    constexpr std::pair<char, std::uint32_t> kUnits[] = {
        {'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};
    std::string_view digits = cursor_.word();
    std::uint32_t unit = 1;
    for (const auto& [letter, seconds] : kUnits) {
        if (digits.empty() || digits.back() != letter)
            continue;
        unit = seconds;
        digits.remove_suffix(1);
        break;
    }
    const auto count = parse_number(digits, 1, UINT32_MAX / unit, "time to live");
    if (!count)
        return cursor_.fail(ExitStatus::data,
                            "bad time to live " + quote(cursor_.word()) +
                                "; expected a number of seconds, or one with s, m, h or d "
                                "behind it");
    table.ttl_s = *count * unit;
    cursor_.advance();
    return true;
}

// `add K [V] [K V]… [ttl TIME]`: with more than two words each key has a value. `delete K…`,
// `lookup K`.
bool CommandReader::read_table_records(TableCommand& table) {
    if (cursor_.at_end())
        return cursor_.fail_missing("table key");
    const std::size_t words = cursor_.remaining();
    const bool has_ttl =
        table.verb == TableVerb::add && words >= 3 && cursor_.peek(words - 2) == "ttl";
    const std::size_t behind = has_ttl ? 2 : 0;
    bool values = table.verb == TableVerb::add && words - behind > 1;
    while (cursor_.remaining() > behind) {
        TableRecord record;
        record.key = cursor_.word();
        cursor_.advance();
        if (values) {
            if (cursor_.remaining() <= behind)
                return cursor_.fail_missing("value of the key " + quote(record.key));
            record.value = cursor_.word();
            if (record.value.starts_with(':'))
                return cursor_.fail(ExitStatus::data,
                                    "label " + quote(record.value) +
                                        ": labels belong to the YANET dialect, ipfw has rule "
                                        "numbers; expected a value");
            cursor_.advance();
        }
        table.records.push_back(std::move(record));
        if (table.verb == TableVerb::lookup)
            break;
    }
    if (!has_ttl)
        return true;
    cursor_.advance();
    return read_table_ttl(table);
}

}  // namespace sluice::language
