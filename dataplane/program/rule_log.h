// The log records of one worker's engine: what is written, and how much of it.
//
// Threads: belongs to the engine. The limits are this worker's own, so only an upper bound: those
// over all workers are kept where the lines are written.
#pragma once

#include <cstdint>
#include <vector>

#include "dataplane/contract/annotations.h"
#include "dataplane/contract/log_ring.h"
#include "dataplane/contract/snapshot.h"
#include "dataplane/packet/packet.h"
#include "dataplane/program/outputs.h"

namespace sluice::program {

class RuleLog {
  public:
    explicit RuleLog(const EngineOutputs& outputs);

    // A rule with `log` has matched.
    void matched(const contract::Sysctls& sysctls, const packet::Packet& packet,
                 const contract::RuleRecord& rule);
    // No rule sees the packet.
    void malformed(const contract::Sysctls& sysctls, const packet::Packet& packet);
    // A state was not made; `entries` are there. At most one line a second.
    void state_refused(const packet::Packet& packet, const contract::RuleRecord& rule,
                       contract::LogKind kind, std::uint64_t entries);
    // A call was too deep. At most one line a second.
    void call_refused(const packet::Packet& packet);

  private:
    struct Written {
        std::uint32_t epoch = 0;
        std::uint32_t count = 0;   // since the limit was last re-armed
        std::uint32_t second = 0;  // since 1970, of the last line; without its upper bits
        std::uint32_t in_second = 0;
    };

    // `rate`: in a second; 0: any number.
    void push(const contract::LogRecord& record, std::uint32_t limit, std::uint32_t rate);

    contract::LogRing ring_;
    const contract::SlotAnnotation* annotations_;
    std::uint64_t* dropped_;
    std::uint64_t* limited_;
    std::vector<Written> written_;  // by slot
    std::uint32_t last_state_s_ = 0xffffffff;
    std::uint32_t last_call_s_ = 0xffffffff;
};

}  // namespace sluice::program
