// Everything that can be said in a rule, one item per row: what the engine carries out and what it
// does not is told by a table over this list, and tests walk it.
//
// A construct has what it is called in messages and a rule that uses it; `constructs_of` tells
// which ones a rule uses. A rule may use several at once: `unreach needfrag 1400 …` uses
// action_unreach and action_unreach_mtu, `via em*` option_via and interface_glob. Options that say
// what the body says (`src-port 53`) are the same constructs as in the body.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "controlplane/language/model.h"

namespace sluice::language {

enum class Construct : std::uint16_t {
    // Actions
    action_allow,
    action_deny,
    action_reject,
    action_unreach,
    action_unreach_mtu,
    action_unreach6,
    action_reset,
    action_reset6,
    action_abort,
    action_abort6,
    action_count,
    action_check_state,
    action_check_state_named,
    action_skipto,
    action_call,
    action_return,
    action_divert,
    action_tee,
    action_fwd,
    action_fwd_port,
    action_fwd_ipv6,
    action_pipe,
    action_queue,
    action_netgraph,
    action_ngtee,
    action_nat,
    action_nat64lsn,
    action_nat64stl,
    action_nat64clat,
    action_nptv6,
    action_eaction,
    action_setfib,
    action_setdscp,
    action_tcp_setmss,
    action_setmark,
    action_reass,
    // `tablearg` in place of a number
    tablearg_skipto,
    tablearg_call,
    tablearg_divert,
    tablearg_tee,
    tablearg_fwd,
    tablearg_pipe,
    tablearg_queue,
    tablearg_netgraph,
    tablearg_ngtee,
    tablearg_nat,
    tablearg_setfib,
    tablearg_setdscp,
    tablearg_setmark,
    tablearg_tag,
    tablearg_limit,
    tablearg_tagged,
    tablearg_mark,
    // Modifiers
    modifier_set,
    modifier_prob,
    modifier_log,
    modifier_logamount,
    modifier_logdst,
    modifier_logdst_bpf,
    modifier_logdst_rtsock,
    modifier_altq,
    modifier_tag,
    modifier_untag,
    modifier_comment,
    modifier_label,
    modifier_expires,
    // Shape
    shape_no_body,
    shape_or_block,
    shape_not,
    // Protocols
    protocol_any,
    protocol_ip4,
    protocol_ip6,
    protocol_number,
    // Addresses
    address_any,
    address_me,
    address_me6,
    address_ipv4,
    address_ipv4_gapped,
    address_ipv4_list,
    address_set,
    address_ipv6,
    address_ipv6_gapped,
    address_ipv6_list,
    address_table,
    address_table_value,
    // Ports
    port_single,
    port_range,
    port_list,
    port_mask,
    // Interfaces
    interface_any,
    interface_name,
    interface_glob,
    interface_address,
    interface_table,
    interface_table_value,
    option_via,
    option_recv,
    option_xmit,
    option_in,
    option_out,
    // Other options
    option_established,
    option_setup,
    option_layer2,
    option_diverted,
    option_diverted_loopback,
    option_diverted_output,
    option_verrevpath,
    option_versrcreach,
    option_antispoof,
    option_ipsec,
    option_sockarg,
    option_tcpflags,
    option_tcpoptions,
    option_ipoptions,
    option_iptos,
    option_frag,
    option_frag_flags,
    option_ext6hdr,
    option_iplen,
    option_ipid,
    option_ipttl,
    option_tcpwin,
    option_tcpmss,
    option_tcpdatalen,
    option_tagged,
    option_mac_type,
    option_dscp,
    option_icmptypes,
    option_icmp6types,
    option_flow_id,
    option_tcpseq,
    option_tcpack,
    option_ipversion,
    option_ipprecedence,
    option_fib,
    option_uid,
    option_gid,
    option_jail,
    option_mark,
    option_mac,
    option_mac_table,
    option_lookup,
    option_lookup_mask,
    option_lookup_user,
    option_lookup_jail,
    option_lookup_mark,
    option_flow_table,
    option_payload,
    option_payload_value,
    option_payload_literal,
    option_http_host,
    option_http_uri,
    option_tls_sni,
    option_dns_qname,
    // States
    state_keep_state,
    state_record_state,
    state_limit,
    state_set_limit,
    state_named,
    state_lifetime,
    state_defer_action,
    state_defer_immediate_action,
};

struct ConstructInfo {
    Construct construct;
    std::string_view name;     // "option `established`"
    std::string_view example;  // what follows `add`
};

// In the order of the enumeration: all_constructs()[i].construct == Construct{i}.
std::span<const ConstructInfo> all_constructs();

const ConstructInfo& info(Construct construct);

// Sorted and without doubles.
std::vector<Construct> constructs_of(const Rule& rule);

}  // namespace sluice::language
