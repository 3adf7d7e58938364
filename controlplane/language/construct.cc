#include "controlplane/language/construct.h"

namespace sluice::language {

namespace {

using C = Construct;

constexpr ConstructInfo kConstructs[] = {
    {C::action_allow, "action allow", "allow ip from any to any"},
    {C::action_deny, "action deny", "deny ip from any to any"},
    {C::action_reject, "action reject", "reject ip from any to any"},
    {C::action_unreach, "action unreach", "unreach port ip from any to any"},
    {C::action_unreach_mtu, "unreach needfrag with an MTU",
     "unreach needfrag 1400 ip from any to any"},
    {C::action_unreach6, "action unreach6", "unreach6 port ip6 from any to any"},
    {C::action_reset, "action reset", "reset tcp from any to any"},
    {C::action_reset6, "action reset6", "reset6 tcp from any to any"},
    {C::action_abort, "action abort", "abort sctp from any to any"},
    {C::action_abort6, "action abort6", "abort6 sctp from any to any"},
    {C::action_count, "action count", "count ip from any to any"},
    {C::action_check_state, "action check-state", "check-state"},
    {C::action_check_state_named, "check-state with a name", "check-state :web"},
    {C::action_skipto, "action skipto", "skipto 2000 ip from any to any"},
    {C::action_call, "action call", "call 2000 ip from any to any"},
    {C::action_return, "action return", "return ip from any to any"},
    {C::action_divert, "action divert", "divert 8668 ip from any to any"},
    {C::action_tee, "action tee", "tee 8669 ip from any to any"},
    {C::action_fwd, "action fwd", "fwd 192.0.2.1 ip from any to any"},
    {C::action_fwd_port, "fwd with a port", "fwd 127.0.0.1,3128 tcp from any to any 80"},
    {C::action_fwd_ipv6, "fwd to an IPv6 address", "fwd 2001:db8::1 ip6 from any to any"},
    {C::action_pipe, "action pipe", "pipe 1 ip from any to any"},
    {C::action_queue, "action queue", "queue 1 ip from any to any"},
    {C::action_netgraph, "action netgraph", "netgraph 1 ip from any to any"},
    {C::action_ngtee, "action ngtee", "ngtee 1 ip from any to any"},
    {C::action_nat, "action nat", "nat 1 ip from any to any"},
    {C::action_nat64lsn, "action nat64lsn", "nat64lsn NAT64 ip from any to any"},
    {C::action_nat64stl, "action nat64stl", "nat64stl NAT64 ip from any to any"},
    {C::action_nat64clat, "action nat64clat", "nat64clat CLAT ip from any to any"},
    {C::action_nptv6, "action nptv6", "nptv6 NPT ip6 from any to any"},
    {C::action_eaction, "action eaction", "eaction ntpv6 AAA ip from any to any"},
    {C::action_setfib, "action setfib", "setfib 1 ip from any to any"},
    {C::action_setdscp, "action setdscp", "setdscp ef ip from any to any"},
    {C::action_tcp_setmss, "action tcp-setmss", "tcp-setmss 1300 tcp from any to any"},
    {C::action_setmark, "action setmark", "setmark 0x10 ip from any to any"},
    {C::action_reass, "action reass", "reass ip from any to any in"},

    {C::tablearg_skipto, "skipto tablearg", "skipto tablearg ip from table(1) to any"},
    {C::tablearg_call, "call tablearg", "call tablearg ip from table(1) to any"},
    {C::tablearg_divert, "divert tablearg", "divert tablearg ip from table(1) to any"},
    {C::tablearg_tee, "tee tablearg", "tee tablearg ip from table(1) to any"},
    {C::tablearg_fwd, "fwd tablearg", "fwd tablearg ip from any to table(1)"},
    {C::tablearg_pipe, "pipe tablearg", "pipe tablearg ip from table(1) to any"},
    {C::tablearg_queue, "queue tablearg", "queue tablearg ip from table(1) to any"},
    {C::tablearg_netgraph, "netgraph tablearg", "netgraph tablearg ip from table(1) to any"},
    {C::tablearg_ngtee, "ngtee tablearg", "ngtee tablearg ip from table(1) to any"},
    {C::tablearg_nat, "nat tablearg", "nat tablearg ip from table(1) to any"},
    {C::tablearg_setfib, "setfib tablearg", "setfib tablearg ip from table(1) to any"},
    {C::tablearg_setdscp, "setdscp tablearg", "setdscp tablearg ip from table(1) to any"},
    {C::tablearg_setmark, "setmark tablearg", "setmark tablearg ip from table(1) to any"},
    {C::tablearg_tag, "tag tablearg", "count tag tablearg ip from table(1) to any"},
    {C::tablearg_limit, "limit tablearg", "allow tcp from table(1) to any limit src-addr tablearg"},
    {C::tablearg_tagged, "tagged tablearg", "count ip from table(1) to any tagged tablearg"},
    {C::tablearg_mark, "mark tablearg", "count ip from table(1) to any mark tablearg"},

    {C::modifier_set, "set", "set 5 allow ip from any to any"},
    {C::modifier_prob, "prob", "prob 0.5 deny ip from any to any"},
    {C::modifier_log, "log", "deny log ip from any to any"},
    {C::modifier_logamount, "logamount", "deny log logamount 10 ip from any to any"},
    {C::modifier_logdst, "logdst", "deny log logdst syslog ip from any to any"},
    {C::modifier_altq, "altq", "allow altq fast ip from any to any"},
    {C::modifier_tag, "tag", "count tag 7 ip from any to any"},
    {C::modifier_untag, "untag", "count untag 7 ip from any to any"},
    {C::modifier_comment, "comment", "allow ip from any to any // the rest"},
    {C::modifier_label, "label", ":web call :web ip from any to any"},
    {C::modifier_expires, "expires", "allow ip from any to any expires 1h"},

    {C::shape_no_body, "a rule without from and to", "allow dst-port 22 in"},
    {C::shape_or_block, "or-block", "allow { tcp or udp } from any to any"},
    {C::shape_not, "not", "allow ip from any to any not frag"},

    {C::protocol_any, "protocol ip", "allow ip from any to any"},
    {C::protocol_ip4, "protocol ip4", "allow ip4 from any to any"},
    {C::protocol_ip6, "protocol ip6", "allow ip6 from any to any"},
    {C::protocol_number, "a protocol by name or number", "allow gre from any to any"},

    {C::address_any, "address any", "allow ip from any to any"},
    {C::address_me, "address me", "allow ip from any to me"},
    {C::address_me6, "address me6", "allow ip from any to me6"},
    {C::address_ipv4, "an IPv4 network", "allow ip from 192.0.2.0/24 to any"},
    {C::address_ipv4_gapped, "an IPv4 mask with gaps", "allow ip from 10.0.0.1:255.0.0.255 to any"},
    {C::address_ipv4_list, "a list of IPv4 networks",
     "allow ip from 192.0.2.1,198.51.100.0/24 to any"},
    {C::address_set, "an address set", "allow ip from 192.0.2.0/24{1,5-9} to any"},
    {C::address_ipv6, "an IPv6 network", "allow ip from 2001:db8::/32 to any"},
    {C::address_ipv6_gapped, "an IPv6 mask with gaps",
     "allow ip from 2001:db8::1/ffff:ffff::ffff to any"},
    {C::address_ipv6_list, "a list of IPv6 networks",
     "allow ip from 2001:db8::1,2001:db8:1::/48 to any"},
    {C::address_table, "an address table", "allow ip from table(1) to any"},
    {C::address_table_value, "an address table with a value", "allow ip from table(1,7) to any"},

    {C::port_single, "a port", "allow tcp from any to any 80"},
    {C::port_range, "a range of ports", "allow tcp from any to any 1024-65535"},
    {C::port_list, "a list of ports", "allow tcp from any to any 80,443"},
    {C::port_mask, "a port with a mask", "allow tcp from any to any 80:65534"},

    {C::interface_any, "interface any in an or-block",
     "allow ip from any to any { via any or frag }"},
    {C::interface_name, "an interface by name", "allow ip from any to any via em0"},
    {C::interface_glob, "an interface by pattern", "allow ip from any to any via em*"},
    {C::interface_address, "an interface by address", "allow ip from any to any via 192.0.2.1"},
    {C::interface_table, "an interface table", "allow ip from any to any via table(1)"},
    {C::interface_table_value, "an interface table with a value",
     "allow ip from any to any via table(1,7)"},
    {C::option_via, "option via", "allow ip from any to any via em0"},
    {C::option_recv, "option recv", "allow ip from any to any recv em0"},
    {C::option_xmit, "option xmit", "allow ip from any to any out xmit em0"},
    {C::option_in, "option in", "allow ip from any to any in"},
    {C::option_out, "option out", "allow ip from any to any out"},

    {C::option_established, "option established", "allow tcp from any to any established"},
    {C::option_setup, "option setup", "allow tcp from any to any setup"},
    {C::option_layer2, "option layer2", "allow ip from any to any layer2"},
    {C::option_diverted, "option diverted", "allow ip from any to any diverted"},
    {C::option_diverted_loopback, "option diverted-loopback",
     "allow ip from any to any diverted-loopback"},
    {C::option_diverted_output, "option diverted-output",
     "allow ip from any to any diverted-output"},
    {C::option_verrevpath, "option verrevpath", "deny ip from any to any not verrevpath in"},
    {C::option_versrcreach, "option versrcreach", "deny ip from any to any not versrcreach in"},
    {C::option_antispoof, "option antispoof", "deny ip from any to any not antispoof in"},
    {C::option_ipsec, "option ipsec", "allow ip from any to any ipsec"},
    {C::option_sockarg, "option sockarg", "allow ip from any to any sockarg"},
    {C::option_tcpflags, "option tcpflags", "deny tcp from any to any tcpflags syn,fin"},
    {C::option_tcpoptions, "option tcpoptions", "allow tcp from any to any tcpoptions mss,!sack"},
    {C::option_ipoptions, "option ipoptions", "deny ip from any to any ipoptions ssrr"},
    {C::option_iptos, "option iptos", "allow ip from any to any iptos lowdelay"},
    {C::option_frag, "option frag", "deny ip from any to any frag"},
    {C::option_frag_flags, "option frag with flags", "deny ip from any to any frag mf,!df"},
    {C::option_ext6hdr, "option ext6hdr", "deny ip6 from any to any ext6hdr rthdr0"},
    {C::option_iplen, "option iplen", "deny ip from any to any iplen 0-100"},
    {C::option_ipid, "option ipid", "deny ip from any to any ipid 7"},
    {C::option_ipttl, "option ipttl", "deny ip from any to any ipttl 0-5"},
    {C::option_tcpwin, "option tcpwin", "deny tcp from any to any tcpwin 0"},
    {C::option_tcpmss, "option tcpmss", "deny tcp from any to any tcpmss 0-500"},
    {C::option_tcpdatalen, "option tcpdatalen", "deny tcp from any to any tcpdatalen 1-10"},
    {C::option_tagged, "option tagged", "allow ip from any to any tagged 7"},
    {C::option_mac_type, "option mac-type", "allow ip from any to any mac-type 0x0806 layer2"},
    {C::option_dscp, "option dscp", "allow ip from any to any dscp ef,cs1"},
    {C::option_icmptypes, "option icmptypes", "allow icmp from any to any icmptypes 0,8"},
    {C::option_icmp6types, "option icmp6types",
     "allow ipv6-icmp from any to any icmp6types 135,136"},
    {C::option_flow_id, "option flow-id", "allow ip6 from any to any flow-id 47789"},
    {C::option_tcpseq, "option tcpseq", "deny tcp from any to any tcpseq 1"},
    {C::option_tcpack, "option tcpack", "deny tcp from any to any tcpack 1"},
    {C::option_ipversion, "option ipversion", "deny ip from any to any ipversion 4"},
    {C::option_ipprecedence, "option ipprecedence", "deny ip from any to any ipprecedence 3"},
    {C::option_fib, "option fib", "allow ip from any to any fib 1"},
    {C::option_uid, "option uid", "allow tcp from me to any uid root"},
    {C::option_gid, "option gid", "allow tcp from me to any gid 0"},
    {C::option_jail, "option jail", "allow tcp from me to any jail 1"},
    {C::option_mark, "option mark", "allow ip from any to any mark 0x10:0xff"},
    {C::option_mac, "option MAC", "allow ip from any to any MAC any 00:11:22:33:44:55"},
    {C::option_mac_table, "option src-mac, dst-mac", "allow ip from any to any src-mac table(1)"},
    {C::option_lookup, "option lookup", "allow ip from any to any lookup dst-port 1"},
    {C::option_lookup_mask, "option lookup with a mask",
     "allow ip from any to any lookup src-ip:255.255.255.0 1"},
    {C::option_flow_table, "option flow", "allow ip from any to any flow table(1)"},

    {C::state_keep_state, "option keep-state", "allow tcp from any to any setup keep-state"},
    {C::state_record_state, "option record-state", "allow udp from any to any 53 record-state"},
    {C::state_limit, "option limit", "allow tcp from any to any setup limit src-addr 4"},
    {C::state_set_limit, "option set-limit",
     "allow tcp from any to any setup set-limit src-addr 4"},
    {C::state_named, "a state with a name", "allow tcp from any to any setup keep-state :web"},
    {C::state_lifetime, "the lifetime of a state",
     "allow udp from any to any 53 keep-state lifetime 30"},
    {C::state_defer_action, "option defer-action",
     "allow tcp from any to any setup keep-state defer-action"},
    {C::state_defer_immediate_action, "option defer-immediate-action",
     "allow tcp from any to any setup keep-state defer-immediate-action"},
};

constexpr bool in_order() {
    for (std::size_t i = 0; i < std::size(kConstructs); ++i)
        if (static_cast<std::size_t>(kConstructs[i].construct) != i)
            return false;
    return true;
}
static_assert(in_order() &&
              kConstructs[std::size(kConstructs) - 1].construct == C::state_defer_immediate_action);

}  // namespace

std::span<const ConstructInfo> all_constructs() {
    return kConstructs;
}

const ConstructInfo& info(Construct construct) {
    return kConstructs[static_cast<std::size_t>(construct)];
}

}  // namespace sluice::language
