// The memory that the data plane shares with the control plane: counters, log rings, annotations.
//
// Each is a memfd that neither side can shrink or grow. The counters are sealed against future
// writes once the data plane has mapped them: whoever gets the descriptor can only read. The log
// rings are written by both sides, the annotations by the control plane alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "common/result.h"
#include "common/unique_fd.h"
#include "dataplane/contract/annotations.h"
#include "dataplane/contract/capture_ring.h"
#include "dataplane/contract/counters.h"
#include "dataplane/worker/bridge.h"

namespace sluice::dataplane {

// A memfd and its mapping; move-only.
class SharedMemory {
  public:
    enum class Access { read_only, read_write };

    // Filled with zeros. `access` is that of the mapping.
    static Result<SharedMemory> create(const char* name, std::size_t size, Access access);

    SharedMemory() = default;
    SharedMemory(SharedMemory&& other) noexcept;
    SharedMemory& operator=(SharedMemory&& other) noexcept;
    ~SharedMemory();

    // Nobody can write any more but through mappings that exist.
    Result<Done> seal_future_writes();

    std::byte* data() const { return data_; }
    std::size_t size() const { return size_; }
    int descriptor() const { return file_.get(); }

  private:
    UniqueFd file_;
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
};

class ContractMemory {
  public:
    // `log_ring_records` is a power of two.
    static Result<ContractMemory> create(unsigned workers, std::uint32_t slot_capacity,
                                         std::uint32_t log_ring_records);

    int counters() const { return counters_.descriptor(); }
    int log_rings() const { return log_rings_.descriptor(); }
    int annotations() const { return annotations_.descriptor(); }

    // The rings for captures, one for each worker, and their file. They are made when they are
    // first asked for, and stay.
    struct Captures {
        std::vector<contract::CaptureRing> rings;
        int file = -1;
    };
    Result<Captures> captures();

    // One for each worker, without a seed.
    std::vector<worker::WorkerMemory> worker_memory() const;

  private:
    unsigned workers_ = 0;
    std::uint32_t slot_capacity_ = 0;
    std::uint32_t log_ring_records_ = 0;
    SharedMemory counters_;
    SharedMemory log_rings_;
    SharedMemory annotations_;
    std::vector<contract::LogRing> rings_;
    SharedMemory captures_;
    std::vector<contract::CaptureRing> capture_rings_;
};

}  // namespace sluice::dataplane
