#include "controlplane/language/printer.h"

#include <cstdio>

#include "controlplane/language/expiry.h"
#include "controlplane/language/rule_printer.h"

namespace sluice::language {

void RulePrinter::set_service_protocol(const Body& body) {
    if (body.protocol.any_of.size() != 1 || body.protocol.any_of.front().negated)
        return;
    const auto* protocol = std::get_if<ProtocolMatch>(&body.protocol.any_of.front().match);
    if (protocol != nullptr && protocol->kind == ProtocolMatch::Kind::number)
        service_protocol_ = NameDatabase::instance().protocol_name(protocol->number).value_or("");
}

std::string RulePrinter::code(std::span<const Keyword<std::uint32_t>> names,
                              const Argument& argument) {
    if (argument.from_table)
        return "tablearg";
    std::string_view name = keyword_name(names, argument.value);
    return name.empty() ? std::to_string(argument.value) : std::string(name);
}

std::string RulePrinter::host(const HostAddress& address) {
    if (options_.resolve_names && options_.resolver != nullptr)
        if (auto name = options_.resolver->host_name(address))
            return *name;
    return std::visit([](const auto& value) { return to_string(value); }, address);
}

std::string RulePrinter::next_hop(const NextHop& next_hop) {
    std::string text;
    if (const auto* ipv4 = std::get_if<Ipv4>(&next_hop.address))
        text = host(*ipv4);
    else if (const auto* ipv6 = std::get_if<Ipv6>(&next_hop.address))
        text = host(*ipv6);
    else
        text = "tablearg";
    if (next_hop.port != 0)
        text += "," + std::to_string(next_hop.port);
    return text;
}

std::string RulePrinter::action(const Action& action) {
    std::string text(keyword_name(action_keywords(), action.kind));
    switch (action.kind) {
        case ActionKind::allow:
        case ActionKind::deny:
        case ActionKind::reject:
        case ActionKind::reset:
        case ActionKind::reset6:
        case ActionKind::abort:
        case ActionKind::abort6:
        case ActionKind::count:
        case ActionKind::return_:
        case ActionKind::reass:
            return text;
        case ActionKind::check_state:
            return text + " :" + (action.name.empty() ? "any" : action.name);
        case ActionKind::unreach:
            text += " " + code(unreach_codes(), action.argument);
            return action.mtu == 0 ? text : text + " " + std::to_string(action.mtu);
        case ActionKind::unreach6:
            return text + " " + code(unreach6_codes(), action.argument);
        case ActionKind::setdscp:
            return text + " " + code(dscp_names(), action.argument);
        case ActionKind::fwd:
            return text + " " + next_hop(action.next_hop);
        case ActionKind::nat:
            return text + " " + (action.name.empty() ? argument(action.argument) : action.name);
        case ActionKind::nat64lsn:
        case ActionKind::nat64stl:
        case ActionKind::nat64clat:
        case ActionKind::nptv6:
            return text + " " + action.name;
        case ActionKind::eaction:
            text += " " + action.name;
            return action.instance.empty() ? text : text + " " + action.instance;
        case ActionKind::setmark:
            return text + " " +
                   (action.argument.from_table ? "tablearg" : hexadecimal(action.argument.value));
        case ActionKind::skipto:
        case ActionKind::call:
            return text + " " +
                   (action.label.empty() ? argument(action.argument) : ":" + action.label);
        case ActionKind::divert:
        case ActionKind::tee:
        case ActionKind::pipe:
        case ActionKind::queue:
        case ActionKind::netgraph:
        case ActionKind::ngtee:
        case ActionKind::setfib:
        case ActionKind::tcp_setmss:
            return text + " " + argument(action.argument);
    }
    return text;
}

std::string RulePrinter::modifiers(const Rule& rule) {
    std::string text;
    if (rule.log) {
        text += " log";
        if (rule.log->amount)
            text += " logamount " + std::to_string(*rule.log->amount);
        for (std::size_t i = 0; i < rule.log->destinations.size(); ++i)
            text += (i == 0 ? " logdst " : ",") + rule.log->destinations[i];
    }
    if (rule.altq)
        text += " altq " + *rule.altq;
    if (rule.tag)
        text +=
            (rule.tag->kind == Tag::Kind::tag ? " tag " : " untag ") + argument(rule.tag->number);
    return text;
}

std::string RulePrinter::protocol(const ProtocolMatch& protocol) {
    switch (protocol.kind) {
        case ProtocolMatch::Kind::any:
            return "ip";
        case ProtocolMatch::Kind::ip4:
            return "ip4";
        case ProtocolMatch::Kind::ip6:
            return "ip6";
        case ProtocolMatch::Kind::number:
            break;
    }
    return NameDatabase::instance()
        .protocol_name(protocol.number)
        .value_or(std::to_string(protocol.number));
}

std::string RulePrinter::address_set(const AddressSet& set) {
    std::string text = to_string(set.base) + "/" + std::to_string(set.length);
    unsigned low = set.base.host() & 0xff, size = 1u << (32 - set.length);
    char separator = '{';
    for (unsigned i = 0; i < size; ++i) {
        if (!set.members[i])
            continue;
        unsigned last = i;
        while (last + 1 < size && set.members[last + 1])
            ++last;
        text += separator + std::to_string(low + i);
        separator = ',';
        // Only runs of three and more are written as a range.
        if (last >= i + 2) {
            text += "-" + std::to_string(low + last);
            i = last;
        }
    }
    return text + (separator == '{' ? "{}" : "}");
}

std::string RulePrinter::address(const AddressMatch& match) {
    struct Visitor {
        RulePrinter& printer;
        std::string operator()(const Any&) { return "any"; }
        std::string operator()(const Me&) { return "me"; }
        std::string operator()(const Me6&) { return "me6"; }
        std::string operator()(const AddressSet& set) { return printer.address_set(set); }
        std::string operator()(const TableReference& table) { return table_text(table); }
        std::string operator()(const std::vector<Ipv4Network>& networks) {
            std::string text;
            for (const Ipv4Network& network : networks) {
                auto length = mask_length(network.mask);
                text += text.empty() ? "" : ",";
                text += length == 32u ? printer.host(network.address) : to_string(network.address);
                if (!length)
                    text += ":" + to_string(network.mask);
                else if (*length < 32)
                    text += "/" + std::to_string(*length);
            }
            return text;
        }
        std::string operator()(const std::vector<Ipv6Network>& networks) {
            std::string text;
            for (const Ipv6Network& network : networks) {
                auto length = mask_length(network.mask);
                text += text.empty() ? "" : ",";
                text += length == 128u ? printer.host(network.address) : to_string(network.address);
                if (!length)
                    text += "/" + to_string(network.mask);
                else if (*length < 128)
                    text += "/" + std::to_string(*length);
            }
            return text;
        }
    };
    return std::visit(Visitor{*this}, match.what);
}

std::string RulePrinter::port(std::uint16_t port) {
    if (options_.resolve_names)
        if (auto name = NameDatabase::instance().service_name(port, service_protocol_)) {
            std::string escaped;
            for (char c : *name) {
                if (c == '-')
                    escaped += '\\';
                escaped += c;
            }
            return escaped;
        }
    return std::to_string(port);
}

std::string RulePrinter::ports(const PortMatch& match) {
    std::string text;
    for (const PortEntry& entry : match.entries) {
        text += (text.empty() ? "" : ",") + port(entry.first);
        if (entry.mask)
            text += ":" + std::to_string(*entry.mask);
        else if (entry.last != entry.first)
            text += "-" + port(entry.last);
    }
    return text;
}

std::string RulePrinter::ports_term(const Term& term) {
    const auto* match = std::get_if<PortMatch>(&term.match);
    return " " + std::string(term.negated ? "not " : "") + ports(*match);
}

std::string RulePrinter::address_term(const Term& term) {
    const auto* match = std::get_if<AddressMatch>(&term.match);
    return (term.negated ? "not " : "") + address(*match);
}

std::string RulePrinter::addresses(const Group& group) {
    if (group.any_of.empty())
        return "any";
    return alternatives(group, [this](const Term& term) { return address_term(term); });
}

std::string RulePrinter::body(const Body& body) {
    std::string text = "ip";
    if (!body.protocol.any_of.empty())
        text = alternatives(body.protocol, [this](const Term& term) {
            return (term.negated ? "not " : "") +
                   protocol(*std::get_if<ProtocolMatch>(&term.match));
        });
    text += " from " + addresses(body.source);
    if (body.source_ports)
        text += ports_term(*body.source_ports);
    text += " to " + addresses(body.destination);
    if (body.destination_ports)
        text += ports_term(*body.destination_ports);
    return text;
}

std::string RulePrinter::group(const Group& group) {
    return alternatives(group, [this](const Term& value) { return term(value); });
}

std::string RulePrinter::state(const StateOption& state) {
    std::string text;
    switch (state.kind) {
        case StateOption::Kind::keep_state:
            text = "keep-state";
            break;
        case StateOption::Kind::record_state:
            text = "record-state";
            break;
        case StateOption::Kind::limit:
            text = "limit";
            break;
        case StateOption::Kind::set_limit:
            text = "set-limit";
            break;
    }
    if (state.kind == StateOption::Kind::limit || state.kind == StateOption::Kind::set_limit) {
        std::string keys;
        auto add = [&](bool wanted, const char* name) {
            if (wanted)
                keys += (keys.empty() ? "" : ",") + std::string(name);
        };
        add(state.by_source, "src-addr");
        add(state.by_source_port, "src-port");
        add(state.by_destination, "dst-addr");
        add(state.by_destination_port, "dst-port");
        bool all = state.by_source && state.by_source_port && state.by_destination &&
                   state.by_destination_port;
        text += " " + (all ? "all" : keys) + " " + argument(state.limit);
    }
    text += " :" + state.name;
    if (state.lifetime_s)
        text += " lifetime " + std::to_string(*state.lifetime_s);
    return text;
}

std::string RulePrinter::rule(const Rule& rule) {
    if (options_.action_and_comment_only)
        return action(rule.action) + " // " + (rule.comment.empty() ? "..." : rule.comment);
    std::string text;
    if (!rule.label.empty())
        text = ":" + rule.label + " ";
    if (rule.probability) {
        char probability[32];
        std::snprintf(probability, sizeof probability, "prob %f ", *rule.probability);
        text += probability;
    }
    text += action(rule.action) + modifiers(rule);
    if (rule.body) {
        bool says_nothing = *rule.body == Body{} && (!rule.options.empty() || rule.state);
        if (!options_.compact || !says_nothing)
            text += " " + body(*rule.body);
    }
    for (const Group& option : rule.options)
        text += " " + group(option);
    if (rule.state)
        text += " " + state(*rule.state);
    if (rule.defer != Defer::none)
        text += rule.defer == Defer::action ? " defer-action" : " defer-immediate-action";
    if (rule.expires_s)
        text += " expires " + expiry_text(*rule.expires_s);
    if (!rule.comment.empty())
        text += " // " + rule.comment;
    return text;
}

std::string print_rule(const Rule& rule, const PrintOptions& options) {
    return RulePrinter(&rule, options).rule(rule);
}

std::string print_action(const Action& action, const PrintOptions& options) {
    return RulePrinter(nullptr, options).action(action);
}

std::string print_term(const Term& term, const PrintOptions& options) {
    return RulePrinter(nullptr, options).term(term);
}

std::string print_group(const Group& group, const PrintOptions& options) {
    return RulePrinter(nullptr, options).group(group);
}

std::string print_rule_number(std::uint16_t number) {
    char text[8];
    std::snprintf(text, sizeof text, "%05u", static_cast<unsigned>(number));
    return text;
}

}  // namespace sluice::language
