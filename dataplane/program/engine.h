// The filter engine of one worker: classify a burst, walk the rules that match, give a verdict.
//
// No DPDK, no allocation, no lock, no system call. The walk follows ipfw(8): for each matching rule
// in order — chance and other residual tests, counters, log line, action. `skipto` moves on,
// `count` and `log` go on, the rest ends the walk.
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
#include "dataplane/program/runtime.h"

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
        fwd,     // next hop in the rule record
    };
    Kind kind = Kind::deny;
    contract::DropReason reason = contract::DropReason::none;  // when no rule decided
    std::uint16_t argument = 0;
    std::uint16_t mtu = 0;  // unreach needfrag
    std::int32_t rule_number =
        -1;                        // -1: dropped before any rule; 0: passed, not judged by any rule
    std::uint32_t rule_index = 0;  // of the deciding rule in the snapshot; valid if rule_number > 0
};

// Where an engine writes. The memory outlives the engine.
struct EngineOutputs {
    contract::RuleCounters* counters = nullptr;             // [slot_capacity]
    const contract::SlotAnnotation* annotations = nullptr;  // [slot_capacity]
    std::uint32_t slot_capacity = 0;
    contract::LogRing log;
    std::uint64_t* log_dropped = nullptr;
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

    // Judges `packets` in order; verdicts[i] belongs to packets[i].
    // REQUIRES: verdicts.size() >= packets.size().
    void filter(const Runtime& runtime, std::span<const packet::Packet> packets,
                std::span<Verdict> verdicts);

    // Goes on behind the rule that gave `verdict` (tee; a diverted packet that came back).
    Verdict resume(const Runtime& runtime, const packet::Packet& packet, const Verdict& verdict);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace sluice::program
