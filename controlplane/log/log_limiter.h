// Log limits: `logamount N` writes N lines, then a notice, then nothing until `resetlog`.
//
// Each worker stops by itself when it has seen N matches in this epoch, so that a flood does not
// fill the log rings; with several workers more than N records may arrive here. This is where the
// limit becomes exact: lines are counted per slot in the annotations, which outlive a crash of the
// control plane. The records of all workers have to pass one limiter.
//
// Lines about states that could not be made belong to no rule's limit: as in ipfw there is at most
// one of them in a second, of both kinds together. So it is with calls that are too deep.
#pragma once

#include <cstdint>
#include <optional>
#include <span>

#include "dataplane/contract/annotations.h"
#include "dataplane/contract/log_ring.h"

namespace sluice::log {

struct LogDecision {
    bool write = false;          // write the line …
    bool limit_reached = false;  // … and the notice behind it
};

class LogLimiter {
  public:
    LogLimiter() = default;

    // Does not own the annotations. A slot outside of them has no limit.
    explicit LogLimiter(std::span<contract::SlotAnnotation> annotations)
        : annotations_(annotations) {}

    // Counts the record against the limit of its slot.
    LogDecision admit(const contract::LogRecord& record);

    // Lets the slot log again, here and in the workers. Records of before that are still in a ring
    // count against the new epoch: drain first.
    void rearm(std::uint32_t slot);

  private:
    static LogDecision admit_each_second(std::uint64_t second, std::optional<std::uint64_t>& last);

    std::span<contract::SlotAnnotation> annotations_;
    std::optional<std::uint64_t> last_state_line_;  // in seconds of packet time
    std::optional<std::uint64_t> last_call_line_;
};

}  // namespace sluice::log
