#include "dataplane/state/lifetimes.h"

#include <algorithm>

namespace sluice::state {

namespace {

constexpr std::uint8_t kTcp = 6, kUdp = 17;
constexpr std::uint8_t kFin = 1, kSyn = 2, kRst = 4;  // RFC 9293
static_assert(kFin == tcp_seen::fin && kSyn == tcp_seen::syn && kRst == tcp_seen::rst);

// Lifetimes shrink as if the table were full at this many percent, so that a third is left when it
// is.
constexpr std::uint64_t kAdaptiveEnd = 120;

bool has_moved_on(std::uint32_t acknowledgement, std::uint32_t before) {
    return before == 0 || static_cast<std::int32_t>(acknowledgement - before) >= 0;
}

// Notes the ACK. True: both sides have moved on since the state was last prolonged.
bool both_moved_on(Progress& progress, std::uint32_t acknowledgement, Step step) {
    std::uint32_t& last =
        step == Step::forward ? progress.acknowledged_forward : progress.acknowledged_reverse;
    if (has_moved_on(acknowledgement, last)) {
        last = acknowledgement;
        progress.marks |= step == Step::forward ? mark::ack_forward : mark::ack_reverse;
    }
    constexpr std::uint8_t kBoth = mark::ack_forward | mark::ack_reverse;
    if ((progress.marks & kBoth) != kBoth)
        return false;
    progress.marks &= static_cast<std::uint8_t>(~kBoth);
    return true;
}

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

Progress advance(const Progress& before, const packet::Headers& headers, Step step,
                 const Lifetimes& lifetimes, std::uint32_t uptime_s) {
    Progress after = before;
    if (step == Step::reverse)
        after.marks |= mark::answered;
    if (headers.protocol == kUdp) {
        after.expires_s = uptime_s + lifetimes.udp;
        return after;
    }
    if (headers.protocol != kTcp) {
        after.expires_s = uptime_s + lifetimes.other;
        return after;
    }
    const bool has_header = headers.fragment_offset == 0;
    const std::uint8_t flags = has_header ? headers.tcp_flags & (kFin | kSyn | kRst) : 0;
    after.tcp_seen |= static_cast<std::uint8_t>(step == Step::reverse ? flags << 4 : flags);
    switch (after.tcp_seen) {
        case tcp_seen::syn:
            after.expires_s =
                uptime_s +
                ((after.marks & mark::answered) != 0 ? lifetimes.syn : lifetimes.unanswered_syn);
            break;
        case tcp_seen::both_syn:
        case tcp_seen::both_syn | tcp_seen::fin:
        case tcp_seen::both_syn | tcp_seen::fin << 4:
            if (has_header && step != Step::creation &&
                both_moved_on(after, headers.tcp_acknowledgement, step))
                after.expires_s = uptime_s + lifetimes.established;
            break;
        case tcp_seen::both_syn | tcp_seen::both_fin:
            after.expires_s = uptime_s + lifetimes.fin;
            break;
        default:
            after.expires_s = uptime_s + lifetimes.rst;
            break;
    }
    return after;
}

}  // namespace sluice::state
