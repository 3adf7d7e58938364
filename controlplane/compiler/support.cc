#include "controlplane/compiler/support.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "controlplane/language/construct.h"

namespace sluice::compiler {

namespace {

using language::Construct;

// Why something is not carried out.
struct Reason {
    std::string_view lead;
    std::string_view text;
};

// What is missing.
constexpr Reason missing(std::string_view text) {
    return {"not supported yet: ", text};
}
// What has no meaning on this machine and never will.
constexpr Reason senseless(std::string_view text) {
    return {"cannot be carried out: ", text};
}

constexpr Reason kShaping = missing("traffic shaping comes with a later version");
constexpr Reason kGateway = missing("translation of addresses comes with a later version");
constexpr Reason kNetgraph = senseless("there is no netgraph(4) on Linux");
constexpr Reason kJails = senseless("there are no jails on Linux");

struct Refusal {
    Construct construct;
    Reason reason;
};

// What is missing, in the order of the enumeration. Everything that is not listed is carried out: a
// construct must either be translated by compile.cc or stand here (tests/unit/compiler walks the
// list).
constexpr Refusal kNotCarriedOut[] = {
    {Construct::action_pipe, kShaping},
    {Construct::action_queue, kShaping},
    {Construct::action_netgraph, kNetgraph},
    {Construct::action_ngtee, kNetgraph},
    {Construct::action_nat, kGateway},
    {Construct::action_nat64lsn, kGateway},
    {Construct::action_nat64stl, kGateway},
    {Construct::action_nat64clat, kGateway},
    {Construct::action_nptv6, kGateway},
    {Construct::action_eaction, senseless("modules of the FreeBSD kernel cannot be loaded")},
    {Construct::tablearg_pipe, kShaping},
    {Construct::tablearg_queue, kShaping},
    {Construct::tablearg_netgraph, kNetgraph},
    {Construct::tablearg_ngtee, kNetgraph},
    {Construct::tablearg_nat, kGateway},
    {Construct::modifier_logdst_bpf,
     senseless(
         "there is no interface ipfw0 for bpf(4) on Linux; log lines go to a file or to syslog")},
    {Construct::modifier_logdst_rtsock,
     senseless("there are no routing sockets on Linux; log lines go to a file or to syslog")},
    {Construct::modifier_altq, senseless("ALTQ is part of the BSD kernels")},
    {Construct::option_ipsec,
     senseless("what the kernel takes out of IPsec does not come through the data plane; match the "
               "protocols esp and ah")},
    {Construct::option_sockarg, senseless("sockets of Linux have no number for rules")},
    {Construct::option_jail, kJails},
    {Construct::option_lookup_jail, kJails},
};

constexpr bool comes_before(const Refusal& a, const Refusal& b) {
    return a.construct < b.construct;
}

static_assert(std::is_sorted(std::begin(kNotCarriedOut), std::end(kNotCarriedOut), comes_before));

const Refusal* refusal_of(Construct construct) {
    const Refusal* found = std::lower_bound(std::begin(kNotCarriedOut), std::end(kNotCarriedOut),
                                            Refusal{construct, {}}, comes_before);
    return found != std::end(kNotCarriedOut) && found->construct == construct ? found : nullptr;
}

}  // namespace

bool is_carried_out(language::Construct construct) {
    return refusal_of(construct) == nullptr;
}

std::optional<std::string> unsupported(const language::Rule& rule) {
    for (const Construct construct : language::constructs_of(rule))
        if (const Refusal* refusal = refusal_of(construct))
            return std::string(refusal->reason.lead) + std::string(language::info(construct).name) +
                   ": " + std::string(refusal->reason.text);
    return std::nullopt;
}

}  // namespace sluice::compiler
