#include "controlplane/compiler/support.h"

#include <algorithm>
#include <iterator>
#include <string_view>

#include "controlplane/language/construct.h"

namespace sluice::compiler {

namespace {

using language::Construct;

// Why something is not carried out.
constexpr std::string_view kShaping = "traffic shaping comes with a later version";
constexpr std::string_view kGateway = "translation of addresses comes with a later version";
constexpr std::string_view kNetgraph = "there is no netgraph(4) on Linux";
constexpr std::string_view kJails = "there are no jails on Linux";

struct Refusal {
    Construct construct;
    std::string_view reason;
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
    {Construct::action_eaction, "modules of the FreeBSD kernel cannot be loaded"},
    {Construct::tablearg_pipe, kShaping},
    {Construct::tablearg_queue, kShaping},
    {Construct::tablearg_netgraph, kNetgraph},
    {Construct::tablearg_ngtee, kNetgraph},
    {Construct::tablearg_nat, kGateway},
    {Construct::modifier_logdst, "log lines go where the settings say"},
    {Construct::modifier_altq, "ALTQ is part of the BSD kernels"},
    {Construct::option_ipsec, "a bridge does not see into IPsec; match the protocols esp and ah"},
    {Construct::option_sockarg, "sockets of Linux have no number for rules"},
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
            return "not supported yet: " + std::string(language::info(construct).name) + ": " +
                   std::string(refusal->reason);
    return std::nullopt;
}

}  // namespace sluice::compiler
