// The filter engine of one worker: judges a burst under one ruleset.
//
// No DPDK, no allocation, no lock, no system call. What most packets do needs no walk: the first
// rule that their headers match is counted and lets them pass or drops them, or they hit a state of
// such a rule; that is seen from their glance (packet/glance.h), and so is what rules look for that
// do nothing but look into payload. Every other packet is parsed and
// walks through the rules (walker.h). Packets are judged in their order wherever one may change
// what another finds.
//
// Threads: an Engine belongs to one worker. It is the only writer of its counters and its log ring.
// The Runtime is read-only and must outlive the call.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/contract/message.h"
#include "dataplane/packet/burst.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/judgement.h"
#include "dataplane/program/outputs.h"
#include "dataplane/program/packet_marks.h"
#include "dataplane/program/runtime.h"
#include "dataplane/program/verdict.h"
#include "dataplane/state/state_table.h"

namespace sluice::program {

class Engine {
  public:
    // `random` may be null: then a generator of the engine's own, seeded with `seed`, is used.
    Engine(const EngineOutputs& outputs, std::uint64_t seed, RandomSource* random = nullptr);
    ~Engine();
    Engine(Engine&&) noexcept;

    // Has the kernel provide all memory now. Without it pages come when they are first used.
    void populate();

    // Judges a burst. Marks in `judgement` are those that packets bring, and afterwards what the
    // rules have made of them.
    void filter(const Runtime& runtime, packet::Burst& burst, Judgement& judgement);

    // The same for any number of packets that have been parsed: verdicts[i] and marks[i] belong to
    // packets[i]. REQUIRES: verdicts.size() and marks.size() >= packets.size().
    void filter(const Runtime& runtime, std::span<const packet::Packet> packets,
                std::span<Verdict> verdicts, std::span<PacketMarks> marks);

    // What the rules have said of a packet of a burst that was judged with `runtime`.
    static Verdict verdict(const Runtime& runtime, const Judgement& judgement, std::size_t i);

    // Goes on behind the rule that gave `verdict` (tee; a diverted packet that came back). States
    // are looked for anew, as in ipfw: a packet that finds the state of a tee rule again is copied
    // again. One that meets kMaximumTees is dropped, so this ends.
    Verdict resume(const Runtime& runtime, const packet::Packet& packet, const Verdict& verdict,
                   PacketMarks& marks);

    // Begins with the first rule that has a higher number than this: a packet that a program gives
    // back, whatever has become of the rules since it got it.
    Verdict enter(const Runtime& runtime, const packet::Packet& packet, unsigned number,
                  PacketMarks& marks);

    // Housekeeping of the shard, a bounded piece of it: collects states whose time is up or whose
    // rule has gone, sends keepalives (`keepalives` may be null). To be called in each turn, with
    // the ruleset that runs. True: there is more to do at this second.
    bool tend_states(const Runtime& runtime, std::uint32_t uptime_s,
                     state::KeepaliveSink* keepalives);

    // Removes states that `filter` means, looking at a bounded number of cells from `from` on.
    struct Killed {
        std::uint64_t states = 0;
        state::CellIndex next = 0;  // where to go on
        bool done = false;
    };
    Killed kill_states(const Runtime& runtime, const contract::StateFilter& filter,
                       std::uint32_t uptime_s, state::CellIndex from);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::program
