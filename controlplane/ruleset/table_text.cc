#include "controlplane/ruleset/table_text.h"

#include <algorithm>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <vector>

#include "common/address.h"
#include "controlplane/language/names.h"

namespace sluice::ruleset {
namespace {

using contract::TableDescriptor;
using contract::TableField;
using contract::TableKey;
using contract::TableType;
using contract::TableValue;
namespace part = contract::flow_part;

constexpr std::uint32_t kMaximum32 = std::numeric_limits<std::uint32_t>::max();

Error bad(const std::string& sentence) {
    return {ExitStatus::data, sentence};
}

std::string quoted(std::string_view text) {
    return "\"" + std::string(text) + "\"";
}

// Decimal, or hexadecimal behind 0x.
std::optional<std::uint32_t> number(std::string_view text, std::uint32_t maximum = kMaximum32) {
    int base = 10;
    if (text.starts_with("0x") || text.starts_with("0X")) {
        text.remove_prefix(2);
        base = 16;
    }
    std::uint32_t value = 0;
    const auto [end, problem] =
        std::from_chars(text.data(), text.data() + text.size(), value, base);
    if (problem != std::errc{} || end != text.data() + text.size() || value > maximum)
        return std::nullopt;
    return value;
}

std::vector<std::string_view> parts_of(std::string_view text) {
    std::vector<std::string_view> parts;
    for (std::size_t start = 0; start <= text.size();) {
        const std::size_t end = std::min(text.find(',', start), text.size());
        parts.push_back(text.substr(start, end - start));
        start = end + 1;
    }
    return parts;
}

bool read_address(std::string_view text, std::uint8_t& version,
                  std::array<std::uint8_t, 16>& bytes) {
    if (const auto v4 = parse_ipv4(text)) {
        version = 4;
        std::memcpy(bytes.data(), &*v4, sizeof *v4);
    } else if (const auto v6 = parse_ipv6(text)) {
        version = 6;
        bytes = v6->bytes;
    } else {
        return false;
    }
    return true;
}

void clear_behind(std::array<std::uint8_t, 16>& bytes, unsigned length) {
    for (unsigned bit = length; bit < 128; ++bit)
        bytes[bit / 8] &= static_cast<std::uint8_t>(~(0x80 >> bit % 8));
}

// `ADDRESS[/LENGTH]`: the length, or the longest one.
std::optional<std::uint8_t> prefix_length(std::string_view text, std::size_t slash,
                                          unsigned longest) {
    if (slash == text.npos)
        return static_cast<std::uint8_t>(longest);
    const auto length = number(text.substr(slash + 1), longest);
    return length ? std::optional(static_cast<std::uint8_t>(*length)) : std::nullopt;
}

Result<TableKey> address_key(std::string_view text) {
    TableKey key;
    const std::size_t slash = text.find('/');
    if (!read_address(text.substr(0, slash), key.ip_version, key.bytes))
        return bad("bad address " + quoted(text.substr(0, slash)) +
                   "; expected an IPv4 or IPv6 address, with or without /LENGTH");
    const unsigned longest = key.ip_version == 4 ? 32 : 128;
    const auto length = prefix_length(text, slash, longest);
    if (!length)
        return bad("bad prefix length in " + quoted(text) + "; expected 0 to " +
                   std::to_string(longest));
    key.prefix_length = *length;
    clear_behind(key.bytes, *length);
    return key;
}

Result<TableKey> mac_key(std::string_view text) {
    TableKey key;
    const std::size_t slash = text.find('/');
    const auto mac = parse_mac(text.substr(0, slash));
    const auto length = prefix_length(text, slash, 48);
    if (!mac || !length)
        return bad("bad MAC address " + quoted(text) +
                   "; expected xx:xx:xx:xx:xx:xx, with or without /LENGTH up to 48");
    std::memcpy(key.bytes.data(), mac->bytes.data(), mac->bytes.size());
    key.prefix_length = *length;
    clear_behind(key.bytes, *length);
    return key;
}

std::optional<std::uint16_t> port_number(std::string_view text) {
    if (const auto value = number(text, 65535))
        return static_cast<std::uint16_t>(*value);
    return language::NameDatabase::instance().service(text);
}

std::optional<std::uint8_t> protocol_number(std::string_view text) {
    if (const auto value = number(text, 255))
        return static_cast<std::uint8_t>(*value);
    return language::NameDatabase::instance().protocol(text);
}

struct FlowPart {
    std::uint8_t bit;
    std::string_view name;
};
// In the order in which they are written.
constexpr FlowPart kFlowParts[] = {{part::source_address, "src-ip"},
                                   {part::protocol, "proto"},
                                   {part::source_port, "src-port"},
                                   {part::destination_address, "dst-ip"},
                                   {part::destination_port, "dst-port"}};

std::string flow_part_names(std::uint8_t parts) {
    std::string text;
    for (const FlowPart& each : kFlowParts)
        if ((parts & each.bit) != 0)
            text += (text.empty() ? "" : ",") + std::string(each.name);
    return text;
}

Result<TableKey> flow_key(const TableDescriptor& table, std::string_view text) {
    TableKey key;
    const auto words = parts_of(text);
    std::size_t at = 0;
    std::uint8_t versions[2] = {};
    for (const FlowPart& each : kFlowParts) {
        if ((table.flow_parts & each.bit) == 0)
            continue;
        if (at == words.size())
            break;
        const std::string_view word = words[at++];
        bool good = true;
        if (each.bit == part::source_address) {
            good = read_address(word, versions[0], key.bytes);
        } else if (each.bit == part::destination_address) {
            good = read_address(word, versions[1], key.destination.bytes);
        } else if (each.bit == part::protocol) {
            const auto protocol = protocol_number(word);
            good = protocol.has_value();
            key.protocol = protocol.value_or(0);
        } else {
            const auto port = port_number(word);
            good = port.has_value();
            (each.bit == part::source_port ? key.source_port : key.destination_port) =
                port.value_or(0);
        }
        if (!good)
            return bad("bad " + std::string(each.name) + " " + quoted(word) + " in the flow " +
                       quoted(text));
    }
    const auto expected = static_cast<std::size_t>(
        std::count_if(std::begin(kFlowParts), std::end(kFlowParts),
                      [&](const FlowPart& each) { return (table.flow_parts & each.bit) != 0; }));
    if (words.size() != expected)
        return bad("the flow " + quoted(text) + " has " + std::to_string(words.size()) +
                   " parts; expected " + flow_part_names(table.flow_parts));
    if (versions[0] != 0 && versions[1] != 0 && versions[0] != versions[1])
        return bad("the addresses of the flow " + quoted(text) + " are of two families");
    key.ip_version = std::max({versions[0], versions[1], std::uint8_t{0}});
    if (key.ip_version == 0)
        key.ip_version = 4;
    return key;
}

struct FieldName {
    std::string_view name;
    std::uint32_t maximum;
};
constexpr FieldName kFieldNames[contract::kTableFields] = {
    {"skipto", 65535}, {"pipe", 65535},      {"fib", 65535},       {"nat", 65535},
    {"dscp", 63},      {"tag", 65535},       {"divert", 65535},    {"netgraph", kMaximum32},
    {"limit", 65535},  {"ipv4", kMaximum32}, {"ipv6", kMaximum32}, {"mark", kMaximum32}};

std::optional<std::uint32_t> number_or_ipv4(std::string_view text) {
    if (const auto v4 = parse_ipv4(text))
        return v4->host();
    return number(text);
}

std::string address_text(std::uint8_t version, const std::array<std::uint8_t, 16>& bytes) {
    if (version == 6)
        return to_string(Ipv6{bytes});
    Ipv4 v4;
    std::memcpy(&v4, bytes.data(), sizeof v4);
    return to_string(v4);
}

}  // namespace

Result<TableKey> parse_table_key(const TableDescriptor& table, std::string_view text) {
    TableKey key;
    switch (table.type) {
        case TableType::addr:
            return address_key(text);
        case TableType::mac:
            return mac_key(text);
        case TableType::flow:
            return flow_key(table, text);
        case TableType::number: {
            const auto value = number(text);
            if (!value)
                return bad("bad number " + quoted(text) + "; expected 0 to 4294967295");
            key.number = *value;
            return key;
        }
        case TableType::iface:
            if (text.empty() || text.size() >= contract::kTableInterfaceNameSize)
                return bad("bad interface name " + quoted(text) + "; expected 1 to 15 characters");
            std::memcpy(key.bytes.data(), text.data(), text.size());
            return key;
        case TableType::count_:
            break;
    }
    return bad("a table of an unknown type has no keys");
}

std::string print_table_key(const TableDescriptor& table, const TableKey& key) {
    switch (table.type) {
        case TableType::addr:
            return address_text(key.ip_version, key.bytes) + "/" +
                   std::to_string(key.prefix_length);
        case TableType::mac: {
            MacAddress mac;
            std::memcpy(mac.bytes.data(), key.bytes.data(), mac.bytes.size());
            return to_string(mac) + "/" + std::to_string(key.prefix_length);
        }
        case TableType::number:
            return std::to_string(key.number);
        case TableType::iface:
            return {reinterpret_cast<const char*>(key.bytes.data()),
                    strnlen(reinterpret_cast<const char*>(key.bytes.data()), key.bytes.size())};
        case TableType::flow: {
            std::string text;
            for (const FlowPart& each : kFlowParts) {
                if ((table.flow_parts & each.bit) == 0)
                    continue;
                if (!text.empty())
                    text += ",";
                if (each.bit == part::source_address)
                    text += address_text(key.ip_version, key.bytes);
                else if (each.bit == part::destination_address)
                    text += address_text(key.ip_version, key.destination.bytes);
                else if (each.bit == part::protocol)
                    text += std::to_string(key.protocol);
                else
                    text += std::to_string(each.bit == part::source_port ? key.source_port
                                                                         : key.destination_port);
            }
            return text;
        }
        case TableType::count_:
            break;
    }
    return {};
}

Result<TableValue> parse_table_value(const TableDescriptor& table, std::string_view text) {
    TableValue value;
    if (text.empty())
        return value;
    if ((table.value_fields & contract::kLegacyValue) != 0) {
        const auto one = number_or_ipv4(text);
        if (!one)
            return bad("bad value " + quoted(text) + "; expected a number or an IPv4 address");
        value.numbers.fill(*one);
        // What a field cannot hold is left out of it, as if it had not been given.
        for (std::size_t i = 0; i < contract::kTableFields; ++i)
            if (*one > kFieldNames[i].maximum && i != static_cast<std::size_t>(TableField::tag))
                value.numbers[i] = 0;
        value.numbers[static_cast<std::size_t>(TableField::ipv6)] = 0;
        return value;
    }
    const auto words = parts_of(text);
    std::size_t at = 0;
    for (std::size_t i = 0; i < contract::kTableFields; ++i) {
        if ((table.value_fields >> i & 1) == 0)
            continue;
        if (at == words.size())
            break;
        const std::string_view word = words[at++];
        const auto field = static_cast<TableField>(i);
        const std::string wrong =
            "bad value " + quoted(word) + " of " + std::string(kFieldNames[i].name);
        if (field == TableField::ipv6) {
            const auto v6 = parse_ipv6(word);
            if (!v6)
                return bad(wrong + "; expected an IPv6 address");
            value.ipv6 = *v6;
        } else if (field == TableField::ipv4) {
            const auto v4 = parse_ipv4(word);
            if (!v4)
                return bad(wrong + "; expected an IPv4 address");
            value.numbers[i] = v4->host();
        } else {
            auto parsed = number(word, kFieldNames[i].maximum);
            if (field == TableField::divert && !parsed)
                parsed = port_number(word);
            if (!parsed)
                return bad(wrong + "; expected a number up to " +
                           std::to_string(kFieldNames[i].maximum));
            value.numbers[i] = *parsed;
        }
    }
    const auto expected = static_cast<std::size_t>(std::popcount(table.value_fields));
    if (words.size() != expected)
        return bad("the value " + quoted(text) + " has " + std::to_string(words.size()) +
                   " parts; expected " + value_type_names(table.value_fields));
    return value;
}

std::string print_table_value(const TableDescriptor& table, const TableValue& value,
                              NumberStyle style) {
    if ((table.value_fields & contract::kLegacyValue) != 0) {
        const std::uint32_t one = value.of(TableField::tag);
        return style == NumberStyle::address ? to_string(Ipv4::from_host(one))
                                             : std::to_string(one);
    }
    std::string text;
    for (std::size_t i = 0; i < contract::kTableFields; ++i) {
        if ((table.value_fields >> i & 1) == 0)
            continue;
        const auto field = static_cast<TableField>(i);
        if (!text.empty())
            text += ",";
        if (field == TableField::ipv4)
            text += to_string(Ipv4::from_host(value.of(field)));
        else if (field == TableField::ipv6)
            text += to_string(value.ipv6);
        else
            text += std::to_string(value.of(field));
    }
    return text;
}

Result<std::uint32_t> parse_compared_value(std::string_view text) {
    const auto value = number_or_ipv4(text);
    if (!value)
        return bad("bad value " + quoted(text) + " of a table; expected a number");
    return *value;
}

Result<ComparedValue> parse_compared_value(const TableDescriptor& table, std::string_view text) {
    ComparedValue compared;
    if (const std::size_t equals = text.find('='); equals != text.npos) {
        const std::string_view name = text.substr(0, equals);
        const auto* field =
            std::find_if(std::begin(kFieldNames), std::end(kFieldNames),
                         [name](const FieldName& each) { return each.name == name; });
        if (field == std::end(kFieldNames) || name == "ipv6")
            return bad("bad type of value " + quoted(name) +
                       "; expected skipto, pipe, fib, nat, dscp, tag, divert, netgraph, limit, "
                       "ipv4 or mark");
        compared.field = static_cast<TableField>(field - std::begin(kFieldNames));
        if ((table.value_fields & (contract::kLegacyValue | table_field_bit(*compared.field))) == 0)
            return bad("table " + std::string(table.name) + " has no values of type " +
                       std::string(name) + "; it has " + value_type_names(table.value_fields));
        text.remove_prefix(equals + 1);
    }
    const Result<std::uint32_t> number = parse_compared_value(text);
    if (!number)
        return number.error();
    compared.number = *number;
    return compared;
}

std::string_view table_type_name(TableType type) {
    constexpr std::string_view kNames[] = {"addr", "iface", "number", "flow", "mac"};
    return kNames[static_cast<std::size_t>(type)];
}

std::string print_table_type(const TableDescriptor& table) {
    std::string text(table_type_name(table.type));
    if (table.type == TableType::flow)
        text += ":" + flow_part_names(table.flow_parts);
    return text;
}

std::string_view table_algorithm(TableType type) {
    constexpr std::string_view kNames[] = {"addr:radix", "iface:array", "number:array", "flow:hash",
                                           "mac:radix"};
    return kNames[static_cast<std::size_t>(type)];
}

std::string value_type_names(std::uint32_t fields) {
    if ((fields & contract::kLegacyValue) != 0)
        return "legacy";
    std::string text;
    for (std::size_t i = 0; i < contract::kTableFields; ++i)
        if ((fields >> i & 1) != 0)
            text += (text.empty() ? "" : ",") + std::string(kFieldNames[i].name);
    return text;
}

TableType guess_table_type(std::string_view key) {
    if (address_key(key))
        return TableType::addr;
    if (mac_key(key))
        return TableType::mac;
    if (number(key))
        return TableType::number;
    return key.find(',') != key.npos ? TableType::flow : TableType::iface;
}

}  // namespace sluice::ruleset
