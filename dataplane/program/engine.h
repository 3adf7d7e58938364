// The filter engine of one worker: classify a burst, walk the rules that match, give a verdict.
//
// No DPDK, no allocation, no lock, no system call. The walk follows ipfw(8): for each matching rule
// in order — chance and other residual tests, log line, tag, counters, action. `skipto` moves
// on, `call` and `return` move anywhere, `count` and what marks the packet go on, the rest ends the
// walk.
//
// States. A rule with `probe` looks for the packet's state before its tests are run; a hit jumps to
// the action of the rule that made the state. Each name is looked for once in a walk.
//
// Threads: an Engine belongs to one worker. It is the only writer of its counters and its log ring.
// The Runtime is read-only and must outlive the call.
#pragma once

#include <cstdint>
#include <memory>
#include <span>

#include "dataplane/contract/annotations.h"
#include "dataplane/contract/counters.h"
#include "dataplane/contract/log_ring.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/packet_marks.h"
#include "dataplane/program/runtime.h"
#include "dataplane/state/state_table.h"
#include "dataplane/table/table_store.h"

namespace sluice::program {

struct Verdict {
    enum class Kind : std::uint8_t {
        accept,
        deny,
        unreach,   // argument: ICMP code; deny and tell the sender
        unreach6,  // argument: ICMPv6 code
        reset,     // deny and reset the TCP connection
        reset6,
        divert,  // argument: port; continues behind `rule` when it comes back
        tee,     // argument: port; a copy goes there, then call `resume`
        fwd,     // next hop in the rule record, or, if it is tablearg, here
        reass,   // waits for the rest of its datagram; with the whole one call `resume`
    };
    Kind kind = Kind::deny;
    contract::DropReason reason = contract::DropReason::none;  // when no rule decided
    std::uint16_t argument = 0;
    std::uint16_t mtu = 0;  // unreach needfrag
    std::uint8_t tees = 0;  // that the packet has met so far
    std::int32_t rule_number =
        -1;                        // -1: dropped before any rule; 0: passed, not judged by any rule
    std::uint32_t rule_index = 0;  // of the deciding rule in the snapshot; valid if rule_number > 0
    std::uint8_t next_hop_family = 0;  // 4 or 6: fwd tablearg, and the next hop is this one
    Ipv6 next_hop{};                   // the first 4 bytes for family 4
};

// Where an engine writes. The memory outlives the engine.
struct EngineOutputs {
    contract::RuleCounters* counters = nullptr;             // [slot_capacity]
    const contract::SlotAnnotation* annotations = nullptr;  // [slot_capacity]
    std::uint32_t slot_capacity = 0;
    contract::LogRing log;
    std::uint64_t* log_dropped = nullptr;
    // The worker's shard. Null: no state can be made, and none is found.
    state::StateTable* states = nullptr;
    // Null: no table has any entry.
    const table::Store* tables = nullptr;
    unsigned worker = 0;  // whose hits are counted
};

// The numbers that `prob` draws, 31 bits each.
class RandomSource {
  public:
    virtual ~RandomSource() = default;
    virtual std::uint32_t draw(const packet::Packet& packet, std::uint32_t rule_index) = 0;
};

class Engine {
  public:
    // `random` may be null: then a generator of the engine's own, seeded with `seed`, is used.
    Engine(const EngineOutputs& outputs, std::uint64_t seed, RandomSource* random = nullptr);
    ~Engine();
    Engine(Engine&&) noexcept;

    // Judges `packets` in order; verdicts[i] and marks[i] belong to packets[i]. Marks are those
    // that the packet brings, and afterwards what the rules have made of them. REQUIRES:
    // verdicts.size() and marks.size() >= packets.size().
    void filter(const Runtime& runtime, std::span<const packet::Packet> packets,
                std::span<Verdict> verdicts, std::span<PacketMarks> marks);

    // Goes on behind the rule that gave `verdict` (tee, reass). States
    // are looked for anew, as in ipfw: a packet that finds the state of a tee rule again is copied
    // again. One that meets kMaximumTees is dropped, so this ends.
    static constexpr unsigned kMaximumTees = 32;
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
