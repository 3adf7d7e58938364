#include "dataplane/program/actions.h"

#include <algorithm>

#include "dataplane/classify/options.h"
#include "dataplane/packet/wire.h"

namespace sluice::program {

namespace {

using contract::RuleAction;
using packet::Entry;
using packet::Headers;
using packet::Packet;

constexpr std::uint8_t kSyn = 2;
constexpr std::uint8_t kEcnBits = 3;

// None: the packet offers none.
std::optional<std::uint16_t> offered_mss(const Headers& headers) {
    if (headers.protocol != packet::wire::protocol::tcp || headers.transport_offset == 0 ||
        (headers.tcp_flags & kSyn) == 0)
        return std::nullopt;
    const auto options = classify::tcp_options(headers);
    return options ? options->maximum_segment_size : std::nullopt;
}

void lower_mss(std::uint16_t most, const Headers& headers, PacketMarks& marks) {
    const auto offered = offered_mss(headers);
    if (!offered)
        return;
    const std::uint16_t now =
        marks.maximum_segment_size != 0 ? marks.maximum_segment_size : *offered;
    if (most < now)
        marks.maximum_segment_size = most;
}

}  // namespace

bool apply_tag(const contract::RuleRecord& rule, PacketMarks& marks) {
    if (rule.tag == 0)
        return true;
    if ((rule.flags & contract::rule_flag::untag) == 0)
        return marks.add_tag(rule.tag);
    marks.remove_tag(rule.tag);
    return true;
}

bool acts(const contract::RuleRecord& rule, const Packet& packet) {
    switch (rule.action) {
        case RuleAction::divert:
        case RuleAction::tee:
        case RuleAction::fwd:
            return packet.passage.entry != Entry::layer2;
        case RuleAction::setdscp:
            return packet.headers.ip_version != 0;
        case RuleAction::reass:
            return packet.passage.entry != Entry::layer2 && packet.headers.ip_version == 4;
        default:
            return true;
    }
}

void mark_packet(const contract::RuleRecord& rule, const Packet& packet, PacketMarks& marks) {
    switch (rule.action) {
        case RuleAction::setfib:
            marks.fib = rule.action_number;
            break;
        case RuleAction::setdscp:
            marks.dscp = static_cast<std::uint8_t>(rule.action_number & 63);
            marks.has_dscp = true;
            break;
        case RuleAction::tcp_setmss:
            lower_mss(rule.action_number, packet.headers, marks);
            break;
        case RuleAction::setmark:
            marks.mark = rule.mark;
            break;
        default:
            break;
    }
}

void see_changes(const PacketMarks& marks, Packet& seen) {
    if (marks.has_dscp)
        seen.headers.traffic_class =
            static_cast<std::uint8_t>(marks.dscp << 2 | (seen.headers.traffic_class & kEcnBits));
}

bool lowered_mss_in(const PacketMarks& marks, std::span<const contract::Range> ranges) {
    return std::any_of(ranges.begin(), ranges.end(), [&](const contract::Range& range) {
        return range.first <= marks.maximum_segment_size &&
               marks.maximum_segment_size <= range.last;
    });
}

Verdict::Kind verdict_kind(RuleAction action) {
    switch (action) {
        case RuleAction::allow:
            return Verdict::Kind::accept;
        case RuleAction::unreach:
            return Verdict::Kind::unreach;
        case RuleAction::unreach6:
            return Verdict::Kind::unreach6;
        case RuleAction::reset:
            return Verdict::Kind::reset;
        case RuleAction::reset6:
            return Verdict::Kind::reset6;
        case RuleAction::abort:
            return Verdict::Kind::abort;
        case RuleAction::abort6:
            return Verdict::Kind::abort6;
        case RuleAction::divert:
            return Verdict::Kind::divert;
        case RuleAction::tee:
            return Verdict::Kind::tee;
        case RuleAction::fwd:
            return Verdict::Kind::fwd;
        case RuleAction::reass:
            return Verdict::Kind::reass;
        case RuleAction::deny:
        case RuleAction::count:
        case RuleAction::skipto:
        case RuleAction::check_state:
        case RuleAction::call:
        case RuleAction::return_:
        case RuleAction::setfib:
        case RuleAction::setdscp:
        case RuleAction::tcp_setmss:
        case RuleAction::setmark:
        case RuleAction::count_:
            break;
    }
    return Verdict::Kind::deny;
}

}  // namespace sluice::program
