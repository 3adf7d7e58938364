#include "tests/reference/slow_tables.h"

#include <algorithm>
#include <cctype>
#include <cstring>
#include <utility>

#include "common/address.h"

namespace sluice::reference {

namespace {

using language::TableCommand;
using language::TableType;
using Bytes = std::vector<std::uint8_t>;

template <typename Address>
Bytes bytes_of(const Address& address) {
    Bytes bytes(sizeof address);
    std::memcpy(bytes.data(), &address, sizeof address);
    return bytes;
}

SlowEntry entry_of(TableType type, const language::TableRecord& record) {
    SlowEntry entry;
    if (const auto v4 = parse_ipv4(record.value))
        entry.value = v4->host();
    else if (!record.value.empty())
        entry.value = static_cast<std::uint32_t>(std::stoul(record.value));
    if (type != TableType::addr && type != TableType::mac) {
        entry.text = record.key;
        return entry;
    }
    const std::size_t slash = record.key.find('/');
    const std::string address = record.key.substr(0, slash);
    if (const auto v4 = parse_ipv4(address))
        entry.bytes = bytes_of(*v4);
    else if (const auto v6 = parse_ipv6(address))
        entry.bytes = bytes_of(*v6);
    else if (const auto mac = parse_mac(address))
        entry.bytes = bytes_of(*mac);
    entry.length = static_cast<unsigned>(entry.bytes.size()) * 8;
    if (slash != std::string::npos)
        entry.length = static_cast<unsigned>(std::stoul(record.key.substr(slash + 1)));
    for (std::size_t bit = entry.length; bit < entry.bytes.size() * 8; ++bit)
        entry.bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80u >> bit % 8));
    return entry;
}

bool same_key(const SlowEntry& a, const SlowEntry& b) {
    return a.bytes == b.bytes && a.length == b.length && a.text == b.text;
}

bool covers(const SlowEntry& entry, const Bytes& address) {
    if (entry.bytes.size() != address.size())
        return false;
    for (unsigned bit = 0; bit < entry.length; ++bit)
        if (((entry.bytes[bit / 8] ^ address[bit / 8]) & (0x80u >> bit % 8)) != 0)
            return false;
    return true;
}

TableType guessed(const std::string& key) {
    const std::string address = key.substr(0, key.find('/'));
    if (parse_ipv4(address) || parse_ipv6(address))
        return TableType::addr;
    if (parse_mac(address))
        return TableType::mac;
    return std::all_of(key.begin(), key.end(), [](unsigned char c) { return std::isdigit(c); })
               ? TableType::number
               : TableType::iface;
}

}  // namespace

void SlowTables::carry_out(const TableCommand& command) {
    using Verb = TableCommand::Verb;
    auto found = tables_.find(command.table);
    if (command.verb == Verb::create) {
        if (found == tables_.end())
            tables_[command.table].type = command.type.value_or(TableType::addr);
        return;
    }
    if (found == tables_.end()) {
        if (command.verb != Verb::add)
            return;
        found = tables_.emplace(command.table, SlowTable{}).first;
        found->second.type = guessed(command.records.front().key);
    }
    SlowTable& table = found->second;
    switch (command.verb) {
        case Verb::add:
            for (const language::TableRecord& record : command.records) {
                const SlowEntry entry = entry_of(table.type, record);
                if (std::none_of(table.entries.begin(), table.entries.end(),
                                 [&](const SlowEntry& other) { return same_key(entry, other); }))
                    table.entries.push_back(entry);
            }
            break;
        case Verb::remove:
            for (const language::TableRecord& record : command.records) {
                const SlowEntry entry = entry_of(table.type, record);
                std::erase_if(table.entries,
                              [&](const SlowEntry& other) { return same_key(entry, other); });
            }
            break;
        case Verb::flush:
            table.entries.clear();
            break;
        case Verb::destroy:
            tables_.erase(found);
            break;
        case Verb::swap:
            if (const auto other = tables_.find(command.other);
                other != tables_.end() && other->second.type == table.type)
                std::swap(table, other->second);
            break;
        default:
            break;
    }
}

std::optional<std::uint32_t> SlowTables::find_prefix(const std::string& name, TableType type,
                                                     const Bytes& address) const {
    const auto found = tables_.find(name);
    if (found == tables_.end() || found->second.type != type)
        return std::nullopt;
    const SlowEntry* best = nullptr;
    for (const SlowEntry& entry : found->second.entries)
        if (covers(entry, address) && (best == nullptr || entry.length > best->length))
            best = &entry;
    // The real engine does not find the last address by a prefix (conformance/modern-stateful-002,
    // packet 236): in its tree that is the end.
    const bool last =
        type == TableType::addr &&
        std::all_of(address.begin(), address.end(), [](std::uint8_t byte) { return byte == 0xff; });
    if (best == nullptr || (last && best->length != address.size() * 8))
        return std::nullopt;
    return best->value;
}

std::optional<std::uint32_t> SlowTables::find_text(const std::string& name, TableType type,
                                                   const std::string& text) const {
    const auto found = tables_.find(name);
    if (found == tables_.end() || found->second.type != type)
        return std::nullopt;
    for (const SlowEntry& entry : found->second.entries)
        if (entry.text == text)
            return entry.value;
    return std::nullopt;
}

}  // namespace sluice::reference
