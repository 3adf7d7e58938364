// The recursive descent behind parse_rule, in two files: action_reader.cc reads what stands before
// the protocol, rule_parser.cc the body and the comment, option_reader.cc the options. Internal to
// this folder.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "controlplane/language/cursor.h"
#include "controlplane/language/keywords.h"
#include "controlplane/language/model.h"
#include "controlplane/language/names.h"

namespace sluice::language {

// A number an action takes, and how it is called in messages.
struct ArgumentRules {
    std::string_view what;
    std::uint32_t minimum = 1;
    std::uint32_t maximum = 65534;
    bool may_be_tablearg = true;
};

// What `limit` counts by: bits of a mask.
inline constexpr Keyword<std::uint8_t> kLimitKeys[] = {
    {"src-addr", 1}, {"src-port", 2}, {"dst-addr", 4}, {"dst-port", 8}, {"all", 15},
};
inline constexpr std::span<const Keyword<std::uint8_t>> kLimitKeyTable(kLimitKeys);

class RuleReader {
  public:
    RuleReader(Cursor& cursor, const NameResolver& resolver)
        : cursor_(cursor), resolver_(resolver) {}

    bool read();
    Rule& rule() { return rule_; }

  private:
    // action_reader.cc
    bool read_prefix();
    bool read_label(std::string& label);
    bool read_action();
    bool read_action_argument();
    bool read_argument(Argument& argument, const ArgumentRules& rules);
    bool read_unreach();
    bool read_named_code(std::span<const Keyword<std::uint32_t>> names, std::string_view what,
                         std::uint32_t maximum);
    bool read_next_hop();
    bool read_object_name(std::string& name, std::string_view what);
    bool read_external_action();
    bool read_nat();
    bool read_check_state();
    bool read_modifiers();
    bool read_log();

    // rule_parser.cc
    bool starts_body() const;
    bool read_body();
    bool read_protocol(Term& term);
    bool read_side(Side side, Group& addresses, std::optional<Term>& ports);
    bool read_comment();

    // option_reader.cc
    bool read_options();
    bool read_state(Option option, bool negated, bool in_block);
    bool read_state_name(std::string& name);
    bool read_expiry(bool negated, bool in_block);
    bool read_limit(StateOption& state);
    // Leaves `term` empty if the option is no test at all: `via any`.
    bool read_option(std::optional<Term>& term, bool negated, bool in_block);
    bool read_option_argument(Option option, std::optional<Match>& match);
    bool read_interface(InterfaceMatch::Role role, std::optional<Match>& match);
    bool read_list(ListField field, std::optional<Match>& match);
    bool read_flags(FlagField field, std::optional<Match>& match);
    bool read_number(NumberField field, std::string_view what, std::uint32_t maximum,
                     std::optional<Match>& match);
    bool read_owner(NumberField field, std::optional<Match>& match);
    bool read_mark(std::optional<Match>& match);
    bool read_mac(std::optional<Match>& match);
    bool read_payload(PayloadPart part, std::optional<Match>& match);
    bool read_payload_literal(PayloadPart part, std::string_view word, PayloadMatch& payload);
    bool read_lookup(std::optional<Match>& match);
    bool read_address_option(Side side, bool ipv6, std::optional<Match>& match);
    bool read_port_option(Side side, std::optional<Match>& match);
    bool read_table(TableReference& table);
    bool fail_unknown_option();

    // Shared: the words around a term.
    static bool is_opening(std::string_view word) {
        return word.starts_with('{') || word.starts_with('(');
    }
    static bool is_closing(std::string_view word) { return word == "}" || word == ")"; }
    static bool is_or(std::string_view word) { return word == "or" || word == "|"; }
    static bool is_not(std::string_view word) { return word == "not" || word == "!"; }
    bool at_comment() const { return cursor_.word().starts_with("//"); }
    // An argument is missing at the end, before a comment and before `or` and `}`.
    bool at_argument() const;
    bool read_not(bool& negated);
    // `ITEM` or `{ ITEM or ITEM … }`; read_item(bool in_block) reads one, after `not`.
    template <typename ReadItem>
    bool read_block(ReadItem read_item);

    // The name of the protocol of the body, for services; empty when it is not one.
    std::string service_protocol() const;
    // The family of the packets that the protocol of the body lets through: whose addresses the
    // names of hosts stand for.
    AddressFamily body_family() const;

    Cursor& cursor_;
    const NameResolver& resolver_;
    Rule rule_;
};

// The protocol a word names; `as_option`: after `proto`, where `ipv6` is protocol 41.
std::optional<ProtocolMatch> protocol_of(std::string_view word, bool as_option);

// The family of the packets with this protocol: ICMP belongs to IPv4, ICMPv6 to IPv6.
AddressFamily family_of(const ProtocolMatch& protocol);

template <typename ReadItem>
bool RuleReader::read_block(ReadItem read_item) {
    if (!is_opening(cursor_.word()))
        return read_item(false);
    std::size_t opening = cursor_.position();
    cursor_.advance_character();
    while (true) {
        if (cursor_.at_end() || at_comment())
            return cursor_.fail_at(opening, ExitStatus::usage,
                                   "the block that begins here is not closed; expected \"}\"");
        if (is_opening(cursor_.word()))
            return cursor_.fail(ExitStatus::usage, "a block inside a block is not allowed");
        if (is_closing(cursor_.word()))
            return cursor_.fail(ExitStatus::usage, "empty alternative in a block");
        if (!read_item(true))
            return false;
        if (is_closing(cursor_.word())) {
            cursor_.advance();
            return true;
        }
        if (is_or(cursor_.word())) {
            cursor_.advance();
            continue;
        }
        if (cursor_.at_end() || at_comment())
            return cursor_.fail_at(opening, ExitStatus::usage,
                                   "the block that begins here is not closed; expected \"}\"");
        return cursor_.fail(ExitStatus::usage, "found " + quote(cursor_.word()) +
                                                   " in a block; expected \"or\" or \"}\"");
    }
}

}  // namespace sluice::language
