#include "controlplane/compiler/support.h"

#include <algorithm>
#include <array>
#include <string_view>

#include "controlplane/language/construct.h"

namespace sluice::compiler {

namespace {

using language::Construct;

// What is missing, in the order of the enumeration. Everything that is not listed is carried out: a
// construct must either be translated by compile.cc or stand here (tests/unit/compiler walks the
// list).
constexpr std::array kNotCarriedOut = {
    Construct::action_abort,
    Construct::action_abort6,
    Construct::action_call,
    Construct::action_return,
    Construct::action_pipe,
    Construct::action_queue,
    Construct::action_netgraph,
    Construct::action_ngtee,
    Construct::action_nat,
    Construct::action_nat64lsn,
    Construct::action_nat64stl,
    Construct::action_nat64clat,
    Construct::action_nptv6,
    Construct::action_eaction,
    Construct::action_setfib,
    Construct::action_setdscp,
    Construct::action_tcp_setmss,
    Construct::action_setmark,
    Construct::action_reass,
    Construct::tablearg_call,
    Construct::tablearg_pipe,
    Construct::tablearg_queue,
    Construct::tablearg_netgraph,
    Construct::tablearg_ngtee,
    Construct::tablearg_nat,
    Construct::tablearg_setfib,
    Construct::tablearg_setdscp,
    Construct::tablearg_setmark,
    Construct::tablearg_tag,
    Construct::tablearg_tagged,
    Construct::tablearg_mark,
    Construct::modifier_logdst,
    Construct::modifier_altq,
    Construct::modifier_tag,
    Construct::modifier_untag,
    Construct::option_diverted,
    Construct::option_diverted_loopback,
    Construct::option_diverted_output,
    Construct::option_ipsec,
    Construct::option_sockarg,
    Construct::option_tagged,
    Construct::option_flow_id,
    Construct::option_fib,
    Construct::option_uid,
    Construct::option_gid,
    Construct::option_jail,
    Construct::option_mark,
    Construct::option_lookup_socket,
    Construct::option_lookup_mark,
};

static_assert(std::is_sorted(kNotCarriedOut.begin(), kNotCarriedOut.end()));

}  // namespace

bool is_carried_out(language::Construct construct) {
    return !std::binary_search(kNotCarriedOut.begin(), kNotCarriedOut.end(), construct);
}

std::optional<std::string> unsupported(const language::Rule& rule) {
    for (const Construct construct : language::constructs_of(rule))
        if (!is_carried_out(construct))
            return "not supported yet: " + std::string(language::info(construct).name);
    return std::nullopt;
}

}  // namespace sluice::compiler
