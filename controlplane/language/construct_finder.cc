// constructs_of: a walk over a rule.
#include <algorithm>

#include "controlplane/language/construct.h"
#include "controlplane/language/keywords.h"

namespace sluice::language {

namespace {

using C = Construct;

C of_log_destination(std::string_view name) {
    switch (find_keyword(log_destination_keywords(), name)->value) {
        case LogDestination::syslog:
            return C::modifier_logdst;
        case LogDestination::bpf:
            return C::modifier_logdst_bpf;
        case LogDestination::rtsock:
            break;
    }
    return C::modifier_logdst_rtsock;
}

C of_action(ActionKind kind) {
    switch (kind) {
        case ActionKind::allow:
            return C::action_allow;
        case ActionKind::deny:
            return C::action_deny;
        case ActionKind::reject:
            return C::action_reject;
        case ActionKind::unreach:
            return C::action_unreach;
        case ActionKind::unreach6:
            return C::action_unreach6;
        case ActionKind::reset:
            return C::action_reset;
        case ActionKind::reset6:
            return C::action_reset6;
        case ActionKind::abort:
            return C::action_abort;
        case ActionKind::abort6:
            return C::action_abort6;
        case ActionKind::count:
            return C::action_count;
        case ActionKind::check_state:
            return C::action_check_state;
        case ActionKind::skipto:
            return C::action_skipto;
        case ActionKind::call:
            return C::action_call;
        case ActionKind::return_:
            return C::action_return;
        case ActionKind::divert:
            return C::action_divert;
        case ActionKind::tee:
            return C::action_tee;
        case ActionKind::fwd:
            return C::action_fwd;
        case ActionKind::pipe:
            return C::action_pipe;
        case ActionKind::queue:
            return C::action_queue;
        case ActionKind::netgraph:
            return C::action_netgraph;
        case ActionKind::ngtee:
            return C::action_ngtee;
        case ActionKind::nat:
            return C::action_nat;
        case ActionKind::nat64lsn:
            return C::action_nat64lsn;
        case ActionKind::nat64stl:
            return C::action_nat64stl;
        case ActionKind::nat64clat:
            return C::action_nat64clat;
        case ActionKind::nptv6:
            return C::action_nptv6;
        case ActionKind::eaction:
            return C::action_eaction;
        case ActionKind::setfib:
            return C::action_setfib;
        case ActionKind::setdscp:
            return C::action_setdscp;
        case ActionKind::tcp_setmss:
            return C::action_tcp_setmss;
        case ActionKind::setmark:
            return C::action_setmark;
        case ActionKind::reass:
            return C::action_reass;
    }
    return C::action_count;
}

// Only the actions that take `tablearg`.
C of_tablearg(ActionKind kind) {
    switch (kind) {
        case ActionKind::skipto:
            return C::tablearg_skipto;
        case ActionKind::call:
            return C::tablearg_call;
        case ActionKind::divert:
            return C::tablearg_divert;
        case ActionKind::tee:
            return C::tablearg_tee;
        case ActionKind::pipe:
            return C::tablearg_pipe;
        case ActionKind::queue:
            return C::tablearg_queue;
        case ActionKind::netgraph:
            return C::tablearg_netgraph;
        case ActionKind::ngtee:
            return C::tablearg_ngtee;
        case ActionKind::nat:
            return C::tablearg_nat;
        case ActionKind::setfib:
            return C::tablearg_setfib;
        case ActionKind::setdscp:
            return C::tablearg_setdscp;
        case ActionKind::setmark:
            return C::tablearg_setmark;
        default:
            return of_action(kind);
    }
}

C of_list(ListField field) {
    switch (field) {
        case ListField::ip_length:
            return C::option_iplen;
        case ListField::ip_id:
            return C::option_ipid;
        case ListField::ip_ttl:
            return C::option_ipttl;
        case ListField::tcp_window:
            return C::option_tcpwin;
        case ListField::tcp_mss:
            return C::option_tcpmss;
        case ListField::tcp_data_length:
            return C::option_tcpdatalen;
        case ListField::tagged:
            return C::option_tagged;
        case ListField::mac_type:
            return C::option_mac_type;
        case ListField::dscp:
            return C::option_dscp;
        case ListField::icmp_types:
            return C::option_icmptypes;
        case ListField::icmp6_types:
            return C::option_icmp6types;
        case ListField::flow_id:
            return C::option_flow_id;
    }
    return C::option_iplen;
}

C of_number(NumberField field) {
    switch (field) {
        case NumberField::tcp_sequence:
            return C::option_tcpseq;
        case NumberField::tcp_acknowledgement:
            return C::option_tcpack;
        case NumberField::ip_version:
            return C::option_ipversion;
        case NumberField::ip_precedence:
            return C::option_ipprecedence;
        case NumberField::fib:
            return C::option_fib;
        case NumberField::uid:
            return C::option_uid;
        case NumberField::gid:
            return C::option_gid;
        case NumberField::jail:
            return C::option_jail;
        case NumberField::mark:
            return C::option_mark;
    }
    return C::option_tcpseq;
}

C of_flag(Flag flag) {
    switch (flag) {
        case Flag::established:
            return C::option_established;
        case Flag::layer2:
            return C::option_layer2;
        case Flag::diverted:
            return C::option_diverted;
        case Flag::diverted_loopback:
            return C::option_diverted_loopback;
        case Flag::diverted_output:
            return C::option_diverted_output;
        case Flag::verrevpath:
            return C::option_verrevpath;
        case Flag::versrcreach:
            return C::option_versrcreach;
        case Flag::antispoof:
            return C::option_antispoof;
        case Flag::ipsec:
            return C::option_ipsec;
        case Flag::sockarg:
            return C::option_sockarg;
    }
    return C::option_established;
}

class Finder {
  public:
    std::vector<Construct> find(const Rule& rule);

    void operator()(const AddressMatch& match);
    void operator()(const PortMatch& match);
    void operator()(const ProtocolMatch& match);
    void operator()(const DirectionMatch& match);
    void operator()(const InterfaceMatch& match);
    void operator()(const FlagMatch& match);
    void operator()(const ListMatch& match);
    void operator()(const NumberMatch& match);
    void operator()(const MacMatch&) { add(C::option_mac); }
    void operator()(const MacTableMatch&) { add(C::option_mac_table); }
    void operator()(const SimpleMatch& match) { add(of_flag(match.flag)); }
    void operator()(const LookupMatch& match);
    void operator()(const PayloadMatch& match);
    void operator()(const FlowTableMatch&) { add(C::option_flow_table); }

  private:
    void add(Construct construct) { found_.push_back(construct); }
    void add_if(bool used, Construct construct) {
        if (used)
            add(construct);
    }
    void term(const Term& term);
    void group(const Group& group);
    void action(const Action& action);
    void modifiers(const Rule& rule);
    void body(const Body& body);
    void state(const Rule& rule);

    std::vector<Construct> found_;
};

void Finder::term(const Term& term) {
    add_if(term.negated, C::shape_not);
    std::visit(*this, term.match);
}

void Finder::group(const Group& group) {
    add_if(group.any_of.size() > 1, C::shape_or_block);
    for (const Term& value : group.any_of)
        term(value);
}

void Finder::action(const Action& action) {
    add(of_action(action.kind));
    add_if(action.argument.from_table, of_tablearg(action.kind));
    add_if(action.mtu != 0, C::action_unreach_mtu);
    add_if(action.kind == ActionKind::check_state && action.name != "default",
           C::action_check_state_named);
    if (action.kind == ActionKind::fwd) {
        add_if(action.next_hop.port != 0, C::action_fwd_port);
        add_if(std::holds_alternative<Ipv6>(action.next_hop.address), C::action_fwd_ipv6);
        add_if(std::holds_alternative<Any>(action.next_hop.address), C::tablearg_fwd);
    }
}

void Finder::modifiers(const Rule& rule) {
    add_if(rule.set != 0, C::modifier_set);
    add_if(rule.probability.has_value(), C::modifier_prob);
    if (rule.log) {
        add(C::modifier_log);
        add_if(rule.log->amount.has_value(), C::modifier_logamount);
        for (const std::string& name : rule.log->destinations)
            add(of_log_destination(name));
    }
    add_if(rule.altq.has_value(), C::modifier_altq);
    if (rule.tag) {
        add(rule.tag->kind == Tag::Kind::tag ? C::modifier_tag : C::modifier_untag);
        add_if(rule.tag->number.from_table, C::tablearg_tag);
    }
    add_if(!rule.comment.empty(), C::modifier_comment);
    add_if(!rule.label.empty() || !rule.action.label.empty(), C::modifier_label);
    add_if(rule.expires_s.has_value(), C::modifier_expires);
}

void Finder::body(const Body& body) {
    add_if(body.protocol.any_of.empty(), C::protocol_any);
    add_if(body.source.any_of.empty() || body.destination.any_of.empty(), C::address_any);
    group(body.protocol);
    group(body.source);
    group(body.destination);
    if (body.source_ports)
        term(*body.source_ports);
    if (body.destination_ports)
        term(*body.destination_ports);
}

void Finder::state(const Rule& rule) {
    if (rule.state) {
        switch (rule.state->kind) {
            case StateOption::Kind::keep_state:
                add(C::state_keep_state);
                break;
            case StateOption::Kind::record_state:
                add(C::state_record_state);
                break;
            case StateOption::Kind::limit:
                add(C::state_limit);
                break;
            case StateOption::Kind::set_limit:
                add(C::state_set_limit);
                break;
        }
        add_if(rule.state->name != "default", C::state_named);
        add_if(rule.state->limit.from_table, C::tablearg_limit);
        add_if(rule.state->lifetime_s.has_value(), C::state_lifetime);
    }
    add_if(rule.defer == Defer::action, C::state_defer_action);
    add_if(rule.defer == Defer::immediate_action, C::state_defer_immediate_action);
}

std::vector<Construct> Finder::find(const Rule& rule) {
    action(rule.action);
    modifiers(rule);
    if (rule.body)
        body(*rule.body);
    else
        add_if(rule.action.kind != ActionKind::check_state, C::shape_no_body);
    for (const Group& option : rule.options)
        group(option);
    state(rule);
    std::sort(found_.begin(), found_.end());
    found_.erase(std::unique(found_.begin(), found_.end()), found_.end());
    return std::move(found_);
}

void Finder::operator()(const AddressMatch& match) {
    struct Visitor {
        Finder& finder;
        void operator()(const Any&) { finder.add(C::address_any); }
        void operator()(const Me&) { finder.add(C::address_me); }
        void operator()(const Me6&) { finder.add(C::address_me6); }
        void operator()(const AddressSet&) { finder.add(C::address_set); }
        void operator()(const TableReference& table) {
            finder.add(table.value ? C::address_table_value : C::address_table);
        }
        void operator()(const std::vector<Ipv4Network>& networks) {
            finder.add(networks.size() > 1 ? C::address_ipv4_list : C::address_ipv4);
            for (const Ipv4Network& network : networks)
                finder.add_if(!mask_length(network.mask), C::address_ipv4_gapped);
        }
        void operator()(const std::vector<Ipv6Network>& networks) {
            finder.add(networks.size() > 1 ? C::address_ipv6_list : C::address_ipv6);
            for (const Ipv6Network& network : networks)
                finder.add_if(!mask_length(network.mask), C::address_ipv6_gapped);
        }
    };
    std::visit(Visitor{*this}, match.what);
}

void Finder::operator()(const PortMatch& match) {
    add_if(match.entries.size() > 1, C::port_list);
    for (const PortEntry& entry : match.entries) {
        if (entry.mask)
            add(C::port_mask);
        else
            add(entry.first == entry.last ? C::port_single : C::port_range);
    }
}

void Finder::operator()(const ProtocolMatch& match) {
    switch (match.kind) {
        case ProtocolMatch::Kind::any:
            add(C::protocol_any);
            break;
        case ProtocolMatch::Kind::ip4:
            add(C::protocol_ip4);
            break;
        case ProtocolMatch::Kind::ip6:
            add(C::protocol_ip6);
            break;
        case ProtocolMatch::Kind::number:
            add(C::protocol_number);
            break;
    }
}

void Finder::operator()(const DirectionMatch& match) {
    add(match.direction == DirectionMatch::Direction::in ? C::option_in : C::option_out);
}

void Finder::operator()(const InterfaceMatch& match) {
    switch (match.role) {
        case InterfaceMatch::Role::via:
            add(C::option_via);
            break;
        case InterfaceMatch::Role::recv:
            add(C::option_recv);
            break;
        case InterfaceMatch::Role::xmit:
            add(C::option_xmit);
            break;
    }
    struct Visitor {
        Finder& finder;
        void operator()(const Any&) { finder.add(C::interface_any); }
        void operator()(const InterfaceName& name) {
            finder.add(name.is_glob ? C::interface_glob : C::interface_name);
        }
        void operator()(const Ipv4&) { finder.add(C::interface_address); }
        void operator()(const Ipv6&) { finder.add(C::interface_address); }
        void operator()(const TableReference& table) {
            finder.add(table.value ? C::interface_table_value : C::interface_table);
        }
    };
    std::visit(Visitor{*this}, match.what);
}

void Finder::operator()(const FlagMatch& match) {
    switch (match.field) {
        case FlagField::tcp_flags:
            add(match.set == tcp_flag::syn && match.clear == tcp_flag::ack ? C::option_setup
                                                                           : C::option_tcpflags);
            break;
        case FlagField::tcp_options:
            add(C::option_tcpoptions);
            break;
        case FlagField::ip_options:
            add(C::option_ipoptions);
            break;
        case FlagField::ip_tos:
            add(C::option_iptos);
            break;
        case FlagField::fragment:
            add(match.set == fragment_flag::offset && match.clear == 0 ? C::option_frag
                                                                       : C::option_frag_flags);
            break;
        case FlagField::ext6hdr:
            add(C::option_ext6hdr);
            break;
    }
}

void Finder::operator()(const ListMatch& match) {
    add(of_list(match.field));
    add_if(match.from_table, C::tablearg_tagged);
}

void Finder::operator()(const NumberMatch& match) {
    add(of_number(match.field));
    add_if(match.from_table, C::tablearg_mark);
}

void Finder::operator()(const PayloadMatch& match) {
    switch (match.part) {
        case PayloadPart::payload:
            add(C::option_payload);
            break;
        case PayloadPart::http_host:
            add(C::option_http_host);
            break;
        case PayloadPart::http_uri:
            add(C::option_http_uri);
            break;
        case PayloadPart::tls_sni:
            add(C::option_tls_sni);
            break;
        case PayloadPart::dns_qname:
            add(C::option_dns_qname);
            break;
    }
    const auto* reference = std::get_if<PatternReference>(&match.what);
    add_if(reference == nullptr, C::option_payload_literal);
    add_if(reference != nullptr && reference->value.has_value(), C::option_payload_value);
}

void Finder::operator()(const LookupMatch& match) {
    add(C::option_lookup);
    add_if(match.mask.has_value(), C::option_lookup_mask);
    add_if(match.field == "uid", C::option_lookup_user);
    add_if(match.field == "jail", C::option_lookup_jail);
    add_if(match.field == "mark", C::option_lookup_mark);
}

}  // namespace

std::vector<Construct> constructs_of(const Rule& rule) {
    return Finder().find(rule);
}

}  // namespace sluice::language
