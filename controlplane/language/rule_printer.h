// The printer behind print_rule, in two files: printer.cc prints actions and bodies,
// match_printer.cc options. Internal to this folder.
#pragma once

#include <string>

#include "controlplane/language/keywords.h"
#include "controlplane/language/model.h"
#include "controlplane/language/printer.h"

namespace sluice::language {

// `0x1f`
std::string hexadecimal(std::uint32_t value, int width = 1);
// `table(NAME,VALUE)`
std::string table_text(const TableReference& table);

class RulePrinter {
  public:
    RulePrinter(const Rule* rule, const PrintOptions& options) : options_(options) {
        has_body_ = rule == nullptr || rule->body.has_value();
        if (rule != nullptr && rule->body)
            set_service_protocol(*rule->body);
    }

    std::string rule(const Rule& rule);
    std::string action(const Action& action);
    std::string term(const Term& term);
    std::string group(const Group& group);

  private:
    void set_service_protocol(const Body& body);
    std::string argument(const Argument& argument) {
        return argument.from_table ? "tablearg" : std::to_string(argument.value);
    }
    std::string code(std::span<const Keyword<std::uint32_t>> names, const Argument& argument);
    std::string next_hop(const NextHop& next_hop);
    std::string modifiers(const Rule& rule);
    std::string body(const Body& body);
    std::string protocol(const ProtocolMatch& protocol);
    std::string address_term(const Term& term);
    std::string addresses(const Group& group);
    std::string address(const AddressMatch& address);
    std::string address_set(const AddressSet& set);
    std::string host(const HostAddress& address);
    std::string port(std::uint16_t port);
    std::string ports(const PortMatch& ports);
    std::string ports_term(const Term& term);
    std::string state(const StateOption& state);

    std::string match(const AddressMatch& match);
    std::string match(const PortMatch& match);
    std::string match(const ProtocolMatch& match);
    std::string match(const DirectionMatch& match);
    std::string match(const InterfaceMatch& match);
    std::string match(const FlagMatch& match);
    std::string match(const ListMatch& match);
    std::string match(const NumberMatch& match);
    std::string match(const MacMatch& match);
    std::string match(const MacTableMatch& match);
    std::string match(const SimpleMatch& match);
    std::string match(const LookupMatch& match);
    std::string match(const FlowTableMatch& match);
    std::string match(const PayloadMatch& match);

    // `A`, or `{ A or B }`.
    template <typename PrintTerm>
    std::string alternatives(const Group& group, PrintTerm print) {
        if (group.any_of.size() == 1 && !needs_block(group.any_of.front()))
            return print(group.any_of.front());
        std::string text = "{ ";
        for (std::size_t i = 0; i < group.any_of.size(); ++i)
            text += (i == 0 ? "" : " or ") + print(group.any_of[i]);
        return text + " }";
    }

    // A term that matches everything would vanish if it were read outside of a block.
    static bool needs_block(const Term& term) {
        if (const auto* address = std::get_if<AddressMatch>(&term.match))
            return std::holds_alternative<Any>(address->what);
        if (const auto* interface = std::get_if<InterfaceMatch>(&term.match))
            return std::holds_alternative<Any>(interface->what);
        const auto* protocol = std::get_if<ProtocolMatch>(&term.match);
        return protocol != nullptr && protocol->kind == ProtocolMatch::Kind::any;
    }

    PrintOptions options_;
    bool has_body_;
    std::string service_protocol_;
};

}  // namespace sluice::language
