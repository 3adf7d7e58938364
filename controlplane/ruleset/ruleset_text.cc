#include "controlplane/ruleset/ruleset_text.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "controlplane/ruleset/canonical_text.h"
#include "controlplane/ruleset/sysctl.h"
#include "controlplane/ruleset/table_text.h"

namespace sluice::ruleset {
namespace {

constexpr std::string_view kAdd = "add ";
// Where a rule without a limit was added, a limit of today would become its own.
constexpr std::string_view kVerboseLimit = "net.inet.ip.fw.verbose_limit";

void append_sysctl(std::string& text, std::string_view name, std::uint32_t value) {
    text.append("sysctl ").append(name).append("=").append(std::to_string(value)).append("\n");
}

void append_sysctls(std::string& text, const Ruleset& rules) {
    for (const SysctlName& name : sysctl_names()) {
        if (name.kind != SysctlKind::writable)
            continue;
        const Result<std::uint32_t> value =
            read_sysctl(rules.sysctls(), rules.sysctl_facts(), name.name);
        append_sysctl(text, name.name, name.name == kVerboseLimit || !value ? 0 : *value);
    }
}

// A table that is there already, locked or smaller, becomes the same one.
void append_table(std::string& text, const contract::TableDescriptor& table,
                  const EntryWriter& entries) {
    const std::string name = table_name(table), command = "table " + name + " ";
    const std::string limit = " limit " + std::to_string(table.limit);
    text += (table.set != 0 ? "set " + std::to_string(table.set) + " " : "") + command +
            "create type " + print_table_type(table) + " valtype " +
            value_type_names(table.value_fields) + limit + " or-flush\n" + command + "unlock\n" +
            command + "modify" + limit + "\n";
    if (entries)
        entries(table, text);
    if (table.locked != 0)
        text += command + "lock\n";
}

// An object of that name becomes the same one, whatever it is.
void append_pattern_object(std::string& text, const PatternObject& object) {
    constexpr std::size_t kUsualLine = 1000;
    const std::string command = "pattern " + object.name + " ";
    text += command + "create " + settings_text(object.settings) + " or-flush\n";
    std::size_t line = 0;  // its length; 0: there is none
    for (const patterns::Pattern& pattern : object.patterns) {
        const std::string words = " " + pattern.text + " " + std::to_string(pattern.value);
        if (line + words.size() > kUsualLine && line != 0) {
            text += "\n";
            line = 0;
        }
        if (line == 0)
            text += command + "add";
        line += words.size();
        text += words;
    }
    if (line != 0)
        text += "\n";
}

void append_rules(std::string& text, const Ruleset& rules) {
    for (const StoredRule* rule : rules.borrowed_rules()) {
        text.append(kAdd).append(std::to_string(rule->rule.number)).append(" ");
        if (rule->rule.set != 0)
            text.append("set ").append(std::to_string(rule->rule.set)).append(" ");
        text.append(rule->text).append("\n");
    }
}

void append_sets(std::string& text, std::uint32_t disabled) {
    const auto append = [&](const char* word, std::uint32_t sets) {
        text += sets == 0 ? "" : word;
        for (unsigned set = 0; set < kReservedSet; ++set)
            if ((sets >> set & 1) != 0)
                text += " " + std::to_string(set);
    };
    text += "set";
    append(" disable", disabled);
    append(" enable", ~disabled & ~(1u << kReservedSet));
    text += "\n";
}

bool is_policy(std::string_view line) {
    const bool table = line.starts_with("table ") ||
                       (line.starts_with("set ") && line.find(" table ") != line.npos);
    return !table && !line.starts_with("#");
}

// Eight bytes at a time: a long ruleset is looked at with everybody waiting.
std::uint64_t mixed(std::uint64_t hash, std::string_view bytes) {
    constexpr std::uint64_t kOdd = 0x9e3779b97f4a7c15;
    while (!bytes.empty()) {
        std::uint64_t word = 0;
        const std::size_t size = std::min(bytes.size(), sizeof word);
        std::memcpy(&word, bytes.data(), size);
        bytes.remove_prefix(size);
        hash = (hash ^ word) * kOdd;
        hash ^= hash >> 29;
    }
    return hash;
}

constexpr auto kRemainders = [] {
    constexpr std::uint64_t kPolynomial = 0xc96c5795d7870f42;  // ECMA-182, reflected
    std::array<std::uint64_t, 256> table{};
    for (std::uint64_t byte = 0; byte < table.size(); ++byte) {
        std::uint64_t remainder = byte;
        for (int bit = 0; bit < 8; ++bit)
            remainder = (remainder & 1) != 0 ? remainder >> 1 ^ kPolynomial : remainder >> 1;
        table[byte] = remainder;
    }
    return table;
}();

}  // namespace

std::string entry_line(const contract::TableDescriptor& table, const contract::TableKey& key,
                       const contract::TableValue& value, std::uint32_t ttl_s) {
    return "table " + table_name(table) + " add " + print_table_key(table, key) + " " +
           print_table_value(table, value, NumberStyle::decimal) +
           (ttl_s != 0 ? " ttl " + std::to_string(ttl_s) : "") + "\n";
}

std::string ruleset_text(const Ruleset& rules, const EntryWriter& entries) {
    constexpr std::size_t kUsualRule = 72;
    std::string text;
    text.reserve(4096 + rules.size() * kUsualRule);
    text += "-f flush\n-q delete set 31\n-q pattern all destroy\n";
    append_sysctls(text, rules);
    for (const contract::TableDescriptor& table : rules.tables().all())
        append_table(text, table, entries);
    for (const PatternCatalogue::Pointer& object : rules.patterns().named())
        append_pattern_object(text, *object);
    append_rules(text, rules);
    append_sets(text, rules.disabled_sets());
    if (rules.sysctls().verbose_limit != 0)
        append_sysctl(text, kVerboseLimit, rules.sysctls().verbose_limit);
    return text;
}

std::uint64_t policy_hash(std::string_view text) {
    std::uint64_t hash = 0;
    each_line(text, [&](std::string_view line) {
        if (is_policy(line))
            hash = mixed(hash ^ line.size(), line);
    });
    return hash;
}

std::vector<ComparedRule> rules_in(std::string_view text) {
    std::vector<ComparedRule> result;
    each_line(text, [&](std::string_view line) {
        if (!line.starts_with(kAdd))
            return;
        if (const auto parts = split_canonical(line.substr(kAdd.size())))
            result.push_back({.number = parts->number, .set = parts->set, .text = parts->text});
    });
    return result;
}

std::uint64_t checksum(std::string_view bytes, std::uint64_t so_far) {
    std::uint64_t remainder = ~so_far;
    for (const char byte : bytes)
        remainder =
            kRemainders[(remainder ^ static_cast<unsigned char>(byte)) & 0xff] ^ remainder >> 8;
    return ~remainder;
}

}  // namespace sluice::ruleset
