// The recursive descent behind parse_command: command.cc has flags and the commands on rules,
// set_reader.cc those on sets and switches, table_reader.cc those on tables, pattern_reader.cc
// those on patterns. command_line.cc reads the command line that names a rule file. Internal to
// this folder.
#pragma once

#include "controlplane/language/command.h"
#include "controlplane/language/cursor.h"
#include "controlplane/language/keywords.h"

namespace sluice::language {

enum class Verb {
    add,
    remove,
    flush,
    list,
    show,
    print,
    zero,
    resetlog,
    set,
    enable,
    disable,
    table,
    pattern,
    sysctl,
    help,
    not_supported,
    senseless
};

// An abbreviation means the first entry that it begins.
inline constexpr Keyword<Verb> kVerbs[] = {
    {"add", Verb::add},
    {"delete", Verb::remove},
    {"flush", Verb::flush},
    {"list", Verb::list},
    {"set", Verb::set},
    {"show", Verb::show},
    {"print", Verb::print},
    {"zero", Verb::zero},
    {"resetlog", Verb::resetlog},
    {"enable", Verb::enable},
    {"disable", Verb::disable},
    {"table", Verb::table},
    {"sysctl", Verb::sysctl},
    {"help", Verb::help},
    {"pipe", Verb::not_supported},
    {"pattern", Verb::pattern},
    {"queue", Verb::not_supported},
    {"sched", Verb::not_supported},
    {"nat", Verb::not_supported},
    {"nat64lsn", Verb::not_supported},
    {"nat64stl", Verb::not_supported},
    {"nat64clat", Verb::not_supported},
    {"nptv6", Verb::not_supported},
    {"internal", Verb::senseless},
};
inline constexpr std::span<const Keyword<Verb>> kVerbTable(kVerbs);

inline constexpr Keyword<TableCommand::Verb> kTableVerbs[] = {
    {"add", TableCommand::Verb::add},       {"delete", TableCommand::Verb::remove},
    {"create", TableCommand::Verb::create}, {"destroy", TableCommand::Verb::destroy},
    {"flush", TableCommand::Verb::flush},   {"modify", TableCommand::Verb::modify},
    {"swap", TableCommand::Verb::swap},     {"info", TableCommand::Verb::info},
    {"detail", TableCommand::Verb::detail}, {"list", TableCommand::Verb::list},
    {"show", TableCommand::Verb::list},     {"lookup", TableCommand::Verb::lookup},
    {"lock", TableCommand::Verb::lock},     {"unlock", TableCommand::Verb::unlock},
    {"load", TableCommand::Verb::load},
};
inline constexpr std::span<const Keyword<TableCommand::Verb>> kTableVerbTable(kTableVerbs);

inline constexpr Keyword<PatternCommand::Verb> kPatternVerbs[] = {
    {"create", PatternCommand::Verb::create}, {"add", PatternCommand::Verb::add},
    {"delete", PatternCommand::Verb::remove}, {"load", PatternCommand::Verb::load},
    {"list", PatternCommand::Verb::list},     {"info", PatternCommand::Verb::info},
    {"show", PatternCommand::Verb::show},     {"swap", PatternCommand::Verb::swap},
    {"flush", PatternCommand::Verb::flush},   {"destroy", PatternCommand::Verb::destroy},
    {"lint", PatternCommand::Verb::lint},
};
inline constexpr std::span<const Keyword<PatternCommand::Verb>> kPatternVerbTable(kPatternVerbs);

inline constexpr Keyword<PatternType> kPatternTypes[] = {
    {"bytes", PatternType::bytes},
    {"names", PatternType::names},
};
inline constexpr std::span<const Keyword<PatternType>> kPatternTypeTable(kPatternTypes);

inline constexpr Keyword<PatternMode> kPatternModes[] = {
    {"packet", PatternMode::packet},
    {"stream", PatternMode::stream},
};
inline constexpr std::span<const Keyword<PatternMode>> kPatternModeTable(kPatternModes);

inline constexpr Keyword<PatternDirection> kPatternDirections[] = {
    {"out", PatternDirection::out},
    {"in", PatternDirection::in},
    {"both", PatternDirection::both},
};
inline constexpr std::span<const Keyword<PatternDirection>> kPatternDirectionTable(
    kPatternDirections);

inline constexpr Keyword<TableType> kTableTypes[] = {
    {"addr", TableType::addr}, {"iface", TableType::iface}, {"number", TableType::number},
    {"flow", TableType::flow}, {"mac", TableType::mac},
};
inline constexpr std::span<const Keyword<TableType>> kTableTypeTable(kTableTypes);

inline constexpr Keyword<TableValueType> kValueTypes[] = {
    {"skipto", TableValueType::skipto}, {"pipe", TableValueType::pipe},
    {"fib", TableValueType::fib},       {"nat", TableValueType::nat},
    {"dscp", TableValueType::dscp},     {"tag", TableValueType::tag},
    {"divert", TableValueType::divert}, {"netgraph", TableValueType::netgraph},
    {"limit", TableValueType::limit},   {"ipv4", TableValueType::ipv4},
    {"ipv6", TableValueType::ipv6},     {"mark", TableValueType::mark},
};
inline constexpr std::span<const Keyword<TableValueType>> kValueTypeTable(kValueTypes);

inline constexpr std::string_view kFlowFields[] = {"src-ip", "proto", "src-port", "dst-ip",
                                                   "dst-port"};

// What `enable` and `disable` switch, and the sysctl behind it.
inline constexpr Keyword<std::string_view> kSwitches[] = {
    {"firewall", "enable"}, {"one_pass", "one_pass"},           {"debug", "debug"},
    {"verbose", "verbose"}, {"dyn_keepalive", "dyn_keepalive"}, {"skipto_cache", "skipto_cache"},
};
inline constexpr std::span<const Keyword<std::string_view>> kSwitchTable(kSwitches);

inline bool is_number(std::string_view text) {
    return !text.empty() && text.find_first_not_of("0123456789") == text.npos;
}

inline bool is_flag_word(std::string_view text) {
    return text.size() > 1 && text.front() == '-' && !(text[1] >= '0' && text[1] <= '9');
}

class CommandReader {
  public:
    CommandReader(std::span<const Word> words, const NameResolver& resolver)
        : words_(words), cursor_(words, 0, 1), resolver_(resolver) {}

    bool read();
    Invocation& invocation() { return invocation_; }
    const ParseError& error() const { return cursor_.error(); }

    // One letter of a flag word. False: no such flag. `-p` is not known here.
    static bool set_flag(Flags& flags, char letter);

  private:
    bool read_flags();
    bool read_verb();
    bool read_add();
    bool read_delete();
    bool read_flush();
    bool read_list(bool counters);
    bool read_zero(bool log_only);
    bool read_set();
    bool read_set_switches();
    bool read_set_move();
    bool read_set_swap();
    bool read_switch(bool on);
    bool read_sysctl();
    bool read_not_supported(std::string_view what, std::string_view reason = {});
    bool read_end();

    bool read_set_number(std::uint8_t& set);
    bool read_rule_number(std::uint16_t& number, std::uint32_t maximum);
    bool read_rule_range(RuleRange& range);

    // table_reader.cc
    bool read_table();
    bool read_table_name(std::string& name, bool may_be_all);
    bool read_table_create(TableCommand& table);
    bool read_table_type(TableCommand& table);
    bool read_table_value_types(TableCommand& table);
    bool read_table_limit(TableCommand& table);
    bool read_table_records(TableCommand& table);
    bool read_table_ttl(TableCommand& table);

    // pattern_reader.cc
    bool read_pattern();
    bool read_pattern_name(std::string& name);
    bool read_pattern_create(PatternCommand& pattern);
    bool read_pattern_entries(PatternCommand& pattern);
    template <typename Value>
    bool read_pattern_choice(std::string_view what, std::span<const Keyword<Value>> table,
                             std::optional<Value>& choice);

    void set_command(Command command) { invocation_.command = std::move(command); }

    std::span<const Word> words_;
    Cursor cursor_;
    const NameResolver& resolver_;
    Invocation invocation_;
    std::optional<std::uint8_t> in_set_;
};

}  // namespace sluice::language
