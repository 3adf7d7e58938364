// Log limits: `logamount N` writes N lines, then a notice, then nothing until `resetlog`.
//
// Each worker stops by itself when it has seen N matches in this epoch, so that a flood does not
// fill the log rings; with several workers more than N records may arrive here. This is where the
// limit becomes exact: lines are counted per slot in the annotations, which outlive a crash of the
// control plane. The records of all workers have to pass one limiter.
//
// verbose_rate is so many lines of one rule in a second. It is kept in the same two places, for the
// same two reasons; what is left out is counted in both, and told here by the rules that caused it.
//
// Lines about states that could not be made belong to no rule's limit: as in ipfw there is at most
// one of them in a second, of both kinds together. So it is with calls that are too deep.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

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

    // Lines of one rule in a second; 0: as many as come.
    void set_rate(std::uint32_t lines) { rate_ = lines; }

    // What was left out for that since the last call; and the rules that came to it, which say
    // nothing of what the workers left out. A few of them, if they are many.
    struct LeftOut {
        std::uint64_t lines = 0;
        std::vector<std::uint16_t> rules;
    };
    LeftOut take_left_out() { return std::exchange(left_out_, {}); }

    // Counts the record against the limit of its slot.
    LogDecision admit(const contract::LogRecord& record);

    // Lets the slot log again, here and in the workers. Records of before that are still in a ring
    // count against the new epoch: drain first.
    void rearm(std::uint32_t slot);

  private:
    struct Second {
        std::uint64_t number = 0;  // since 1970
        std::uint32_t lines = 0;
    };

    bool is_over_rate(const contract::LogRecord& record);
    static LogDecision admit_each_second(std::uint64_t second, std::optional<std::uint64_t>& last);

    std::span<contract::SlotAnnotation> annotations_;
    std::uint32_t rate_ = 0;
    std::vector<Second> seconds_;  // by slot; empty until there is a rate
    LeftOut left_out_;
    std::optional<std::uint64_t> last_state_line_;  // in seconds of packet time
    std::optional<std::uint64_t> last_call_line_;
};

}  // namespace sluice::log
