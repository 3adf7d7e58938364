#include "controlplane/ruleset/table_catalogue.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <optional>
#include <utility>

#include "controlplane/ruleset/table_text.h"

namespace sluice::ruleset {
namespace {

using contract::TableDescriptor;
using contract::TableType;

TableType type_for_field(std::string_view field) {
    if (field.find("-ip") != field.npos)
        return TableType::addr;
    return field.find("-mac") != field.npos ? TableType::mac : TableType::number;
}

class UseFinder {
  public:
    std::vector<TableUse> uses;

    void group(const language::Group& group) {
        for (const language::Term& term : group.any_of)
            std::visit(*this, term.match);
    }
    void operator()(const language::AddressMatch& match) {
        if (const auto* table = std::get_if<language::TableReference>(&match.what))
            uses.push_back({table->name, TableType::addr});
    }
    void operator()(const language::InterfaceMatch& match) {
        if (const auto* table = std::get_if<language::TableReference>(&match.what))
            uses.push_back({table->name, TableType::iface});
    }
    void operator()(const language::MacTableMatch& match) {
        uses.push_back({match.table.name, TableType::mac});
    }
    void operator()(const language::FlowTableMatch& match) {
        uses.push_back({match.table.name, TableType::flow});
    }
    void operator()(const language::LookupMatch& match) {
        uses.push_back({match.table.name, type_for_field(match.field)});
    }
    template <typename Other>
    void operator()(const Other&) {}
};

std::optional<unsigned> as_number(std::string_view name) {
    unsigned value = 0;
    const auto [end, problem] = std::from_chars(name.data(), name.data() + name.size(), value);
    if (problem != std::errc{} || end != name.data() + name.size())
        return std::nullopt;
    return value;
}

TableDescriptor plain(TableType type) {
    TableDescriptor table;
    table.type = type;
    table.value_fields = contract::kLegacyValue;
    if (type == TableType::flow)
        table.flow_parts = contract::flow_part::all;
    return table;
}

constexpr std::pair<std::string_view, std::uint8_t> kFlowParts[] = {
    {"src-ip", contract::flow_part::source_address},
    {"proto", contract::flow_part::protocol},
    {"src-port", contract::flow_part::source_port},
    {"dst-ip", contract::flow_part::destination_address},
    {"dst-port", contract::flow_part::destination_port}};

}  // namespace

std::vector<TableUse> table_uses(const language::Rule& rule) {
    UseFinder finder;
    if (rule.body)
        for (const auto* group :
             {&rule.body->protocol, &rule.body->source, &rule.body->destination})
            finder.group(*group);
    for (const language::Group& group : rule.options)
        finder.group(group);
    return std::move(finder.uses);
}

std::vector<TableDescriptor> TableCatalogue::all() const {
    std::vector<TableDescriptor> result;
    for (const auto& [name, table] : *tables_)
        result.push_back(table);
    std::stable_sort(result.begin(), result.end(),
                     [](const TableDescriptor& a, const TableDescriptor& b) {
                         const auto first = as_number(a.name), second = as_number(b.name);
                         if (first && second)
                             return *first < *second;
                         return first.has_value() && !second.has_value();
                     });
    return result;
}

const TableDescriptor* TableCatalogue::find(std::string_view name) const {
    const auto found = tables_->find(name);
    return found == tables_->end() ? nullptr : &found->second;
}

TableCatalogue::Tables& TableCatalogue::writable() {
    if (tables_.use_count() > 1)
        tables_ = std::make_shared<Tables>(*tables_);
    return *tables_;
}

Result<TableDescriptor> TableCatalogue::insert(TableDescriptor table, std::string_view name) {
    if (tables_->size() >= maximum_)
        return Error{ExitStatus::os, "there are " + std::to_string(tables_->size()) +
                                         " tables; net.inet.ip.fw.tables_max allows no more"};
    // Ids are used again only when the numbers have gone round.
    const auto used = [&](std::uint32_t id) {
        return std::any_of(tables_->begin(), tables_->end(),
                           [id](const auto& each) { return each.second.id == id; });
    };
    if (next_id_ >= contract::kMaximumTables)
        next_id_ = 0;
    while (used(next_id_))
        next_id_ = (next_id_ + 1) % contract::kMaximumTables;
    table.id = next_id_++;
    std::memcpy(table.name, name.data(), std::min(name.size(), sizeof table.name - 1));
    writable()[std::string(name)] = table;
    return table;
}

Result<TableDescriptor> TableCatalogue::create(std::string_view name, TableType type) {
    return insert(plain(type), name);
}

Result<TableDescriptor> TableCatalogue::create(const language::TableCommand& command) {
    TableDescriptor table =
        plain(static_cast<TableType>(command.type.value_or(language::TableType::addr)));
    if (!command.value_types.empty()) {
        table.value_fields = 0;
        for (const language::TableValueType type : command.value_types)
            table.value_fields |= std::uint32_t{1} << static_cast<unsigned>(type);
    }
    if (!command.flow_fields.empty()) {
        table.flow_parts = 0;
        for (const std::string& field : command.flow_fields)
            for (const auto& [name, bit] : kFlowParts)
                if (field == name)
                    table.flow_parts |= bit;
    }
    // `addr:hash` finds what `addr:radix` finds; there is one way to store each type here.
    const std::string_view expected = table_algorithm(table.type);
    const std::string_view algorithm =
        std::string_view(command.algorithm).substr(0, command.algorithm.find(' '));
    const bool hash = table.type == TableType::addr && algorithm == "addr:hash";
    if (!algorithm.empty() && algorithm != expected && !hash)
        return Error{ExitStatus::data, "unknown algorithm \"" + command.algorithm +
                                           "\" for a table of type " +
                                           std::string(table_type_name(table.type)) +
                                           "; expected " + std::string(expected)};
    table.limit = command.limit.value_or(0);
    table.locked = command.locked ? 1 : 0;
    table.set = command.set;
    return insert(table, command.table);
}

void TableCatalogue::adopt(const TableDescriptor& table) {
    writable()[table.name] = table;
    next_id_ = std::max(next_id_, table.id + 1);
}

TableDescriptor& TableCatalogue::change(std::string_view name) {
    return writable().find(name)->second;
}

void TableCatalogue::remove(std::string_view name) {
    Tables& tables = writable();
    tables.erase(tables.find(name));
}

Result<Done> TableCatalogue::make_for(const language::Rule& rule) {
    for (const TableUse& use : table_uses(rule)) {
        if (const TableDescriptor* there = find(use.name)) {
            if (there->type == use.type)
                continue;
            return Error{ExitStatus::unavailable, "table " + use.name + " is of type " +
                                                      std::string(table_type_name(there->type)) +
                                                      "; the rule asks for one of type " +
                                                      std::string(table_type_name(use.type))};
        }
        const Result<TableDescriptor> made = create(use.name, use.type);
        if (!made)
            return made.error();
        made_.push_back(*made);
    }
    return Done{};
}

}  // namespace sluice::ruleset
