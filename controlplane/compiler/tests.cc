#include "controlplane/compiler/tests.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <string_view>
#include <type_traits>
#include <utility>

#include "common/address.h"
#include "controlplane/compiler/group_users.h"
#include "controlplane/compiler/pattern_sections.h"
#include "controlplane/ruleset/table_text.h"

namespace sluice::compiler {

namespace {

using contract::Instruction;
using contract::Opcode;
using language::Side;

Opcode by_side(Side side, Opcode source, Opcode destination) {
    return side == Side::source ? source : destination;
}

std::uint32_t flag_argument(const language::FlagMatch& match) {
    return static_cast<std::uint32_t>(match.set) << 8 | match.clear;
}

constexpr std::pair<std::string_view, contract::LookupField> kLookupFields[] = {
    {"src-ip", contract::LookupField::source_address},
    {"dst-ip", contract::LookupField::destination_address},
    {"src-ip4", contract::LookupField::source_address4},
    {"dst-ip4", contract::LookupField::destination_address4},
    {"src-ip6", contract::LookupField::source_address6},
    {"dst-ip6", contract::LookupField::destination_address6},
    {"src-port", contract::LookupField::source_port},
    {"dst-port", contract::LookupField::destination_port},
    {"src-mac", contract::LookupField::source_mac},
    {"dst-mac", contract::LookupField::destination_mac},
    {"dscp", contract::LookupField::dscp},
    {"rulenum", contract::LookupField::rule_number},
    {"mark", contract::LookupField::mark},
    {"uid", contract::LookupField::user}};

// Translates one match into one instruction; lists go into the sections. What support.h refuses
// never comes here: it becomes an error all the same, never a test that is left out.
class MatchCompiler {
  public:
    MatchCompiler(const TestContext& context, Sections& sections)
        : tables_(context.tables), patterns_(context.patterns), sections_(sections) {}

    // Tests of interfaces get their entries last, in the order in which they stand in the snapshot:
    // whoever has only the snapshot can make the same order.
    void give_entry(Instruction& test) {
        if (tests_interface(test))
            test.data = intern(interface_tests_[test.data], sections_);
    }

    Result<Instruction> operator()(const language::AddressMatch& match) {
        return std::visit([&](const auto& what) { return address(match.side, what); }, match.what);
    }

    Result<Instruction> operator()(const language::PortMatch& match) {
        std::vector<contract::PortTest> tests;
        for (const language::PortEntry& entry : match.entries) {
            if (entry.mask)
                tests.push_back({static_cast<std::uint16_t>(entry.first & *entry.mask),
                                 static_cast<std::uint16_t>(entry.first & *entry.mask),
                                 *entry.mask});
            else
                tests.push_back({entry.first, entry.last, 0xffff});
        }
        return list(by_side(match.side, Opcode::source_ports, Opcode::destination_ports),
                    append(sections_.ports, tests));
    }

    Result<Instruction> operator()(const language::ProtocolMatch& match) {
        using Kind = language::ProtocolMatch::Kind;
        switch (match.kind) {
            case Kind::any:
                return simple(Opcode::always);
            case Kind::ip4:
                return simple(Opcode::ip4);
            case Kind::ip6:
                return simple(Opcode::ip6);
            case Kind::number:
                return simple(Opcode::protocol, match.number);
        }
        return impossible();
    }

    Result<Instruction> operator()(const language::DirectionMatch& match) {
        Instruction test = simple(Opcode::direction_in);
        if (match.direction == language::DirectionMatch::Direction::out)
            test.flags ^= contract::kNegated;
        return test;
    }

    Result<Instruction> operator()(const language::InterfaceMatch& match) {
        using Role = language::InterfaceMatch::Role;
        if (std::holds_alternative<language::Any>(match.what))
            return simple(Opcode::always);
        if (const auto* reference = std::get_if<language::TableReference>(&match.what))
            return table(match.role == Role::via    ? Opcode::table_via
                         : match.role == Role::recv ? Opcode::table_recv
                                                    : Opcode::table_xmit,
                         *reference);
        contract::InterfaceTest test;
        static_assert(language::kMaximumInterfaceNameLength < sizeof test.pattern);
        if (const auto* name = std::get_if<language::InterfaceName>(&match.what)) {
            if (name->pattern.size() > language::kMaximumInterfaceNameLength)
                return impossible();
            test.kind = name->is_glob ? contract::InterfaceTest::Kind::glob
                                      : contract::InterfaceTest::Kind::name;
            std::memcpy(test.pattern, name->pattern.data(), name->pattern.size());
        } else if (const auto* v4 = std::get_if<Ipv4>(&match.what)) {
            test.kind = contract::InterfaceTest::Kind::address_v4;
            std::memcpy(test.address.bytes.data(), v4, sizeof *v4);
        } else if (const auto* v6 = std::get_if<Ipv6>(&match.what)) {
            test.kind = contract::InterfaceTest::Kind::address_v6;
            test.address = *v6;
        } else {
            return impossible();
        }
        const Opcode opcode = match.role == Role::via    ? Opcode::via
                              : match.role == Role::recv ? Opcode::recv
                                                         : Opcode::xmit;
        return list(opcode, append(interface_tests_, {test}));
    }

    Result<Instruction> operator()(const language::FlagMatch& match) {
        using language::FlagField;
        switch (match.field) {
            case FlagField::tcp_flags:
                return simple(Opcode::tcp_flags, flag_argument(match));
            case FlagField::tcp_options:
                return simple(Opcode::tcp_options, flag_argument(match));
            case FlagField::ip_options:
                return simple(Opcode::ip_options, flag_argument(match));
            case FlagField::ip_tos:
                return simple(Opcode::ip_tos, flag_argument(match));
            case FlagField::fragment:
                if (match.set == language::fragment_flag::offset && match.clear == 0)
                    return simple(Opcode::fragment_offset);
                return simple(Opcode::fragment, flag_argument(match));
            case FlagField::ext6hdr:
                return simple(Opcode::ext6hdr, match.set);
        }
        return impossible();
    }

    Result<Instruction> operator()(const language::ListMatch& match) {
        using language::ListField;
        switch (match.field) {
            case ListField::icmp_types:
                return bitmap(Opcode::icmp_types, match.ranges);
            case ListField::icmp6_types:
                return bitmap(Opcode::icmp6_types, match.ranges);
            case ListField::ip_length:
                return ranges(Opcode::ip_length, match.ranges);
            case ListField::ip_id:
                return ranges(Opcode::ip_id, match.ranges);
            case ListField::ip_ttl:
                return ranges(Opcode::ip_ttl, match.ranges);
            case ListField::tcp_window:
                return ranges(Opcode::tcp_window, match.ranges);
            case ListField::tcp_mss:
                return ranges(Opcode::tcp_mss, match.ranges);
            case ListField::tcp_data_length:
                return ranges(Opcode::tcp_data_length, match.ranges);
            case ListField::mac_type:
                return ranges(Opcode::mac_type, match.ranges);
            case ListField::dscp:
                return ranges(Opcode::dscp, match.ranges);
            case ListField::flow_id:
                return ranges(Opcode::flow_id, match.ranges);
            case ListField::tagged:
                if (match.from_table)
                    return simple(Opcode::tagged_argument);
                return ranges(Opcode::tagged, match.ranges);
        }
        return impossible();
    }

    Result<Instruction> operator()(const language::NumberMatch& match) {
        using language::NumberField;
        switch (match.field) {
            case NumberField::tcp_sequence:
                return simple(Opcode::tcp_sequence, match.value);
            case NumberField::tcp_acknowledgement:
                return simple(Opcode::tcp_acknowledgement, match.value);
            case NumberField::ip_version:
                return simple(Opcode::ip_version, match.value);
            case NumberField::ip_precedence:
                return simple(Opcode::ip_precedence, match.value);
            case NumberField::fib:
                return simple(Opcode::fib, match.value);
            case NumberField::mark: {
                Instruction test = match.from_table ? simple(Opcode::mark_argument)
                                                    : simple(Opcode::mark, match.value);
                test.data = match.mask;
                return test;
            }
            case NumberField::uid:
                return list(Opcode::socket_user, append(sections_.words, {match.value}));
            case NumberField::gid: {
                const Result<std::vector<std::uint32_t>> users = users_of_group(match.value);
                if (!users)
                    return users.error();
                return list(Opcode::socket_user, append(sections_.words, *users));
            }
            case NumberField::jail:
                return impossible();
        }
        return impossible();
    }

    Result<Instruction> operator()(const language::MacMatch& match) {
        const contract::MacTest test{match.destination, match.destination_mask, match.source,
                                     match.source_mask};
        return list(Opcode::mac, append(sections_.mac_tests, {test}));
    }

    Result<Instruction> operator()(const language::SimpleMatch& match) {
        using language::Flag;
        switch (match.flag) {
            case Flag::established:
                return simple(Opcode::established);
            case Flag::layer2:
                return simple(Opcode::layer2);
            case Flag::verrevpath:
                return simple(Opcode::verrevpath);
            case Flag::versrcreach:
                return simple(Opcode::versrcreach);
            case Flag::antispoof:
                return simple(Opcode::antispoof);
            case Flag::diverted:
                return simple(Opcode::diverted, contract::kDivertedIn | contract::kDivertedOut);
            case Flag::diverted_loopback:
                return simple(Opcode::diverted, contract::kDivertedIn);
            case Flag::diverted_output:
                return simple(Opcode::diverted, contract::kDivertedOut);
            case Flag::ipsec:
            case Flag::sockarg:
                return impossible();
        }
        return impossible();
    }

    Result<Instruction> operator()(const language::MacTableMatch& match) {
        return table(by_side(match.side, Opcode::table_source_mac, Opcode::table_destination_mac),
                     match.table);
    }

    Result<Instruction> operator()(const language::LookupMatch& match) {
        const auto field =
            std::find_if(std::begin(kLookupFields), std::end(kLookupFields),
                         [&](const auto& known) { return known.first == match.field; });
        if (field == std::end(kLookupFields))
            return impossible();
        Result<Instruction> test = table(Opcode::table_lookup, match.table);
        if (!test)
            return test;
        test->detail = static_cast<std::uint16_t>(field->second);
        if (!match.mask)
            return test;
        Result<std::vector<std::uint32_t>> words = mask_words(match.field, *match.mask);
        if (!words)
            return words.error();
        // A mask of one family is for packets of that family.
        if (const bool v6 = parse_ipv6(*match.mask).has_value();
            field->second == contract::LookupField::source_address ||
            field->second == contract::LookupField::destination_address) {
            const bool source = field->second == contract::LookupField::source_address;
            using Field = contract::LookupField;
            test->detail = static_cast<std::uint16_t>(
                source ? (v6 ? Field::source_address6 : Field::source_address4)
                       : (v6 ? Field::destination_address6 : Field::destination_address4));
        }
        const Run run = append(sections_.words, *words);
        test->data = run.data;
        test->count = run.count;
        return test;
    }

    Result<Instruction> operator()(const language::FlowTableMatch& match) {
        return table(Opcode::table_flow, match.table);
    }

    Result<Instruction> operator()(const language::PayloadMatch& match) {
        return payload_test(match, patterns_);
    }

  private:
    static Instruction simple(Opcode opcode, std::uint32_t argument = 0) {
        return {.opcode = opcode, .argument = argument};
    }

    static Instruction list(Opcode opcode, Run run) {
        return {.opcode = opcode, .data = run.data, .count = run.count};
    }

    static Error impossible() {
        return {ExitStatus::software,
                "the compiler was given a match that it does not carry out; this is a bug"};
    }

    Result<Instruction> address(Side, language::Any) { return simple(Opcode::always); }

    Result<Instruction> address(Side side, language::Me) {
        return simple(by_side(side, Opcode::source_me, Opcode::destination_me));
    }

    Result<Instruction> address(Side side, language::Me6) {
        return simple(by_side(side, Opcode::source_me6, Opcode::destination_me6));
    }

    Result<Instruction> address(Side side, const std::vector<language::Ipv4Network>& networks) {
        std::vector<contract::V4Network> tests;
        for (const language::Ipv4Network& network : networks)
            tests.push_back({network.address, network.mask});
        return list(by_side(side, Opcode::source_v4, Opcode::destination_v4),
                    append(sections_.v4_networks, tests));
    }

    Result<Instruction> address(Side side, const std::vector<language::Ipv6Network>& networks) {
        std::vector<contract::V6Network> tests;
        for (const language::Ipv6Network& network : networks)
            tests.push_back({network.address, network.mask});
        return list(by_side(side, Opcode::source_v6, Opcode::destination_v6),
                    append(sections_.v6_networks, tests));
    }

    Result<Instruction> address(Side side, const language::AddressSet& set) {
        const std::uint32_t size = 1u << (32 - set.length);
        std::vector<std::uint32_t> words((size + 31) / 32);
        for (std::uint32_t i = 0; i < size; ++i)
            if (set.members[i])
                words[i / 32] |= 1u << i % 32;
        Instruction test =
            simple(by_side(side, Opcode::source_set, Opcode::destination_set), set.base.host());
        test.data = append(sections_.words, words).data;
        test.count = size;
        return test;
    }

    Result<Instruction> address(Side side, const language::TableReference& reference) {
        return table(by_side(side, Opcode::table_source, Opcode::table_destination), reference);
    }

    Result<Instruction> table(Opcode opcode, const language::TableReference& reference) {
        const contract::TableDescriptor* found =
            tables_ == nullptr ? nullptr : tables_->find(reference.name);
        if (found == nullptr)
            return Error{ExitStatus::unavailable, "there is no table " + reference.name};
        Instruction test = simple(opcode, found->id);
        if (!reference.value)
            return test;
        const auto value = ruleset::parse_compared_value(*found, *reference.value);
        if (!value)
            return value.error();
        test.data = value->number;
        test.flags = contract::kTableValue;
        if (value->field)
            test.detail = static_cast<std::uint16_t>(1 + static_cast<unsigned>(*value->field));
        return test;
    }

    // Numbers in host byte order; bytes of addresses as they lie in a packet.
    static Result<std::vector<std::uint32_t>> mask_words(const std::string& field,
                                                         const std::string& text) {
        std::vector<std::uint32_t> words(4);
        if (const auto v4 = parse_ipv4(text)) {
            std::memcpy(words.data(), &*v4, sizeof *v4);
        } else if (const auto v6 = parse_ipv6(text)) {
            std::memcpy(words.data(), &*v6, sizeof *v6);
        } else if (const auto mac = parse_mac(text)) {
            std::memcpy(words.data(), &*mac, sizeof *mac);
        } else {
            const Result<std::uint32_t> number = ruleset::parse_compared_value(text);
            if (!number)
                return number.error();
            words[0] = field.find("-ip") != field.npos ? __builtin_bswap32(*number) : *number;
        }
        return words;
    }

    Instruction ranges(Opcode opcode, const std::vector<language::NumberRange>& wanted) {
        std::vector<contract::Range> tests;
        for (const language::NumberRange& range : wanted)
            tests.push_back({range.first, range.last});
        return list(opcode, append(sections_.ranges, tests));
    }

    Instruction bitmap(Opcode opcode, const std::vector<language::NumberRange>& wanted) {
        std::vector<std::uint32_t> words(8);
        for (const language::NumberRange& range : wanted)
            for (std::uint32_t value = range.first; value <= range.last && value < 256; ++value)
                words[value / 32] |= 1u << value % 32;
        return list(opcode, append(sections_.words, words));
    }

    const ruleset::TableCatalogue* tables_;
    const ruleset::PatternCatalogue* patterns_;
    Sections& sections_;
    std::vector<contract::InterfaceTest> interface_tests_;  // of the rule
};

// Negated or not: `not mac-type 0x0806` speaks of frames as well.
bool names_link_layer(const language::Term& term) {
    if (const auto* simple = std::get_if<language::SimpleMatch>(&term.match))
        return simple->flag == language::Flag::layer2;
    if (const auto* list = std::get_if<language::ListMatch>(&term.match))
        return list->field == language::ListField::mac_type;
    if (const auto* lookup = std::get_if<language::LookupMatch>(&term.match))
        return lookup->field.ends_with("-mac");
    return std::holds_alternative<language::MacMatch>(term.match) ||
           std::holds_alternative<language::MacTableMatch>(term.match);
}

// Collects the tests of a rule, header tests and residual tests apart.
class RuleCompiler {
  public:
    RuleCompiler(const TestContext& context, Sections& sections, contract::RuleRecord& record)
        : changes_(context.changes),
          sections_(sections),
          record_(record),
          compile_match_(context, sections) {}

    void add_probability(double probability) {
        // Draws have 31 bits; a chance of 1 must beat the largest of them.
        residual_.push_back(
            {.opcode = Opcode::probability,
             .argument = static_cast<std::uint32_t>(
                 probability >= 1 ? 0x80000000u : std::floor(probability * 0x7fffffff))});
    }

    void add_expiry(std::uint32_t seconds) {
        residual_.push_back({.opcode = Opcode::not_expired, .argument = seconds});
        record_.flags |= contract::rule_flag::expires;
    }

    Result<Done> add_term(const language::Term& term) { return add_group({{term}}); }

    Result<Done> add_group(const language::Group& group) {
        std::vector<Instruction> block;
        for (const language::Term& term : group.any_of) {
            Result<Instruction> test = std::visit(compile_match_, term.match);
            if (!test)
                return test.error();
            if (term.negated)
                test->flags ^= contract::kNegated;
            test->flags |= contract::kOrNext;
            block.push_back(*test);
            if (names_link_layer(term))
                record_.flags |= contract::rule_flag::link_layer;
        }
        if (block.empty())
            return Done{};
        block.back().flags &= static_cast<std::uint8_t>(~contract::kOrNext);
        const bool residual = std::any_of(block.begin(), block.end(), [&](const Instruction& test) {
            return contract::is_residual(test.opcode) || tests_what_changes(test.opcode);
        });
        auto& part = residual ? residual_ : header_;
        part.insert(part.end(), block.begin(), block.end());
        return Done{};
    }

    void finish() {
        for (std::vector<Instruction>* part : {&header_, &residual_})
            for (Instruction& test : *part)
                compile_match_.give_entry(test);
        record_.first_instruction = append(sections_.instructions, header_).data;
        record_.header_count = static_cast<std::uint32_t>(header_.size());
        record_.residual_count = append(sections_.instructions, residual_).count;
    }

  private:
    bool tests_what_changes(Opcode opcode) const {
        switch (opcode) {
            case Opcode::dscp:
            case Opcode::ip_tos:
            case Opcode::ip_precedence:
            case Opcode::tcp_data_length:  // in IPv6, see ARCHITECTURE.md
                return changes_.traffic_class;
            case Opcode::tcp_mss:
                return changes_.segment_size;
            default:
                return false;
        }
    }

    const HeaderChanges& changes_;
    Sections& sections_;
    contract::RuleRecord& record_;
    MatchCompiler compile_match_;
    std::vector<Instruction> header_;
    std::vector<Instruction> residual_;
};

}  // namespace

void HeaderChanges::add(const language::Rule& rule) {
    traffic_class |= rule.action.kind == language::ActionKind::setdscp;
    segment_size |= rule.action.kind == language::ActionKind::tcp_setmss;
}

Result<Done> compile_tests(const language::Rule& rule, const TestContext& context,
                           Sections& sections, contract::RuleRecord& record) {
    RuleCompiler compiler(context, sections, record);
    if (rule.expires_s)
        compiler.add_expiry(*rule.expires_s);
    if (rule.probability)
        compiler.add_probability(*rule.probability);
    std::vector<const language::Group*> groups;
    if (rule.body)
        groups = {&rule.body->protocol, &rule.body->source, &rule.body->destination};
    for (const language::Group& group : rule.options)
        groups.push_back(&group);
    for (const language::Group* group : groups)
        if (Result<Done> added = compiler.add_group(*group); !added)
            return added.error();
    if (rule.body)
        for (const auto& ports : {rule.body->source_ports, rule.body->destination_ports})
            if (ports)
                if (Result<Done> added = compiler.add_term(*ports); !added)
                    return added.error();
    compiler.finish();
    return Done{};
}

}  // namespace sluice::compiler
