#include "dataplane/state/lifetimes.h"

#include <algorithm>

namespace sluice::state {

namespace {

// Lifetimes shrink as if the table were full at this many percent, so that a third is left when it
// is.
constexpr std::uint64_t kAdaptiveEnd = 120;

}  // namespace

Lifetimes Lifetimes::of(const contract::Sysctls& sysctls, std::uint64_t states) {
    auto at_least_1 = [](std::uint32_t seconds) { return std::max(seconds, 1u); };
    Lifetimes lifetimes{.syn = at_least_1(sysctls.dyn_syn_lifetime),
                        .unanswered_syn = at_least_1(sysctls.dyn_syn_lifetime),
                        .established = at_least_1(sysctls.dyn_ack_lifetime),
                        .fin = at_least_1(sysctls.dyn_fin_lifetime),
                        .rst = at_least_1(sysctls.dyn_rst_lifetime),
                        .udp = at_least_1(sysctls.dyn_udp_lifetime),
                        .other = at_least_1(sysctls.dyn_short_lifetime)};
    const std::uint64_t start = sysctls.dyn_adaptive_start;
    const std::uint64_t most = sysctls.dyn_max;
    if (start == 0 || start >= kAdaptiveEnd || most == 0 || states * 100 <= most * start)
        return lifetimes;
    const std::uint64_t left = kAdaptiveEnd * most - std::min(states * 100, 100 * most);
    lifetimes.unanswered_syn = at_least_1(
        static_cast<std::uint32_t>(lifetimes.syn * left / ((kAdaptiveEnd - start) * most)));
    return lifetimes;
}

Lifetimes Lifetimes::with(std::uint32_t lifetime_s) const {
    Lifetimes own = *this;
    if (lifetime_s != 0)
        own.established = own.udp = own.other = lifetime_s;
    return own;
}

}  // namespace sluice::state
