#include "controlplane/service/table_work.h"

#include <algorithm>
#include <cstdio>

#include "controlplane/ruleset/table_text.h"

namespace sluice::service {
namespace {

using contract::TableChange;
using contract::TableDescriptor;
using contract::TableEntry;
using contract::TableKey;
using contract::TableResult;
using contract::TableStatus;
using contract::TableValue;
using contract::TableVerb;
using Verb = language::TableCommand::Verb;

constexpr char kNoTable[] = "table not found";

// More make too long an answer on the control socket.
constexpr std::size_t kMaximumListedEntries = 1'200'000;

// In the words of ipfw(8).
std::string_view reason(TableStatus status, Verb verb) {
    switch (status) {
        case TableStatus::done:
        case TableStatus::updated:
            break;
        case TableStatus::exists:
            return "record already exists";
        case TableStatus::not_found:
            return "record not found";
        case TableStatus::limit:
            return "limit hit";
        case TableStatus::no_memory:
            return "the memory for tables is used up";
        case TableStatus::no_table:
            return kNoTable;
        case TableStatus::wrong_type:
            return verb == Verb::swap ? "the tables differ in type or value types"
                                      : "the key does not fit the type of the table";
        case TableStatus::not_reached:
            return "an earlier record failed";
    }
    return {};
}

std::string_view record_word(TableStatus status, Verb verb) {
    switch (status) {
        case TableStatus::done:
            return verb == Verb::add ? "added" : "deleted";
        case TableStatus::updated:
            return "updated";
        case TableStatus::exists:
            return "exists";
        case TableStatus::not_found:
            return "notfound";
        case TableStatus::limit:
            return "limit";
        case TableStatus::not_reached:
            return "ignored";
        default:
            return "error";
    }
}

bool succeeded(TableStatus status) {
    return status == TableStatus::done || status == TableStatus::updated;
}

// What stands in front of the reason.
std::string failure_of(Verb verb, const std::string& table) {
    switch (verb) {
        case Verb::add:
            return "Adding record failed";
        case Verb::remove:
            return "Deleting record failed";
        case Verb::create:
            return "Table creation failed";
        case Verb::destroy:
            return "failed to destroy table " + table;
        case Verb::flush:
            return "failed to flush table " + table;
        case Verb::swap:
            return "failed to swap table " + table;
        case Verb::load:
            return "failed to load table " + table;
        case Verb::modify:
            return "failed to modify table " + table;
        case Verb::lock:
        case Verb::unlock:
            return "failed to lock or unlock table " + table;
        case Verb::list:
        case Verb::info:
        case Verb::detail:
        case Verb::lookup:
            break;
    }
    return "failed to request table " + table;
}

void complain(OperationResult& result, ExitStatus status, std::string text) {
    result.status = status;
    result.complaints.push_back(std::move(text));
}

void refuse(OperationResult& result, Verb verb, const std::string& table, const std::string& why) {
    complain(result, ExitStatus::os, failure_of(verb, table) + ": " + why);
}

std::string heading(const TableDescriptor& table) {
    return "--- table(" + ruleset::table_name(table) + "), set(" + std::to_string(table.set) +
           ") ---";
}

bool is_number(std::string_view name) {
    return !name.empty() && name.find_first_not_of("0123456789") == name.npos;
}

bool changes_contents(Verb verb) {
    return verb == Verb::add || verb == Verb::remove || verb == Verb::flush || verb == Verb::load ||
           verb == Verb::swap;
}

}  // namespace

bool TableWork::changes_something() const {
    return std::any_of(changes_.begin(), changes_.end(), [](const TableChange& change) {
        return change.verb != TableVerb::list && change.verb != TableVerb::info &&
               change.verb != TableVerb::lookup;
    });
}

void TableWork::create(const TableDescriptor& table) {
    descriptors_.push_back(table);
    changes_.push_back({.verb = TableVerb::create,
                        .table = table.id,
                        .argument = static_cast<std::uint32_t>(descriptors_.size() - 1),
                        .key = {}});
}

void TableWork::one(Item& item, TableVerb verb, std::uint32_t id, std::uint32_t argument,
                    const TableKey& key) {
    changes_.push_back({.verb = verb, .table = id, .argument = argument, .key = key});
    ++item.count;
}

std::uint32_t TableWork::value_index(const TableValue& value) {
    // Records that stand together mostly have the same value.
    if (values_.empty() || !(values_.back() == value))
        values_.push_back(value);
    return static_cast<std::uint32_t>(values_.size() - 1);
}

Result<Done> TableWork::create(const language::TableCommand& command, Item& item,
                               ruleset::Ruleset& rules, OperationResult& result) {
    ruleset::TableCatalogue& tables = rules.tables();
    if (const TableDescriptor* there = tables.find(command.table)) {
        ruleset::TableCatalogue other;
        const Result<TableDescriptor> wanted = other.create(command);
        if (!wanted)
            return wanted.error();
        const bool same = there->type == wanted->type &&
                          there->value_fields == wanted->value_fields &&
                          there->flow_parts == wanted->flow_parts;
        if (!command.missing)
            refuse(result, Verb::create, command.table, "the table exists already");
        else if (!same)
            refuse(result, Verb::create, command.table,
                   "the table exists already, with another type or other value types");
        else if (command.or_flush) {
            item.table = *there;
            one(item, TableVerb::flush, there->id);
        }
        return Done{};
    }
    const Result<TableDescriptor> made = tables.create(command);
    if (!made)
        return made.error();
    item.table = *made;
    descriptors_.push_back(*made);
    one(item, TableVerb::create, made->id, static_cast<std::uint32_t>(descriptors_.size() - 1));
    return Done{};
}

Result<Done> TableWork::add_records(const TableOperation& operation, Item& item,
                                    const TableDescriptor& table) {
    const language::TableCommand& command = operation.command;
    const auto verb = command.verb == Verb::add      ? TableVerb::add
                      : command.verb == Verb::remove ? TableVerb::remove
                                                     : TableVerb::lookup;
    item.lines = operation.lines;
    for (std::size_t i = 0; i < command.records.size(); ++i) {
        const language::TableRecord& record = command.records[i];
        failed_line_ = item.lines.empty() ? 0 : item.lines[i];
        const Result<TableKey> key = ruleset::parse_table_key(table, record.key);
        if (!key)
            return key.error();
        std::uint32_t value = 0;
        if (verb == TableVerb::add) {
            const Result<TableValue> parsed = ruleset::parse_table_value(table, record.value);
            if (!parsed)
                return parsed.error();
            value = value_index(*parsed);
        }
        one(item, verb, table.id, value, *key);
        changes_.back().ttl_s = command.ttl_s.value_or(0);
        changes_.back().flags = operation.quiet ? contract::table_change_flag::update : 0;
        item.text = record.key;
    }
    failed_line_ = 0;
    as_a_whole |= command.atomic;
    return Done{};
}

Result<Done> TableWork::load(const language::TableCommand& command, Item& item,
                             const TableDescriptor& table) {
    const std::size_t load = changes_.size();
    one(item, TableVerb::load, table.id);
    const std::string_view content = command.content;
    std::size_t line = 0;
    for (std::size_t at = 0; at < content.size();) {
        const std::size_t end = std::min(content.find('\n', at), content.size());
        const std::string_view text = content.substr(at, end - at);
        at = end + 1;
        ++line;
        if (text.empty())
            continue;
        const std::size_t blank = std::min(text.find(' '), text.size());
        const auto where = [&](const Error& error) {
            return Error{error.status, (command.file.empty() ? "" : command.file + ":") +
                                           std::to_string(line) + ": " + error.message};
        };
        const Result<TableKey> key = ruleset::parse_table_key(table, text.substr(0, blank));
        if (!key)
            return where(key.error());
        const Result<TableValue> value = ruleset::parse_table_value(
            table, blank == text.size() ? std::string_view() : text.substr(blank + 1));
        if (!value)
            return where(value.error());
        one(item, TableVerb::add, table.id, value_index(*value), *key);
    }
    changes_[load].argument = static_cast<std::uint32_t>(changes_.size() - load - 1);
    return Done{};
}

// `table all …`: one item for each table.
Result<Done> TableWork::for_all(const TableOperation& operation, Item& item,
                                ruleset::Ruleset& rules, OperationResult& result) {
    for (const TableDescriptor& table : rules.tables().all()) {
        TableOperation each = operation;
        each.command.table = ruleset::table_name(table);
        OperationResult ignored;
        if (Result<Done> added = add(each, item.line, item.place, rules, ignored); !added)
            return added.error();
        for (std::string& complaint : ignored.complaints)
            complain(result, ignored.status, std::move(complaint));
    }
    return Done{};
}

Result<Done> TableWork::add(const TableOperation& operation, std::uint32_t line, std::size_t place,
                            ruleset::Ruleset& rules, OperationResult& result) {
    const language::TableCommand& command = operation.command;
    ruleset::TableCatalogue& tables = rules.tables();
    Item item{.verb = command.verb,
              .table = {},
              .place = place,
              .line = line,
              .first = changes_.size(),
              .lines = {},
              .text = {},
              .quiet = operation.quiet,
              .counters = operation.counters,
              .atomic = command.atomic,
              .style = operation.values_as_addresses ? ruleset::NumberStyle::address
                                                     : ruleset::NumberStyle::decimal};
    if (command.table == "all")
        return for_all(operation, item, rules, result);
    const auto keep = [&](Result<Done> done) {
        if (done && item.count != 0)
            items_.push_back(std::move(item));
        return done;
    };
    if (command.verb == Verb::create)
        return keep(create(command, item, rules, result));
    const TableDescriptor* table = tables.find(command.table);
    // A numbered table comes into being when something is put in.
    if (table == nullptr && command.verb == Verb::add && is_number(command.table)) {
        const Result<TableDescriptor> made =
            tables.create(command.table, ruleset::guess_table_type(command.records.front().key));
        if (!made)
            return made.error();
        create(*made);
        item.first = changes_.size();
        table = tables.find(command.table);
    }
    // Scripts of old flush them first, when all tables were there from the start.
    if (table == nullptr && command.verb == Verb::flush && is_number(command.table))
        return Done{};
    if (table == nullptr) {
        if (command.verb == Verb::lookup)
            complain(result, ExitStatus::unavailable, "Table " + command.table + " not found");
        else
            refuse(result, command.verb, command.table, kNoTable);
        return Done{};
    }
    item.table = *table;
    if (table->locked != 0 && changes_contents(command.verb)) {
        refuse(result, command.verb, command.table, "table is locked");
        return Done{};
    }
    switch (command.verb) {
        case Verb::add:
        case Verb::remove:
        case Verb::lookup:
            return keep(add_records(operation, item, *table));
        case Verb::load:
            return keep(load(command, item, *table));
        case Verb::flush:
            one(item, TableVerb::flush, table->id);
            break;
        case Verb::destroy:
            if (const std::size_t users = rules.table_references(command.table); users != 0) {
                refuse(result, command.verb, command.table,
                       std::to_string(users) + (users == 1 ? " rule names it" : " rules name it"));
                return Done{};
            }
            one(item, TableVerb::destroy, table->id);
            tables.remove(command.table);
            break;
        case Verb::modify:
        case Verb::lock:
        case Verb::unlock: {
            TableDescriptor& changed = tables.change(command.table);
            if (command.verb == Verb::modify)
                changed.limit = command.limit.value_or(0);
            else
                changed.locked = command.verb == Verb::lock ? 1 : 0;
            descriptors_.push_back(changed);
            one(item, TableVerb::modify, changed.id,
                static_cast<std::uint32_t>(descriptors_.size() - 1));
            break;
        }
        case Verb::swap: {
            const TableDescriptor* other = tables.find(command.other);
            if (other == nullptr) {
                refuse(result, command.verb, command.table,
                       "table " + command.other + " not found");
                return Done{};
            }
            if (other->locked != 0) {
                refuse(result, command.verb, command.table,
                       "table " + command.other + " is locked");
                return Done{};
            }
            one(item, TableVerb::swap, table->id, other->id);
            break;
        }
        case Verb::list:
            one(item, TableVerb::list, table->id);
            break;
        case Verb::info:
        case Verb::detail:
            item.references = rules.table_references(command.table);
            one(item, TableVerb::info, table->id);
            break;
        case Verb::create:
            break;
    }
    return keep(Done{});
}

// ---- The answer --------------------------------------------------------------------------------

std::string TableWork::entry_text(const Item& item, const TableEntry& entry,
                                  const TableAnswer& answer) const {
    std::string text =
        ruleset::print_table_key(item.table, entry.key) + " " +
        ruleset::print_table_value(item.table, answer.values[entry.value], item.style);
    if (item.counters)
        text += " hits " + std::to_string(entry.hits);
    if (entry.expires_s != 0)
        text += " ttl " + std::to_string(entry.expires_s);
    return text;
}

void TableWork::show_entries(const Item& item, const TableAnswer& answer,
                             OperationResult& result) const {
    const TableResult& of = answer.results[item.first];
    if (answer.entries.size() > kMaximumListedEntries)
        return complain(result, ExitStatus::unavailable,
                        std::to_string(answer.entries.size()) +
                            " entries are too many for one answer; `info` tells how many there "
                            "are, `lookup` finds one");
    for (std::size_t i = 0; i < of.entries; ++i)
        result.lines.push_back(entry_text(item, answer.entries[of.first + i], answer));
}

void TableWork::show_info(const Item& item, const TableAnswer& answer,
                          OperationResult& result) const {
    const TableDescriptor& table = item.table;
    const TableResult& of = answer.results[item.first];
    auto& lines = result.lines;
    lines.push_back(heading(table));
    lines.push_back(" kindex: " + std::to_string(table.id) + ", type: " +
                    ruleset::print_table_type(table) + (table.locked != 0 ? ", locked" : ""));
    lines.push_back(" references: " + std::to_string(item.references) +
                    ", valtype: " + ruleset::value_type_names(table.value_fields));
    lines.push_back(" algorithm: " + std::string(ruleset::table_algorithm(table.type)));
    lines.push_back(" items: " + std::to_string(of.count) + ", size: " + std::to_string(of.bytes));
    if (table.limit != 0)
        lines.push_back(" limit: " + std::to_string(table.limit));
    if (item.verb != Verb::detail)
        return;
    char each[32];
    std::snprintf(
        each, sizeof each, "%.1f",
        of.count == 0 ? 0.0 : static_cast<double>(of.bytes) / static_cast<double>(of.count));
    lines.push_back(" bytes per item: " + std::string(each) + ", hits: " + std::to_string(of.hits));
}

void TableWork::show_records(const Item& item, const TableAnswer& answer, bool undone,
                             OperationResult& result) const {
    TableStatus worst = TableStatus::done;
    for (std::size_t i = item.first; i < item.first + item.count; ++i) {
        const TableStatus status = answer.results[i].status;
        const TableChange& change = changes_[i];
        if (!succeeded(status) && succeeded(worst))
            worst = status;
        if (item.quiet)  // nobody would see the line
            continue;
        TableValue value;
        if (change.verb == TableVerb::add)
            value = values_[change.argument];
        result.lines.push_back(std::string(record_word(status, item.verb)) +
                               (undone && succeeded(status) ? "(reverted)" : "") + ": " +
                               ruleset::print_table_key(item.table, change.key) + " " +
                               ruleset::print_table_value(item.table, value, item.style));
    }
    if (!succeeded(worst))
        refuse(result, item.verb, ruleset::table_name(item.table),
               std::string(reason(worst, item.verb)));
}

std::uint32_t TableWork::line_of_failure(const Item& item, const TableAnswer& answer) const {
    for (std::size_t i = 0; i < item.lines.size(); ++i)
        if (!succeeded(answer.results[item.first + i].status))
            return item.lines[i];
    return item.line;
}

std::optional<TableWork::Failure> TableWork::conclude(const TableAnswer& answer,
                                                      std::vector<OperationResult>& results) const {
    const bool undone = answer.failed;
    for (const Item& item : items_) {
        OperationResult& result = results[item.place];
        const TableStatus status = answer.results[item.first].status;
        switch (item.verb) {
            case Verb::add:
            case Verb::remove:
                show_records(item, answer, undone, result);
                break;
            case Verb::lookup:
                if (status == TableStatus::not_found)
                    complain(result, ExitStatus::unavailable, "Entry " + item.text + " not found");
                else if (succeeded(status))
                    show_entries(item, answer, result);
                break;
            case Verb::list:
                result.lines.push_back(heading(item.table));
                show_entries(item, answer, result);
                break;
            case Verb::info:
            case Verb::detail:
                show_info(item, answer, result);
                break;
            case Verb::load: {
                const TableResult& of = answer.results[item.first];
                if (succeeded(status))
                    result.lines.push_back("loaded: " + std::to_string(of.count) + " entries, " +
                                           std::to_string(of.added) + " added, " +
                                           std::to_string(of.changed) + " changed, " +
                                           std::to_string(of.removed) + " removed");
                break;
            }
            default:
                break;
        }
        const bool told = item.verb == Verb::add || item.verb == Verb::remove ||
                          (item.verb == Verb::lookup && status == TableStatus::not_found);
        if (!told && !succeeded(status) && status != TableStatus::not_reached)
            refuse(result, item.verb, ruleset::table_name(item.table),
                   std::string(reason(status, item.verb)));
        if (request_as_a_whole && result.status != ExitStatus::ok)
            return Failure{
                line_of_failure(item, answer),
                {result.status, result.complaints.empty() ? "refused" : result.complaints.front()}};
    }
    if (undone && request_as_a_whole)  // a table that a rule names could not be made
        return Failure{
            0,
            {ExitStatus::os, "a table cannot be made: " +
                                 std::string(reason(TableStatus::no_memory, Verb::create))}};
    return std::nullopt;
}

}  // namespace sluice::service
