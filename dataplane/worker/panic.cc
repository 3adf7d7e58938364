// The panic switch: while it is on, what rules would judge passes or is dropped without them.
//
// It is one relaxed load for each burst. Malformed packets are dropped either way, and what is not
// IP passes either way, as it does where no rule names it. Nothing is counted for rules, no state
// is made, asked or prolonged; states live on for as long as they would without packets.
#include "dataplane/worker/worker.h"

namespace sluice::worker {

using contract::DropReason;
using contract::Panic;
using program::Verdict;

namespace {

Verdict verdict_without_rules(Panic panic, const packet::Packet& packet) {
    if (packet.malformed != DropReason::none)
        return {.kind = Verdict::Kind::deny, .reason = packet.malformed};
    if (packet.headers.ip_version == 0 || panic == Panic::pass)
        return {.kind = Verdict::Kind::accept, .rule_number = 0};
    return {.kind = Verdict::Kind::deny, .reason = DropReason::panic};
}

}  // namespace

void Worker::ask_rules(const program::Runtime& runtime, packet::Burst& burst,
                       program::Judgement& judgement) {
    const Panic now = panic();
    if (now == Panic::off) [[likely]] {
        engine_.filter(runtime, burst, judgement);
    } else {
        judgement.accepted = judgement.denied = judgement.alike = 0;
        judgement.told = burst.all();
        for (std::size_t i = 0; i < burst.size(); ++i)
            judgement.verdicts[i] = verdict_without_rules(now, burst.packet(i));
    }
    if (is_watched()) [[unlikely]]
        show(runtime, burst, judgement);
}

// Packets that a program gives back.
Verdict Worker::enter(const program::Runtime& runtime, const packet::Packet& packet,
                      unsigned number, program::PacketMarks& marks) {
    const Panic now = panic();
    return now == Panic::off ? engine_.enter(runtime, packet, number, marks)
                             : verdict_without_rules(now, packet);
}

}  // namespace sluice::worker
