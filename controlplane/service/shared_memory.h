// What the data plane lets the control plane see: counters, log rings and annotations.
//
// Threads: counters are read while workers write them (relaxed loads, no locks); annotations have
// this process as their only writer. Sizes in headers are checked against the size of the file
// before anything is mapped; a data plane that tells us otherwise is refused in words.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "controlplane/metrics/view.h"
#include "controlplane/service/script.h"
#include "dataplane/contract/annotations.h"
#include "dataplane/contract/counters.h"
#include "dataplane/contract/log_ring.h"
#include "dataplane/contract/message.h"

namespace sluice::service {

// A mapped file; move-only.
class Mapping {
  public:
    Mapping() = default;
    // Maps the whole file, which must have at least `minimum` bytes. `name` is for the message.
    static Result<Mapping> map(int fd, std::size_t minimum, bool writable, const char* name);
    Mapping(Mapping&& other) noexcept;
    Mapping& operator=(Mapping&& other) noexcept;
    ~Mapping();

    std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }

  private:
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

class SharedMemory {
  public:
    SharedMemory() = default;
    static Result<SharedMemory> map(const contract::Hello& hello, int counters_fd, int rings_fd,
                                    int annotations_fd);

    // Summed over the workers, minus the baseline. Zero for a slot that does not exist.
    RuleTotals totals(std::uint32_t slot) const;

    // Of the rule in this slot, now, of all workers.
    std::uint64_t states_of(std::uint32_t slot) const;

    struct StateCounts {
        std::uint64_t states = 0;  // without parents
        std::uint64_t parents = 0;
    };
    StateCounts state_counts() const;

    // From now on, which is `now_s` since 1970, the slot reads zero.
    void take_baseline(std::uint32_t slot, std::uint64_t now_s);
    // The same for a slot that gets a new rule: metrics count from here on, too.
    void begin_anew(std::uint32_t slot, std::uint64_t now_s);

    // For threads that go on reading when this is gone.
    metrics::Counters counters() const;

    std::span<contract::LogRing> log_rings() { return rings_; }
    std::span<contract::SlotAnnotation> annotations() const { return annotations_; }

  private:
    RuleTotals sum(std::uint32_t slot) const;

    struct Mappings {
        Mapping counters, rings, annotations;
    };
    std::shared_ptr<const Mappings> mappings_;
    std::vector<std::span<const contract::RuleCounters>> workers_;  // by slot
    std::vector<const contract::WorkerCounters*> totals_;           // of each worker
    std::span<const contract::DeviceStatus> devices_;               // by port
    std::vector<contract::LogRing> rings_;
    std::span<contract::SlotAnnotation> annotations_;
};

}  // namespace sluice::service
